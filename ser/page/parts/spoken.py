"""Words beside the emotion: what is said in a recording, by a local speech model, if there is one."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from html import escape

import streamlit as st

from ser.page.components import notice
from ser.page.messages import translate
from ser.page.texts import Texts
from ser.page.visit import Recording, Visit
from ser.transcript.engines import Whisper
from ser.transcript.transcript import transcribe, with_words
from ser.types import SerError

VARIABLE = "SER_SPEECH_MODEL"


@st.cache_resource(show_spinner=False)
def engine(folder: str) -> Whisper:
    """Return the speech model of a folder, loaded once for all visitors."""
    return Whisper(folder)


def show_words(visit: Visit, recording: Recording, texts: Texts) -> None:
    """Show what is said in a recording, or how that is switched on; a timeline gets the words in its segments."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        st.html(f'<p class="how">{escape(texts("words.off", variable=VARIABLE))}</p>')
        return
    said = words_of(recording)
    if said is not None:
        lead = texts("words.rows") if recording.timeline else texts("words.said")
        text = said or texts("words.none")
        st.html(f'<p class="how">{escape(lead)}</p><blockquote class="said">{escape(text)}</blockquote>')
    elif recording.sound is None:
        st.html(f'<p class="how">{escape(texts("answer.no_sound"))}</p>')
    elif st.button(texts("words.show"), key=f"words-{recording.id}"):
        bar = st.progress(0.0, texts("words.working"))
        try:
            hear_words(visit, recording, engine(folder), lambda share: bar.progress(share, texts("words.working")))
        except SerError as error:
            st.html(notice(texts("words.failed"), translate(str(error), texts)))
            return
        st.rerun()


def words_of(recording: Recording) -> str | None:
    """Return what is said in a recording, None if it was not transcribed."""
    return recording.timeline.text if recording.timeline else recording.text


def hear_words(
    visit: Visit, recording: Recording, model: Whisper, progress: Callable[[float], object] = lambda share: None
) -> None:
    """Transcribe a recording of the visit whose sound is kept, and keep its words there."""
    said = transcribe(
        io.BytesIO(recording.sound or b""),
        model,
        progress=lambda done_s, total_s: progress(min(done_s / total_s, 1.0) if total_s else 0.0),
    )
    current = visit[recording.id]
    if current.timeline is None:
        visit.replace(replace(current, text=said.text))
    else:
        visit.replace(replace(current, timeline=with_words(current.timeline, said)))
