"""Chunks: independent of the blocks, of bounded length, cut where it is quiet."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from speech import VOICE, cut, in_blocks

from ser.audio.vad import RATE, SpeechFinder
from ser.transcript.chunks import Chunk, chunks


def bounds(split: list[Chunk]) -> list[tuple[int, int, tuple[tuple[int, int], ...]]]:
    return [(chunk.start, len(chunk.samples), chunk.utterances) for chunk in split]


@pytest.mark.slow
@pytest.mark.parametrize(("longest_s", "pause_s"), [(30.0, 2.0), (12.0, 2.0), (3.0, 0.0)])
def test_chunks_do_not_depend_on_the_blocks(sound, longest_s, pause_s):
    expected = cut(sound, longest_s, pause_s)
    for block_s in (0.05, 1.0, 100.0):
        assert bounds(cut(sound, longest_s, pause_s, block_s)) == bounds(expected)
    for chunk in expected:
        end = chunk.start + len(chunk.samples)
        assert np.array_equal(chunk.samples, sound[chunk.start : end])
        assert len(chunk.samples) <= longest_s * RATE
        assert (chunk.utterances[0][0], chunk.utterances[-1][1]) == (chunk.start, end)


@pytest.mark.slow
def test_chunks_hold_the_utterances_and_join_over_short_pauses(sound):
    finder = SpeechFinder(RATE)
    spoken = [(span.start, span.end) for span in (*finder.push(sound), *finder.finish()) if span.over]
    joined = cut(sound, 30.0, 2.0)
    assert [utterance for chunk in joined for utterance in chunk.utterances] == spoken
    pauses = [(second - first) / RATE for (_, first), (second, _) in pairwise(spoken)]
    assert len(joined) == 1 + sum(pause > 2 for pause in pauses) == 3
    assert len(cut(sound, 30.0, 0.0)) == len(spoken)


@pytest.mark.slow
def test_speech_without_a_pause_is_cut_where_it_is_quiet():
    tone = np.abs(VOICE).max() / 5 * np.sin(np.arange(round(0.3 * RATE)) / 3).astype(np.float32)
    loud = VOICE[round(0.6 * RATE) : round(3.2 * RATE)] + np.resize(tone, round(2.6 * RATE))
    gap = round(0.1 * RATE)
    loud[-gap:] = 0  # the only quiet in each turn of 2.6 s
    split = cut(np.tile(loud, 8), 6.0, 2.0)
    ends = [chunk.start + len(chunk.samples) for chunk in split[:-1]]
    assert len(ends) >= 3 and all(end % len(loud) >= len(loud) - gap for end in ends)
    assert [second.start for _, second in pairwise(split)] == ends


@pytest.mark.slow
def test_a_chunk_is_yielded_long_before_the_recording_ends():
    taken = []

    def blocks() -> Iterator[np.ndarray]:
        for number, block in enumerate(in_blocks(np.concatenate([VOICE, np.zeros(60 * RATE, np.float32)]), 1.0)):
            taken.append(number)
            yield block

    next(chunks(blocks(), 10.0, 2.0))
    assert len(taken) < 15


@pytest.mark.slow
@pytest.mark.parametrize("spoken", [True, False])
def test_memory_does_not_grow_with_the_recording(spoken):
    """Two minutes of speech without a pause, or of silence after a word, would be 7.7 MB."""
    loud = VOICE[round(0.6 * RATE) : round(3.2 * RATE)]
    second = loud[:RATE] if spoken else np.zeros(RATE, np.float32)
    blocks = iter([VOICE, *[second] * 120])
    tracemalloc.start()
    n_chunks = sum(1 for _ in chunks(blocks, 3.0, 1.0))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_chunks >= (30 if spoken else 1) and most < 2.5e6
