"""Predictions with given probabilities."""

from __future__ import annotations

from ser.types import EMOTIONS, Prediction


def prediction(*reasons: str, **probabilities: float) -> Prediction:
    """Return a prediction with some probabilities; the other labels share the rest."""
    rest = (1 - sum(probabilities.values())) / (len(EMOTIONS) - len(probabilities))
    full = {emotion: probabilities.get(emotion, rest) for emotion in EMOTIONS}
    label = max(full, key=full.__getitem__)
    return Prediction(label, full, reasons, 3.0, "m", used_s=(0.5, 2.5), sure_from=0.9)
