"""Builds the API reference of the public names from their docstrings: python -m scripts.reference [FOLDER].

The default folder is build/reference, which git ignores; open its index.html.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from pathlib import Path

import pdoc

MODULES = (
    "ser", "ser.types", "ser.audio", "ser.features", "ser.timeline", "ser.transcript", "ser.batch", "ser.history",
    "ser.datasets", "ser.models", "ser.train", "ser.sklearn", "ser.api", "ser.metrics",
)  # fmt: skip
BLOCKED = ("keras", "tensorflow", "librosa")  # pdoc runs `if TYPE_CHECKING:` blocks; these would take seconds


def build(folder: Path) -> None:
    """Write a page of HTML for each public module into a folder."""
    sys.modules.update(dict.fromkeys(BLOCKED))  # an import of them fails, and their types stay as they are written
    warnings.filterwarnings("ignore", "(Failed to run TYPE_CHECKING code|Error parsing type annotation)")
    for module in map(import_module, MODULES):
        for name in getattr(module, "__all__", ()):
            setattr(module, name, getattr(module, name))  # loads what the module loads on first use only
    pdoc.pdoc(*MODULES, output_directory=folder)


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "build/reference"))
