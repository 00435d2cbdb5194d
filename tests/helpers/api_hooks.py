"""Recordings for schemathesis, which asks the service in `service/test_server.py`."""

from __future__ import annotations

import schemathesis
from golden.make import RATE, noise, voice
from hypothesis import strategies as st

from ser.audio.pcm import wav_header


@st.composite
def recordings(draw: st.DrawFn) -> bytes:
    """Short WAVs of voice or noise, some of them cut off."""
    samples = draw(st.sampled_from([voice(1.0), noise(1.0)]))[: draw(st.integers(10_000, RATE))]
    pcm = (samples * 2**15).astype("<i2").tobytes()
    whole = wav_header(RATE, 1, len(pcm)) + pcm
    return whole[: len(whole) - draw(st.integers(0, 400))]


schemathesis.openapi.media_type("audio/wav", recordings(), aliases=["application/octet-stream"])


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, object]) -> None:
    """Ask for the only sound track of these recordings; a second one is refused, as no schema can say."""
    track = (case.query or {}).get("track")
    if str(track).isdecimal() and int(str(track)) > 1:
        case.query["track"] = 1
