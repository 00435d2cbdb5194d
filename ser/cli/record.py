"""The command `record`: a few seconds from the microphone, answered, and kept only where asked."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ser.cli.history import KeepOption, open_history
from ser.cli.output import Format, err, print_rows
from ser.cli.workbench import ModelOption
from ser.types import ParameterError

if TYPE_CHECKING:
    from ser.audio.microphone import Microphone

SECONDS = 3.0
LONGEST_S = 120.0  # as `predict` takes
METER = 24  # cells of the level meter
UNNAMED = "microphone"  # what stands for a file's name
DeviceOption = Annotated[
    str | None, typer.Option("--device", "-d", help="A microphone's name, a part of it, or its number.")
]


def record(
    seconds: Annotated[
        float | None,
        typer.Option(min=0.5, max=LONGEST_S, help="How long; default 3, or 120 at most with --until-pause."),
    ] = None,
    pause: Annotated[bool, typer.Option("--until-pause", help="Stop once you have spoken and pause.")] = False,
    device: DeviceOption = None,
    model: ModelOption = None,
    format: Annotated[Format, typer.Option("--format", "-f")] = Format.table,
    place: Annotated[Path | None, typer.Option("--out", help="A WAV to keep the recording in.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of this name.")] = False,
    keep: KeepOption = False,
) -> None:
    """Record a voice and say how it sounds. Nothing is written unless --out or --keep asks for it."""
    from ser.audio.microphone import Microphone
    from ser.cli.output import save
    from ser.inference.recognizer import load

    if place is not None:
        _check_place(place, force=force)
    kept = open_history().open() if keep else None
    recognizer = load(model)
    wav = recorded(Microphone(device), seconds or (LONGEST_S if pause else SECONDS), pause=pause)
    if place is not None:
        save(wav, place)
    row = {**recognizer.predict(wav).to_dict(), "file": str(place or UNNAMED)}
    print_rows([row], format, recognizer.labels)
    if kept:
        kept.keep([row])


def _check_place(place: Path, *, force: bool) -> None:
    from ser.files import check_writable

    if place.suffix.lower() != ".wav":
        raise ParameterError(f"{place.name}: recordings are written as WAV; let the name end in .wav.")
    check_writable(place, force=force)


def recorded(microphone: Microphone, seconds: float, *, pause: bool = False) -> bytes:
    """A WAV of the next seconds, or of what is said before a pause; time and level are shown on stderr.

    Raises `ParameterError` for more seconds than can be answered at the microphone's rate, `KeyboardInterrupt` after a
    Ctrl-C, once the microphone is closed.
    """
    from ser.audio.microphone import first, interrupted, until_pause
    from ser.audio.pcm import SAMPLE_BYTES, wav_header

    rate, seconds = microphone.rate, _fitting(microphone, seconds, pause=pause)
    with interrupted() as stop, closing(microphone.blocks()) as blocks:
        going = takewhile(lambda _: not stop.is_set(), blocks)
        wanted = first(going, round(seconds * rate) * SAMPLE_BYTES)
        pcm = _shown(until_pause(wanted, rate) if pause else wanted, microphone, seconds, pause=pause)
    if stop.is_set():
        raise KeyboardInterrupt
    if microphone.lost:
        err.print("Some sound was lost, since the machine is busy; the answer may be worse for it.", style="yellow")
    return wav_header(rate, 1, len(pcm)) + pcm


def _fitting(microphone: Microphone, seconds: float, *, pause: bool) -> float:
    """The seconds to record, cut to what can be answered where a pause would end them earlier; else refused."""
    from ser.audio.loading import MAX_BYTES
    from ser.audio.pcm import SAMPLE_BYTES, wav_header

    most = (MAX_BYTES - len(wav_header(microphone.rate, 1, 0))) // SAMPLE_BYTES // microphone.rate
    if seconds > most and not pause:
        raise ParameterError(
            f"The microphone {microphone.name} records at {microphone.rate:,} Hz, of which {most} s can be answered, "
            f"found {seconds:g}. Ask for fewer --seconds, or choose another with --device."
        )
    return min(seconds, most)


def _shown(blocks: Iterable[bytes], microphone: Microphone, seconds: float, *, pause: bool) -> bytes:
    """All the blocks; a bar of the time and a meter while they come, a sentence where nobody watches."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ser.audio.microphone import level
    from ser.audio.pcm import SAMPLE_BYTES

    wanted = "until you pause" if pause else f"{seconds:g} s"
    if not err.is_terminal:
        err.print(f"Recording {wanted} with {microphone.name}.", markup=False, highlight=False, soft_wrap=True)
        return b"".join(blocks)
    pcm = bytearray()
    columns = (
        TextColumn(f"Recording {wanted}"),
        BarColumn(20),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=seconds)
        for block in blocks:
            pcm += block
            heard_s = len(pcm) / SAMPLE_BYTES / microphone.rate
            bar.update(task, completed=heard_s, description="▮" * round(METER * level(block)))
    return bytes(pcm)
