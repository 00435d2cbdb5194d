"""Transcribe a recording: words with times.

Only speech is transcribed, in chunks of seconds, so that memory does not grow with the length of the recording.
"""

from __future__ import annotations

import os
from bisect import bisect
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ser.audio.loading import BLOCK_S, MAX_TIMELINE_BYTES, MAX_TIMELINE_S, Source, open_recording
from ser.audio.vad import RATE
from ser.transcript.chunks import Chunk, chunks
from ser.transcript.engines import Engine, Whisper
from ser.types import Progress, Timeline, Word, text_of

SHORTEST_S = 0.02  # of a word: the resolution of Whisper's times


@dataclass(frozen=True)
class Transcript:
    """The words of a recording in order of time, and their language, None without words."""

    words: tuple[Word, ...] = ()
    language: str | None = None

    @property
    def text(self) -> str:
        """The words as one string."""
        return text_of(self.words)

    def to_dict(self) -> dict[str, Any]:
        return {"text": self.text, "words": [word.to_dict() for word in self.words]}


def transcribe(
    source: Source,
    model: str | os.PathLike[str] | Engine | None = None,
    *,
    progress: Progress | None = None,
    block_s: float = BLOCK_S,
    max_s: float = MAX_TIMELINE_S,
    max_bytes: int = MAX_TIMELINE_BYTES,
) -> Transcript:
    """Transcribe a recording of up to four hours: a path, bytes or an open file.

    `model` is the folder of a Whisper model, by default `SER_SPEECH_MODEL`, or an engine of `ser.transcript.engines`.
    `progress` is called after every block; what it raises stops the work within a chunk of 30 s and propagates. The
    words do not depend on `block_s`.

    Raises `AudioError` as `ser.audio.loading.open_recording` does, and the engine's errors.
    """
    engine = model if isinstance(model, Engine) else Whisper(model)
    words: list[Word] = []
    language = None
    with open_recording(source, max_s=max_s, max_bytes=max_bytes) as recording:
        for chunk in chunks(recording.blocks(RATE, block_s, progress), engine.longest_s, engine.pause_s):
            chunk_words, chunk_language = engine.transcribe(chunk.samples, language)
            language = chunk_language if chunk_words else language
            words += [_within_utterance(word, chunk) for word in chunk_words]
    return Transcript(tuple(words), language)


def with_words(timeline: Timeline, transcript: Transcript) -> Timeline:
    """Add each word to the segment that contains its middle, or to the nearest."""
    edges = [(first.end_s + second.start_s) / 2 for first, second in pairwise(timeline.segments)]
    groups: list[list[Word]] = [[] for _ in timeline.segments]
    for word in transcript.words if groups else ():
        groups[bisect(edges, word.middle_s)].append(word)
    segments = zip(timeline.segments, groups, strict=True)
    return replace(
        timeline,
        segments=tuple(replace(segment, words=tuple(words)) for segment, words in segments),
        text=transcript.text,
    )


def _within_utterance(word: Word, chunk: Chunk) -> Word:
    """Shift a word to times of the recording, limited to its nearest utterance: engines drift into pauses."""
    offset_s = chunk.start / RATE
    utterances = [(start / RATE, end / RATE) for start, end in chunk.utterances]
    middle_s = offset_s + word.middle_s
    first_s, last_s = min(utterances, key=lambda times: max(times[0] - middle_s, middle_s - times[1]))
    start_s = min(max(word.start_s + offset_s, first_s), last_s - SHORTEST_S)
    end_s = max(min(word.end_s + offset_s, last_s), start_s + SHORTEST_S)
    return replace(word, start_s=round(start_s, 3), end_s=round(end_s, 3))
