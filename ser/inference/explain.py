"""Explanation of an answer: which properties of the voice and which stretches of time it rests on.

Each is hidden and the model asked again. Named is only what passes a check: without it the probability of the answer
falls clearly, and by more than if as much of anything else is hidden.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np

from ser.features.preprocessing import high_pass, normalise, prepare
from ser.features.spectral import SAMPLE_RATE
from ser.features.voice_measures import MEASURES, VoiceMeasures, measure
from ser.inference.hiding import attenuate, average_noise, change, replace_by_noise
from ser.types import SILENT, Prediction, Waveform, check_known, rounded

NEUTRAL_VOICE = Path(__file__).with_name("neutral_voice.json")  # written by experiments/neutral_voice.py
MOST_GROUPS = 3
MOST_STRETCHES = 2
LEAST_EFFECT = 0.05  # of probability that hiding takes from the answer
# Chosen on the speakers of fold 6 of RAVDESS, without whom experiments/explain.py scores the explanations.
TIMES_OTHERS = 2.5  # the effect of a stretch over that of the others
TIMES_OPPOSITE = 2.0  # the effect of hiding a property over that of exaggerating it as much
TIMES_OTHER_GROUPS = 1.5  # and over the mean effect of changing each other property by as many standard deviations
CLEAR_Z = 0.5  # standard deviations from the neutral voice; what is closer has nothing to hide
STRETCH_S = 0.2  # at least, about a syllable
N_STRETCHES = 9  # side by side in longer recordings; twice as many are tried, half overlapping
UNEXPLAINED = {SILENT, "too_short", "unlike_training"}  # reasons for doubt for which no emotion is explained
THREADS = 2  # that ask the model; each graph runs on the thread that asks

T = TypeVar("T")
Result = TypeVar("Result")
Direction = Literal["higher", "lower"]
Compared = Literal["training", "speaker"]


class Group(NamedTuple):
    """A property of the voice that the answer rests on (a key of `MEASURES`).

    `z` is its distance from the neutral voice in standard deviations, `effect` the probability that the answer loses if
    it is brought to the neutral voice.
    """

    name: str
    direction: Direction
    z: float
    effect: float

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "direction": self.direction, "z": rounded(self.z), "effect": rounded(self.effect)}


class Stretch(NamedTuple):
    """A stretch of the recording that the answer rests on; `effect` is the probability that it loses without it."""

    start_s: float
    end_s: float
    effect: float

    def to_dict(self) -> dict[str, Any]:
        return {key: rounded(value) for key, value in self._asdict().items()}


@dataclass(frozen=True)
class Explanation:
    """Why an answer has its label: at most three properties and two stretches, both in falling order of their effect.

    `confidence` is the probability of the label, which the effects are taken from.
    Empty if nothing passes the check. `reference` says what voice the properties are compared with: the neutral
    voices of the training recordings, or the speaker's own.
    """

    label: str
    confidence: float
    groups: tuple[Group, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    reference: Compared = "training"

    @property
    def checked(self) -> bool:
        """Whether anything passed the check."""
        return bool(self.groups or self.stretches)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, the same for all interfaces; numbers have 9 significant digits."""
        return {
            "groups": [group.to_dict() for group in self.groups],
            "stretches": [stretch.to_dict() for stretch in self.stretches],
            "checked": self.checked,
            "reference": self.reference,
        }


class Reference(NamedTuple):
    """Mean and standard deviation of each of `MEASURES` in the voice that a recording is compared with, (6,) each."""

    mean: np.ndarray
    deviation: np.ndarray


class Model(Protocol):
    """What is needed of a recogniser."""

    labels: tuple[str, ...]
    sample_rate: int

    def predict(self, source: Waveform, /) -> Prediction: ...

    def probabilities_of(self, samples: np.ndarray) -> np.ndarray: ...


class Hidden(NamedTuple):
    """A stretch that was hidden, first sample and end, and the fall of the probability by each way of hiding."""

    start: int
    end: int
    falls: np.ndarray

    @property
    def effect(self) -> float:
        return float(self.falls.mean())

    def overlaps(self, other: Hidden) -> bool:
        return self.start < other.end and other.start < self.end


def explain(
    model: Model,
    waveform: Waveform,
    own: Sequence[Waveform] = (),
    *,
    label: str | None = None,
    neutral: dict[str, Any] | None = None,
) -> Explanation:
    """Return the explanation of a model's answer to a recording, or of the probability of another `label`.

    `own` are other recordings of the speaker; `neutral` are the statistics of neutral voices, by default those of the
    training recordings. It takes about fifty times as long as the answer. Raises `ParameterError` for an unknown label.
    """
    prediction, neutral = model.predict(waveform), neutral or neutral_voice()
    label = label or prediction.label
    check_known(label, model.labels, "label")
    speaker = speaker_reference(own, neutral)
    compared: Compared = "training" if speaker is None else "speaker"
    if UNEXPLAINED & set(prediction.reasons):
        return Explanation(label, prediction.probabilities[label], reference=compared)
    asked = Asked(model, waveform, prediction, label)
    groups = best_groups(asked.groups(speaker or training_reference(neutral, prediction.sex)))
    return Explanation(label, asked.probability, tuple(groups), tuple(asked.stretches()), compared)


def best_groups(groups: Sequence[Group]) -> list[Group]:
    """Return the groups of the largest effects in falling order, at most three."""
    return sorted(groups, key=lambda group: -group.effect)[:MOST_GROUPS]


class Asked:
    """A recording whose answer is explained: the sound between the silent ends, and what the model says without parts.

    `sound` is at peak 1 and without rumble, as the measures take it; the model levels it anyway.
    """

    def __init__(self, model: Model, waveform: Waveform, prediction: Prediction, label: str | None = None) -> None:
        self._model = model
        self._label = model.labels.index(label or prediction.label)
        self.rate = waveform.sample_rate
        self.start, end = (round(second * self.rate) for second in prediction.used_s)
        clean = normalise(high_pass(waveform.samples, self.rate))
        self._before, self.sound, self._after = np.split(clean, [self.start, end])
        self.noise = average_noise(self.sound)
        self.measures = measure(self.sound) if self.rate == SAMPLE_RATE else None
        self.probability = self._probability(self.sound)

    def fall(self, altered: np.ndarray) -> float:
        """Return by how much the probability of the answer falls if the sound is altered."""
        return self.probability - self._probability(altered)

    def _probability(self, sound: np.ndarray) -> float:
        whole = np.concatenate([self._before, sound, self._after])
        return float(self._model.probabilities_of(whole)[self._label])

    # --- Properties ---

    def groups(self, reference: Reference) -> list[Group]:
        """Return the properties that pass the check, in the order of `MEASURES`."""
        distances = self.distances(reference)
        found = _each(lambda name: self._group(name, distances, reference), distances)
        return [group for group in found if group is not None]

    def distances(self, reference: Reference) -> dict[str, float]:
        """Return each property's distance from the reference in standard deviations; empty if too little is voiced."""
        if self.measures is None:
            return {}
        distances = (self.measures.values - reference.mean) / reference.deviation
        return dict(zip(MEASURES, distances.tolist(), strict=True))

    def _group(self, name: str, distances: dict[str, float], reference: Reference) -> Group | None:
        z = distances[name]
        if abs(z) < CLEAR_Z:
            return None
        effect = self.fall(self.changed(name, -z, reference))
        if effect < LEAST_EFFECT or effect < TIMES_OPPOSITE * self.fall(self.changed(name, z, reference)):
            return None
        others = [
            abs(self.fall(self.changed(other, -np.copysign(z, distance), reference)))
            for other, distance in distances.items()
            if other != name
        ]
        if effect < TIMES_OTHER_GROUPS * np.mean(others):
            return None
        return Group(name, "higher" if z > 0 else "lower", z, effect)

    def changed(self, name: str, by: float, reference: Reference) -> np.ndarray:
        """Return the sound with one property changed by so many standard deviations."""
        assert self.measures is not None
        deviation = reference.deviation[[*MEASURES].index(name)]
        return change(self.sound, self.measures, name, by * float(deviation))

    # --- Stretches of time ---

    def stretches(self) -> list[Stretch]:
        """Return the stretches that pass the check; neighbours are joined."""
        named = sorted(named_stretches(self.hidden_stretches()), key=lambda hidden: hidden.start)
        joined: list[list[Hidden]] = []
        for hidden in named:
            if joined and joined[-1][-1].end == hidden.start:
                joined[-1].append(hidden)
            else:
                joined.append([hidden])
        found = [self._stretch(parts) for parts in joined]
        return sorted(found, key=lambda stretch: -stretch.effect)

    def _stretch(self, parts: Sequence[Hidden]) -> Stretch:
        first, end = parts[0].start, parts[-1].end
        effect = parts[0].effect if len(parts) == 1 else float(self._falls(first, end).mean())
        return Stretch((self.start + first) / self.rate, (self.start + end) / self.rate, effect)

    def hidden_stretches(self) -> list[Hidden]:
        """Return the effect of hiding each stretch; they overlap by half."""
        return _each(lambda bound: Hidden(*bound, self._falls(*bound)), self.bounds())

    def bounds(self) -> list[tuple[int, int]]:
        """Return first sample and end of the stretches that are tried."""
        n = len(self.sound)
        length = max(round(STRETCH_S * self.rate), n // N_STRETCHES) // 2 * 2
        return [(start, start + length) for start in range(0, n - length + 1, length // 2)]

    def _falls(self, start: int, end: int) -> np.ndarray:
        """Return by how much the probability falls without a stretch: turned down, and replaced by noise."""
        ways = attenuate(self.sound, start, end), replace_by_noise(self.sound, start, end, self.noise)
        return np.array([self.fall(altered) for altered in ways])


def _each(function: Callable[[T], Result], items: Iterable[T]) -> list[Result]:
    """Return the result for each item, in order; the graphs release Python's lock."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))


def named_stretches(tried: Sequence[Hidden]) -> list[Hidden]:
    """Return at most two stretches that do not overlap, whose effect is far above that of the others."""
    named: list[Hidden] = []
    for hidden in sorted(tried, key=lambda hidden: -hidden.effect):
        if len(named) == MOST_STRETCHES:
            break
        if any(hidden.overlaps(other) for other in named):
            continue
        others = [other for other in tried if not any(other.overlaps(each) for each in (*named, hidden))]
        usual = float(np.mean([np.abs(other.falls).mean() for other in others])) if others else np.inf
        if hidden.effect < max(LEAST_EFFECT, TIMES_OTHERS * usual):
            break
        named.append(hidden)
    return named


# --- What a voice is compared with ---


@cache
def neutral_voice() -> dict[str, Any]:
    """Return the stored statistics of the neutral voices of the training recordings."""
    stored: dict[str, Any] = json.loads(NEUTRAL_VOICE.read_text(encoding="utf-8"))
    return stored


def training_reference(neutral: dict[str, Any], sex: dict[str, float] | None) -> Reference:
    """Return the neutral voice of speakers who sound like this one: male, female, or any if the model cannot tell."""
    kind = "any" if sex is None else max(sex, key=sex.__getitem__)
    return Reference(*(np.array([neutral[kind][name][key] for name in MEASURES]) for key in ("mean", "sd")))


def speaker_reference(own: Sequence[Waveform], neutral: dict[str, Any]) -> Reference | None:
    """Return the mean voice of a speaker's recordings, with the usual deviation within a speaker; None without any."""
    measured = [found.values for waveform in own if (found := measures_of(waveform)) is not None]
    if not measured:
        return None
    return Reference(np.mean(measured, axis=0), np.array([neutral["speaker_sd"][name] for name in MEASURES]))


def measures_of(waveform: Waveform) -> VoiceMeasures | None:
    """Return the measures of a recording, None if too little of it is voiced or it is not at 16 kHz."""
    if waveform.sample_rate != SAMPLE_RATE or not np.abs(waveform.samples).any():
        return None
    prepared = prepare(waveform.samples, waveform.sample_rate)
    clean = normalise(high_pass(waveform.samples, waveform.sample_rate))
    return measure(clean[prepared.start : prepared.end])
