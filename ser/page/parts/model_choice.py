"""The choice of a model and of the set of emotions that it answers with."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

import streamlit as st

from ser.inference.artifact import known
from ser.inference.recognizer import Recognizer
from ser.page.components import notice
from ser.page.messages import translate
from ser.page.texts import Texts
from ser.page.visit import Visit
from ser.types import LABEL_SETS, SerError


def choose_model(visit: Visit, model: Recognizer, load: Callable[[str], Recognizer], texts: Texts) -> None:
    """Show the models with size and score, the sets of emotions, and the model's card; a choice runs the page again."""
    folders = {**known(), model.name: model.artifact.folder}  # the model may lie elsewhere
    names = list(folders)
    chosen = st.selectbox(texts("model.choose"), names, index=names.index(model.name), key="choose-model")
    score = model.artifact.manifest["metrics"].get("folds", {}).get("uar", 0.0)
    if chosen != model.name:
        try:
            visit.hear_again(load(chosen))
        except SerError as error:  # as with a profile of another model in SER_PROFILE
            st.html(notice(texts("top.no_model"), translate(str(error), texts)))
        else:
            st.session_state.model = chosen
            st.rerun()
    size = sum(path.stat().st_size for path in folders[model.name].glob("*.onnx")) / 1e6
    about = texts("model.about", size=texts.number(size), score=texts.number(100 * score))
    st.html(f'<p class="how">{escape(about)}</p>')
    picked = st.selectbox(
        texts("model.labels"),
        list(LABEL_SETS),
        index=list(LABEL_SETS).index(visit.labels),
        format_func=lambda name: texts(f"model.labels.{name}"),
        key="choose-labels",
    )
    if picked != visit.labels:
        visit.labels = picked
        st.rerun()
    card = model.artifact.path("MODEL_CARD.md")
    if card.is_file():
        text = re.sub(r"(?m)^!\[.*?\]\(.*?\)\s*$", "", card.read_text(encoding="utf-8"))  # pictures are not served
        with st.expander(texts("model.card"), type="compact"):
            st.markdown(re.sub(r"(?m)^#", "##", text))
