"""Transcription engines: a local Whisper model, or Google's servers if the user agrees."""

from __future__ import annotations

import os
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ser.audio.vad import RATE
from ser.extras import needs
from ser.types import ArtifactError, ParameterError, Word, check_known

DOWNLOAD = "hf download Systran/faster-whisper-small --local-dir FOLDER"
# Without the tokeniser faster-whisper would download one.
FILES = ("model.bin", "config.json", "tokenizer.json")
# The library's default address is not encrypted.
GOOGLE = "https://www.google.com/speech-api/v2/recognize"
TIMEOUT_S = 30.0


@runtime_checkable
class Engine(Protocol):
    """Transcribes chunks of at most `longest_s`, in which utterances are joined over pauses of up to `pause_s`."""

    longest_s: float
    pause_s: float

    def transcribe(self, samples: np.ndarray, language: str | None) -> tuple[list[Word], str]:
        """Return the words in mono float32 samples (n,) at 16 kHz, with times from their start, and their language.

        `language` is that of the chunks before, None if there was none yet.
        """


class Whisper:
    """A Whisper model in CTranslate2's format, run by faster-whisper; it is never downloaded.

    `folder` defaults to `SER_SPEECH_MODEL`. `language` is a code such as "de"; without it, the language is detected in
    the first words of a recording. Raises `ParameterError` if no folder is given, the language is unknown or the
    library is missing; `ArtifactError` if the folder is not a model.
    """

    longest_s = 30.0  # of the network's input
    pause_s = 2.0  # in longer silence Whisper tends to invent words

    def __init__(self, folder: str | os.PathLike[str] | None = None, language: str | None = None) -> None:
        path = _speech_model(folder)
        with needs("transcribe", "Transcription"):
            from faster_whisper import WhisperModel
        try:
            self._model: Any = WhisperModel(str(path), device="cpu", compute_type="auto", local_files_only=True)
        except Exception as error:  # CTranslate2 and tokenizers raise any kind, even a bare Exception
            raise ArtifactError(f"{path}: this speech model cannot be loaded ({error}). Download it again.") from error
        self._language = language
        if language is not None:
            check_known(language, self._model.supported_languages, "language of this speech model")

    def transcribe(self, samples: np.ndarray, language: str | None) -> tuple[list[Word], str]:
        segments, info = self._model.transcribe(
            samples,
            language=self._language or language,
            temperature=0.0,  # else words are sampled, and the same recording gives other ones
            condition_on_previous_text=False,  # else a mistake is repeated until the end
            word_timestamps=True,
        )
        timed = (word for segment in segments for word in segment.words or () if word.word.strip())
        words = [
            Word(" ".join(word.word.split()), float(word.start), float(word.end), joined=not word.word[0].isspace())
            for word in timed
        ]
        return words, str(info.language)


class Google:
    """Google's speech recognition through the library SpeechRecognition: audio is sent to Google over https.

    Raises `ParameterError` unless `send_audio` is true. `language` is a tag such as "de-DE"; `key` defaults to
    `SER_GOOGLE_KEY`, else to the library's, which is for testing. Google returns no times: words are spread over their
    utterance by length.
    """

    longest_s = 15.0  # longer requests are sometimes refused
    pause_s = 0.0  # one utterance per request, since its words get their times from it

    def __init__(
        self,
        *,
        send_audio: bool = False,
        language: str = "en-US",
        key: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        if send_audio is not True:
            raise ParameterError(
                "Google transcribes on its own servers, so the sound would leave this machine. "
                "Agree with --yes-send-audio (in Python send_audio=True), or name a model that works here: "
                "--speech-model FOLDER."
            )
        with needs("transcribe", "Google's speech recognition"):
            import speech_recognition
        self._library: Any = speech_recognition
        self._language, self._endpoint = language, endpoint or GOOGLE
        self._key = key or os.environ.get("SER_GOOGLE_KEY") or None

    def transcribe(self, samples: np.ndarray, language: str | None) -> tuple[list[Word], str]:
        library = self._library
        client = library.Recognizer()
        client.operation_timeout = TIMEOUT_S
        audio = library.AudioData((np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes(), RATE, 2)
        try:
            words = str(client.recognize_google(audio, self._key, self._language, endpoint=self._endpoint)).split()
        except library.UnknownValueError:
            return [], self._language
        except (library.RequestError, OSError, HTTPException) as error:
            raise ParameterError(
                f"Google could not be reached ({error}). Check the network and SER_GOOGLE_KEY, or use a local model: "
                "--speech-model FOLDER."
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ParameterError(
                f"{self._endpoint} did not return a transcript. Is there a proxy or a login page in between?"
            ) from error
        edges = np.cumsum([0, *(len(word) + 1 for word in words)])  # in letters
        times = (edges / max(edges[-1], 1) * (len(samples) / RATE)).tolist()
        return list(map(Word, words, times, times[1:])), self._language


def _speech_model(folder: str | os.PathLike[str] | None) -> Path:
    """Return the model's folder after checking its files."""
    name = folder or os.environ.get("SER_SPEECH_MODEL")
    if not name:
        raise ParameterError(
            f"Which speech model? None is downloaded automatically. Download one (`{DOWNLOAD}`), then pass its folder "
            "as --speech-model FOLDER or SER_SPEECH_MODEL."
        )
    path = Path(name)
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such folder. Pass that of a speech model, or download one: `{DOWNLOAD}`.")
    missing = [file for file in FILES if not (path / file).is_file()]
    if missing:
        raise ArtifactError(
            f"{path} is not a faster-whisper model: {', '.join(missing)} missing. Download one: `{DOWNLOAD}`."
        )
    return path
