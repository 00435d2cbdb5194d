"""The command `live`: how the microphone sounds right now, and in the end how all of it sounded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import takewhile
from typing import Annotated

import typer
from rich.live import Live
from rich.panel import Panel

from ser.audio.microphone import Microphone, interrupted
from ser.cli.options import DeviceOption, ModelOption
from ser.cli.output import Report, bars, err, in_words, print_rows, say
from ser.cli.record import UNNAMED
from ser.inference.live import Stream
from ser.inference.recognizer import Recognizer, load
from ser.types import AudioError, Prediction


def live(
    device: DeviceOption = None,
    model: ModelOption = None,
    format: Annotated[
        Report, typer.Option("--format", "-f", help="json: one line a prediction, the last one of the whole.")
    ] = "table",
) -> None:
    """Say four times a second how the last 3.5 s sound; Ctrl-C ends it with a prediction of the whole."""
    recognizer, microphone = load(model), Microphone(device)
    stream = Stream(microphone.rate, 1)
    try:
        _listen(recognizer, microphone, stream, format)
    except AudioError:  # the microphone is gone, but what it recorded is not
        print_whole(recognizer, stream, format)
        raise
    print_whole(recognizer, stream, format)


def _listen(recognizer: Recognizer, microphone: Microphone, stream: Stream, format: Report) -> None:
    """Show the predictions until Ctrl-C; `AudioError` if the microphone stops."""
    with interrupted() as stop, closing(microphone.blocks()) as blocks, _panel(format) as panel:
        if panel is None and format == "table":
            say(f"Listening with {microphone.name} until Ctrl-C.")
        for t_s, prediction in predictions(recognizer, stream, takewhile(lambda _: not stop.is_set(), blocks)):
            if format == "json":
                _print_line(t_s, prediction)
            elif panel is not None:
                doubt = in_words(prediction.reasons) or None
                shown = Panel(bars(prediction.probabilities), title=f"{t_s:.0f} s", subtitle=doubt, expand=False)
                panel.update(shown, refresh=True)


def predictions(recognizer: Recognizer, stream: Stream, blocks: Iterable[bytes]) -> Iterator[tuple[float, Prediction]]:
    """Yield (seconds, prediction of the 3.5 s before them) at every quarter of a second of the blocks.

    If blocks come faster than predictions, only the latest quarter is predicted.
    """
    for pcm in blocks:
        for t_s, wav in [*stream.add(pcm)][-1:]:
            yield t_s, recognizer.predict(wav)


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
