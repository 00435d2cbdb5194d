"""Live sound: its windows, and answers that adapt to it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, chords, voice
from service_client import SPOKEN

import ser
from ser.audio.loading import MAX_BYTES, MAX_PREDICT_S, load_waveform
from ser.audio.pcm import wav_header
from ser.features.voice105 import WINDOW_S
from ser.inference.adaptation import SourceMean
from ser.inference.live import ENOUGH_WINDOWS, STEP_S, Stream, StreamRecognizer, most_bytes
from ser.types import AudioError, ParameterError, Waveform


@pytest.fixture(scope="module")
def recognizer() -> ser.Recognizer:
    return ser.load("dense105")


def pcm(duration_s: float, channels: int = 1) -> bytes:
    samples = np.tile((voice(duration_s)[:, None] * 2**15).astype("<i2"), channels)
    return samples.tobytes()


@pytest.mark.parametrize("piece", [1, 7, 3200, 8000, 10**6])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
def test_a_stream_is_the_same_in_pieces_of_any_size(rate, channels, piece):
    sound = pcm(0.1 if piece == 1 else 2.0, channels)
    whole, cut = Stream(rate, channels), Stream(rate, channels)
    expected_due = list(whole.add(sound))
    found_due = [due for at in range(0, len(sound), piece) for due in cut.add(sound[at : at + piece])]
    assert found_due == expected_due and cut.whole() == whole.whole()
    assert all(t_s * 4 == round(t_s * 4) for t_s, _ in found_due)


@pytest.mark.slow
def test_a_stream_answers_four_times_a_second_on_the_last_window():
    stream, sound = Stream(RATE, 1), pcm(6.0)
    due = list(stream.add(sound))
    assert [t_s for t_s, _ in due] == [0.25 * i for i in range(1, 25)]
    samples, rate = sf.read(io.BytesIO(due[-1][1]), dtype="int16")
    assert rate == RATE and samples.tobytes() == sound[-2 * round(3.5 * RATE) :]
    samples, _ = sf.read(io.BytesIO(due[0][1]), dtype="int16")
    assert samples.tobytes() == sound[: 2 * RATE // 4]


def test_a_stream_ends_with_all_its_sound():
    stream, sound = Stream(RATE, 2), pcm(1.3, 2)
    list(stream.add(sound + b"\x01"))  # and a byte of a frame that never came
    t_s, found = stream.whole()
    assert t_s == pytest.approx(1.3) and found == wav_header(RATE, 2, len(sound)) + sound


def test_a_long_stream_keeps_no_more_than_a_recording_may_have(recognizer):
    stream = Stream(8000, 1)
    for _ in range(130):
        list(stream.add(bytes(2 * 8000)))
    assert stream.t_s == 130 and stream.held_bytes < 2 * 8000 * (MAX_PREDICT_S + 6)
    with pytest.raises(AudioError, match="or use `timeline` of the command line"):
        recognizer.predict(stream.whole()[1])


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 2), (192_000, 7)])
def test_what_a_stream_takes_is_accepted_by_predict(rate, channels):
    """120 s or 25 MB, to the last frame."""
    stream = Stream(rate, channels)
    fits = stream.take(bytes(26 * 2**20))
    assert stream.is_full and len(fits) == most_bytes(rate, channels)
    list(stream.add(fits))
    assert not stream.take(b"") and not stream.is_full and not stream.take(b"more") and stream.is_full
    t_s, recording = stream.whole()
    assert load_waveform(recording, rate).duration_s == t_s <= 120 and len(recording) <= MAX_BYTES


@pytest.mark.parametrize(
    ("rate", "channels", "message"),
    [(7999, 1, "rate=7999"), (192_001, 1, "8000 to 192000 Hz"), (16_000, 0, "channels=0"), (16_000, 9, "1 to 8")],
)
def test_a_stream_keeps_to_the_limits(rate, channels, message):
    with pytest.raises(ParameterError, match=message):
        Stream(rate, channels)


# --- Adaptation to the stream ---


@pytest.mark.slow
def test_a_stream_adapts_to_its_windows_that_do_not_overlap():
    recognizer, music = ser.load("voice"), Waveform(chords(WINDOW_S), RATE)
    windows = [Waveform(samples, RATE) for samples in SPOKEN]
    live, expected = StreamRecognizer(recognizer), SourceMean()
    assert live.predict(WINDOW_S, music).adapted is None
    for number in range(ENOUGH_WINDOWS):
        t_s, window = (number + 1) * WINDOW_S, windows[number % len(windows)]
        expected.add(recognizer.analyse(window).scores)
        answer = live.predict(t_s, window)
        assert (answer.adapted is None) is (number + 1 < ENOUGH_WINDOWS)
        overlapping = live.predict(t_s + STEP_S, windows[0])
        assert overlapping.adapted == answer.adapted
    assert answer.adapted == ("self", ENOUGH_WINDOWS)
    adapted = recognizer.adapted_to(expected, "self").predict(windows[1])
    assert live.predict(t_s + 2 * STEP_S, windows[1]).probabilities == pytest.approx(adapted.probabilities, abs=1e-6)


@pytest.mark.slow
def test_a_stream_stays_as_it_is_if_asked_or_if_its_source_is_known():
    voice_model, window = ser.load("voice"), Waveform(SPOKEN[0], RATE)
    known = voice_model.adapted([Waveform(samples, RATE) for samples in SPOKEN], name="mine")
    streams = {
        None: StreamRecognizer(voice_model, adapt=False),
        ("mine", len(SPOKEN)): StreamRecognizer(known),
    }
    for adapted, live in streams.items():
        for number in range(ENOUGH_WINDOWS + 1):
            assert live.predict((number + 1) * WINDOW_S, window).adapted == adapted
