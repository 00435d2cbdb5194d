"""Transcripts: what was said, by which engine, cut into which chunks."""

from ser.transcript.transcript import Transcript, transcribe, with_words

__all__ = ["Transcript", "transcribe", "with_words"]
