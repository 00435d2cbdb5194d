"""Download a corpus from its publisher and verify its checksum."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from ser.datasets.corpora import CORPORA, Corpus, find_corpus
from ser.types import ParameterError

CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30


def download(
    name: str,
    folder: str | Path,
    base_url: str | None = None,
    *,
    known_hash: str | None = None,
    retries: int = 2,
    progress: bool = True,
) -> Path:
    """Download a corpus into `folder/name` and return that folder; `load_corpus` takes it or its parent.

    The archive is compared with its checksum (`md5:...` or `sha256:...`) and unpacked atomically. An existing corpus is
    left alone; an archive that is already in `folder`, e.g. fetched with a browser, is verified and used. `base_url`
    and `known_hash` select another server or archive. The `ParameterError` says what to do by hand.
    """
    corpus = find_corpus(name)
    target = Path(folder).expanduser() / name
    if not corpus.archive:
        raise ParameterError(_by_hand(corpus, target))
    try:
        if target.exists() and not target.is_dir():
            message = f"{target} is a file; the {name} folder needs this path. Move it away and run this again."
            raise ParameterError(message)
        if target.exists() and any(target.iterdir()):
            return target
    except OSError as error:
        raise ParameterError(f"{target} cannot be read ({error.strerror}). Name another folder with --to.") from error
    was_there = (target.parent / corpus.archive).exists()
    url = f"{(base_url or f'{corpus.source}/files').rstrip('/')}/{corpus.archive}"
    packed = _fetch(url, known_hash or corpus.known_hash, target, retries, progress)
    _unpack(packed, target)
    if not was_there:
        packed.unlink()
    return target


def _fetch(url: str, known_hash: str, target: Path, retries: int, progress: bool) -> Path:
    """Download the archive next to `target` and verify it; pooch deletes an incomplete or wrong one."""
    import pooch

    base_url, _, file = url.rpartition("/")
    store = pooch.create(target.parent, f"{base_url}/", registry={file: known_hash}, retry_if_failed=retries)
    downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S)
    by_hand = f"Fetch {url} with a browser, put it into {target.parent} and run this again, or unpack it to {target}."
    try:
        return Path(store.fetch(file, downloader=downloader))
    except OSError as error:  # requests' errors are among them
        raise ParameterError(f"{url} could not be downloaded: {error}. {by_hand}") from error
    except ValueError as error:  # the checksum, by pooch
        raise ParameterError(f"{url} is not the published file (wrong checksum). {by_hand}") from error


def _unpack(packed: Path, target: Path) -> None:
    """Unpack into a hidden folder, which loaders skip, then rename it."""
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        unpacked = Path(scratch) / target.name
        try:
            with zipfile.ZipFile(packed) as archive:
                for name in archive.namelist():
                    path = PurePosixPath(name.replace("\\", "/"))
                    if path.is_absolute() or ".." in path.parts:
                        message = f"{packed} holds {name!r}, which is outside the target folder; nothing was unpacked."
                        raise ParameterError(message)
                archive.extractall(unpacked)
        except (zipfile.BadZipFile, OSError) as error:
            message = f"{packed} could not be unpacked to {target}: {error}. Nothing was left there."
            raise ParameterError(message) from error
        if target.exists():
            target.rmdir()
        unpacked.rename(target)


def _by_hand(corpus: Corpus, target: Path) -> str:
    archived = ", ".join(other.name for other in CORPORA.values() if other.archive)
    published = f"It is published at {corpus.source}; unpack it to {target}."
    advice = published if corpus.source else "These recordings are your own."
    refused = f"There is no archive of {corpus.name} with a published checksum to fetch."
    return f"{refused} {advice} ser can download: {archived}."
