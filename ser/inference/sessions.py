"""Opens graphs with ONNX Runtime, on one thread each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ser.types import ArtifactError

# Read when ONNX Runtime is first imported: by default it writes an identifier to the home folder and sends it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def open_session(path: Path, label: str) -> Any:
    """Return a session for a graph; raises `ArtifactError`, which names it `label`, if it cannot be opened."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no narrower base
        raise ArtifactError(f"{label} is not a graph that ONNX Runtime can open: {error}") from error
