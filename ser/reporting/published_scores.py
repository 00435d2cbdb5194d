"""Published scores: claims of the designs, human listeners, and results on unseen actors."""

from __future__ import annotations

from typing import Any

from ser.metrics import HUMAN


def _claim(low: float, high: float, protocol: str) -> dict[str, Any]:
    """Return the published accuracy, lowest and highest, and its protocol."""
    return {"accuracy": [low, high], "protocol": protocol}


DESIGNS: dict[str, dict[str, Any]] = {
    "design_a": {"title": "A: CNN-LSTM dashboard", "claim": _claim(0.853, 0.853, "random 80/20")},
    "design_b": {"title": "B: notebook, 180 features", "claim": _claim(0.80, 0.85, "validation, actors shared")},
    "design_c": {"title": "C: page, 105 features", "claim": None},
    "design_d": {"title": "D: CNN-LSTM with attention", "claim": None},
    "design_e": {"title": "E: CNN service", "claim": _claim(0.8368, 0.8368, "random, 2,880 paths")},
}
LISTENERS = {
    "title": "human listeners",
    "accuracy": HUMAN,
    "protocol": "247 raters of the same recordings, neutral and calm accepted for each other; 58.0 % on normal, 67.4 % "
    "on strong intensity",
    "source": "Livingstone and Russo 2018, doi:10.1371/journal.pone.0196391; computed by hsn07pk@fc88c74",
}
EMOBOX = {"protocol": "the same six folds", "source": "EmoBox@08280f2"}
ACTORS = {"protocol": "leave one actor out", "source": "hsn07pk/ravdess-speaker-independent-ser@fc88c74"}
TUNED = "five folds of actors, mean of ten runs; the best of the ten, 65.2 %, was tuned on the test folds"
MAK_SIM = {"protocol": TUNED, "source": "Mak-Sim/ResLSTM-SER@f2b7439, arXiv:2606.03359"}


def _anchor(title: str, uar: float, origin: dict[str, str], *, pretrained: bool = False, **more: Any) -> dict[str, Any]:
    return {"title": title, "uar": uar, "pretrained": pretrained, **origin, **more}


# Those with a `short` name are in the picture.
ANCHORS = [
    _anchor("XLS-R 300M, frozen", 0.819, ACTORS, pretrained=True, interval=[0.778, 0.859], short="XLS-R"),
    _anchor("WavLM-large, frozen", 0.813, ACTORS, pretrained=True, random_uar=0.917),
    _anchor("Whisper-large-v3 encoder, frozen", 0.802, ACTORS, pretrained=True),
    _anchor("Whisper-large-v3, frozen", 0.7532, EMOBOX, pretrained=True, accuracy=0.7587, short="Whisper-large"),
    _anchor("WavLM-large, frozen", 0.7200, EMOBOX, pretrained=True, accuracy=0.7222),
    _anchor("HuBERT-large, frozen", 0.7000, EMOBOX, pretrained=True, accuracy=0.7029),
    _anchor("ComParE (6,373 values), linear", 0.636, ACTORS, interval=[0.590, 0.684], random_uar=0.736),
    _anchor("ResLSTM with soft attention", 0.6232, MAK_SIM, short="ResLSTM"),
    _anchor("eGeMAPS (88 values), linear", 0.531, ACTORS, random_uar=0.603),
    _anchor("librosa (113 values), linear", 0.505, ACTORS, interval=[0.456, 0.555], random_uar=0.639),
]
