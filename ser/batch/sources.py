"""What SOURCE stands for, one recording after the other: a folder, a pattern, a list, or a store that fsspec knows.

Names are streamed, so that a folder of a million recordings costs no more memory than one of ten; a remote store lists
one of its folders at a time.
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
from ser.types import ParameterError

MAX_LINE = 4096  # characters; a longer one is that of a file which is no list
HIDDEN = (".", "__MACOSX")


def is_address(name: str) -> bool:
    """Whether a name is for fsspec (`s3://bucket/a.wav`), not a local path."""
    return "://" in name


def names(source: str, root: str = ".") -> Iterator[str]:
    """Names of the recordings that `source` stands for, in no order, perhaps repeated; relative ones count from `root`.

    A folder gives its sound files, at any depth; a pattern every file that it matches, `**` any depth; hidden ones are
    passed over. Any other file is a UTF-8 list of one name or address a line. Raises `ParameterError` for what is not
    there, cannot be listed or is no list.
    """
    try:
        yield from _stored(source) if is_address(source) else _local(source, root)
    except ParameterError:
        raise
    except Exception as error:  # stores raise what they like
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise ParameterError(f"{source} cannot be listed ({why}). Check its name and your rights.") from error


def opened(name: str, root: str) -> str | BinaryIO:
    """What a recogniser can read: the path of a local recording, or the bytes of a remote one as an open file."""
    if not is_address(name):
        return os.path.join(root, name)  # noqa: PTH118 (a Path refuses a NUL, which is for the recogniser to do)
    from ser.audio.loading import MAX_BYTES

    store, path = _store(name)
    with store.open(path, "rb") as file:
        held = io.BytesIO(file.read(MAX_BYTES + 1))
    held.name = name.partition("::")[0]
    return held


def shown(name: str) -> str:
    """The name as text that every program can read, even where its bytes are no UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_sound(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SOUND_ENDINGS


# --- Local files ---


def _local(source: str, root: str) -> Iterator[str]:
    path = Path(root, source)
    if path.is_dir():
        yield from _below(source, filter(_is_sound, _walk(str(path))))
    elif path.is_file():
        yield from [source] if _is_sound(source) else _lines(source, path)
    elif has_magic(source):
        folder, pattern, depth = _split(source.replace(os.sep, "/"))
        if Path(root, folder).is_dir():
            yield from _below(folder, filter(pattern.fullmatch, _walk(os.path.join(root, folder), depth)))  # noqa: PTH118
    else:
        raise ParameterError(
            f"{source}: there is no such file or folder. Give a folder, a pattern in quotes, a list of files, or an "
            "address like s3://bucket/folder."
        )


def _below(folder: str, found: Iterable[str]) -> Iterator[str]:
    return (os.path.join(folder, name) for name in found)  # noqa: PTH118 (a Path would drop the "./" that was given)


def _walk(folder: str, depth: float = math.inf, before: str = "", above: tuple[str, ...] = ()) -> Iterator[str]:
    """Files below a folder, so many levels deep, as paths from it with "/" between; no folder's names are held."""
    here = os.path.realpath(folder)
    if here in above:  # a link that leads back up
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = before + entry.name
            if entry.name.startswith(HIDDEN):
                continue
            if not entry.is_dir():
                yield name
            elif depth > 1:
                yield from _walk(entry.path, depth - 1, f"{name}/", (*above, here))


def _split(source: str) -> tuple[str, re.Pattern[str], float]:
    """The folder that a pattern starts from, the pattern for paths below it, and how deep they are."""
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
    """Addresses in a store that fsspec knows; `zip://*.wav::calls.zip` looks into an archive."""
    store, path = _store(source)
    found: Iterator[str]
    if has_magic(path):
        folder, pattern, depth = _split(path)
        found = (name for name in _store_walk(store, folder, depth) if pattern.fullmatch(name.removeprefix(folder)))
    elif store.isdir(path):
        found = filter(_is_sound, _store_walk(store, path))
    elif store.exists(path):
        found = iter([path])
    else:
        raise ParameterError(
            f"{source}: there is no such file or folder in this store. Check the address and your rights."
        )
    before, link, after = _links(source)
    start = _start(link, path)
    return (before + start + name + after for name in found)


def _store_walk(store: Any, folder: str, depth: float = math.inf) -> Iterator[str]:
    for here, folders, files in store.walk(folder, maxdepth=None if depth == math.inf else depth, on_error="raise"):
        folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
        yield from (posixpath.join(here, name) for name in files if name and not name.startswith(HIDDEN))
        store.invalidate_cache()  # else the listings of all folders are kept


def _links(address: str) -> tuple[str, str, str]:
    """A chain of fsspec's around the link that names the recording: the first with `://`."""
    links = address.split("::")
    at = next(number for number, link in enumerate(links) if is_address(link))
    return "".join(f"{link}::" for link in links[:at]), links[at], "".join(f"::{link}" for link in links[at + 1 :])


def _start(link: str, path: str) -> str:
    """What a path in the store lacks to be an address: `s3://`, or `sftp://user@host`."""
    if path and link.rstrip("/").endswith(path.rstrip("/")):
        return link.rstrip("/").removesuffix(path.rstrip("/"))
    return link.partition("://")[0] + "://"


def _store(address: str) -> tuple[Any, str]:
    """fsspec's file system for an address and the path in it."""
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
    """Opened once, not for every recording in it: its table of contents may be long."""
    from fsspec.core import url_to_fs

    return url_to_fs(address)[0]
