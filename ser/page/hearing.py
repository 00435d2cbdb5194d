"""Hearing what is new on the page: short recordings at once, long ones one after the other, with progress."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from ser.inference.recognizer import Recognizer
from ser.page import intake
from ser.page.listening import Listening
from ser.page.texts import Texts
from ser.page.timeline import listen_long
from ser.page.visit import Kind, Recording, Visit
from ser.types import Channels, SerError


class Sound(NamedTuple):
    """A named file that is new on the page."""

    file: io.BytesIO
    kind: Kind


def hear(model: Recognizer, visit: Visit, sounds: list[Sound], texts: Texts) -> None:
    """Add new recordings to the visit; one that cannot be heard leaves the others, a long one waits for its turn."""
    state = st.session_state
    state.refused = []
    bar = st.progress(0.0) if len(sounds) > 1 else None
    for done, sound in enumerate(sounds):
        if bar:
            bar.progress(done / len(sounds), texts("input.progress", done=done, all=len(sounds)))
        taken = intake.take(visit, model, [sound.file], sound.kind)
        state.refused += [str(failure.error) for failure in taken.failures]
        state.setdefault("long", []).extend(Sound(file, sound.kind) for file in taken.long)
    state.uploads, state.panel = state.get("uploads", 0) + 1, None
    st.rerun()


def hear_long(visit: Visit, chosen: Recognizer, texts: Texts) -> None:
    """Show the progress of a long recording, one at a time; at its end it is shown."""
    state = st.session_state
    if not state.get("listening") and state.get("long"):
        sound = state.long.pop(0)
        state.listening = Listening(sound.file.getvalue(), chosen, name=sound.file.name, kind=sound.kind)
    listening: Listening | None = state.get("listening")
    if listening is None:
        return
    has_ended = listening.ended
    if has_ended:
        state.listening = None  # first, so that a fault is shown once
    outcome = listen_long(listening, texts)
    if has_ended:
        if isinstance(outcome, SerError):
            state.refused = [*state.get("refused", []), str(outcome)]
        elif outcome is not None and listening.again is None:
            visit.add(outcome)
        elif outcome is not None and outcome.id in visit:  # else it was deleted meanwhile
            visit.replace(replace(visit[outcome.id], timeline=outcome.timeline, model=outcome.model))
        st.rerun()


def forget_long() -> None:
    """Stop what is heard and forget what waits, as the visit is cleared."""
    if listening := st.session_state.get("listening"):
        listening.stop()
    st.session_state.listening, st.session_state.long = None, []


def listen_again(recording: Recording, chosen: Recognizer, channels: Channels) -> None:
    """Hear a long recording once more, with its channels together or apart."""
    st.session_state.listening = Listening(
        recording.sound or b"", chosen, name=recording.name, channels=channels, again=recording
    )
