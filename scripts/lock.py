"""Renews the lock files: every library with its version and the hashes of its files, for Python 3.11 and later.

Run: python -m scripts.lock [--upgrade] (needs uv: pip install uv). Without --upgrade versions stay if they still fit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEV = "requirements-dev.lock"
# Lock file: what it is made of. The images' versions are those of the tests.
LOCKS = {
    DEV: ("requirements-dev.txt",),
    "deploy/service.lock": ("pyproject.toml", "--extra", "api", "--constraint", DEV),
    "deploy/page.lock": ("pyproject.toml", "--extra", "page", "--constraint", DEV),
}
COMPILE = ("uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate")


def lock(*options: str) -> None:
    """Write all lock files; they name no index, so that any can be used."""
    environment = os.environ | {"UV_CUSTOM_COMPILE_COMMAND": "python -m scripts.lock"}
    for path, sources in LOCKS.items():
        command = [*COMPILE, "--no-emit-index-url", "--quiet", *options, "--output-file", path, *sources]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    lock(*sys.argv[1:])
