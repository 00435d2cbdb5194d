"""The command `encoder`: the graph of a checkpoint, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_encoder import N_MELS, WIDTH, write_checkpoint
from typer.testing import CliRunner

from ser.cli.main import app
from ser.features.recipes import ENCODER_BLOCKS
from ser.inference.encoder import Encoder
from ser.types import ParameterError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_graph_is_written_and_opens(checkpoint, tmp_path, rng, precision):
    path = tmp_path / "encoder.onnx"
    result = CliRunner().invoke(app, ["encoder", str(checkpoint), "--out", str(path), "--precision", precision])
    assert (result.exit_code, result.exception) == (0, None) and f"Written to {path}" in result.output
    statistics = Encoder(path, path.name)(rng.normal(size=(N_MELS, 50)).astype("f4"))
    assert statistics.shape == (2 * len(ENCODER_BLOCKS) * WIDTH,)


def test_a_file_is_not_replaced_unasked(checkpoint, tmp_path):
    path = tmp_path / "encoder.onnx"
    path.write_bytes(b"mine")
    result = CliRunner().invoke(app, ["encoder", str(checkpoint), "--out", str(path)])
    assert isinstance(result.exception, ParameterError) and "--force" in str(result.exception)
    assert path.read_bytes() == b"mine"


def test_a_folder_that_is_no_checkpoint(tmp_path):
    result = CliRunner().invoke(app, ["encoder", str(tmp_path), "--out", str(tmp_path / "encoder.onnx")])
    assert isinstance(result.exception, ParameterError) and "is no Whisper checkpoint" in str(result.exception)
    assert not (tmp_path / "encoder.onnx").exists()
