"""WebM that is decoded as it arrives."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from golden.make import RATE, voice
from webm import OPUS_RATE, webm

from ser.audio import webm as module
from ser.audio.loading import load_waveform
from ser.audio.webm import WebmDecoder
from ser.types import ParameterError

SAMPLES = (soxr.resample(voice(2.0), RATE, OPUS_RATE)[:, None] * 2**15).astype("<i2")


def decoder(most: int = 10**9) -> WebmDecoder:
    return WebmDecoder(lambda rate, channels: most)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("piece", [1, 97, 5000, 10**6])
def test_pieces_of_any_size_give_the_sound_of_the_file(channels, piece):
    sent = webm(np.tile(SAMPLES[: OPUS_RATE // 5 if piece == 1 else None], channels))
    decoding = decoder()
    pcm = b"".join(decoding.decode(sent[at : at + piece]) for at in range(0, len(sent), piece))
    decoding.close()
    assert (decoding.rate, decoding.channels) == (OPUS_RATE, channels)
    heard = np.frombuffer(pcm, "<i2").reshape(-1, channels).mean(axis=1) / 2**15
    expected = load_waveform(sent, OPUS_RATE).samples
    assert len(heard) == len(expected)
    np.testing.assert_allclose(heard, expected, atol=2**-15)


@pytest.mark.slow
def test_decoding_ends_soon_after_the_limit():
    decoding = decoder(96_000)
    pcm = decoding.decode(webm(np.tile(SAMPLES, (4, 1))))
    assert 96_000 < len(pcm) <= 96_000 + 2 * 5760 and decoding.decode(webm(SAMPLES)) == b""
    decoding.close()


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"\x1aE\xdf\xa3" + b"\xff" * 5000, b"no sound at all " * 1000, b"\0" * 5000])
def test_what_is_no_webm_gives_nothing(damage):
    decoding = decoder()
    assert decoding.decode(damage) + decoding.decode(damage) == b""
    decoding.close()


@pytest.mark.slow
def test_nothing_new_is_decoded_at_once():
    decoding, sent = decoder(), webm(SAMPLES)
    assert decoding.decode(b"") == b"" and decoding.decode(sent) and decoding.decode(b"") == b""
    decoding.close()
    assert decoding.decode(sent) == b""


@pytest.mark.slow
def test_the_wait_can_be_stopped(monkeypatch):
    def check() -> None:
        raise ParameterError("stop")

    monkeypatch.setattr(module, "CHECK_S", 0.001)
    decoding = decoder()
    with pytest.raises(ParameterError, match="stop"):
        decoding.decode(webm(np.tile(SAMPLES, (20, 1))), check)
    decoding.close()
