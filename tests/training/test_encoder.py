"""The graph of the pre-trained encoder in the cache: built once for a checkpoint and its blocks."""

from __future__ import annotations

from tiny_encoder import write_checkpoint

from ser.inference.encoder import Encoder
from ser.training import encoder


def test_other_blocks_are_another_graph(tmp_path, monkeypatch):
    checkpoint = write_checkpoint(tmp_path / "tiny")
    first = encoder.encoder_graph(checkpoint, tmp_path / "cache")
    built = first.stat().st_mtime_ns
    assert encoder.encoder_graph(checkpoint, tmp_path / "cache") == first and first.stat().st_mtime_ns == built
    monkeypatch.setattr(encoder, "ENCODER_BLOCKS", (1, 2, 3))
    second = encoder.encoder_graph(checkpoint, tmp_path / "cache")
    assert second != first and Encoder(second, "x").size == 3 * Encoder(first, "x").size // 2
