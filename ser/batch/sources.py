"""Names of the recordings in a source of a batch: a folder, a pattern, a list, or a store that fsspec knows.

Names are streamed, so that memory does not grow with their number; a remote store lists one folder at a time.
"""

from __future__ import annotations

import io
import math
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ser.audio.files import SOUND_ENDINGS
from ser.audio.loading import MAX_BYTES
from ser.types import ParameterError

MAX_LINE = 4096  # characters; a longer line shows that a file is no list
HIDDEN = (".", "__MACOSX")


def is_address(name: str) -> bool:
    """Return whether a name is an address for fsspec (`s3://bucket/a.wav`), not a local path."""
    return "://" in name


def names(source: str, root: str = ".") -> Iterator[str]:
    """Yield the names of the recordings in `source`, unordered, perhaps repeated; relative ones start from `root`.

    A folder gives its sound files at any depth; a pattern every file that it matches, `**` at any depth; hidden files
    are skipped. Any other file is a UTF-8 list with one name or address a line. Raises `ParameterError` if the source
    does not exist, cannot be listed or is no list.
    """
    try:
        yield from _stored(source) if is_address(source) else _local(source, root)
    except ParameterError:
        raise
    except Exception as error:  # stores raise what they like
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise ParameterError(f"{source} cannot be listed ({reason}). Check its name and your rights.") from error


def openable(name: str, root: str) -> str | BinaryIO:
    """Return a source for a recogniser: the path of a local recording, or a remote one's bytes as an open file."""
    if not is_address(name):
        return os.path.join(root, name)  # noqa: PTH118 (a Path refuses a NUL, which is for the recogniser to do)
    store, path = _store(name)
    with store.open(path, "rb") as file:
        content = io.BytesIO(file.read(MAX_BYTES + 1))
    content.name = name.partition("::")[0]
    return content


def as_text(name: str) -> str:
    """Return the name as text that every program can read, even if its bytes are no UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_sound(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SOUND_ENDINGS


# --- Local files ---


def _local(source: str, root: str) -> Iterable[str]:
    path, folder = Path(root, source), source
    paths: Iterator[str] = iter(())
    if path.is_file():
        return [source] if _is_sound(source) else _lines(source, path)
    if path.is_dir():
        paths = filter(_is_sound, _walk(str(path)))
    elif has_magic(source):
        folder, pattern, depth = _split(source.replace(os.sep, "/"))
        if Path(root, folder).is_dir():
            paths = filter(pattern.fullmatch, _walk(os.path.join(root, folder), depth))  # noqa: PTH118
    else:
        raise ParameterError(
            f"{source}: there is no such file or folder. Give a folder, a pattern in quotes, a list of files, or an "
            "address like s3://bucket/folder."
        )

    return (os.path.join(folder, path) for path in paths)  # noqa: PTH118 (a Path would drop the "./" that was given)


def _walk(folder: str, depth: float = math.inf, prefix: str = "", parents: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield files up to `depth` levels below a folder, as relative paths with "/"; no list of names is held."""
    real = os.path.realpath(folder)
    if real in parents:  # a link that leads back up
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith(HIDDEN):
                continue
            if not entry.is_dir():
                yield name
            elif depth > 1:
                yield from _walk(entry.path, depth - 1, f"{name}/", (*parents, real))


def _split(source: str) -> tuple[str, re.Pattern[str], float]:
    """Split a pattern into the folder before the first wildcard, the pattern of paths below it, and their depth."""
    from fsspec.utils import glob_translate

    parts = source.split("/")
    first = next(number for number, part in enumerate(parts) if has_magic(part))
    pattern = re.compile(glob_translate("/".join(parts[first:])))
    folder = "/".join(parts[:first]) + "/" if first else ""
    return folder, pattern, math.inf if "**" in parts else len(parts) - first


def _lines(source: str, path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            while line := file.readline(MAX_LINE):
                if len(line) == MAX_LINE or "\0" in line:
                    raise ParameterError(f"{source} is no list of files: its lines are too long or not text.")
                if line.strip():
                    yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ParameterError(
            f"{source} is neither a recording ({', '.join(sorted(SOUND_ENDINGS))}) nor a UTF-8 list of files."
        ) from error


# --- Stores ---


def _stored(source: str) -> Iterator[str]:
    """Yield addresses in a store that fsspec knows; `zip://*.wav::calls.zip` searches an archive."""
    store, path = _store(source)
    paths: Iterator[str]
    if has_magic(path):
        folder, pattern, depth = _split(path)
        paths = (name for name in _store_walk(store, folder, depth) if pattern.fullmatch(name.removeprefix(folder)))
    elif store.isdir(path):
        paths = filter(_is_sound, _store_walk(store, path))
    elif store.exists(path):
        paths = iter([path])
    else:
        problem = "there is no such file or folder in this store"
        raise ParameterError(f"{source}: {problem}. Check the address and your rights.")
    before, link, after = _links(source)
    start = _start(link, path)
    return (before + start + name + after for name in paths)


def _store_walk(store: Any, folder: str, depth: float = math.inf) -> Iterator[str]:
    for parent, folders, files in store.walk(folder, maxdepth=None if depth == math.inf else depth, on_error="raise"):
        folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
        yield from (posixpath.join(parent, name) for name in files if name and not name.startswith(HIDDEN))
        store.invalidate_cache()  # otherwise the listings of all folders stay in memory


def _links(address: str) -> tuple[str, str, str]:
    """Split a chain of fsspec's around the link that names the recording, the first with `://`."""
    links = address.split("::")
    at = next(number for number, link in enumerate(links) if is_address(link))
    return "".join(f"{link}::" for link in links[:at]), links[at], "".join(f"::{link}" for link in links[at + 1 :])


def _start(link: str, path: str) -> str:
    """Return the beginning that makes a path in the store an address: `s3://`, or `sftp://user@host`."""
    if path and link.rstrip("/").endswith(path.rstrip("/")):
        return link.rstrip("/").removesuffix(path.rstrip("/"))
    return link.partition("://")[0] + "://"


def _store(address: str) -> tuple[Any, str]:
    """Return fsspec's file system for an address and the path in it."""
    try:
        from fsspec.core import url_to_fs

        before, link, after = _links(address)
        if after:
            protocol, _, path = link.partition("://")
            return _archive(f"{before}{protocol}://{after}"), path
        return url_to_fs(address)
    except ImportError as error:
        raise ParameterError(f"{address} cannot be opened: {error}. Install it, here and on workers.") from error
    except ValueError as error:
        raise ParameterError(f"{address}: {error}. Known stores are those of fsspec: s3, gs, abfs, sftp ...") from error


@lru_cache(maxsize=4)
def _archive(address: str) -> Any:
    """Open an archive once, not for every recording in it: its table of contents may be long."""
    from fsspec.core import url_to_fs

    return url_to_fs(address)[0]
