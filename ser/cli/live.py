"""The command `live`: how the microphone sounds right now, and in the end how all of it sounded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from ser.cli.output import Format, Scores, err, print_rows
from ser.cli.record import UNNAMED, DeviceOption
from ser.cli.workbench import ModelOption
from ser.types import EMOJI, AudioError

if TYPE_CHECKING:
    from ser.audio.microphone import Microphone
    from ser.inference.live import Stream
    from ser.inference.recognizer import Recognizer
    from ser.types import Prediction

BAR = 30  # cells of a whole probability


def live(
    device: DeviceOption = None,
    model: ModelOption = None,
    format: Annotated[
        Scores, typer.Option("--format", "-f", help="json: one line an answer, the last one about the whole.")
    ] = Scores.table,
) -> None:
    """Say four times a second how the last 3.5 s sound; Ctrl-C ends it with an answer about the whole."""
    from ser.audio.microphone import Microphone
    from ser.inference.live import Stream
    from ser.inference.recognizer import load

    recognizer, microphone = load(model), Microphone(device)
    heard = Stream(microphone.rate, 1)
    try:
        _listen(recognizer, microphone, heard, format)
    except AudioError:  # the microphone is gone, what it gave is not
        _tell_whole(recognizer, heard, format)
        raise
    _tell_whole(recognizer, heard, format)


def _listen(recognizer: Recognizer, microphone: Microphone, heard: Stream, format: Scores) -> None:
    """Show the answers until Ctrl-C; `AudioError` where the microphone falls silent for good."""
    from ser.audio.microphone import interrupted

    with interrupted() as stop, closing(microphone.blocks()) as blocks, _screen(format) as screen:
        if screen is None and format is Scores.table:
            err.print(f"Listening with {microphone.name} until Ctrl-C.", markup=False, highlight=False, soft_wrap=True)
        for t_s, prediction in answers(recognizer, heard, takewhile(lambda _: not stop.is_set(), blocks)):
            if format is Scores.json:
                _print_line(t_s, prediction)
            elif screen is not None:
                screen.update(_panel(t_s, prediction), refresh=True)


def answers(recognizer: Recognizer, heard: Stream, blocks: Iterable[bytes]) -> Iterator[tuple[float, Prediction]]:
    """(seconds, answer for the 3.5 s before them) at every quarter of a second of the blocks that `heard` takes up.

    Where blocks come faster than answers, the latest quarter is answered and those before it are not.
    """
    for pcm in blocks:
        for t_s, wav in [*heard.add(pcm)][-1:]:
            yield t_s, recognizer.predict(wav)


def _tell_whole(recognizer: Recognizer, heard: Stream, format: Scores) -> None:
    t_s, wav = heard.whole()
    if not t_s:
        return
    try:
        prediction = recognizer.predict(wav)
    except AudioError as error:  # as long as one listens, but an answer about the whole has its limit
        err.print(f"No answer about the whole: {error}", markup=False, highlight=False, soft_wrap=True)
        return
    if format is Scores.json:
        _print_line(t_s, prediction)
    else:
        print_rows([{**prediction.to_dict(), "file": UNNAMED}], Format.table, recognizer.labels)


def _print_line(t_s: float, prediction: Prediction) -> None:
    print(json.dumps({"t_s": t_s, **prediction.to_dict()}), flush=True)


@contextmanager
def _screen(format: Scores) -> Iterator[Live | None]:
    """A panel on a terminal that is drawn anew with each answer, and gone in the end."""
    if format is Scores.json or not err.is_terminal:
        yield None
        return
    with Live(Panel("Listening … Ctrl-C ends.", expand=False), console=err, auto_refresh=False, transient=True) as live:
        yield live


def _panel(t_s: float, prediction: Prediction) -> Panel:
    table = Table.grid(padding=(0, 1))
    for label, share in prediction.probabilities.items():
        style = "bold" if label == prediction.label else "dim"
        bar: Any = ProgressBar(total=1.0, completed=share, width=BAR)
        table.add_row(f"{EMOJI[label]} {label}", bar, f"{share:4.0%}", style=style)
    doubts = ", ".join(reason.replace("_", " ") for reason in prediction.reasons)
    return Panel(table, title=f"{t_s:.0f} s", subtitle=doubts or None, expand=False)
