"""Sound files: the endings of their names, and all of them in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SOUND_ENDINGS = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"}
SOUND_ENDINGS |= {".m4a", ".m4b", ".mp4", ".3gp", ".aac", ".amr", ".wma", ".webm", ".mka"}


def sound_files(
    folder: Path, parents: tuple[Path, ...] = (), *, unlisted: dict[Path, OSError] | None = None
) -> Iterator[Path]:
    """Yield every file with a sound's ending below `folder`, sorted by name; links are followed, hidden files skipped.

    A folder that cannot be listed is added to `unlisted` with the error; without `unlisted` the `OSError` is raised.
    """
    real = folder.resolve()
    if real in parents:  # a link that leads back up
        return
    try:
        visible = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith((".", "__MACOSX"))]
        entries = [(entry, entry.is_dir()) for entry in visible]
    except OSError as error:
        if unlisted is None:
            raise
        unlisted[folder] = error
        return
    for entry, is_folder in entries:
        if is_folder:
            yield from sound_files(entry, (*parents, real), unlisted=unlisted)
        elif entry.suffix.lower() in SOUND_ENDINGS:
            yield entry
