"""The commands `record` and `live`: a microphone's sound, predicted, and stored only on request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.live import Live
from rich.panel import Panel

from ser.audio.loading import MAX_BYTES
from ser.audio.microphone import Microphone, first, interrupted, level, until_pause
from ser.audio.pcm import SAMPLE_BYTES, wav_header
from ser.cli.history import open_history
from ser.cli.options import DeviceOption, ForceOption, FormatOption, KeepOption, ModelOption, ProfileOption
from ser.cli.output import Report, bars, err, in_words, print_rows, save, say
from ser.files import check_writable
from ser.inference.live import Stream, StreamRecognizer
from ser.inference.recognizer import Recognizer, load
from ser.types import AudioError, ParameterError, Prediction

SECONDS = 3.0
LONGEST_S = 120.0  # as `predict` accepts
METER_WIDTH = 24  # characters of the level meter
UNNAMED = "microphone"  # in the place of a file's name


def record(
    seconds: Annotated[
        float | None,
        typer.Option(min=0.5, max=LONGEST_S, help="How long; default 3, or 120 at most with --until-pause."),
    ] = None,
    until_pause: Annotated[bool, typer.Option("--until-pause", help="Stop at the first pause after speech.")] = False,
    device: DeviceOption = None,
    model: ModelOption = None,
    profile: ProfileOption = None,
    format: FormatOption = "table",
    out: Annotated[Path | None, typer.Option("--out", help="A WAV to store the recording in.")] = None,
    force: ForceOption = False,
    keep: KeepOption = False,
) -> None:
    """Record a voice and say how it sounds. Nothing is stored without --out or --keep."""
    if out is not None:
        _check_wav(out, force=force)
    history = open_history().open() if keep else None
    recognizer = load(model, profile)
    wav = record_wav(Microphone(device), seconds or (LONGEST_S if until_pause else SECONDS), pause=until_pause)
    if out is not None:
        save(wav, out)
    row = {**recognizer.predict(wav).to_dict(), "file": str(out or UNNAMED)}
    print_rows([row], format, recognizer.labels)
    if history:
        history.keep([row])


def _check_wav(path: Path, *, force: bool) -> None:
    if path.suffix.lower() != ".wav":
        raise ParameterError(f"{path.name}: recordings are written as WAV; let the name end in .wav.")
    check_writable(path, force=force)


def record_wav(microphone: Microphone, seconds: float, *, pause: bool = False) -> bytes:
    """Return a WAV of the next seconds, or of the speech before a pause; time and level are shown on stderr.

    Raises `ParameterError` for more seconds than can be predicted at the microphone's rate, `KeyboardInterrupt` after a
    Ctrl-C, once the microphone is closed.
    """
    rate, seconds = microphone.rate, _limited(microphone, seconds, pause=pause)
    with interrupted() as stop, closing(microphone.blocks()) as blocks:
        going = takewhile(lambda _: not stop.is_set(), blocks)
        limited = first(going, round(seconds * rate) * SAMPLE_BYTES)
        pcm = _shown(until_pause(limited, rate) if pause else limited, microphone, seconds, pause=pause)
    if stop.is_set():
        raise KeyboardInterrupt
    if microphone.lost:
        say("Some sound was lost, since the machine is busy; the prediction may be worse for it.", style="yellow")
    return wav_header(rate, 1, len(pcm)) + pcm


def _limited(microphone: Microphone, seconds: float, *, pause: bool) -> float:
    """Return the seconds to record: those that can be predicted if a pause may end them, else raise for more."""
    most = (MAX_BYTES - len(wav_header(microphone.rate, 1, 0))) // SAMPLE_BYTES // microphone.rate
    if seconds > most and not pause:
        raise ParameterError(
            f"The microphone {microphone.name} records at {microphone.rate:,} Hz, of which {most} s can be predicted, "
            f"found {seconds:g}. Ask for fewer --seconds, or choose another with --device."
        )
    return min(seconds, most)


def _shown(blocks: Iterable[bytes], microphone: Microphone, seconds: float, *, pause: bool) -> bytes:
    """Return all blocks; meanwhile a terminal shows the time and a level meter, any other output a sentence."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    title = f"Recording {'until you pause' if pause else f'{seconds:g} s'}"
    if not err.is_terminal:
        say(f"{title} with {microphone.name}.")
        return b"".join(blocks)
    pcm = bytearray()
    columns = (TextColumn(title), BarColumn(20), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=seconds)
        for block in blocks:
            pcm += block
            recorded_s = len(pcm) / SAMPLE_BYTES / microphone.rate
            bar.update(task, completed=recorded_s, description="▮" * round(METER_WIDTH * level(block)))
    return bytes(pcm)


# --- Live ---


def live(
    device: DeviceOption = None,
    model: ModelOption = None,
    profile: ProfileOption = None,
    adapt: Annotated[
        Literal["self", "none"], typer.Option(help="Adapt to what was heard so far, from ten windows of speech on.")
    ] = "self",
    format: Annotated[
        Report, typer.Option("--format", "-f", help="json: one line a prediction, the last one of the whole.")
    ] = "table",
) -> None:
    """Say four times a second how the last 3.5 s sound; Ctrl-C ends it with a prediction of the whole."""
    recognizer, microphone = load(model, profile), Microphone(device)
    stream = Stream(microphone.rate, 1)
    try:
        _listen(recognizer, microphone, stream, format, adapt=adapt == "self")
    except AudioError:  # the microphone is gone, but what it recorded is not
        print_whole(recognizer, stream, format)
        raise
    print_whole(recognizer, stream, format)


def _listen(recognizer: Recognizer, microphone: Microphone, stream: Stream, format: Report, *, adapt: bool) -> None:
    """Show the predictions until Ctrl-C; `AudioError` if the microphone stops."""
    with interrupted() as stop, closing(microphone.blocks()) as blocks, _panel(format) as panel:
        if panel is None and format == "table":
            say(f"Listening with {microphone.name} until Ctrl-C.")
        heard = takewhile(lambda _: not stop.is_set(), blocks)
        for t_s, prediction in predictions(recognizer, stream, heard, adapt=adapt):
            if format == "json":
                _print_line(t_s, prediction)
            elif panel is not None:
                doubt = in_words(prediction.reasons) or None
                shown = Panel(bars(prediction.probabilities), title=f"{t_s:.0f} s", subtitle=doubt, expand=False)
                panel.update(shown, refresh=True)


def predictions(
    recognizer: Recognizer, stream: Stream, blocks: Iterable[bytes], *, adapt: bool = True
) -> Iterator[tuple[float, Prediction]]:
    """Yield (seconds, prediction of the 3.5 s before them) at every quarter of a second of the blocks.

    With `adapt`, predictions are adapted to the windows of speech from ten of them on.

    If blocks come faster than predictions, only the latest quarter is predicted.
    """
    live = StreamRecognizer(recognizer, adapt=adapt)
    for pcm in blocks:
        for t_s, wav in [*stream.add(pcm)][-1:]:
            yield t_s, live.predict(t_s, wav)


def print_whole(recognizer: Recognizer, stream: Stream, format: Report) -> None:
    """Print the prediction of all blocks."""
    t_s, wav = stream.whole()
    if not t_s:
        return
    try:
        prediction = recognizer.predict(wav)
    except AudioError as error:  # a stream may be of any length, a prediction has a limit
        say(f"No prediction of the whole: {error}")
        return
    if format == "json":
        _print_line(t_s, prediction)
    else:
        print_rows([{**prediction.to_dict(), "file": UNNAMED}], "table", recognizer.labels)


def _print_line(t_s: float, prediction: Prediction) -> None:
    print(json.dumps({"t_s": t_s, **prediction.to_dict()}), flush=True)


@contextmanager
def _panel(format: Report) -> Iterator[Live | None]:
    """Show a panel on a terminal, redrawn with each prediction and removed in the end; None elsewhere."""
    if format == "json" or not err.is_terminal:
        yield None
        return
    with Live(Panel("Listening … Ctrl-C ends.", expand=False), console=err, auto_refresh=False, transient=True) as live:
        yield live
