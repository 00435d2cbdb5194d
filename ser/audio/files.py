"""Names of sound files: the endings that are read, and all such files under a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SOUND_ENDINGS = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"}
SOUND_ENDINGS |= {".m4a", ".m4b", ".mp4", ".3gp", ".aac", ".amr", ".wma", ".webm", ".mka"}


def sound_files(
    folder: Path, above: tuple[Path, ...] = (), *, unlisted: dict[Path, OSError] | None = None
) -> Iterator[Path]:
    """Every file with a sound's ending under `folder`, sorted by name, links followed, hidden ones left out.

    A folder that may not be listed is put into `unlisted` with the reason; without that, `OSError` is raised.
    """
    here = folder.resolve()
    if here in above:  # a link that leads back up
        return
    try:
        shown = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith((".", "__MACOSX"))]
        entries = [(entry, entry.is_dir()) for entry in shown]
    except OSError as error:
        if unlisted is None:
            raise
        unlisted[folder] = error
        return
    for entry, is_folder in entries:
        if is_folder:
            yield from sound_files(entry, (*above, here), unlisted=unlisted)
        elif entry.suffix.lower() in SOUND_ENDINGS:
            yield entry
