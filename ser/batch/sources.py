"""Names of the recordings in a source of a batch: a folder, a pattern, a list, or a store that fsspec knows.

Names are streamed, so that memory does not grow with their number; a remote store lists one folder at a time.
"""

from __future__ import annotations

import io
import math
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ser.audio.files import COMMON_ENDINGS, HEAD, HIDDEN, Listing, OnError, head_of, is_sound, walk
from ser.audio.loading import MAX_BYTES
from ser.types import ParameterError

MAX_LINE = 4096  # characters; a longer line shows that a file is no list
WILDCARDS = re.compile(r"[*?[]")
BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")  # {wav,mp3}, the innermost first


def is_address(name: str) -> bool:
    """Return whether a name is an address for fsspec (`s3://bucket/a.wav`), not a local path."""
    return "://" in name


def names(source: str, root: str = ".", listing: Listing | None = None) -> Iterator[str]:
    """Yield the names of the recordings in `source`, unordered, perhaps repeated; relative ones start from `root`.

    A folder gives its sound files at any depth; a pattern every file that it matches, `**` at any depth, `{a,b}` either
    of two; hidden files are skipped. Any other file is a UTF-8 list with one name or address a line. What exists under
    the name as it is written is no pattern. `listing` records what is left out of folders. Raises `ParameterError` if
    the source does not exist, cannot be listed or is no list.
    """
    listing = Listing() if listing is None else listing
    try:
        yield from _stored(source, listing) if is_address(source) else _local(source, root, listing)
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


# --- Folders, files and patterns ---


class _Tree(NamedTuple):
    """The folders of this machine or of a store; `walk` yields relative names, `head` returns a file's first bytes."""

    is_folder: Callable[[str], bool]
    is_file: Callable[[str], bool]
    walk: Callable[[str, OnError, float], Iterator[str]]
    head: Callable[[str], bytes]
    join: Callable[[str, str], str]


def _search(tree: _Tree, source: str, listing: Listing) -> Iterator[str]:
    """Yield the recordings of a folder, a file, or the files that a pattern matches; nothing if there is none."""
    if tree.is_folder(source):
        yield from listing.sounds(_below(tree, source, listing), tree.head)
    elif tree.is_file(source):
        yield source
    elif _is_pattern(source):
        folder, pattern = _split(source, tree.is_folder)
        choices = _choices(pattern)
        if len(choices) > 1:
            for choice in choices:
                yield from _search(tree, folder + choice, listing)
        elif tree.is_folder(folder):
            yield from _matches(tree, folder, pattern, listing)


def _below(tree: _Tree, folder: str, listing: Listing, depth: float = math.inf) -> Iterator[str]:
    """Yield the files below a folder."""

    def on_error(name: str, error: OSError) -> None:
        listing.unlisted[tree.join(folder, name)] = error

    return (tree.join(folder, name) for name in tree.walk(folder, on_error, depth))


def _matches(tree: _Tree, folder: str, pattern: str, listing: Listing) -> Iterator[str]:
    """Yield the files below a folder whose relative path a pattern matches."""
    from fsspec.utils import glob_translate

    expression, parts = re.compile(glob_translate(pattern)), pattern.split("/")
    depth = math.inf if "**" in parts else len(parts)
    start = len(tree.join(folder, ""))
    return (name for name in _below(tree, folder, listing, depth) if expression.fullmatch(name[start:]))


def _is_pattern(source: str) -> bool:
    return bool(WILDCARDS.search(source) or BRACES.search(source))


def _split(source: str, is_folder: Callable[[str], bool]) -> tuple[str, str]:
    """Split a pattern into the folder that it starts from, and the rest; a folder's own name may hold brackets."""
    parts = source.split("/")
    first = 0
    while first < len(parts) - 1:
        part = parts[first]
        if (WILDCARDS.search(part) or "{" in part) and not is_folder("/".join(parts[: first + 1])):
            break
        first += 1
    return "/".join(parts[:first]) + "/" if first else "", "/".join(parts[first:])


def _choices(pattern: str) -> list[str]:
    """Return the patterns that braces stand for: `*.{wav,mp3}` for two."""
    braces = BRACES.search(pattern)
    if not braces:
        return [pattern]
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    choices = (each for choice in braces[1].split(",") for each in _choices(before + choice + after))
    return list(dict.fromkeys(choices))


# --- Local files ---


def _local(source: str, root: str, listing: Listing) -> Iterator[str]:
    path = Path(root, source)
    if path.is_file() and not is_sound(source, lambda name: head_of(path)):
        return _lines(source, path)
    written = source if path.exists() else source.replace(os.sep, "/")
    if not path.is_file() and not path.is_dir() and not _is_pattern(written):
        problem = "this is neither a file nor a folder" if path.exists() else "there is no such file or folder"
        raise ParameterError(
            f"{source}: {problem}. Give a folder, a pattern in quotes, a list of files, or an address like "
            "s3://bucket/folder."
        )
    inside = partial(os.path.join, root)
    tree = _Tree(
        is_folder=lambda name: os.path.isdir(inside(name)),  # noqa: PTH112 (a Path would drop the "./" that was given)
        is_file=lambda name: os.path.isfile(inside(name)),  # noqa: PTH113
        walk=lambda folder, on_error, depth: walk(inside(folder), on_error, depth),
        head=lambda name: head_of(inside(name)),
        join=os.path.join,
    )
    return _search(tree, written, listing)


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
            f"{source} is neither a recording by its ending ({COMMON_ENDINGS}) nor a UTF-8 list of files."
        ) from error


# --- Stores ---


def _stored(source: str, listing: Listing) -> Iterator[str]:
    """Yield addresses in a store that fsspec knows; `zip://*.wav::calls.zip` searches an archive."""
    store, path = _store(source)
    tree = _Tree(store.isdir, store.exists, partial(_store_walk, store), partial(_store_head, store), posixpath.join)
    if not (_is_pattern(path) or store.isdir(path) or store.exists(path)):
        problem = "there is no such file or folder in this store"
        raise ParameterError(f"{source}: {problem}. Check the address and your rights.")
    before, link, after = _links(source)
    start = _start(link, path)
    found = Listing(listing.passed_over)
    for name in _search(tree, path, found):
        yield before + start + name + after
    listing.unlisted.update({before + start + name + after: error for name, error in found.unlisted.items()})


def _store_walk(store: Any, folder: str, on_error: OnError, depth: float, prefix: str = "") -> Iterator[str]:
    """Yield files up to `depth` levels below a folder of a store, as `ser.audio.files.walk` does."""
    try:
        _, folders, files = next(store.walk(folder, maxdepth=1, on_error="raise"), ("", [], []))
    except OSError as error:
        if not prefix:
            raise
        on_error(prefix.rstrip("/"), error)
        return
    store.invalidate_cache()  # otherwise the listings of all folders stay in memory
    yield from (prefix + name for name in files if name and not name.startswith(HIDDEN))
    for name in folders if depth > 1 else ():
        if not name.startswith(HIDDEN):
            yield from _store_walk(store, posixpath.join(folder, name), on_error, depth - 1, f"{prefix}{name}/")


def _store_head(store: Any, path: str) -> bytes:
    try:
        with store.open(path, "rb") as file:
            return file.read(HEAD)
    except Exception:  # stores raise what they like; becomes an error when it is opened as a recording
        return b"\0"


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
