"""Decoding in a process of its own: the same sound, and failures of a decoder cost one recording."""

from __future__ import annotations

import io
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from experiments.fuzzing.formats import encoded
from ser.audio import isolation, load_waveform, open_recording
from ser.service.settings import Settings
from ser.types import AudioError, ParameterError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs memfd_create"),
]
HELPERS = Path(__file__).resolve().parents[1] / "helpers"  # with planted_decoder.py
WHOLE = encoded("wav-pcm_16")


@pytest.fixture(autouse=True)
def isolated(monkeypatch):
    """Switch isolation on; processes stay for the next test."""
    monkeypatch.setenv(isolation.VARIABLE, "1")


@pytest.fixture
def no_process(monkeypatch):
    """Begin without processes; end those of this test."""
    monkeypatch.setattr(isolation._Process, "_idle", deque())
    yield
    for process in isolation._Process._idle:
        process.end()


def named(data: bytes, name: str) -> io.BytesIO:
    file = io.BytesIO(data)
    file.name = name
    return file


def plain(monkeypatch, source, **options):
    with monkeypatch.context() as context:
        context.delenv(isolation.VARIABLE)
        return load_waveform(source, **options)


@pytest.mark.parametrize("name", ["wav-pcm_16", "flac-pcm_16", "ogg-vorbis", "mp3-cbr", "m4a-aac", "webm-opus"])
def test_sound_and_flags_are_the_same(name, monkeypatch):
    for data in (encoded(name), encoded(name)[: len(encoded(name)) * 9 // 10]):
        try:
            expected = plain(monkeypatch, data)
        except AudioError as error:
            with pytest.raises(AudioError) as refused:
                load_waveform(data)
            assert str(refused.value) == str(error)
            continue
        found = load_waveform(data)
        np.testing.assert_array_equal(found.samples, expected.samples)
        assert (found.cut_off, found.clipped) == (expected.cut_off, expected.clipped)


def test_files_are_read_from_their_start_and_stay_open(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(WHOLE)
    expected = load_waveform(WHOLE).samples
    np.testing.assert_array_equal(load_waveform(path).samples, expected)
    with path.open("rb") as file:
        file.seek(99)
        np.testing.assert_array_equal(load_waveform(file).samples, expected)
        assert not file.closed


def test_refusals_are_those_of_the_decoder():
    with pytest.raises(AudioError, match=r"words\.wav: this is text, not sound"):
        load_waveform(named(b"only words, no sound", "words.wav"))


@pytest.mark.usefixtures("no_process")
def test_one_process_serves_one_recording_after_the_other():
    for _ in range(3):
        load_waveform(WHOLE)
    with open_recording(WHOLE) as recording:  # left before its end
        next(recording.blocks(16_000, 0.1))
    load_waveform(WHOLE)
    assert len(isolation._Process._idle) == 1


def test_recordings_are_decoded_side_by_side():
    expected = load_waveform(WHOLE).samples
    with ThreadPoolExecutor(3) as pool:
        for waveform in pool.map(lambda _: load_waveform(WHOLE), range(12)):
            np.testing.assert_array_equal(waveform.samples, expected)
    assert 1 <= len(isolation._Process._idle) <= isolation.MOST_IDLE


WAYS = {
    "raise": r"raise\.wav: its decoder failed \(KeyError.*; this recording is damaged\. Record it again",
    "bomb": r"bomb\.wav: its decoder failed \(MemoryError",
    "crash": r"crash\.wav: its decoder broke off",
    "hang": r"hang\.wav: its decoder took more than 0\.3 s",
}


@pytest.mark.usefixtures("no_process")
def test_a_decoder_that_fails_costs_one_recording(monkeypatch):
    monkeypatch.setattr(isolation, "PROGRAM", "planted_decoder")
    monkeypatch.setattr(isolation, "STEP_S", 0.3)
    monkeypatch.setenv("PYTHONPATH", str(HELPERS))
    expected = load_waveform(WHOLE).samples
    for way, message in WAYS.items():
        with pytest.raises(AudioError, match=message):
            load_waveform(named(WHOLE, f"{way}.wav"))
        np.testing.assert_array_equal(load_waveform(WHOLE).samples, expected)


@pytest.mark.usefixtures("no_process")
def test_a_process_that_is_killed_between_chunks_refuses_its_recording_only():
    with open_recording(WHOLE) as recording, open_recording(WHOLE) as other:
        recording._decoder._process.end()
        with pytest.raises(AudioError, match="its decoder broke off"):
            list(recording.blocks(16_000))
        assert list(other.blocks(16_000))


@pytest.mark.usefixtures("no_process")
def test_a_process_ends_with_its_parent():
    load_waveform(WHOLE)
    (process,) = isolation._Process._idle
    process.channel.close()
    assert process._process.wait(5) == 0
    isolation._Process._idle.clear()


def test_it_is_off_without_the_variable(monkeypatch):
    before = psutil.Process().children()
    plain(monkeypatch, WHOLE)
    assert psutil.Process().children() == before


def test_other_values_are_refused_at_the_start(monkeypatch):
    monkeypatch.setenv(isolation.VARIABLE, "yes")
    with pytest.raises(ParameterError, match="SER_ISOLATE=yes: accepted are 1"):
        Settings.from_environment()
