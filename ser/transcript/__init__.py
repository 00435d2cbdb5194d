"""Transcription: words with times, by a local Whisper model or Google."""

from ser.transcript.transcript import Transcript, transcribe, with_words

__all__ = ["Transcript", "transcribe", "with_words"]
