"""Live sound that arrives in pieces, cut into windows that are due for an answer, which adapts to the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ser.audio.loading import MAX_BYTES, MAX_CHANNELS, MAX_PREDICT_S, MAX_RATE, MIN_RATE
from ser.audio.pcm import HEADER_BYTES, SAMPLE_BYTES, wav_header
from ser.audio.webm import WebmDecoder
from ser.features.voice105 import WINDOW_S
from ser.inference.adaptation import SourceMean
from ser.inference.recognizer import Recognizer
from ser.types import SELF, ParameterError, Prediction, Waveform

STEP_S = 0.25  # of sound between answers
ENOUGH_WINDOWS = 10  # of speech, one behind the other, from which on a stream is adapted to


def most_bytes(rate: int, channels: int) -> int:
    """Return how much 16-bit PCM `predict` accepts as a WAV."""
    frame = SAMPLE_BYTES * channels
    return min(round(MAX_PREDICT_S * rate), (MAX_BYTES - HEADER_BYTES) // frame) * frame


class Stream:
    """Collect 16-bit little-endian PCM at `rate` (Hz) with interleaved `channels`.

    Keeps the last window, and all sound up to the limits of `predict` and one piece beyond, so that `predict` refuses
    what is longer; `take` leaves that out. Raises `ParameterError` for a rate or channels outside the limits.
    """

    is_full = False  # once `take` has left something out

    def __init__(self, rate: int, channels: int) -> None:
        if not MIN_RATE <= rate <= MAX_RATE:
            raise ParameterError(f"rate={rate}: accepted are {MIN_RATE} to {MAX_RATE} Hz.")
        if not 1 <= channels <= MAX_CHANNELS:
            raise ParameterError(f"channels={channels}: accepted are 1 to {MAX_CHANNELS}.")
        self.rate, self.channels = rate, channels
        self._frame = SAMPLE_BYTES * channels
        self._step_bytes = round(STEP_S * rate) * self._frame
        self._window_bytes = round(WINDOW_S * rate) * self._frame
        self._most = most_bytes(rate, channels)
        self._whole, self._recent = bytearray(), bytearray()  # the recent one holds whole frames at the end of a step
        self._n_bytes = 0

    @property
    def t_s(self) -> float:
        """Seconds of sound received."""
        return self._n_bytes // self._frame / self.rate

    @property
    def held_bytes(self) -> int:
        return len(self._whole) + len(self._recent)

    def take(self, pcm: bytes) -> bytes:
        """Return as much of the next piece as fits into the limits of `predict`."""
        fits = pcm[: max(0, self._most - self._n_bytes)]
        self.is_full = len(fits) < len(pcm)
        return fits

    def add(self, pcm: bytes) -> Iterator[tuple[float, bytes]]:
        """Add the next piece, of any size; yield (seconds, WAV of the last 3.5 s) at every full 0.25 s."""
        if len(self._whole) <= self._most:
            self._whole += pcm
        left = memoryview(pcm)
        while left:
            n_bytes = min(len(left), self._step_bytes - self._n_bytes % self._step_bytes)
            self._recent += left[:n_bytes]
            del self._recent[: -self._window_bytes]
            left, self._n_bytes = left[n_bytes:], self._n_bytes + n_bytes
            if self._n_bytes % self._step_bytes == 0:
                yield self.t_s, self._wav(self._recent)

    def whole(self) -> tuple[float, bytes]:
        """Return (seconds, WAV) of all sound received."""
        return self.t_s, self._wav(self._whole)

    def _wav(self, pcm: bytearray) -> bytes:
        n_bytes = len(pcm) // self._frame * self._frame
        return wav_header(self.rate, self.channels, n_bytes) + pcm[:n_bytes]

    def close(self) -> None:
        """Nothing is open."""


class WebmStream:
    """Collect WebM as browsers' MediaRecorder sends it: chunks of one growing file, within the limits of `predict`.

    Has the methods of `Stream`, of which one holds its sound.
    """

    is_full = False

    def __init__(self) -> None:
        self._decoder, self._webm = WebmDecoder(most_bytes), bytearray()
        self._sound: Stream | None = None  # once the rate is known
        self.close = self._decoder.close  # ends its thread

    @property
    def held_bytes(self) -> int:
        return len(self._webm) + (self._sound.held_bytes if self._sound else 0)

    def take(self, webm: bytes, check: Callable[[], object] = lambda: None) -> bytes:
        """Decode the next chunk and return as much of its PCM as fits into the limits of `predict`.

        `check` is called every half second and stops the work by raising.
        """
        if len(self._webm) + len(webm) > MAX_BYTES:
            self.is_full = True
            return b""
        self._webm += webm
        pcm = self._decoder.decode(webm, check)
        if not pcm:
            return b""
        self._sound = self._sound or Stream(self._decoder.rate, self._decoder.channels)
        fits = self._sound.take(pcm)
        self.is_full = self._sound.is_full
        return fits

    def add(self, pcm: bytes) -> Iterator[tuple[float, bytes]]:
        """Add PCM that `take` returned; yield as `Stream.add` does."""
        return self._sound.add(pcm) if self._sound else iter(())

    def whole(self) -> tuple[float, bytes]:
        """Return (seconds, the file as it was sent); beyond the limits a WAV of the sound within them."""
        if self._sound is None:
            return 0.0, bytes(self._webm)
        t_s, wav = self._sound.whole()
        return t_s, wav if self.is_full else bytes(self._webm)


class StreamRecognizer:
    """Answer the windows of one stream, adapted to its own speech as it goes on.

    Windows that do not overlap count; from ten of them on, answers are adapted to their mean. A recogniser that is
    adapted already answers as it is.
    """

    def __init__(self, recognizer: Recognizer, *, adapt: bool = True) -> None:
        self._recognizer, self._adapted = recognizer, recognizer
        self._adapting = adapt and recognizer.adaptation is None
        self._mean, self._next_s = SourceMean(), WINDOW_S

    def predict(self, t_s: float, window: Waveform | bytes) -> Prediction:
        """Return the prediction for the window that ends at `t_s` seconds."""
        analysis = self._recognizer.analyse(window)
        if self._adapting and t_s >= self._next_s and analysis.is_speech:
            self._mean.add(analysis.scores)
            self._next_s = t_s + WINDOW_S
            if self._mean.clips >= ENOUGH_WINDOWS:
                self._adapted = self._recognizer.adapted_to(self._mean.copy(), SELF)
        return self._adapted.answer(analysis)
