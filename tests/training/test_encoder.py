"""The graph of the pre-trained encoder in the cache: built once for a checkpoint and its blocks."""

from __future__ import annotations

from tiny_encoder import write_checkpoint

from ser.inference.encoder import Encoder
from ser.training.encoder import encoder_graph


def test_other_blocks_are_another_graph(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "tiny")
    first = encoder_graph(checkpoint, (2, 3), tmp_path / "cache")
    built = first.stat().st_mtime_ns
    assert encoder_graph(checkpoint, (2, 3), tmp_path / "cache") == first and first.stat().st_mtime_ns == built
    second = encoder_graph(checkpoint, (1, 2, 3), tmp_path / "cache")
    assert second != first and Encoder(second, "x").size == 3 * Encoder(first, "x").size // 2
