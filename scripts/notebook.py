"""Executes notebooks/train.ipynb on the recordings of SER_DATA and stores its pictures and results in it.

Run it as `python -m scripts.notebook` after a change of the notebook or of the shipped model. Output on stderr is left
out, since it names folders of this machine.
"""

from __future__ import annotations

import io
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "train.ipynb"
MAX_BYTES = 600_000
N_COLOURS = 256  # of a picture, which makes it less than half as large


def executed(path: Path, timeout_s: int = 3600) -> Any:
    """Run all cells in a kernel; return the notebook."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=timeout_s, resources={"metadata": {"path": str(path.parent)}}).execute()
    return notebook


def tidied(notebook: Any) -> Any:
    """Remove stderr and times, and shrink the pictures."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = smaller(output.data["image/png"])
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def smaller(picture: str) -> str:
    """Return a PNG, as base64, with a palette."""
    file = io.BytesIO()
    image = Image.open(io.BytesIO(b64decode(picture))).convert("RGB")
    image.quantize(N_COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    text = nbformat.writes(tidied(executed(NOTEBOOK))) + "\n"
    if len(text) > MAX_BYTES:
        raise SystemExit(f"The notebook would have {len(text):,} bytes; at most {MAX_BYTES:,} are wanted.")
    NOTEBOOK.write_text(text, encoding="utf-8")
