"""What was said: words with times, beside how it sounded.

Only speech is heard, in stretches of seconds, so memory does not grow with the length of the recording.
"""

from __future__ import annotations

import os
from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ser.audio.loading import BLOCK_S, MAX_TIMELINE_BYTES, MAX_TIMELINE_S, Source, open_recording
from ser.audio.vad import RATE
from ser.transcript.chunks import Stretch, stretches
from ser.transcript.engines import Recogniser, Whisper
from ser.types import Progress, Timeline, Word, text_of

SHORTEST_S = 0.02  # of a word: Whisper tells times in these steps


@dataclass(frozen=True)
class Transcript:
    """The words of a recording in order of time, and the language they are in, None without any."""

    words: tuple[Word, ...] = ()
    language: str | None = None

    @property
    def text(self) -> str:
        """Empty where no words were heard."""
        return text_of(self.words)

    def to_dict(self) -> dict[str, Any]:
        return {"text": self.text, "words": [word.to_dict() for word in self.words]}


def transcribe(
    source: Source,
    model: str | os.PathLike[str] | Recogniser | None = None,
    *,
    progress: Progress | None = None,
    block_s: float = BLOCK_S,
    max_s: float = MAX_TIMELINE_S,
    max_bytes: int = MAX_TIMELINE_BYTES,
) -> Transcript:
    """What was said in a recording of up to four hours: a path, bytes or an open file.

    `model` is the folder of a Whisper model, by default `SER_SPEECH_MODEL`, or an engine of `ser.transcript.engines`.
    `progress` is called after every block as that of `ser.timeline.timeline`; what it raises stops the work within a
    stretch of 30 s and comes out. Words are the same for every `block_s`.

    Raises `AudioError` as `ser.audio.loading.open_recording` does, and what the recogniser raises.
    """
    recogniser = model if isinstance(model, Recogniser) else Whisper(model)
    words: list[Word] = []
    language = None
    with open_recording(source, max_s=max_s, max_bytes=max_bytes) as recording:
        blocks = _told(recording.blocks(RATE, block_s), recording.length_s, progress)
        for stretch in stretches(blocks, recogniser.longest_s, recogniser.pause_s):
            heard, told = recogniser.hear(stretch.samples, language)
            language = told if heard else language
            words += [_placed(word, stretch) for word in heard]
    return Transcript(tuple(words), language)


def with_words(timeline: Timeline, transcript: Transcript) -> Timeline:
    """The timeline with each word in the segment that holds its middle, or in the nearest."""
    edges = [(first.end_s + second.start_s) / 2 for first, second in pairwise(timeline.segments)]
    words: list[list[Word]] = [[] for _ in timeline.segments]
    for word in transcript.words if words else ():
        words[bisect(edges, word.middle_s)].append(word)
    segments = zip(timeline.segments, words, strict=True)
    return replace(
        timeline,
        segments=tuple(replace(segment, words=tuple(found)) for segment, found in segments),
        text=transcript.text,
    )


def _told(blocks: Iterable[np.ndarray], length_s: float | None, progress: Progress | None) -> Iterator[np.ndarray]:
    """The blocks; `progress` hears of each once it has been worked on."""
    n_samples = 0
    for block in blocks:
        yield block
        n_samples += len(block)
        if progress is not None:
            progress(n_samples / RATE, length_s)


def _placed(word: Word, stretch: Stretch) -> Word:
    """The word with times of the recording, moved into the utterance that it is in or nearest to.

    Between utterances nobody speaks, but a recogniser's times drift into pauses.
    """
    offset_s = stretch.start / RATE
    utterances = [(start / RATE, end / RATE) for start, end in stretch.utterances]
    middle_s = offset_s + word.middle_s
    first_s, last_s = min(utterances, key=lambda times: max(times[0] - middle_s, middle_s - times[1]))
    start_s = min(max(word.start_s + offset_s, first_s), last_s - SHORTEST_S)
    end_s = max(min(word.end_s + offset_s, last_s), start_s + SHORTEST_S)
    return replace(word, start_s=round(start_s, 3), end_s=round(end_s, 3))
