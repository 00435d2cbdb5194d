"""Files that the command line writes: refused before the work where they cannot be, whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from ser.cli.output import err, visible
from ser.types import ParameterError


def check_free(place: Path, *, force: bool, heard: str | None = None) -> None:
    """Before the work, not after it: a name that is taken, a folder that is not there or cannot be written.

    What is `heard` is never replaced, whatever is asked.
    """
    try:
        if place.exists() and heard is not None and Path(heard).exists() and place.samefile(heard):
            raise ParameterError(f"{place} is the recording itself, which is never replaced. Choose another --out.")
        if place.exists() and not (force and place.is_file()):
            raise ParameterError(f"{place} exists already; choose another --out, or --force to replace a file.")
        if not place.parent.is_dir():
            raise ParameterError(f"{place}: there is no folder {place.parent}. Make it, or choose another --out.")
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise _unwritable(place, error) from error
    if not os.access(place.parent, os.W_OK):
        raise ParameterError(f"{place}: the folder {place.parent} cannot be written. Choose another --out.")


def save(content: bytes, place: Path) -> None:
    """Written beside and renamed, so that a full disk leaves what was there."""
    beside = place.with_name(f".{secrets.token_hex(8)}.part")  # short, since the place's own name may be the longest
    try:
        beside.write_bytes(content)
        beside.replace(place)
    except OSError as error:
        raise _unwritable(place, error) from error
    finally:
        with suppress(OSError):  # where it was renamed, or never there
            beside.unlink()
    err.print(f"Written to {visible(str(place))}", markup=False, highlight=False, soft_wrap=True)


def _unwritable(place: Path, error: OSError) -> ParameterError:
    return ParameterError(f"{place} cannot be written ({error.strerror}). Choose another --out.")
