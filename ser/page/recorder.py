"""The page's recorder: a component that records the microphone in the browser, as 16 kHz mono, and hands over a WAV."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from ser.audio.loading import MAX_PREDICT_S
from ser.audio.pcm import HEADER_BYTES, SAMPLE_BYTES, wav_header
from ser.page.texts import TEXTS, Texts

RATE = 16_000  # Hz, as recorder.js sends it
LIMIT_S = MAX_PREDICT_S  # at which a recording ends by itself
MOST_BYTES = round(LIMIT_S * RATE) * SAMPLE_BYTES  # of PCM
ID_LETTERS = 40  # the longest id of a recording that is taken
ASSETS = Path(__file__).parent / "assets"
# The live view is filled in by the script, and hidden unless it is used.
HTML = """
<div class="recorder" data-state="idle" data-problem="">
  <button type="button" class="button">
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5 11a7 7 0 0 0 14 0M12 18v3"/>
    </svg>
    <span class="stop" aria-hidden="true"></span><span class="seconds" aria-hidden="true"></span>
    <span class="wait" aria-hidden="true"></span>
  </button>
  <div class="words">
    <p class="title"></p>
    <p class="hint"></p>
    <label class="switch"><input type="checkbox" role="switch" class="pause"><span></span></label>
    <button type="button" class="discard" hidden></button>
  </div>
  <p class="problem" role="alert"><b></b><span></span></p>
  <div class="live" hidden>
    <p class="now"></p>
    <div class="ribbon" role="img"></div>
    <p class="ends" aria-hidden="true"><span></span><span></span></p>
    <ul class="bars"></ul>
  </div>
  <p class="status" role="status"></p>
</div>
"""
RECORDER = st.components.v2.component(
    "ser_recorder",
    html=HTML,
    css=(ASSETS / "recorder.css").read_text(encoding="utf-8"),
    js=(ASSETS / "recorder.js").read_text(encoding="utf-8"),
)


@dataclass
class Inbox:
    """What the browser has sent: the id of the last recording, and its WAV until it is taken."""

    received: str = ""
    wav: bytes | None = None

    def take(self, payload: object) -> None:
        """Keep a recording; one that is damaged only counts as received, so that it is not sent again."""
        if not isinstance(payload, dict):
            return
        name = payload.get("id")
        if isinstance(name, str) and name[:ID_LETTERS] != self.received:
            self.received, self.wav = name[:ID_LETTERS], wav_of(payload.get("wav"))

    def pop(self) -> bytes | None:
        """Return the recording, once."""
        wav, self.wav = self.wav, None
        return wav


def record(texts: Texts, *, key: str = "record", compact: bool = False) -> bytes | None:
    """Show the recorder; return a new recording once, as a WAV of 16 kHz, mono, 16 bits and at most two minutes.

    `compact` shows it as one line of 56 pixels. What the browser sends is checked; what is not such a WAV is ignored.
    """
    name = f"{key}-inbox"
    inbox: Inbox = st.session_state.setdefault(name, Inbox())
    mount(texts, key, {"compact": compact, "received": inbox.received}, recording=partial(receive, key, name))
    return inbox.pop()


def receive(key: str, inbox: str) -> None:
    """Keep what the component `key` has sent, before the script runs."""
    st.session_state.setdefault(inbox, Inbox()).take(st.session_state[key].get("recording"))


def mount(texts: Texts, key: str, data: dict[str, Any], **callbacks: Callable[[], None]) -> Any:
    """Show the component with its texts and `data`; return its result. `callbacks` are those of its events."""
    spoken = {name.partition(".")[2]: texts(name) for name in TEXTS if name.startswith("recorder.")}
    events = {f"on_{event}_change": callback for event, callback in callbacks.items()}
    data = {"name": key, "lang": texts.language, "texts": spoken, "limit_s": LIMIT_S, **data}
    return RECORDER(key=key, data=data, **events)  # type: ignore[arg-type]


def wav_of(text: object) -> bytes | None:
    """Return the WAV that recorder.js encodes in base64, None if it is anything else."""
    wav = decoded(text, HEADER_BYTES + MOST_BYTES) or b""
    n_bytes = len(wav) - HEADER_BYTES
    is_wav = n_bytes > 0 and n_bytes % SAMPLE_BYTES == 0 and wav.startswith(wav_header(RATE, 1, n_bytes))
    return wav if is_wav else None


def decoded(text: object, most_bytes: int) -> bytes | None:
    """Return the bytes of a base64 text, None if it is none or holds more than `most_bytes`."""
    if not isinstance(text, str) or len(text) > 4 * (most_bytes // 3 + 1):
        return None
    try:
        found = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return found if len(found) <= most_bytes else None
