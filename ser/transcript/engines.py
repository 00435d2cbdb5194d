"""What hears words: a Whisper model on this machine, or, only when told that it may, Google's servers."""

from __future__ import annotations

import os
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ser.audio.vad import RATE
from ser.extras import needs
from ser.types import ArtifactError, ParameterError, Word

DOWNLOAD = "hf download Systran/faster-whisper-small --local-dir FOLDER"
# Without a tokeniser in the folder faster-whisper would fetch one.
FILES = ("model.bin", "config.json", "tokenizer.json")
# The library's own address is not encrypted.
GOOGLE = "https://www.google.com/speech-api/v2/recognize"
TIMEOUT_S = 30.0


@runtime_checkable
class Recogniser(Protocol):
    """Hears words in pieces of at most `longest_s`; utterances are joined over pauses of up to `pause_s`."""

    longest_s: float
    pause_s: float

    def hear(self, samples: np.ndarray, language: str | None) -> tuple[list[Word], str]:
        """Words in mono float32 samples (n,) at 16 kHz with times from their start, and the language they are in.

        `language` is what was spoken before in the recording, None where nothing was heard yet.
        """


class Whisper:
    """A Whisper model in CTranslate2's form, from a folder, run by faster-whisper; nothing is ever downloaded.

    `folder` is by default `SER_SPEECH_MODEL`. `language` is a code as "de"; without it the first words of a recording
    tell. Raises `ParameterError` for no folder, a language that the model does not know, or a library that is not
    installed; `ArtifactError` for a folder that is no model.
    """

    longest_s = 30.0  # what the network hears at once
    pause_s = 2.0  # in longer silence it tends to hear words that nobody said

    def __init__(self, folder: str | os.PathLike[str] | None = None, language: str | None = None) -> None:
        self._model = _open_whisper(_speech_model(folder))
        self._language = language
        known = self._model.supported_languages
        if language is not None and language not in known:
            raise ParameterError(
                f"This speech model does not know the language {language!r}; known: {', '.join(known)}."
            )

    def hear(self, samples: np.ndarray, language: str | None) -> tuple[list[Word], str]:
        segments, told = self._model.transcribe(
            samples,
            language=self._language or language,
            temperature=0.0,  # higher ones are drawn by chance, and the same recording should give the same words
            condition_on_previous_text=False,  # or one mistake is repeated until the end
            word_timestamps=True,
        )
        words = (word for segment in segments for word in segment.words or ())
        heard = [_word(word.word, float(word.start), float(word.end)) for word in words if word.word.strip()]
        return heard, str(told.language)


class Google:
    """Google's recogniser through the library SpeechRecognition: the sound is sent to Google, over https.

    Refused with `ParameterError` unless `send_audio` says that this is wanted. `language` is a tag as "de-DE"; `key`
    is by default `SER_GOOGLE_KEY`, else the library's, which is for trying out. Google tells no times: words are spread
    over their utterance by length.
    """

    longest_s = 15.0  # longer requests are refused at times
    pause_s = 0.0  # an utterance a request, so that its words are where it is

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
                "Google's recogniser hears the recording on Google's servers, so the sound would leave this machine. "
                "Agree with --yes-send-audio (in Python send_audio=True), or name a model that works here: "
                "--speech-model FOLDER."
            )
        with needs("transcribe", "Google's recogniser"):
            import speech_recognition
        self._library: Any = speech_recognition
        self._language, self._endpoint = language, endpoint or GOOGLE
        self._key = key or os.environ.get("SER_GOOGLE_KEY") or None

    def hear(self, samples: np.ndarray, language: str | None) -> tuple[list[Word], str]:
        text = self._ask((np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())
        return _spread(text.split(), len(samples) / RATE), self._language

    def _ask(self, pcm: bytes) -> str:
        """What Google says to 16-bit samples; empty where it hears no words."""
        library = self._library
        asker = library.Recognizer()
        asker.operation_timeout = TIMEOUT_S
        sound = library.AudioData(pcm, RATE, 2)
        try:
            return str(asker.recognize_google(sound, self._key, self._language, endpoint=self._endpoint))
        except library.UnknownValueError:
            return ""
        except (library.RequestError, OSError, HTTPException) as error:
            raise ParameterError(
                f"Google's recogniser could not be asked ({error}). Check the network and SER_GOOGLE_KEY, or name "
                "a model that works on this machine: --speech-model FOLDER."
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ParameterError(
                f"{self._endpoint} answered something that is no transcript. Is a proxy or a login page in between?"
            ) from error


def _spread(words: list[str], length_s: float) -> list[Word]:
    """Words over the length of their utterance, each with time by its letters."""
    edges = np.cumsum([0, *(len(word) + 1 for word in words)])
    times = (edges / max(edges[-1], 1) * length_s).tolist()
    return [Word(word, start, end) for word, start, end in zip(words, times, times[1:], strict=False)]


def _word(text: str, start_s: float, end_s: float) -> Word:
    return Word(" ".join(text.split()), start_s, end_s, joined=not text[0].isspace())


# --- The model's folder ---


def _speech_model(folder: str | os.PathLike[str] | None) -> Path:
    """The folder that was named, held against what a model consists of."""
    named = folder or os.environ.get("SER_SPEECH_MODEL")
    if not named:
        raise ParameterError(
            f"Which speech model? None is downloaded by itself. Fetch one once (`{DOWNLOAD}`), then name its folder "
            "with --speech-model FOLDER or SER_SPEECH_MODEL."
        )
    path = Path(named)
    if not path.is_dir():
        raise ArtifactError(
            f"{path}: there is no such folder. Name that of a speech model, or fetch one: `{DOWNLOAD}`."
        )
    missing = [file for file in FILES if not (path / file).is_file()]
    if missing:
        raise ArtifactError(
            f"{path} is no speech model for faster-whisper: {', '.join(missing)} missing. Fetch one: `{DOWNLOAD}`."
        )
    return path


def _open_whisper(folder: Path) -> Any:
    with needs("transcribe", "Writing down what was said"):
        from faster_whisper import WhisperModel
    try:
        return WhisperModel(str(folder), device="cpu", compute_type="auto", local_files_only=True)
    except Exception as error:  # the libraries below raise their own, down to a bare Exception
        raise ArtifactError(f"{folder}: this speech model cannot be loaded ({error}). Fetch it again.") from error
