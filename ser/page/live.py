"""The page's live mode: sound comes in small messages over the page's own connection, answers go back the same way."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import streamlit as st

from ser.audio.pcm import SAMPLE_BYTES
from ser.inference.live import Stream, StreamRecognizer
from ser.inference.memory import freeze_loaded
from ser.inference.recognizer import Recognizer
from ser.page.recorder import ID_LETTERS, MOST_BYTES, RATE, decoded, mount
from ser.page.texts import Texts
from ser.page.wording import is_unnamed
from ser.types import COLOURS, EMOJI, EMOTIONS, AudioError, Prediction

# Hands the answers to recorder.js, which draws them. A component of its own, because Streamlit sends a component's
# whole script again whenever its data change: 20 kB, four times a second.
ANSWERS = st.components.v2.component(
    "ser_live_answers",
    js="export default ({ data }) => { document.dispatchEvent(new CustomEvent('ser-live', { detail: data })); };",
)


class LiveAnswer(NamedTuple):
    """The prediction for the 3.5 s that end at `t_s` seconds; the last one of a session is for all of its sound."""

    t_s: float
    prediction: Prediction


@dataclass
class Session:
    """One use of the live mode: the sound so far and its answers, until it is finished and its WAV taken."""

    id: str
    recognizer: Recognizer
    answers: list[LiveAnswer] = field(default_factory=list)
    got: int = 0  # samples
    wav: bytes | None = None
    is_done: bool = False

    def __post_init__(self) -> None:
        self._stream = Stream(RATE, 1)
        self._live = StreamRecognizer(self.recognizer)

    def add(self, start: int, pcm: bytes) -> None:
        """Add PCM that begins at sample `start`; sound that is here already or does not follow is left out.

        Of several windows that are due only the newest is answered, so that a slow machine keeps up.
        """
        known = SAMPLE_BYTES * (self.got - start)
        if self.is_done or not 0 <= known <= len(pcm):
            return
        pcm = self._stream.take(pcm[known:])
        due = list(self._stream.add(pcm))
        self.got += len(pcm) // SAMPLE_BYTES
        for t_s, window in due[-1:]:
            self.answers.append(LiveAnswer(t_s, self._live.predict(t_s, window)))

    def finish(self) -> None:
        """Answer all of the sound, as `predict` does; without any there is no recording."""
        self.is_done = True
        t_s, wav = self._stream.whole()
        self._stream = Stream(RATE, 1)  # frees the sound
        with suppress(AudioError):
            self.answers.append(LiveAnswer(t_s, self.recognizer.predict(wav)))
            self.wav = wav


@dataclass
class Sessions:
    """The live mode of one visitor: the session that runs or has ended last, and the last message from the browser."""

    recognizer: Recognizer
    session: Session | None = None
    n: int = 0

    def take(self, message: object) -> bool:
        """Handle a message of recorder.js; return whether a session has ended by it. Anything else is ignored.

        A message carries the session's id, its own number, the sample it begins at and PCM in base64. It may come
        twice, or for a session that is unknown here after a lost connection: the browser goes on at `got`.
        """
        if not isinstance(message, dict) or not isinstance(message.get("id"), str):
            return False
        name = message["id"][:ID_LETTERS]
        if message.get("discard"):
            self.session = None
            return False
        pcm = decoded(message.get("pcm"), MOST_BYTES)
        start, n = message.get("from"), message.get("n")
        if pcm is None or len(pcm) % SAMPLE_BYTES or not isinstance(start, int) or not isinstance(n, int):
            return False
        if self.session is None or self.session.id != name:
            self.session = Session(name, self.recognizer)
        self.n = n
        self.session.add(start, pcm)
        has_all = self.session.got == start + len(pcm) // SAMPLE_BYTES
        if not message.get("end") or not has_all or self.session.is_done:
            return False
        self.session.finish()
        return True

    def answer(self) -> dict[str, Any] | None:
        """Return what recorder.js is told: how much sound is here, and the newest answer."""
        session = self.session
        if session is None:
            return None
        state = {"id": session.id, "n": self.n, "got": session.got, "done": session.is_done}
        return state | answer_data(session.answers[-1]) if session.answers else state


def answer_data(answer: LiveAnswer) -> dict[str, Any]:
    """Return an answer as recorder.js draws it; `kind` is sure, unsure, or none where no emotion is named."""
    prediction = answer.prediction
    kind = "none" if is_unnamed(prediction) else "unsure" if prediction.uncertain else "sure"
    shares = {label: round(share, 4) for label, share in prediction.probabilities.items()}
    return {"t_s": answer.t_s, "label": prediction.label, "kind": kind, "probabilities": shares}


def live(texts: Texts, recognizer: Recognizer, *, key: str = "live") -> bytes | None:
    """Show the live mode; return a finished session's sound once, as a WAV of 16 kHz, mono and 16 bits.

    While it runs, only this part of the page runs again. `live_answers` has what it said.
    """
    sessions: Sessions = st.session_state.setdefault(f"{key}-sessions", Sessions(recognizer))
    sessions.recognizer = recognizer
    freeze_loaded()
    run_live(texts, sessions, key)
    if sessions.session is None or sessions.session.wav is None:
        return None
    wav, sessions.session.wav = sessions.session.wav, None
    return wav


def live_answers(key: str = "live") -> list[LiveAnswer]:
    """Return the answers of the session that runs or has ended last, in order."""
    sessions: Sessions | None = st.session_state.get(f"{key}-sessions")
    return list(sessions.session.answers) if sessions and sessions.session else []


@st.fragment
def run_live(texts: Texts, sessions: Sessions, key: str) -> None:
    """Show the recorder, take its message and pass the answer on; the page runs again when a session has ended."""
    emotions = [
        {"label": label, "name": texts.emotion(label), "emoji": EMOJI[label], "colour": COLOURS[label]}
        for label in EMOTIONS
        if label in sessions.recognizer.labels
    ]
    with st.container(gap=None):  # the answers take no place
        message = mount(texts, key, {"mode": "live", "emotions": emotions}, chunk=lambda: None).chunk
        has_ended = sessions.take(message)
        ANSWERS(key=f"{key}-answers", data={"name": key, **(sessions.answer() or {"id": ""})}, height=1)
    if has_ended:
        st.rerun()
