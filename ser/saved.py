"""Files that the command line writes: refused before the work where they cannot be, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from ser.printed import err
from ser.types import ParameterError


def check_free(place: Path, *, force: bool) -> None:
    """Before the work, not after it: a name that is taken, or a folder that is not there."""
    if place.exists() and not (force and place.is_file()):
        raise ParameterError(f"{place} exists already; choose another --out, or --force to replace a file.")
    if not place.parent.is_dir():
        raise ParameterError(f"{place}: there is no folder {place.parent}. Make it, or choose another --out.")


def save(content: bytes, place: Path) -> None:
    """Written beside and renamed, so that a full disk leaves what was there."""
    beside = place.with_name(f".{place.name}.part")
    try:
        beside.write_bytes(content)
        beside.replace(place)
    except OSError as error:
        if beside.exists():
            beside.unlink()
        raise ParameterError(f"{place} cannot be written ({error.strerror}). Choose another --out.") from error
    err.print(f"Written to {place}", markup=False, highlight=False, soft_wrap=True)
