"""A page of the timeline only, for the file that `?file=` names; run by streamlit."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ser  # noqa: E402
from ser.page.listening import Listening  # noqa: E402
from ser.page.texts import Texts  # noqa: E402
from ser.page.timeline import listen_long, show_timeline  # noqa: E402
from ser.page.visit import Recording  # noqa: E402
from ser.types import Channels  # noqa: E402


@st.cache_resource
def recognizer() -> ser.Recognizer:
    return ser.load(st.query_params.get("model", "dense105"))


def again(channels: Channels) -> None:
    shown = state.shown
    state.listening = Listening(shown.sound, recognizer(), name=shown.name, channels=channels, again=shown)


state = st.session_state
texts = Texts(st.query_params.get("language", "en"))
st.html(ROOT / "static" / "page.css")
if "shown" not in state:
    path = Path(st.query_params["file"])
    state.shown = None
    state.listening = Listening(path.read_bytes(), recognizer(), name=path.name)
st.button("Rerun")
if state.listening:
    outcome = listen_long(state.listening, texts)
    if state.listening.ended:
        state.shown, state.listening = outcome, None
        st.rerun()
if isinstance(state.shown, Recording):
    if st.toggle("Without sound"):
        state.shown = replace(state.shown, sound=None)
    with st.container(border=True, key="answer"):
        show_timeline(state.shown, recognizer(), texts, listen_again=again)
elif state.shown:
    st.error(str(state.shown))
st.text("end of the page")
