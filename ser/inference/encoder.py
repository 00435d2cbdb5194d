"""The pre-trained encoder: an ONNX graph from log-mel spectrograms to statistics of its blocks, on one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ser.features.log_mel import N_MELS
from ser.inference.sessions import open_session
from ser.types import ArtifactError


class Encoder:
    """An opened encoder. Its name in errors is `label`; raises `ArtifactError` if the file is no such graph."""

    def __init__(self, path: Path, label: str) -> None:
        self._session: Any = open_session(path, label)
        (given, *_), (output, *_) = self._session.get_inputs(), self._session.get_outputs()
        self._input = given.name
        self.size = output.shape[-1]
        if len(given.shape) != 3 or given.shape[1] != N_MELS or not isinstance(self.size, int):
            raise ArtifactError(
                f"{label} is no encoder: expected log-mel spectrograms (n, {N_MELS}, n_frames) to statistics, found "
                f"{given.shape} to {output.shape}."
            )

    def __call__(self, log_mel: np.ndarray) -> np.ndarray:
        """Return the statistics of one spectrogram, (80, n_frames) to (size,), float32."""
        return self._session.run(None, {self._input: log_mel[None]})[0][0]
