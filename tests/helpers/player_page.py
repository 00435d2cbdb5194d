"""A page of the player only, in every form that it takes; run by streamlit."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile as sf
import streamlit as st

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from ser.audio.envelope import envelope  # noqa: E402
from ser.page.player import Play, player  # noqa: E402
from ser.page.texts import Texts  # noqa: E402
from ser.page.visit import Recording  # noqa: E402
from ser.types import EMOTIONS, Segment  # noqa: E402


@st.cache_resource
def recordings() -> tuple[Recording, Recording]:
    spoken = [sf.read(path) for path in sorted((ROOT / "samples").glob("*.flac"))]
    rate = spoken[0][1]
    samples = np.tile(np.concatenate([samples for samples, _ in spoken]), 4)
    return recording("short.flac", spoken[0][0], rate), recording("long.flac", samples, rate)


def recording(name: str, samples: np.ndarray, rate: int) -> Recording:
    file = BytesIO()
    sf.write(file, samples, rate, format="FLAC")
    sound = file.getvalue()
    return Recording(name, "file", len(samples) / rate, envelope(samples), sound=sound, mime="audio/flac")


def segment(start_s: float, channel: str) -> Segment:
    label, rest = EMOTIONS[int(start_s) % 8], 0.3 / 7
    probabilities = {name: 0.7 if name == label else rest for name in EMOTIONS}
    reasons = ("close_call",) if int(start_s) % 3 == 0 else ()
    return Segment(start_s, start_s + 4, label, probabilities, reasons, channel=channel)


short, long = recordings()
texts = Texts(st.query_params.get("language", "en"))
segments = [segment(float(start), ("left", "right")[start % 2]) for start in range(1, int(long.duration_s) - 5, 5)]
st.html(ROOT / "static" / "page.css")
if st.button("Play a stretch"):
    st.session_state.stretch = st.session_state.get("stretch", 0) + 1
st.button("Rerun")
number = st.session_state.get("stretch")
play = Play(str(number), 0.5, 1.0) if number else None
used_s = (0.2, short.duration_s - 0.4)
player(short, texts, key="short", used_s=used_s, colour="#3969AC", stretches=[(0.5, 1.0)], play=play)
if st.button("Other sound"):
    short = replace(long, id="other")
player(short, texts, key="replaced")
player(long, texts, key="long", segments=segments, listed=True)
player(long, texts, key="call", segments=segments, channels=("left", "right"))
player(replace(short, sound=None), texts, key="gone")
st.text("end of the page")
