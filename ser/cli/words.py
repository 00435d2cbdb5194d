"""The options that ask what was said, and the question whether sound may leave this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.prompt import Confirm

from ser.cli.output import attended, err
from ser.types import ParameterError

if TYPE_CHECKING:
    from ser.transcript.engines import Recogniser

PANEL = "What was said"
WordsOption = Annotated[
    bool, typer.Option("--words", help="Also write down what was said, with times.", rich_help_panel=PANEL)
]
SpeechModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER", help="A Whisper model for faster-whisper; default: SER_SPEECH_MODEL.", rich_help_panel=PANEL
    ),
]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        help="What is spoken, as de; default: as heard. For Google as de-DE; default: en-US.", rich_help_panel=PANEL
    ),
]
GoogleOption = Annotated[
    bool, typer.Option("--google", help="Let Google write it down: the sound is sent there.", rich_help_panel=PANEL)
]
AgreedOption = Annotated[
    bool, typer.Option("--yes-send-audio", help="Agree to that without being asked.", rich_help_panel=PANEL)
]


def recogniser(words: bool, folder: str | None, language: str | None, google: bool, agreed: bool) -> Recogniser | None:
    """What shall hear the words, ready to; None where nobody asked for any. Refusals come before the work."""
    if google and folder is not None:
        raise ParameterError("Either --google or --speech-model FOLDER hears what was said, not both.")
    if agreed and not google:
        raise ParameterError("--yes-send-audio is about --google, which was not asked for.")
    if not (words or google or folder is not None):
        if language is not None:
            raise ParameterError("--language is about what was said: add --words.")
        return None

    from ser.transcript.engines import Google, Whisper

    if google:
        return Google(send_audio=agreed or _agreed(), language=language or "en-US")
    return Whisper(folder, language)


def _agreed() -> bool:
    """Asks on a terminal; elsewhere nobody can agree."""
    if not (attended() and err.is_terminal):
        return False
    try:
        question = "The sound will be sent to Google, which writes it down. Send it?"
        return Confirm.ask(question, console=err, default=False)
    except EOFError:  # whoever closes the input has not agreed
        return False
