"""How a network is trained: the named configurations, and that every option does what it says."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ser.features.recipes import recipe
from ser.inference.artifact import ARTIFACTS, read_manifest
from ser.metrics import softmax
from ser.models.voice import N_HEADS
from ser.training import fit as fitting
from ser.training.configs import CONFIGS, PUBLISHED, SCHEDULES, Config, find_config
from ser.training.fit import Draw, Scaler, ended, fit
from ser.types import LABEL_SETS, ParameterError

ROOT = ARTIFACTS.parent
# Quick to train and without chance: no copies, no noise, no dropout.
PLAIN = replace(PUBLISHED, architecture="dense180", options={"dropout": (0.0, 0.0, 0.0)}, minutes=0.0, batch_size=20)


def blobs(n: int = 60, n_labels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features around one centre a label, and one-hot labels in turn."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % n_labels
    centres = np.random.default_rng(99).standard_normal((n_labels, 8))
    rows = (centres[truth] + 0.3 * rng.standard_normal((n, 8))).astype(np.float32)
    return rows, np.eye(n_labels, dtype=np.float32)[truth]


def trained(config: Config, n: int = 60, **options: Any) -> fitting.Fitted:
    rows, targets = blobs(n)
    return fit(config, rows, targets, np.ones(n, bool), 0, **options)


# --- Notes of libraries ---


def test_notes_are_dropped_and_errors_pass(capfd):
    with pytest.raises(ValueError, match="mine"), fitting.silenced():
        os.write(2, b"a note of C++ code")
        raise ValueError("mine")
    print("seen", file=sys.stderr)
    assert capfd.readouterr().err == "seen\n"


def test_a_closed_stderr_needs_no_silence(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    done = []
    with fitting.silenced():
        done.append(os.dup(2))  # stderr's own descriptor is as it was
    os.close(done[0])
    assert sys.stderr is None and len(done) == 1


def test_keras_is_imported_in_silence():
    """Networks import parts of it, once `import_keras` has imported all."""
    typing = re.compile(r"^if TYPE_CHECKING:\n(?:    .*\n)+", re.MULTILINE)
    texts = {path.name: typing.sub("", path.read_text(encoding="utf-8")) for path in (ROOT / "ser").rglob("*.py")}
    assert [name for name, text in texts.items() if re.search(r"^\s*import keras", text, re.MULTILINE)] == []


# --- Configurations ---


@pytest.mark.parametrize(
    ("name", "recipe_name", "architecture", "labels", "epochs", "copies"),
    [
        ("design_a", "static42-v1", "cnn_lstm", "eight", 50, 0),
        ("design_b", "static180-v1", "dense180", "four", 100, 2),
        ("design_c", "voice105-v1", "dense", "seven", 50, 4),
        ("design_d", "frames120-v1", "cnn_bilstm_attention", "six", 100, 1),
        ("design_e", "mfcc40-v1", "cnn", "eight", 30, 0),
    ],
)
def test_the_published_designs(name, recipe_name, architecture, labels, epochs, copies):
    config = find_config(name)
    assert (config.recipe, config.architecture, config.labels) == (recipe_name, architecture, labels)
    assert (config.epochs, config.copies, config.batch_size, config.learning_rate) == (epochs, copies, 32, 1e-3)
    assert config.weight_decay == config.label_smoothing == config.mixup == config.feature_noise == 0  # plain Adam
    assert config.reduce_noise is (name == "design_b") and config.options == {}  # dropout as published
    fits = 2 if config.choose_epochs else 1
    assert fits * config.minutes == 20  # a fold


def test_the_design_with_everything():
    config = find_config("design_d")
    assert (config.patience, config.schedule, config.choose_epochs, config.class_weights) == (15, "plateau", True, True)
    assert config.l2 > 0 and config.mask_frames > 0 and config.shift_frames > 0
    assert set(config.augmentations) == {"noise", "shift"}


def test_the_shipped_model_was_trained_as_its_configuration_says():
    stored = Config.from_dict(read_manifest(ARTIFACTS / "dense105")["training"]["config"])
    assert json.dumps(stored.to_dict()) == json.dumps(CONFIGS["dense105"].to_dict())


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_survive_the_manifest(name):
    config = find_config(name)
    stored = json.loads(json.dumps({"name": name, **config.to_dict()}))
    assert json.dumps(Config.from_dict(stored).to_dict()) == json.dumps(config.to_dict())
    assert Config.from_dict(stored).seeds == config.seeds and recipe(config.recipe).shape


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"recipe": "voice9"}, "Unknown recipe 'voice9'; known: voice105-v1, .*mfcc40-v1"),
        ({"architecture": "tower"}, "Unknown architecture 'tower'; known: dense, .*cnn"),
        ({"labels": "nine"}, "Unknown label set 'nine'; known: eight, seven, six, four"),
        ({"schedule": "steep"}, "Unknown schedule 'steep'; known: one_cycle, constant, plateau"),
        ({"augmentations": {"echo": 0.5}}, "Unknown augmentation 'echo'; known: time_stretch"),
    ],
)
def test_unknown_names_are_refused_at_once(options, match):
    with pytest.raises(ParameterError, match=match):
        Config(**options)
    with pytest.raises(ParameterError, match=match):
        Config.from_dict({**json.loads(json.dumps(CONFIGS["dense105"].to_dict())), **options})


def test_label_sets_are_in_the_order_of_the_vocabulary():
    for labels in LABEL_SETS.values():
        assert list(labels) == [label for label in LABEL_SETS["eight"] if label in labels]


# --- The scaler ---


@pytest.mark.slow
@pytest.mark.parametrize("values", [2**24, 300])
def test_scaler_of_statistics(rng, monkeypatch, values):
    monkeypatch.setattr(fitting, "PART_VALUES", values)  # in one part, in several
    rows = (3 * rng.standard_normal((50, 4)) + 7).astype(np.float32)
    rows[:, 2] = 5  # constant
    scaled = Scaler.fitted(rows)(rows)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 0, 1], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("values", [2**24, 300])
def test_scaler_of_frames_is_by_feature_over_time_and_leaves_padding(rng, monkeypatch, values):
    monkeypatch.setattr(fitting, "PART_VALUES", values)  # in one part, in several
    rows = (rng.standard_normal((20, 30, 4)) * [1, 10, 100, 5] + 50).astype(np.float32)
    rows[:10, 12:] = 0
    scaler = Scaler.fitted(rows)
    scaled = scaler(rows)
    assert scaler.mean.shape == scaler.variance.shape == (4,)
    assert not scaled[:10, 12:].any()
    heard = scaled[rows.any(axis=2)]
    np.testing.assert_allclose(heard.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(heard.std(axis=0), 1, atol=1e-4)


@pytest.mark.slow
def test_scaler_of_an_image_is_by_cell(rng):
    rows = (rng.standard_normal((200, 11, 4, 1)) + np.arange(44).reshape(11, 4, 1)).astype(np.float32)
    rows[:, 10, 2:] = 0
    scaler = Scaler.fitted(rows)
    assert scaler.mean.shape == (11, 4, 1)
    np.testing.assert_allclose(scaler(rows).mean(axis=0), 0, atol=1e-4)
    assert not scaler(rows)[:, 10, 2:].any()


# --- Batches ---


def batches(config: Config, rows: np.ndarray, targets: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    return list(fitting._batches(config, rows, targets, np.random.default_rng(0), Draw(config, len(rows))))


def test_plain_batches_hold_every_row_once():
    rows, targets = blobs()
    found = batches(PLAIN, rows, targets)
    assert [len(batch) for batch in found] == [2, 2, 2]
    assert sorted(row.tobytes() for x, _ in found for row in x) == sorted(row.tobytes() for row in rows)
    assert all(set(np.unique(y)) == {0, 1} for _, y in found)


CENTRED = replace(PLAIN, batch_size=10, steps=50, centred=0.5, heads=True, balance=True)


def test_centred_batches_hold_one_corpus_a_group():
    corpora = np.array(["a"] * 80 + ["b"] * 20)
    weights = np.where(corpora == "a", 0.5 / 80, 0.5 / 20)
    draw = Draw(CENTRED, 100, weights, corpora)
    drawn = list(draw(np.random.default_rng(0)))
    assert draw.size == 8 and {len(index) for index, _ in drawn} == {8}  # a multiple of the groups
    centred = [index for index, is_centred in drawn if is_centred]
    assert 15 <= len(centred) <= 35
    groups = [set(corpora[index[start : start + 2]]) for index in centred for start in range(0, 8, 2)]
    assert all(len(group) == 1 for group in groups) and set.union(*groups) == {"a", "b"}
    assert any(len(set(corpora[index])) == 2 for index in centred)


def test_centred_batches_mix_within_a_corpus():
    partner = fitting._partners(8, 4, np.random.default_rng(0))
    assert sorted(partner) == list(range(8)) and all(row // 2 == other // 2 for row, other in enumerate(partner))


def test_small_corpora_are_drawn_more_often_in_centred_batches():
    """By the square root of their parts: 0.9 and 0.1 become 0.75 and 0.25."""
    corpora = np.array(["a"] * 90 + ["b"] * 10)
    draw = Draw(replace(CENTRED, centred=1.0, steps=500), 100, np.full(100, 0.01), corpora)
    groups = [corpora[index[start]] for index, _ in draw(np.random.default_rng(0)) for start in range(0, 8, 2)]
    assert np.mean(np.array(groups) == "b") == pytest.approx(0.25, abs=0.03)


def test_centred_batches_need_a_row_for_each_group():
    corpora = np.array(["a", "a", "b"])
    with pytest.raises(ParameterError, match="Centred batches are of 4 or more rows, found 3"):
        Draw(CENTRED, 3, np.full(3, 1 / 3), corpora)


def test_centred_batches_need_balanced_rows_and_corpora():
    for weights, corpora in ((None, np.array(["a"] * 9)), (np.full(9, 1 / 9), None)):
        with pytest.raises(ParameterError, match="need the weight and the corpus of each row"):
            Draw(CENTRED, 9, weights, corpora)


@pytest.mark.parametrize("missing", ["heads", "balance"])
def test_a_configuration_that_cannot_be_centred_is_refused(missing):
    with pytest.raises(ParameterError, match="set heads and balance"):
        replace(CENTRED, **{missing: False})


@pytest.mark.slow
def test_the_centred_loss_ignores_what_is_said_of_a_whole_corpus():
    """All scores of a group are moved alike: the plain loss changes, the centred one does not."""
    import keras

    loss, _ = fitting._loss_of_heads(CENTRED)
    rng = np.random.default_rng(0)
    scores, heads = rng.normal(size=(8, 3)), np.full((8, N_HEADS), 0.5)
    truth = np.eye(3)[rng.integers(0, 3, 8)]
    moved = scores + np.repeat(rng.normal(size=(fitting.GROUPS, 3)), 2, axis=0)

    def of(given: np.ndarray, centred: float) -> float:
        targets = np.column_stack([truth, -np.ones((8, N_HEADS)), np.full(8, centred)]).astype(np.float32)
        outputs = np.column_stack([softmax(given), heads]).astype(np.float32)
        return float(keras.ops.mean(loss(keras.ops.array(targets), keras.ops.array(outputs))))

    assert of(moved, 1.0) == pytest.approx(of(scores, 1.0), abs=1e-5)
    assert abs(of(moved, 0.0) - of(scores, 0.0)) > 0.01
    assert of(scores, 0.0) == pytest.approx(-(np.log(softmax(scores)) * truth).sum(axis=1).mean(), abs=1e-5)


def test_class_weights_make_the_labels_count_the_same():
    rows, _ = blobs()
    targets = np.eye(4, dtype=np.float32)[[0] * 40 + [1] * 15 + [2] * 5]  # the fourth label has no clip
    weights = np.zeros(4)
    for _, y, weight in batches(replace(PLAIN, class_weights=True), rows, targets):
        weights += weight @ y
    np.testing.assert_allclose(weights, [20, 20, 20, 0], rtol=1e-5)


def test_frames_are_shifted_and_masked_anew_in_every_epoch(rng):
    rows = rng.standard_normal((20, 50, 3)).astype(np.float32)
    targets = np.eye(2, dtype=np.float32)[np.arange(20) % 2]
    before, config = rows.copy(), replace(PLAIN, mask_frames=10, shift_frames=5)
    (x, _), (again, _) = (
        next(fitting._batches(config, rows, targets, generator, Draw(config, len(rows))))
        for generator in (np.random.default_rng(0), np.random.default_rng(1))
    )
    silent = (~x.any(axis=2)).sum(axis=1)
    assert silent.mean() > 0 and silent.max() <= 15 and not np.array_equal(x, again)
    np.testing.assert_array_equal(rows, before)


# --- What ends a fit, and what it keeps ---


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ({"loss": [1.0] * 5, "minutes": [1.0] * 5}, "epochs"),
        ({"loss": [1.0] * 3, "minutes": [1.0, 2.0, 3.1]}, "minutes"),
        ({"loss": [1.0] * 3, "val_loss": [1.0] * 3, "minutes": [0.1] * 3}, "patience"),
        ({"loss": [1.0] * 3, "minutes": [0.1] * 3}, "chosen"),
    ],
)
def test_what_ended_a_fit(history, expected):
    assert ended(replace(PLAIN, epochs=5, minutes=3.0), history) == expected


@pytest.mark.slow
def test_all_epochs_are_run_and_kept_where_none_are_chosen():
    rows, targets = blobs(seed=1)
    wrong = np.roll(targets, 1, axis=1)  # the more is learned, the worse
    config = replace(PLAIN, epochs=8)
    fitted = trained(config, validation=(rows, wrong))
    assert fitted.epochs == len(fitted.history["loss"]) == 8 and ended(config, fitted.history) == "epochs"
    chosen = trained(replace(config, choose_epochs=True), validation=(rows, wrong))
    assert chosen.epochs < 8 and len(chosen.history["loss"]) == 8
    assert fitted.log_probabilities(rows)[wrong == 1].mean() < chosen.log_probabilities(rows)[wrong == 1].mean()


@pytest.mark.slow
def test_patience_ends_a_fit():
    rows, targets = blobs(seed=1)
    config = replace(PLAIN, epochs=60, choose_epochs=True, patience=4)
    fitted = trained(config, validation=(rows, np.roll(targets, 1, axis=1)))
    assert len(fitted.history["loss"]) == fitted.epochs + 4 < 60 and ended(config, fitted.history) == "patience"


@pytest.mark.slow
def test_minutes_end_a_fit():
    config = replace(PLAIN, epochs=60, minutes=1e-6)
    fitted = trained(config)
    assert fitted.epochs == len(fitted.history["loss"]) == 1 and ended(config, fitted.history) == "minutes"
    assert trained(replace(PLAIN, epochs=3, minutes=60.0)).epochs == 3


@pytest.mark.slow
def test_the_loss_is_that_of_all_batches():
    """Nothing is learned at a rate of zero, so the loss is that of the untrained network on every row."""
    rows, targets = blobs()
    fitted = trained(replace(PLAIN, epochs=2, learning_rate=0.0))
    loss = -(fitted.log_probabilities(rows) * targets).sum(axis=1).mean()
    assert fitted.history["loss"] == pytest.approx([loss, loss], rel=1e-4)


# --- The optimiser ---


@pytest.mark.slow
def test_l2_makes_weights_smaller_and_shows_in_the_loss():
    free, held = (trained(replace(PLAIN, epochs=10, l2=l2)) for l2 in (0.0, 0.03))
    squares = [sum(float((w**2).sum()) for w in made.network.get_weights() if w.ndim > 1) for made in (free, held)]
    assert squares[1] < 0.8 * squares[0] and held.history["loss"][0] > free.history["loss"][0] + 1


@pytest.mark.slow
def test_class_weights_help_the_rare_label():
    rng = np.random.default_rng(0)
    truth = np.array([0] * 90 + [1] * 10)
    rows = (0.5 * truth[:, None] + rng.standard_normal((100, 8))).astype(np.float32)
    targets = np.eye(2, dtype=np.float32)[truth]
    recalls = []
    for weighted in (False, True):
        config = replace(PLAIN, epochs=3, class_weights=weighted)
        fitted = fit(config, rows.copy(), targets, np.ones(100, bool), 0)  # which scales them in place
        answers = fitted.log_probabilities(rows).argmax(axis=1)
        recalls.append(float((answers[truth == 1] == 1).mean()))
    assert recalls[1] > recalls[0]


@pytest.mark.slow
def test_the_rate_is_halved_on_a_plateau():
    network = fitting._compiled(PLAIN, *blobs())
    losses = [3.0, 2.0] + [2.5] * 12
    rates = []
    for epoch in range(1, len(losses) + 1):
        fitting._follow_plateau(network, {"loss": [9.0] * epoch, "val_loss": losses[:epoch]})
        rates.append(float(network.optimizer.learning_rate))
    assert rates == pytest.approx([1e-3] * 6 + [5e-4] * 5 + [2.5e-4] * 3)


@pytest.mark.slow
def test_schedules():
    rates = {name: fitting._learning_rate(replace(PLAIN, schedule=name, epochs=10), 20) for name in SCHEDULES}
    assert rates["constant"] == rates["plateau"] == PLAIN.learning_rate
    course = [float(rates["one_cycle"](step)) for step in range(200)]
    assert int(np.argmax(course)) == 20 and max(course) == pytest.approx(1e-3) and course[-1] < 1e-6
