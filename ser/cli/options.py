"""Options that several commands share."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.prompt import Confirm

from ser.audio.loading import Source
from ser.cli.output import Format, Report, err, is_attended
from ser.inference.artifact import known
from ser.transcript.engines import Engine, Google, Whisper
from ser.types import Channels, ParameterError

LabelSet = Literal["eight", "seven", "six", "four"]  # the keys of `ser.types.LABEL_SETS`
WORDS_PANEL = "Words"
SEND_QUESTION = "The recording will be sent to Google, which transcribes it. Send it?"

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="A model's name or folder; default: the best.", autocompletion=lambda: [*known()]
    ),
]
ProfileOption = Annotated[
    Path | None,
    typer.Option("--profile", help="Adapt to a source: the file that `ser adapt` wrote; default: SER_PROFILE."),
]
FormatOption = Annotated[Format, typer.Option("--format", "-f")]
ReportOption = Annotated[Report, typer.Option("--format", "-f")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file of this name.")]
ChannelsOption = Annotated[
    Channels,
    typer.Option(help="The mean of all channels, one of them, or each by itself, as the two sides of a call."),
]
TrackOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="The sound track of a file with several, from 1; default: its default track, or one with sound."
    ),
]
KeepOption = Annotated[bool, typer.Option("--keep", help="Add the prediction to the history; see `ser history`.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Resume an interrupted run after its finished fits.")]
DeviceOption = Annotated[
    str | None, typer.Option("--device", "-d", help="A microphone's name, a part of it, or its number.")
]
WordsOption = Annotated[
    bool, typer.Option("--words", help="Also transcribe what is said, with times.", rich_help_panel=WORDS_PANEL)
]
SpeechModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="A Whisper model for faster-whisper; default: SER_SPEECH_MODEL.",
        rich_help_panel=WORDS_PANEL,
    ),
]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        help="The spoken language, as de; default: detected. For Google as de-DE; default: en-US.",
        rich_help_panel=WORDS_PANEL,
    ),
]
GoogleOption = Annotated[
    bool,
    typer.Option("--google", help="Transcribe by Google: the recording is sent there.", rich_help_panel=WORDS_PANEL),
]
SendOption = Annotated[
    bool, typer.Option("--yes-send-audio", help="Agree to that without being asked.", rich_help_panel=WORDS_PANEL)
]


def named_folders(values: Sequence[str]) -> list[tuple[str, str]]:
    """Return (name, folder) of every NAME=DIR."""
    pairs = [(name, folder) for name, _, folder in (value.partition("=") for value in values)]
    for pair, value in zip(pairs, values, strict=True):
        if not all(pair):
            raise typer.BadParameter(f"expected NAME=DIR, e.g. ravdess=../data, found {value!r}")
    return pairs


def recording(file: str) -> Source:
    """Return the recording that an argument names: `-` is standard input, which holds nothing if it was closed."""
    if file != "-":
        return file
    return sys.stdin.buffer if sys.stdin else io.BytesIO()


def speech_engine(words: bool, folder: str | None, language: str | None, google: bool, send: bool) -> Engine | None:
    """Return the engine that transcribes, or None if no words are wanted; raise before the work if it cannot."""
    if google and folder is not None:
        raise ParameterError("Choose either --google or --speech-model FOLDER, not both.")
    if send and not google:
        raise ParameterError("--yes-send-audio belongs to --google, which is not given.")
    if google:
        return Google(send_audio=send or _agreed(), language=language or "en-US")
    if words or folder is not None:
        return Whisper(folder, language)
    if language is not None:
        raise ParameterError("--language is about what is said: add --words.")
    return None


def _agreed() -> bool:
    """Ask on a terminal whether to send the recording; elsewhere the answer is no."""
    if not (is_attended() and err.is_terminal):
        return False
    try:
        return Confirm.ask(SEND_QUESTION, console=err, default=False)
    except EOFError:  # the input was closed without an answer
        return False
