"""The command `adapt`: a profile of a source, from some of its recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ser.audio.files import Listing, unopened
from ser.cli.options import ForceOption, ModelOption
from ser.cli.output import REFUSED, progress_bar, say, say_passed_over
from ser.cli.predict import sources
from ser.files import check_writable, unwritable
from ser.inference.adaptation import SourceMean, check_given_source
from ser.inference.artifact import find, verify
from ser.inference.recognizer import Recognizer
from ser.types import ParameterError, SerError

SHOWN = 5  # recordings that do not count, by name


def adapt(
    files: Annotated[list[str], typer.Argument(help="Recordings of one source, or folders to walk; ten do well.")],
    out: Annotated[Path, typer.Option("--out", help="The profile to write, e.g. calls.profile.")],
    name: Annotated[str | None, typer.Option(help="What answers call the source; default: the file's name.")] = None,
    model: ModelOption = None,
    force: ForceOption = False,
) -> None:
    """Adapt to a source: a microphone, room, line or language, by recordings of any speakers and moods.

    Use the profile with --profile, or set SER_PROFILE. It holds numbers only, and no sound. A recording that cannot be
    read is named and left out; the exit code is then 2.
    """
    check_writable(out, force=force)
    called = check_given_source(name or out.stem)
    recognizer, mean = Recognizer(verify(find(model))), SourceMean()  # whatever SER_PROFILE says
    listing = Listing()
    failed: list[str] = []
    recordings = list(_recordings(files, listing, failed))
    for _, label in recordings if out.exists() else ():
        check_writable(out, force=force, source=label)
    failed += [row["error"] for row in listing.errors()]
    other: list[str] = []
    with progress_bar("Listening") as progress:
        for done, (source, label) in enumerate(recordings, start=1):
            try:
                analysis = recognizer.analyse(source)
            except SerError as error:
                failed.append(str(error))
            else:
                mean.add(analysis.scores) if analysis.is_speech else other.append(label)
            progress(done, len(recordings))
    _tell(failed, other)
    say_passed_over(listing.passed_over)
    profile = recognizer.adapted_to(mean, called).profile
    try:
        profile.save(out)
    except OSError as error:
        raise unwritable(out, error) from error
    say(f"Written to {out}: {profile.source!r}, from {profile.clips} recordings.")
    if failed:
        raise typer.Exit(REFUSED)


def _recordings(files: list[str], listing: Listing, failed: list[str]) -> Iterator[tuple[Any, str]]:
    """Yield (source, name) of each recording; add to `failed` why a file or a folder gives none."""
    for file in files:
        try:
            yield from sources(file, listing)
        except OSError as error:
            failed.append(unopened(file, error)["error"])
        except ParameterError as error:
            failed.append(str(error))


def _tell(failed: list[str], other: list[str]) -> None:
    """Name the recordings that do not count."""
    for sentence in failed:
        say(f"ser: {sentence}")
    if other:
        more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
        say(f"{len(other)} without speech do not count: {', '.join(map(str, other[:SHOWN]))}{more}")
