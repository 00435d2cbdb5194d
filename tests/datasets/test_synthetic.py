"""Synthetic voices: reproducible by seed, readable as a corpus, different by emotion."""

from __future__ import annotations

import numpy as np
import pytest

from ser.audio.loading import load_waveform
from ser.datasets.corpora import load_corpus
from ser.datasets.duplicates import find_duplicates
from ser.datasets.synthetic import find_speech, speak, write_corpus
from ser.features.recipes import recipe
from ser.types import EMOTIONS, ParameterError


@pytest.mark.slow
def test_a_corpus_holds_every_speaker_and_emotion(tmp_path):
    corpus = load_corpus("table", write_corpus(tmp_path, n_speakers=2, takes=1))
    assert [clip.emotion for clip in corpus.clips[:8]] == sorted(EMOTIONS)
    assert corpus.speakers == [f"{tmp_path.name}/01", f"{tmp_path.name}/02"]
    assert {clip.sex for clip in corpus.clips} == {"male", "female"}
    assert find_duplicates(corpus.clips, progress=False) == []


@pytest.mark.slow
def test_the_seed_decides_the_samples(tmp_path):
    names = ("first", "again", "other")
    for name, seed in zip(names, (0, 0, 1), strict=True):
        write_corpus(tmp_path / name, n_speakers=1, takes=1, seed=seed)
    first, again, other = ((tmp_path / name / "01" / "angry_1.wav").read_bytes() for name in names)
    assert first == again
    assert first != other


@pytest.mark.slow
@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_voice_is_sound(emotion, rng):
    waveform = speak(emotion, 120.0, rng)
    assert waveform.samples.dtype == np.float32
    assert np.abs(waveform.samples).max() == pytest.approx(0.5)
    assert 1.2 <= waveform.duration_s <= 1.8
    assert np.isfinite(recipe("voice105-v1").of(waveform)).all()


@pytest.mark.slow
def test_angry_is_brighter_than_sad(rng):
    names = recipe("voice105-v1").feature_names
    bright = names.index("centroid_hz_mean")
    angry, sad = (recipe("voice105-v1").of(speak(emotion, 120.0, rng))[0, bright] for emotion in ("angry", "sad"))
    assert angry > 1.2 * sad


def test_unknown_emotions_are_refused(rng):
    with pytest.raises(ParameterError, match="Unknown emotion 'bored'; known: neutral, calm"):
        speak("bored", 120.0, rng)


@pytest.mark.slow
def test_real_speech_is_preferred(tmp_path, monkeypatch):
    (tmp_path / "ravdess").mkdir()
    monkeypatch.setenv("SER_DATA", str(tmp_path))
    assert find_speech(tmp_path / "speech") == ("ravdess", str(tmp_path))
    monkeypatch.setenv("SER_DATA", str(tmp_path / "nothing"))
    name, folder = find_speech(tmp_path / "speech")
    assert name == "table"
    assert load_waveform(f"{folder}/01/calm_1.wav").sample_rate == 16_000
