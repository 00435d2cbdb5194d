"""Duplicates: equal samples are found in any format, and raise if two speakers share them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

from ser.datasets.corpora import load_corpus
from ser.datasets.duplicates import find_duplicates
from ser.types import Clip, ParameterError

RATE = 8000


def write(path: Path, seed: int = 0) -> Path:
    sf.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, 80), RATE)
    return path


def clips_of(*rows: tuple[Path, str]) -> list[Clip]:
    return [Clip(str(path), "happy", speaker, "table") for path, speaker in rows]


def test_duplicates_are_found_by_their_samples(tmp_path):
    wav, other = write(tmp_path / "a.wav"), write(tmp_path / "b.wav", seed=1)
    samples, _ = sf.read(wav, dtype="int16")
    flac, stereo, empty = tmp_path / "c.flac", tmp_path / "d.wav", tmp_path / "e.wav"
    sf.write(flac, samples, RATE)
    sf.write(stereo, np.stack([samples, samples], axis=1), RATE)
    sf.write(empty, samples[:0], RATE)
    renamed, missing = wav.rename(tmp_path / "a\udcff.wav"), tmp_path / "gone.wav"  # a name that is no UTF-8
    clips = clips_of(*((path, "a") for path in (renamed, other, flac, empty, stereo, empty, missing, missing)))
    assert find_duplicates(clips, progress=False) == [(0, 2, 4)]


def test_duplicates_that_only_pyav_decodes(tmp_path):
    first, second, broken = (tmp_path / name for name in ("a.m4a", "b.m4a", "c.m4a"))
    with av.open(str(first), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 1024)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux([packet for part in (frame, None) for packet in stream.encode(part)])
    second.write_bytes(first.read_bytes())
    broken.write_bytes(b"no sound at all")
    clips = clips_of((first, "a"), (second, "a"), (broken, "a"), (broken, "a"))
    assert find_duplicates(clips, progress=False) == [(0, 1)]


def test_duplicates_across_speakers_are_refused(tmp_path):
    clips = clips_of((write(tmp_path / "a.wav"), "table/a"), (write(tmp_path / "b.wav"), "table/b"))
    with pytest.raises(ParameterError, match=r"a\.wav \(speaker table/a\) and .*b\.wav \(speaker table/b\)"):
        find_duplicates(clips, progress=False)


@pytest.mark.data
def test_the_one_real_duplicate_is_actor_07s(ser_data):
    clips = load_corpus("ravdess", ser_data).clips
    pairs = find_duplicates(clips, progress=False)
    assert [[Path(clips[index].path).stem for index in pair] for pair in pairs] == [
        ["03-01-03-01-02-01-07", "03-01-03-01-02-02-07"]
    ]
