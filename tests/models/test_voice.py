"""The networks of `voice`: outputs, padding, and that every runtime agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.features.descriptors import N_FRAMES, NAMES
from ser.features.recipes import RECIPES
from ser.models import registry as models
from ser.models.layers import input_layer
from ser.models.voice import LIMIT, N_HEADS
from ser.training.configs import CONFIGS
from ser.training.fit import Fitted, Scaler, rounded
from ser.training.release import export_onnx
from ser.types import ParameterError

SMALL: dict[str, dict[str, Any]] = {
    "sequence": {"channels": (8, 8, 8)},
    "statistics": {"units": (8, 8)},
}
WIDE: dict[str, dict[str, Any]] = {  # enough for kernels that are rounded
    "sequence": {"channels": (24, 24)},
    "statistics": {"units": (32, 32)},
}
OVER_TIME = ("sequence",)
N_STATISTICS = 300
N_LABELS = 3
SOUNDING = 100  # frames; the others are padding


def build(name: str, **options: Any) -> Any:
    """Return a small network whose normalisations have non-trivial constants."""
    import keras

    keras.utils.set_random_seed(1)
    shape = (None, len(NAMES)) if name in OVER_TIME else (N_STATISTICS,)
    made = models.build(name, shape, N_LABELS, **(options or SMALL[name]))
    rng = np.random.default_rng(1)
    made.set_weights([w + 0.2 * rng.random(w.shape, np.float32) * (w.ndim == 1) for w in made.get_weights()])
    return made


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    return {name: build(name) for name in SMALL}


def rows(name: str, n: int = 4, n_frames: int = N_FRAMES, seed: int = 0) -> np.ndarray:
    """Standardised features; frames beyond `SOUNDING` are padding."""
    rng = np.random.default_rng(seed)
    if name not in OVER_TIME:
        return rng.standard_normal((n, N_STATISTICS), np.float32)
    frames = np.zeros((n, n_frames, len(NAMES)), np.float32)
    frames[:, :SOUNDING] = rng.standard_normal((n, SOUNDING, len(NAMES)), np.float32)
    return frames


def answers(network: Any, given: np.ndarray) -> np.ndarray:
    return np.asarray(network(given, training=False))


def test_a_shape_that_does_not_fit_is_named_before_keras_is_asked():
    with pytest.raises(ParameterError, match=r"2 axes of at least \(any, 1\), got the shape \(105,\)"):
        input_layer("sequence", (105,), (None, 1))


# --- Outputs ---


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_emotions_sum_to_one_and_heads_are_probabilities(networks, name):
    for given in (rows(name), 100 * rows(name), 0 * rows(name)):
        outputs = answers(networks[name], given)
        assert outputs.shape == (4, N_LABELS + N_HEADS) and np.isfinite(outputs).all()
        np.testing.assert_allclose(outputs[:, :N_LABELS].sum(axis=1), 1, atol=1e-5)
        assert (outputs >= 0).all() and (outputs <= 1).all()
    assert np.ptp(answers(networks[name], rows(name)), axis=0).min() > 1e-4  # the outputs depend on the input


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_seed_decides_the_weights(networks, name):
    import keras

    again = build(name)
    np.testing.assert_array_equal(answers(again, rows(name)), answers(networks[name], rows(name)))
    keras.utils.set_random_seed(2)
    other = type(again).from_config(again.get_config())
    assert not np.allclose(answers(other, rows(name)), answers(again, rows(name)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parameters"), [("sequence", 339_083), ("statistics", 307_723)])
def test_parameters(name, parameters):
    made = RECIPES[CONFIGS[name].recipe]
    network = models.build(name, made.shape, 8, **CONFIGS[name].options)
    assert network.count_params() == parameters


@pytest.mark.slow
def test_outliers_among_statistics_tell_no_more(networks):
    given = rows("statistics")
    given[:, :10], far = LIMIT, given.copy()
    far[:, :10] = 1000
    np.testing.assert_array_equal(answers(networks["statistics"], far), answers(networks["statistics"], given))
    given[:, :10] = 1
    assert not np.allclose(answers(networks["statistics"], far), answers(networks["statistics"], given))


# --- Frames and padding ---


def starts(n_frames: int) -> list[int]:
    """1 for each halving of an odd number of frames: its convolutions start a frame earlier than on an even one."""
    return [n % 2 for n in (n_frames, -(-n_frames // 2), -(-n_frames // 4))]


@pytest.mark.slow
@pytest.mark.parametrize("n_frames", [(160, 208, 400), (N_FRAMES, 401, 801)], ids=["even", "odd"])
@pytest.mark.parametrize("name", OVER_TIME)
def test_more_padding_changes_no_answer(networks, name, n_frames):
    """If halvings start alike and the input ends well before the border, which convolutions see."""
    assert len({tuple(starts(n)) for n in n_frames}) == 1
    expected, *others = (answers(networks[name], rows(name, n_frames=n)) for n in n_frames)
    for outputs in others:
        np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", OVER_TIME)
def test_the_border_matters_little(networks, name):
    """Frames up to the end: beyond it a convolution reads zeros, within padding the activations of zeros."""
    unpadded, padded = (answers(networks[name], rows(name, n_frames=n)) for n in (SOUNDING + 4, 200))
    assert np.abs(unpadded - padded).max() < 0.05


@pytest.mark.xfail(reason="cut to 112 frames in training, asked with 201: halvings start elsewhere", strict=True)
@pytest.mark.parametrize("name", OVER_TIME)
def test_halvings_start_alike_in_training_and_answering(name):
    assert starts(CONFIGS[name].crop_frames) == starts(N_FRAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", OVER_TIME)
def test_frames_that_are_not_padding_matter(networks, name):
    given = rows(name)
    other = given.copy()
    other[:, SOUNDING : SOUNDING + 20] = 1  # no longer padding
    assert np.abs(answers(networks[name], other) - answers(networks[name], given)).max() > 1e-3


# --- Runtimes ---


def fitted(name: str, network: Any) -> Fitted:
    raw = 3 * rows(name, n=40, seed=1) + 2 * rows(name, n=40, seed=1).astype(bool)
    return Fitted(network, Scaler.fitted(raw), {}, 1)


def session(path: Path) -> Any:
    import onnxruntime as ort

    return ort.InferenceSession(path, providers=["CPUExecutionProvider"])


def graph_answers(path: Path, given: np.ndarray) -> list[np.ndarray]:
    return session(path).run(None, {"features": given})


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_graph_answers_as_the_network_does(networks, name, tmp_path):
    made = fitted(name, networks[name])
    export_onnx(made, tmp_path / "model.onnx")
    outputs = session(tmp_path / "model.onnx").get_outputs()
    assert [output.shape[-1] for output in outputs] == [N_LABELS, N_HEADS]
    for n_frames in (N_FRAMES, 112, 350) if name in OVER_TIME else (0,):  # a free time axis
        given = 3 * rows(name, n_frames=n_frames, seed=2)
        scores, heads = graph_answers(tmp_path / "model.onnx", given)
        np.testing.assert_allclose(scores, made.log_probabilities(given), atol=1e-4)
        np.testing.assert_allclose(heads, made.heads(given), atol=1e-4)
        for row, score, head in zip(given, scores, heads, strict=True):  # one by one as in a batch
            alone, alone_heads = graph_answers(tmp_path / "model.onnx", row[None])
            np.testing.assert_allclose(alone[0], score, atol=1e-4)
            np.testing.assert_allclose(alone_heads[0], head, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_half_precision_loses_nothing_of_rounded_weights(name, tmp_path):
    made, given = fitted(name, build(name, **WIDE[name])), rows(name, seed=2)
    unrounded = made.log_probabilities(given)
    made.network.set_weights([rounded(weights) for weights in made.network.get_weights()])
    assert 0 < np.abs(made.log_probabilities(given) - unrounded).max() < 0.01
    export_onnx(made, tmp_path / "full.onnx")
    export_onnx(made, tmp_path / "half.onnx", half=True)
    for full, half in zip(*(graph_answers(tmp_path / f"{size}.onnx", given) for size in ("full", "half")), strict=True):
        np.testing.assert_array_equal(full, half)
    assert (tmp_path / "half.onnx").stat().st_size < 0.8 * (tmp_path / "full.onnx").stat().st_size


def test_only_large_arrays_are_rounded(rng):
    small, large = rng.standard_normal(999, np.float32), rng.standard_normal((10, 100), np.float32)
    np.testing.assert_array_equal(rounded(small), small)
    assert rounded(large).dtype == np.float32 and 0 < np.abs(rounded(large) - large).max() < 1e-2
    np.testing.assert_array_equal(rounded(rounded(large)), rounded(large))
