"""Model card and figures of a model with all scores, and of one with those of emotions only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ser import metrics
from ser.inference.artifact import ARTIFACTS, read_manifest
from ser.reporting import figures
from ser.reporting.model_card import NOTICE, card

SHIPPED = read_manifest(ARTIFACTS / "dense105")
CONFIDENCE = np.linspace(0.2, 0.99, 400)
RIGHT = np.random.default_rng(0).random(400) < CONFIDENCE
ROW = {"name": "as it is", "uar": 0.8, "uar_interval": [0.75, 0.85], "lost": 0.0, "uncertain": 0.2, "holds": None}
ROBUSTNESS = {
    "rows": [
        ROW,
        {**ROW, "name": "telephone", "uar": 0.7, "lost": 0.1, "allowed_loss": 0.05, "holds": False},
        {**ROW, "allowed_loss": 0.03, "holds": True},
    ],
}
EXPLAINED = {
    "name": "stretches, cut out",
    "share": 0.58,
    "named": 0.496,
    "random": 0.201,
    "ratio": 2.46,
    "interval": [2.2, 2.8],
}
SOURCES = {"top_two": 0.8, "calibration_error": 0.07, "adapted_20": {"with": 0.7}, "calibrated": {"with": 0.66}}
MORE = {
    "sex": {"accuracy": 0.985},
    "intensity": {"accuracy": 0.761},
    "left_out": {
        "emodb": {"uar": 0.612, "accuracy": 0.6, "recall": {"neutral": 0.5, "calm": None, "sad": 0.7}, **SOURCES}
    },
    "calibrated": {"with": 0.85, "without": 0.81, "interval": [0.021, 0.058]},
    "source_kinds": {"folds": {"20 of one mood": {"without": 0.789, "with": 0.74}}, "left_out": {}},
    "robustness": ROBUSTNESS,
    "explained": {"explained": 0.77, "clips": 240, "actors": 20, "rows": [EXPLAINED]},
    **metrics.confidence_curves(CONFIDENCE, RIGHT),
}
PLAIN = {key: value for key, value in SHIPPED.items() if key != "files"}
PLAIN["metrics"] = {key: value for key, value in SHIPPED["metrics"].items() if key not in MORE}
SAYS = {
    "sex": "| the speaker's sex (male or female) | 98.5 % |",
    "intensity": "| the intensity (normal or strong) | 76.1 % |",
    "left_out": "| emodb | 61.2 % | 70.0 % | 66.0 % | 80.0 % | 7.0 % | 50.0 % |",
    "calibrated": "81.0 % to\n85.0 %: +4.0 points, 95 % interval over speakers +2.1 to +5.8.",
    "source_kinds": "| 20 of one mood | 78.9 % to 74.0 % (-4.9) |",
    "robustness": "| telephone | 70.0 % | 75.0 % to 85.0 % | 10.0 | 5: **fails** | 20.0 % |",
    "explained": "| stretches, cut out | 58.0 % | 49.6 | 20.1 | 2.5 | 2.2 to 2.8 |",
    "coverage": f"half of the answers, {100 * metrics.accuracy_at_coverage(CONFIDENCE, RIGHT):.1f} % were correct",
    "reliability": "![Reliability](figures/reliability.png)",
}


def manifest(**more: Any) -> dict[str, Any]:
    return {**PLAIN, "metrics": {**PLAIN["metrics"], **more}}


def test_a_pre_trained_encoder_is_named_with_its_licence():
    network = next(
        line for line in card({**manifest(), "encoder": {"file": "encoder.onnx"}}).splitlines() if "epochs" in line
    )
    assert "Whisper base (Copyright (c) 2022 OpenAI, MIT licence)" in network and "from scratch" not in network
    assert "trained from scratch" in card(manifest()) and "OpenAI" not in card(manifest())


@pytest.mark.parametrize("key", SAYS)
def test_each_score_is_in_the_card_if_it_is_in_the_manifest(key):
    assert SAYS[key] in card(manifest(**{key: MORE[key]}))
    assert SAYS[key] not in card(manifest(**{other: value for other, value in MORE.items() if other != key}))


def test_the_card_keeps_its_order_and_its_limits():
    text = card(manifest(**MORE))
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[1:-2] == [
        "## Sex and intensity",
        "## Unseen corpora",
        "## Calibration to a speaker",
        "## What a source's clips must be like",
        "## Degraded recordings",
        "## Explanations",
    ]
    assert headings[-2:] == ["## Intended use and limits", "## Licence"] and NOTICE in text
    assert "\n\n\n" not in text and "None" not in text and "\n\n## " in text
    lines = text.splitlines()
    assert all(lines[n - 1] == "" == lines[n + 1] for n, line in enumerate(lines) if line.startswith("## "))
    lines = card(PLAIN).splitlines()
    assert [line for line in lines if line.startswith("## ")] == [headings[0], *headings[-2:]]


def test_all_recipes_of_a_model_are_named():
    branches = [{**PLAIN["branches"][0], "recipe": name} for name in ("logmel64-v1", "voice105-v1", "logmel64-v1")]
    assert "features `logmel64-v1`, `voice105-v1` |" in card({**PLAIN, "branches": branches})


@pytest.mark.parametrize(
    ("corpora", "branches", "sentences", "listeners"),
    [
        (("ravdess",), {}, [], True),
        (("ravdess", "emodb"), {}, ["speakers of ravdess, emodb."], False),
        (("ravdess", "emodb"), {"branches": {}}, ["speakers of ravdess; emodb are training data in every fold."], True),
        (("emodb",), {"branches": {}}, [], False),
    ],
)
def test_the_corpora_of_the_folds_are_named(corpora, branches, sentences, listeners):
    training = PLAIN["training"]
    entry = training["corpora"]["ravdess"]
    changed = {"corpora": dict.fromkeys(corpora, entry), "config": {**training["config"], **branches}}
    text = card({**PLAIN, "training": {**training, **changed}})
    assert [
        line.partition("consist of the ")[2] for line in text.splitlines() if "The folds consist" in line
    ] == sentences
    assert ("human listeners" in text) is listeners


@pytest.mark.slow
def test_figures_are_drawn_for_the_scores_in_the_manifest(tmp_path):
    curve = {key: [1.0, 0.5] for key in ("loss", "val_loss", "accuracy", "val_accuracy")}
    four = {"confusion", "recall", "speakers", "training"}
    for folder, more, expected in (("plain", {}, four), ("more", MORE, four | {"reliability", "coverage"})):
        figures.write_figures(tmp_path / folder, manifest(**more), [curve, curve])
        pictures = list((tmp_path / folder).iterdir())
        assert {path.stem for path in pictures} == expected and min(path.stat().st_size for path in pictures) > 5000


@pytest.mark.slow
def test_reliability_diagram_shows_the_scores():
    axes, below = figures.reliability(**MORE["reliability"]).axes
    _, line = axes.lines
    np.testing.assert_allclose(line.get_ydata(), 100 * np.array(MORE["reliability"]["accuracy"]))
    assert [bar.get_height() for bar in below.patches] == MORE["reliability"]["count"]
    (text,) = axes.texts
    assert text.get_text() == f"calibration error {100 * metrics.calibration_error(CONFIDENCE, RIGHT):.1f} %"


@pytest.mark.slow
def test_coverage_curve_shows_the_scores():
    (axes,) = figures.risk_coverage(**MORE["coverage"]).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 100 * np.array(MORE["coverage"]["accuracy"]))
    half = 100 * metrics.accuracy_at_coverage(CONFIDENCE, RIGHT)
    expected = [f"{half:.0f} % of the most confident half", f"{100 * RIGHT.mean():.0f} % of all"]
    assert [text.get_text() for text in axes.texts] == expected
