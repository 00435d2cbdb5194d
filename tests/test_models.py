"""The networks: their published sizes, and that scaler + network, one Keras graph and ONNX answer alike."""

from __future__ import annotations

import numpy as np
import pytest

from ser import models
from ser.artifact import ARTIFACTS, open_graph, read_manifest, run_graph, verify
from ser.models import ARCHITECTURES
from ser.types import ParameterError

pytestmark = pytest.mark.slow

SHIPPED = ARTIFACTS / "dense105"
PUBLISHED = [("dense", (105,), 7, 230_791), ("dense", (105,), 8, 230_856)]


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Features of real recordings."""
    with np.load(SHIPPED / "golden.npz", allow_pickle=False) as golden:
        return golden["input_0"]


@pytest.fixture(scope="module")
def network():
    """An untrained network whose normalisations have seen something, so that their constants matter."""
    import keras

    keras.utils.set_random_seed(1)
    made = models.build("dense", (105,), 8)
    rng = np.random.default_rng(1)
    made.set_weights([w + 0.2 * rng.random(w.shape, np.float32) * (w.ndim == 1) for w in made.get_weights()])
    return made


@pytest.mark.parametrize(("name", "shape", "n_classes", "parameters"), PUBLISHED)
def test_published_parameters(name, shape, n_classes, parameters):
    assert models.build(name, shape, n_classes).count_params() == parameters


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("n_classes", [2, 4, 8])
def test_every_architecture_gives_probabilities(name, n_classes):
    made = models.build(name, [105], n_classes)
    answers = np.asarray(made(np.random.default_rng(0).standard_normal((5, 105)).astype(np.float32)))
    assert answers.shape == (5, n_classes) and (answers >= 0).all()
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)
    assert made.get_layer("logits").units == n_classes


def test_dense_is_the_published_stack(network):
    from keras import layers

    dense = [layer for layer in network.layers if isinstance(layer, layers.Dense)]
    assert [layer.units for layer in dense] == [512, 256, 128, 64, 8]
    assert {layer.activation.__name__ for layer in dense[:-1]} == {"relu"}
    assert sum(isinstance(layer, layers.BatchNormalization) for layer in network.layers) == 3


def test_dropout_is_an_option_that_costs_no_parameters():
    from keras import layers

    made = models.build("dense", (105,), 8, dropout=(0.5, 0.4, 0.3, 0.1))
    assert [layer.rate for layer in made.layers if isinstance(layer, layers.Dropout)] == [0.5, 0.4, 0.3, 0.1]
    assert made.count_params() == 230_856


def test_unknown_architecture_lists_the_known():
    with pytest.raises(ParameterError, match=r"'tower'.*dense"):
        models.build("tower", (105,), 8)


@pytest.mark.parametrize("n_classes", [-1, 0, 1])
def test_too_few_classes_are_refused(n_classes):
    with pytest.raises(ParameterError, match=f"at least 2 classes, got {n_classes}"):
        models.build("dense", (105,), n_classes)


def test_scaler_inside_equals_scaler_outside(network, rows):
    mean, variance = rows.mean(axis=0), rows.var(axis=0) + 1e-3
    graph = models.with_scaler(network, mean, variance)
    assert graph.count_params() == network.count_params() + 2 * 105  # scaling is constants, and not the network's
    inside = np.asarray(graph(rows, training=False))
    outside = np.log(np.asarray(network((rows - mean) / np.sqrt(variance), training=False)))
    np.testing.assert_allclose(inside, outside, atol=1e-5)
    assert inside.max() < -0.01  # not all settled on one label


def test_export_equals_keras(network, rows, tmp_path):
    import onnxruntime as ort

    from ser.fit import Fitted, Scaler
    from ser.train import export_onnx

    fitted = Fitted(network, Scaler(rows.mean(axis=0), rows.var(axis=0) + 1e-3), {}, 1)
    export_onnx(fitted, tmp_path / "model.onnx")
    session = ort.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = run_graph(session, rows)
    np.testing.assert_allclose(np.exp(found), np.exp(fitted.log_probabilities(rows)), atol=1e-5)
    for row, together in zip(rows, found, strict=True):  # one by one as in a batch
        np.testing.assert_allclose(run_graph(session, row[None]), together[None], atol=1e-5)


def test_shipped_keras_and_scaler_equal_the_shipped_graph(rows):
    import joblib
    import keras

    scaled = joblib.load(SHIPPED / "scaler.joblib").transform(rows.astype(np.float64))
    network = keras.saving.load_model(SHIPPED / "model.keras")
    assert network.count_params() == 230_856
    probabilities = np.asarray(network(scaled.astype(np.float32), training=False))
    artifact = verify(SHIPPED)
    found = np.exp(run_graph(open_graph(artifact, "model.onnx"), rows))
    np.testing.assert_allclose(found, probabilities, atol=1e-5)


def test_shipped_scaler_is_fitted_and_not_part_of_the_network():
    import joblib

    scaler = joblib.load(SHIPPED / "scaler.joblib")
    assert scaler.mean_.shape == scaler.scale_.shape == (105,) and (scaler.scale_ > 0).all()
    assert read_manifest(SHIPPED)["training"]["config"]["architecture"] in ARCHITECTURES
