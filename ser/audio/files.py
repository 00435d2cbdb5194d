"""Sound files: the endings of their names, all of them in a folder, and what a search leaves out."""

from __future__ import annotations

import codecs
import errno
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ser.files import by_ending

# What libsndfile and the demuxers of `ser.audio.decoders` open; a file that is given by its own name may have any.
SOUND_ENDINGS = {".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".ogx", ".opus", ".spx", ".mp3"}
SOUND_ENDINGS |= {".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".voc", ".sph", ".nist", ".avr", ".ircam", ".pvf"}
SOUND_ENDINGS |= {".8svx", ".wve", ".mp2", ".mpa", ".mpga", ".m2a", ".aac", ".ac3", ".eac3", ".ec3", ".dts", ".thd"}
SOUND_ENDINGS |= {".m4a", ".m4b", ".m4r", ".3gp", ".3gpp", ".3g2", ".3ga", ".amr", ".awb", ".wma", ".ra", ".mka"}
SOUND_ENDINGS |= {".weba", ".wv", ".tta", ".ape", ".tak", ".mpc"}
SOUND_ENDINGS |= {".mp4", ".m4v", ".f4v", ".mov", ".qt", ".webm", ".mkv", ".avi", ".wmv", ".asf", ".flv", ".rm"}
SOUND_ENDINGS |= {".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".ogv", ".ogm"}
TEXT_ENDINGS = {".ts", ".mts", ".dts"}  # also of TypeScript and device trees: text is passed over
COMMON_ENDINGS = f".wav, .mp3, .m4a, .ogg, .mp4 and {len(SOUND_ENDINGS) - 5} others"

HIDDEN = (".", "__MACOSX")
HEAD = 1024  # bytes that tell text from sound

OnError = Callable[[str, OSError], object]  # a folder's relative path, and why it cannot be listed


@dataclass
class Listing:
    """Record what a search leaves out: files by the endings of their names, and folders that cannot be listed."""

    passed_over: Counter[str] = field(default_factory=Counter)
    unlisted: dict[str, OSError] = field(default_factory=dict)

    def sounds(self, names: Iterable[str], head: Callable[[str], bytes]) -> Iterator[str]:
        """Yield the names of recordings and count the others; `head` returns the first bytes of a file."""
        for name in names:
            if is_sound(name, head):
                yield name
            else:
                self.passed_over[_ending(name)] += 1

    def errors(self) -> Iterator[dict[str, str]]:
        """Yield the JSON form of an error for every folder that cannot be listed."""
        return (unopened(folder, error) for folder, error in self.unlisted.items())


def no_recordings(listing: Listing) -> str:
    """Return the sentence about a folder without recordings, to stand behind its name."""
    other = f" (passed over: {by_ending(listing.passed_over)})" if listing.passed_over else ""
    return (
        f"holds no recordings{other}. Folders are searched by endings, {COMMON_ENDINGS}; a file that is given by its "
        "own name is read whatever its ending."
    )


def unopened(name: str, error: OSError) -> dict[str, str]:
    """Return the JSON form of an error for a file or folder that the system does not open."""
    return {"file": name, "error": f"{name}: {error.strerror or error}. Check its name and rights."}


def is_sound(name: str, head: Callable[[str], bytes]) -> bool:
    """Return whether a name has a sound's ending; if text shares the ending, the first bytes decide."""
    ending = _ending(name)
    return ending in SOUND_ENDINGS and (ending not in TEXT_ENDINGS or not _is_text(head(name)))


def head_of(path: str | os.PathLike[str]) -> bytes:
    """Return the first bytes of a regular file; of others a byte that is no text, since reading a pipe could wait."""
    try:
        if not Path(path).is_file():
            return b"\0"
        with Path(path).open("rb") as file:
            return file.read(HEAD)
    except OSError:  # becomes an error when it is opened as a recording
        return b"\0"


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be incomplete
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


# --- Folders ---


def sound_files(folder: Path, listing: Listing | None = None) -> list[Path]:
    """Return every recording below a folder, sorted by name; links are followed, hidden files skipped.

    `listing` records what is left out. Without it a folder that cannot be listed raises its `OSError`; `folder` itself
    always does.
    """
    left_out = Listing() if listing is None else listing
    names = walk(str(folder), lambda name, error: left_out.unlisted.update({str(folder / name): error}))
    paths = sorted(folder / name for name in left_out.sounds(names, lambda name: head_of(folder / name)))
    if listing is None and left_out.unlisted:
        raise next(iter(left_out.unlisted.values()))
    return paths


def walk(
    folder: str, on_error: OnError, depth: float = math.inf, prefix: str = "", parents: tuple[str, ...] = ()
) -> Iterator[str]:
    """Yield files up to `depth` levels below a folder, as relative paths with "/"; no list of names is held.

    Links are followed, hidden files skipped. `on_error` is called for a folder below that cannot be listed, and for a
    pipe that is called like a recording; the error of `folder` itself is raised.
    """
    real = os.path.realpath(folder)
    if real in parents:  # a link that leads back up
        return
    try:
        entries = os.scandir(folder)
    except OSError as error:
        if not parents:
            raise
        on_error(prefix.rstrip("/"), error)
        return
    with entries:
        for entry in entries:
            if entry.name.startswith(HIDDEN):
                continue
            if _is_special(entry):
                on_error(prefix + entry.name, OSError(errno.EINVAL, "not a regular file"))
            elif not _is_folder(entry):
                yield prefix + entry.name
            elif depth > 1:
                yield from walk(entry.path, on_error, depth - 1, f"{prefix}{entry.name}/", (*parents, real))


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Return whether it is called like a recording, but is a pipe, a socket or a device, which may never end."""
    if _ending(entry.name) not in SOUND_ENDINGS:
        return False
    with suppress(OSError):
        return not entry.is_file() and not entry.is_dir() and Path(entry.path).exists()
    return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to a place that may not be searched
        return False
