"""Networks: published sizes, and that scaler + network, one Keras graph and ONNX agree."""

from __future__ import annotations

import numpy as np
import pytest
from golden.make import voice

from ser.features.recipes import recipe
from ser.inference.artifact import ARTIFACTS, open_graph, read_manifest, run_graph, verify
from ser.models import registry as models
from ser.models.layers import with_scaler
from ser.models.registry import ARCHITECTURES
from ser.training.configs import CONFIGS
from ser.training.fit import Scaler
from ser.types import LABEL_SETS, ParameterError

pytestmark = pytest.mark.slow

SHIPPED = ARTIFACTS / "dense105"
PUBLISHED = [
    ("cnn_lstm", (11, 4, 1), 8, 69_480),
    ("dense180", (180,), 4, 87_748),
    ("dense", (105,), 7, 230_791),
    ("dense", (105,), 8, 230_856),
    ("cnn_bilstm_attention", (174, 120), 6, 938_566),  # ours: none is published
]
SHAPES = {
    "dense": (105,),
    "dense180": (180,),
    "cnn_lstm": (11, 4, 1),
    "cnn_bilstm_attention": (174, 120),
    "cnn": (94, 40),
}
DESIGNS = [name for name in CONFIGS if name.startswith("design_")]


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Return features of real recordings."""
    with np.load(SHIPPED / "golden.npz", allow_pickle=False) as golden:
        return golden["input_0"]


@pytest.fixture(scope="module")
def network():
    """Return an untrained network whose normalisations have non-trivial constants."""
    import keras

    keras.utils.set_random_seed(1)
    made = models.build("dense", (105,), 8)
    rng = np.random.default_rng(1)
    made.set_weights([w + 0.2 * rng.random(w.shape, np.float32) * (w.ndim == 1) for w in made.get_weights()])
    return made


@pytest.mark.parametrize(("name", "shape", "n_classes", "parameters"), PUBLISHED)
def test_published_parameters(name, shape, n_classes, parameters):
    assert models.build(name, shape, n_classes).count_params() == parameters


@pytest.mark.parametrize("shape", [(94, 40), (40, 94, 1)])
def test_published_parameters_of_the_image_network(shape):
    made = models.build("cnn", shape, 8)
    assert sum(int(np.prod(weights.shape)) for weights in made.trainable_variables) == 2_603_144


def test_parameters_of_the_recurrent_network_by_layer():
    counts = [layer.count_params() for layer in models.build("cnn_lstm", (11, 4, 1), 8).layers]
    expected = [320, 128, 18_496, 256, 33_024, 256, 12_416, 128, 2_112, 2_080, 264]
    assert [count for count in counts if count] == expected


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("n_classes", [2, 4, 8])
def test_every_architecture_gives_probabilities(name, n_classes):
    made = models.build(name, list(SHAPES[name]), n_classes)
    answers = np.asarray(made(np.random.default_rng(0).standard_normal((5, *SHAPES[name])).astype(np.float32)))
    assert answers.shape == (5, n_classes) and (answers >= 0).all()
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)
    assert made.get_layer("logits").units == n_classes


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("dense", (174, 120)),
        ("dense180", (11, 4, 1)),
        ("dense180", (0,)),
        ("cnn_lstm", (44,)),
        ("cnn_lstm", (11, 3, 1)),
        ("cnn_bilstm_attention", (105,)),
        ("cnn_bilstm_attention", (None, 120)),
        ("cnn", (105,)),
        ("cnn", (94, 13)),
        ("cnn", (94, 40, 3)),
        ("sequence", (105,)),
        ("sequence", (None, None)),
        ("statistics", (94, 40)),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(name, shape):
    with pytest.raises(ParameterError, match=rf"'{name}' needs features with .*axis|{name}.*axes.*got the shape"):
        models.build(name, shape, 8)


def test_padding_changes_no_answer():
    """The same frames in a longer input, padded with zeros."""
    long, short = (models.build("cnn_bilstm_attention", (n_frames, 12), 3) for n_frames in (174, 64))
    rng = np.random.default_rng(2)
    long.set_weights([w + 0.2 * rng.random(w.shape, np.float32) * (w.ndim == 1) for w in long.get_weights()])
    short.set_weights(long.get_weights())
    frames = rng.standard_normal((4, 64, 12)).astype(np.float32)
    padded = np.pad(frames, ((0, 0), (0, 110), (0, 0)))
    outputs = np.asarray(long(padded))
    np.testing.assert_allclose(outputs, np.asarray(short(frames)), atol=1e-5)
    assert np.ptp(outputs, axis=0).max() > 1e-3
    assert np.abs(np.asarray(long(padded + 1e-3)) - outputs).max() > 1e-3  # frames that do count
    assert np.isfinite(np.asarray(short(0 * frames))).all()  # an augmentation masked all of a short recording


def test_adaptive_pooling_is_that_of_the_definition():
    from keras import layers

    image = np.random.default_rng(0).standard_normal((1, 11, 5, 2)).astype(np.float32)
    edges = [[(k * n // 4, -(-(k + 1) * n // 4)) for k in range(4)] for n in (11, 5)]
    expected = [[image[0, a:b, c:d].mean(axis=(0, 1)) for c, d in edges[1]] for a, b in edges[0]]
    np.testing.assert_allclose(np.asarray(layers.AdaptiveAveragePooling2D(4)(image))[0], expected, atol=1e-6)


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
    graph = with_scaler(network, mean, variance)
    assert graph.count_params() == network.count_params() + 2 * 105  # scaling is constants, and not the network's
    inside = np.asarray(graph(rows, training=False))
    outside = np.log(np.asarray(network((rows - mean) / np.sqrt(variance), training=False)))
    np.testing.assert_allclose(inside, outside, atol=1e-5)
    assert inside.max() < -0.01  # not all settled on one label


def test_export_equals_keras(network, rows, tmp_path):
    import onnxruntime as ort

    from ser.training.fit import Fitted
    from ser.training.release import export_onnx

    fitted = Fitted(network, Scaler(rows.mean(axis=0), rows.var(axis=0) + 1e-3), {}, 1)
    export_onnx(fitted, tmp_path / "model.onnx")
    session = ort.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    outputs = run_graph(session, rows)
    np.testing.assert_allclose(np.exp(outputs), np.exp(fitted.log_probabilities(rows)), atol=1e-5)
    for row, together in zip(rows, outputs, strict=True):  # one by one as in a batch
        np.testing.assert_allclose(run_graph(session, row[None]), together[None], atol=1e-5)


@pytest.mark.parametrize("name", DESIGNS)
def test_every_design_answers_alike_in_onnx(name, tmp_path):
    import keras
    import onnxruntime as ort

    from ser.training.fit import Fitted
    from ser.training.release import export_onnx

    config = CONFIGS[name]
    made = recipe(config.recipe)
    sounds = [voice(seconds, pitch_hz)[: 22_050 * 3] for seconds, pitch_hz in ((0.7, 120), (2, 200), (3, 260), (1, 90))]
    rows = np.concatenate([made(sound) for sound in sounds])
    keras.utils.set_random_seed(1)
    network = models.build(config.architecture, made.shape, len(LABEL_SETS[config.labels]), **config.options)
    fitted = Fitted(network, Scaler.fitted(rows), {}, 1)
    export_onnx(fitted, tmp_path / "model.onnx")
    session = ort.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    expected = np.exp(fitted.log_probabilities(rows))
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(np.exp(run_graph(session, rows)), expected, atol=1e-5)
    for row, answer in zip(rows, expected, strict=True):
        np.testing.assert_allclose(np.exp(run_graph(session, row[None]))[0], answer, atol=1e-5)
    network.save(tmp_path / "network.keras")
    again = Fitted(keras.saving.load_model(tmp_path / "network.keras"), fitted.scaler, {}, 1)
    np.testing.assert_allclose(np.exp(again.log_probabilities(rows)), expected, atol=1e-6)


def test_shipped_keras_and_scaler_equal_the_shipped_graph(rows):
    import joblib
    import keras

    scaled = joblib.load(SHIPPED / "scaler.joblib").transform(rows.astype(np.float64))
    network = keras.saving.load_model(SHIPPED / "model.keras")
    assert network.count_params() == 230_856
    probabilities = np.asarray(network(scaled.astype(np.float32), training=False))
    artifact = verify(SHIPPED)
    outputs = np.exp(run_graph(open_graph(artifact, "model.onnx"), rows))
    np.testing.assert_allclose(outputs, probabilities, atol=1e-5)


def test_shipped_scaler_is_fitted_and_not_part_of_the_network():
    import joblib

    scaler = joblib.load(SHIPPED / "scaler.joblib")
    assert scaler.mean_.shape == scaler.scale_.shape == (105,) and (scaler.scale_ > 0).all()
    assert read_manifest(SHIPPED)["training"]["config"]["architecture"] in ARCHITECTURES
