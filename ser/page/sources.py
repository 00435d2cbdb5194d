"""Adaptation of one visit's answers: to a voice, to the source of its recordings, or by a stored profile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ser.inference.adaptation import Profile, SourceMean, profile_of
from ser.inference.recognizer import SPEAKER, Analysis, Recognizer
from ser.page.visit import Recording
from ser.types import Prediction

ENOUGH = 10  # recordings of one source, from which on the page offers to adapt
FEWEST = 3  # recordings of a voice


@dataclass
class Sources:
    """What the answers of a visit can be adapted to: recordings of a voice, and recognisers by name; one is in use."""

    model: str = ""
    voice: dict[str, Analysis] = field(default_factory=dict)  # by sentence or recording
    recognizers: dict[str, Recognizer] = field(default_factory=dict)
    in_use: str | None = None
    is_declined: bool = False  # the offer to adapt to the visit's recordings

    def chosen(self, model: Recognizer) -> Recognizer:
        """Return the adapted recogniser in use, else the model; those of another model are forgotten."""
        if self.model != model.name:
            self.__init__(model.name)  # type: ignore[misc]
        return self.recognizers.get(self.in_use or "", model)

    def use(self, name: str | None) -> None:
        """Use one of the recognisers, None for the model as it is."""
        self.in_use = name

    def decline(self) -> None:
        """Do not offer again to adapt to the visit's recordings."""
        self.is_declined = True

    def add_to_voice(self, model: Recognizer, key: str, analysis: Analysis) -> bool:
        """Add a recording to the voice and, from three on, use it; False if it does not describe a voice."""
        if not analysis.is_speech:
            return False
        self.voice[key] = analysis
        if len(self.voice) >= FEWEST:
            self._use("voice", model.calibrated_to(list(self.voice.values())))
        return True

    def forget_voice(self) -> None:
        """Forget the voice."""
        self.voice.clear()
        self._forget("voice")

    def adapt_to(self, model: Recognizer, recordings: Iterable[Recording]) -> None:
        """Adapt to recordings of one source; raises `ParameterError` if fewer than three hold speech."""
        mean = SourceMean()
        for analysis in speech_of(recordings, model):
            mean.add(analysis.scores)
        self._use("source", model.adapted_to(mean, "source"))

    def add_profile(self, model: Recognizer, content: bytes, name: str) -> Profile:
        """Use a stored profile; raises `ArtifactError` if it is damaged or does not fit the model."""
        profile = profile_of(content, name)
        name = "voice" if profile.source == SPEAKER else profile.source
        self._use(name, model.with_profile(profile))
        return profile

    def _use(self, name: str, recognizer: Recognizer) -> None:
        self.recognizers[name] = recognizer
        self.in_use = name

    def _forget(self, name: str) -> None:
        self.recognizers.pop(name, None)
        if self.in_use == name:
            self.in_use = None


def speech_of(recordings: Iterable[Recording], model: Recognizer) -> list[Analysis]:
    """Return the analyses of recordings that hold speech, by this model: one whose sound is gone may have another's."""
    analyses = (recording.analysis for recording in recordings if recording.model in ("", model.name))
    return [analysis for analysis in analyses if analysis is not None and analysis.is_speech]


def changed(before: Sequence[Prediction], after: Sequence[Prediction]) -> int:
    """Return how many answers have another label than before."""
    return sum(first.label != second.label for first, second in zip(before, after, strict=True))
