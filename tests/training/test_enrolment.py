"""What calibration to a voice is worth: where a voice is mistaken for a mood, and where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ser.metrics import softmax
from ser.training.enrolment import enrolment, voices
from ser.types import Clip, ParameterError

LABELS = ("neutral", "happy", "sad", "angry")
TAKES = 5


@dataclass(frozen=True)
class Biased:
    """Hears every voice at an angle of its own; knows the sound of no voice in particular."""

    sounds: dict[str, np.ndarray]
    centre: np.ndarray
    asked: list[str]

    def inputs(self, source: str) -> np.ndarray:
        self.asked.append(source)
        return self.sounds[source]

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        return softmax(3 * (features - self.centre))

    def calibrated_to(self, features: Sequence[np.ndarray]) -> Biased:
        return replace(self, centre=np.mean(features, axis=0))


def clips_of(n_speakers: int) -> list[Clip]:
    return [
        Clip(f"{speaker}-{label}-{take}", label, f"x/{speaker:02d}", "x")
        for speaker in range(n_speakers)
        for label in LABELS
        for take in range(TAKES)
    ]


def recogniser(clips: list[Clip], bias: float) -> Biased:
    rng = np.random.default_rng(1)
    angle = {speaker: bias * rng.standard_normal(len(LABELS)) for speaker in sorted({c.speaker for c in clips})}
    sounds = {
        clip.path: np.eye(len(LABELS))[LABELS.index(clip.emotion)]
        + angle[clip.speaker]
        + 0.2 * rng.standard_normal(len(LABELS))
        for clip in clips
    }
    return Biased(sounds, np.zeros(len(LABELS)), [])


def score(clips: list[Clip], heard: Biased, **options) -> dict:
    return enrolment(clips, LABELS, *voices(clips, dict.fromkeys((clip.speaker for clip in clips), heard)), **options)


@pytest.mark.slow
def test_calibration_takes_the_bias_of_a_voice_away():
    clips = clips_of(8)
    heard = recogniser(clips, bias=1.0)
    found = score(clips, heard)
    assert found["with"] > found["without"] + 0.1
    low, high = found["interval"]
    assert 0 < low < found["with"] - found["without"] < high
    assert (found["clips"], found["draws"], found["speakers"]) == (5, 20, 8)
    assert sorted(heard.asked) == sorted(clip.path for clip in clips)  # each is heard once
    assert found == score(clips, heard) != score(clips, heard, seed=1)


@pytest.mark.slow
def test_voices_without_a_bias_gain_nothing():
    clips = clips_of(8)
    found = score(clips, recogniser(clips, bias=0.0))
    assert found["without"] > 0.95 and found["with"] <= found["without"]  # five clips are not balanced: it costs


@pytest.mark.slow
def test_calibration_that_does_nothing_gains_nothing():
    clips = clips_of(3)
    plain, _ = voices(clips, dict.fromkeys((clip.speaker for clip in clips), recogniser(clips, bias=0.5)))
    found = enrolment(clips, LABELS, plain, lambda drawn: plain)
    assert found["with"] == found["without"] and found["interval"] == (0, 0)


@pytest.mark.slow
def test_draws_are_blind_and_never_scored():
    clips = clips_of(2)
    drawings, shown = [], []

    def calibrated(drawn):
        drawings.append(drawn)
        return lambda index: shown.append((len(drawings) - 1, index)) or np.eye(4)[0]

    enrolment(clips, LABELS, lambda index: np.eye(4)[0], calibrated, draws=3, n_clips=4)
    others = [replace(clip, emotion=LABELS[place % 4]) for place, clip in enumerate(clips)]
    first, drawings[:] = list(drawings), []
    enrolment(others, LABELS, lambda index: np.eye(4)[0], calibrated, draws=3, n_clips=4)
    assert drawings == first and len(first) == 6  # whatever the labels
    for drawn in first:
        assert len(set(drawn)) == 4 and len({clips[index].speaker for index in drawn}) == 1
    for number, drawn in enumerate(first):
        asked = [index for draw, index in shown if draw == number]
        assert {clips[index].speaker for index in asked} == {clips[drawn[0]].speaker}
        assert not set(asked) & set(drawn) and len(set(asked)) == 16


@pytest.mark.slow
def test_by_hand():
    clips = [Clip(str(n), LABELS[n % 2], "x/1", "x") for n in range(4)]
    found = enrolment(
        clips, LABELS[:2], lambda i: np.eye(2)[0], lambda drawn: lambda i: np.eye(2)[i % 2], n_clips=1, draws=8
    )
    assert (found["without"], found["with"], found["interval"]) == (0.5, 1.0, (0.5, 0.5))


@pytest.mark.slow
def test_labels_that_are_not_asked_for_are_drawn_but_not_scored():
    clips = clips_of(2)
    asked = []
    enrolment(
        clips, ("neutral", "sad"), lambda i: asked.append(i) or np.eye(2)[0], lambda drawn: lambda i: np.eye(2)[0]
    )
    assert {clips[index].emotion for index in asked} == {"neutral", "sad"}


def test_too_few_clips():
    clips = clips_of(3)[: 2 * len(LABELS) * TAKES + 5]
    with pytest.raises(ParameterError, match=r"scored on a speaker's other clips; found 1 speakers .*x/02"):
        score(clips, recogniser(clips, 0.0))
    with pytest.raises(ParameterError, match="no clips at all"):
        score([], recogniser([], 0.0))
