"""A page of a visit only: files, the strip, and all that can be done with the recordings; run by streamlit."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ser  # noqa: E402
from ser.page import strip  # noqa: E402
from ser.page.intake import take  # noqa: E402
from ser.page.parts import compare, keep  # noqa: E402
from ser.page.texts import Texts  # noqa: E402
from ser.page.visit import Visit  # noqa: E402


@st.cache_resource
def model() -> ser.Recognizer:
    return ser.load()


texts = Texts(st.query_params.get("language", "en"))
visit = st.session_state.setdefault("visit", Visit())
st.html(ROOT / "static" / "page.css")
files = st.file_uploader("Files", accept_multiple_files=True, key="files")
for failure in take(visit, model(), files).failures:
    st.error(str(failure.error))
keep.keep_new(visit, model())
strip.show(visit, model(), texts)
st.text(f"Shown: {visit.current.name if visit.current else 'nothing'}")
with st.container(border=True):
    compare.show(visit, model(), texts)
    if keep.is_offered() or st.session_state.get("offered"):
        with st.expander("History", expanded=True):
            keep.show(visit, texts)
st.text("end of the page")
