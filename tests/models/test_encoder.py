"""The pre-trained encoder: its input equals Whisper's, its graph a reference in NumPy; other folders are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_encoder import N_MELS, WIDTH, reference, write_checkpoint

from ser.features.log_mel import HOP_LENGTH, log_mel
from ser.features.recipes import ENCODER_BLOCKS, ENCODER_WIDTH, RECIPES
from ser.inference.encoder import Encoder
from ser.models.encoder import build_encoder
from ser.types import ArtifactError, ParameterError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def published() -> Path:
    """Return the folder of the published weights."""
    folder = os.environ.get("SER_ENCODER")
    if not folder:
        if "data" in os.environ.get("SER_REQUIRE", ""):
            pytest.fail("SER_ENCODER is not set, and the published weights are required.")
        pytest.skip("SER_ENCODER is not set: the folder of Whisper base.")
    return Path(folder)


def spectrogram(n_frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N_MELS, n_frames)).astype(np.float32)


# --- Input ---


@pytest.mark.parametrize("n_samples", [16_000, 20_001, 56_000, 401, 399, 160])
def test_the_input_is_whispers(n_samples, rng):
    from faster_whisper.feature_extractor import FeatureExtractor

    samples = rng.normal(0, 0.1, n_samples).astype(np.float32)
    padded = np.pad(samples, (0, max(0, 400 - n_samples)))
    expected = FeatureExtractor()(padded, padding=0)[:, : len(padded) // HOP_LENGTH]
    given = log_mel(samples)
    assert given.shape == expected.shape and given.dtype == np.float32
    np.testing.assert_allclose(given, expected, atol=1e-4)


def test_silence_is_a_constant():
    assert np.ptp(log_mel(np.zeros(1600, np.float32))) == 0


# --- Graph ---


@pytest.mark.parametrize("n_frames", [2, 51, 350])
@pytest.mark.parametrize("blocks", [(1,), (2, 3), (1, 2, 3, 4)])
def test_the_graph_equals_the_reference(tmp_path, checkpoint, n_frames, blocks):
    path = tmp_path / "encoder.onnx"
    build_encoder(checkpoint, path, blocks, precision="float32")
    given = spectrogram(n_frames)
    encoder = Encoder(path, "encoder")
    assert encoder.size == 2 * WIDTH * len(blocks)
    np.testing.assert_allclose(encoder(given), reference(checkpoint, given, blocks), rtol=1e-4, atol=1e-4)


def test_integers_are_close_and_smaller(tmp_path, checkpoint):
    whole, small = tmp_path / "whole.onnx", tmp_path / "small.onnx"
    build_encoder(checkpoint, whole, ENCODER_BLOCKS, precision="float32")
    build_encoder(checkpoint, small, ENCODER_BLOCKS)
    given = spectrogram(100)
    exact, rounded = (Encoder(path, path.name)(given) for path in (whole, small))
    assert 0 < np.abs(exact - rounded).mean() < 0.05 * exact.std()


def test_a_folder_of_the_encoder_alone_gives_the_same_graph(tmp_path, checkpoint):
    alone = write_checkpoint(tmp_path / "alone", prefix="encoder.")
    for folder, name in ((checkpoint, "whole"), (alone, "alone")):
        build_encoder(folder, tmp_path / f"{name}.onnx", ENCODER_BLOCKS)
    assert (tmp_path / "whole.onnx").read_bytes() == (tmp_path / "alone.onnx").read_bytes()


@pytest.mark.data
def test_the_published_weights(tmp_path, published):
    path, small = tmp_path / "encoder.onnx", tmp_path / "small.onnx"
    build_encoder(published, path, ENCODER_BLOCKS, precision="float32")
    build_encoder(published, small, ENCODER_BLOCKS)
    given = log_mel(np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32))
    expected = reference(published, given, ENCODER_BLOCKS)
    assert expected.shape == (2 * ENCODER_WIDTH * len(ENCODER_BLOCKS),) == RECIPES["encoder-v2"].shape
    np.testing.assert_allclose(Encoder(path, "encoder")(given), expected, atol=1e-3)
    assert np.abs(Encoder(small, "small")(given) - expected).mean() < 0.05 * expected.std()
    assert small.stat().st_size < 17e6


# --- Refusals ---


def test_other_folders_are_refused(tmp_path, checkpoint):
    with pytest.raises(ParameterError, match=r"no Whisper checkpoint: expected config\.json and model\.safetensors"):
        build_encoder(tmp_path, tmp_path / "encoder.onnx", ENCODER_BLOCKS)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"no tensors at all")
    with pytest.raises(ParameterError, match="no Whisper checkpoint"):
        build_encoder(tmp_path, tmp_path / "encoder.onnx", ENCODER_BLOCKS)
    with pytest.raises(ParameterError, match="holds 4 blocks of an encoder; block 7 is needed"):
        build_encoder(checkpoint, tmp_path / "encoder.onnx", (2, 7))
    config = json.loads((checkpoint / "config.json").read_text())
    other = write_checkpoint(tmp_path / "other")
    (other / "config.json").write_text(json.dumps({key: value for key, value in config.items() if key != "d_model"}))
    with pytest.raises(ParameterError, match="d_model"):
        build_encoder(other, tmp_path / "encoder.onnx", ENCODER_BLOCKS)
    assert not (tmp_path / "encoder.onnx").exists()


def test_an_incomplete_checkpoint_is_refused_and_leaves_nothing(tmp_path):
    folder, path = write_checkpoint(tmp_path / "checkpoint"), tmp_path / "encoder.onnx"
    weights = load_file(folder / "model.safetensors")
    del weights["model.encoder.layers.1.fc1.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ParameterError, match=r"incomplete Whisper checkpoint .*layers\.1\.fc1\.weight"):
        build_encoder(folder, path, ENCODER_BLOCKS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]


def test_a_build_that_fails_leaves_the_earlier_graph(tmp_path, checkpoint, monkeypatch):
    path = tmp_path / "encoder.onnx"
    path.write_bytes(b"earlier")

    def full(graph: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("ser.models.encoder.store_half", full)
    with pytest.raises(OSError, match="disk full"):
        build_encoder(checkpoint, path, ENCODER_BLOCKS)
    assert path.read_bytes() == b"earlier" and [entry.name for entry in tmp_path.iterdir()] == ["encoder.onnx"]


def test_another_graph_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="not a graph that ONNX Runtime can open"):
        Encoder(tmp_path / "missing.onnx", "missing")
    with pytest.raises(ArtifactError, match=r"is no encoder: expected log-mel spectrograms"):
        Encoder(Path("artifacts/dense105/model.onnx").absolute(), "dense105/model.onnx")
