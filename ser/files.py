"""Write files atomically, check before the work that they can be written, make names encodable, and count endings."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ser.types import ParameterError

SHOWN = 10  # endings


def write_atomically(path: Path, content: bytes | str, *, sync: bool = False, folder: Path | None = None) -> None:
    """Write a temporary file, then rename it: the path holds the old content or the new, never a part.

    The temporary file stands beside the path, or in another `folder` of the same disk. With `sync` the content is on
    the disk when this returns. An `OSError` leaves no temporary file behind.
    """
    name = f".{secrets.token_hex(8)}.part"  # short, since the file's own name may be the longest
    temporary = (folder or path.parent) / name
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):  # after the rename it does not exist
            temporary.unlink()


def check_writable(path: Path, *, force: bool, source: str | None = None) -> None:
    """Raise `ParameterError` if a file exists, or its folder is missing or read-only.

    `force` allows to replace a file, but never the recording `source` itself.
    """
    try:
        if path.exists() and source is not None and Path(source).exists() and path.samefile(source):
            raise ParameterError(f"{path} is the recording itself, which is never replaced. Choose another --out.")
        if path.exists() and not (force and path.is_file()):
            raise ParameterError(f"{path} exists already; choose another --out, or --force to replace a file.")
        if not path.parent.is_dir():
            raise ParameterError(f"{path}: there is no folder {path.parent}. Make it, or choose another --out.")
    except OSError as error:  # a folder without rights, a name that is too long
        raise unwritable(path, error) from error
    if not os.access(path.parent, os.W_OK):
        raise ParameterError(f"{path}: the folder {path.parent} cannot be written. Choose another --out.")


def encodable(text: str) -> str:
    """Escape what UTF-8 cannot encode: the bytes of a file's name that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def unwritable(path: Path, error: OSError) -> ParameterError:
    """Return the error for a file that the system refuses to write."""
    return ParameterError(f"{path} cannot be written ({error.strerror}). Choose another file.")


def by_ending(counts: Mapping[str, int]) -> str:
    """Return counts of files as text, the most first: "12 .txt, 3 .pdf"."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], not item[0], item[0]))
    shown = [f"{count:,} {ending or 'without an ending'}" for ending, count in ordered[:SHOWN]]
    more = sum(count for _, count in ordered[SHOWN:])
    return ", ".join([*shown, *[f"{more:,} of {len(ordered) - SHOWN:,} other endings"] * bool(more)])
