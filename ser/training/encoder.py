"""Builds the pre-trained encoder from a checkpoint once and keeps it in the cache; opens it in worker processes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ser.features.recipes import Recipe, recipe, with_encoder
from ser.inference.encoder import Encoder
from ser.models import encoder
from ser.models.encoder import PUBLISHED_AT, WEIGHTS, build_encoder
from ser.types import ParameterError

VARIABLE = "SER_ENCODER"


def encoder_graph(checkpoint: str | os.PathLike[str] | None, blocks: Sequence[int], cache_folder: Path) -> Path:
    """Return the graph of some blocks of a checkpoint's encoder, from the cache or built into it.

    `checkpoint` is a folder in the public layout, by default that of `SER_ENCODER`. Raises `ParameterError` if none is
    given, or if the folder is no such checkpoint.
    """
    checkpoint = checkpoint or os.environ.get(VARIABLE)
    if not checkpoint:
        raise ParameterError(
            f"This configuration needs a pre-trained encoder: name the folder of its checkpoint ({PUBLISHED_AT}) with "
            f"--encoder or {VARIABLE}."
        )
    folder = Path(checkpoint).expanduser()
    path = cache_folder / f"encoder-{_digest(folder)[:16]}-{'-'.join(map(str, blocks))}.onnx"
    if not path.is_file():
        cache_folder.mkdir(parents=True, exist_ok=True)
        build_encoder(folder, path, blocks)
    return path


def _digest(folder: Path) -> str:
    """Return the SHA-256 of the checkpoint's weights and of the code that builds the graph."""
    digest = hashlib.sha256(Path(str(encoder.__file__)).read_bytes())
    if (folder / WEIGHTS).is_file():
        digest.update((folder / WEIGHTS).read_bytes())
    return digest.hexdigest()


def bound_recipe(name: str, graph: str) -> Recipe:
    """Return a recipe with its encoder opened, if it needs one; a worker process opens each graph once."""
    features = recipe(name)
    return with_encoder(features, _opened(graph)) if features.encoder else features


@cache
def _opened(graph: str) -> Encoder:
    return Encoder(Path(graph), Path(graph).name)
