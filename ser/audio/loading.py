"""Load recordings and NumPy samples as mono float32, in blocks or as one `Waveform`.

Nothing is written to disk. The memory for blocks does not grow with the recording's length, rate or channels.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeGuard

import numpy as np
import soxr

from ser.audio.decoders import ACCEPTED, Decoder, open_decoder
from ser.types import AudioError, ParameterError, Progress, Waveform


class Upload(Protocol):
    """Uploaded file of Starlette and FastAPI: a binary file and the name that the client gave it."""

    file: BinaryIO
    filename: str | None


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Upload

MIN_RATE, MAX_RATE = 8_000, 192_000  # Hz
MAX_CHANNELS = 8
MAX_BYTES = 25 * 2**20
MAX_PREDICT_S = 120.0
MAX_TIMELINE_S = 4 * 3600.0
MAX_TIMELINE_BYTES = 4 * 2**30  # as large as a WAV can be; four hours of most others are far smaller
MIN_DECODED_S = 0.5  # sound before a damage that is enough for an answer
BLOCK_S = 5.0
MAX_BLOCK_VALUES = 2**16  # decoded at once; larger arrays are returned to the system each time, at triple cost

# As in librosa and soxr by default. MQ saves 0.02 ms of 0.6; LQ falls 3 dB at 6.5 kHz already.
RESAMPLER_QUALITY = "HQ"

# Hard clipping: flat tops hold more than this share of the recording's energy. A flat top is three samples at the peak,
# entered by a step, which tells it from the round top of a quiet tone. Of 4,530 recordings of speech none has any; cut
# 6 dB below their peaks, 94 to 100 % of a corpus exceed the share, cut 12 dB below them all do.
CLIPPED_SHARE = 0.005
PEAK_TOLERANCE = 1e-4  # of the peak; the two ends of 16 bits differ by 3e-5
EDGE = 0.03  # of the peak; the rounding of a peak of 34 and more is finer


def load_waveform(
    source: Source,
    sample_rate: int = 16_000,
    *,
    max_s: float = MAX_PREDICT_S,
    check: Callable[[], object] = lambda: None,
) -> Waveform:
    """Load a recording as one mono float32 `Waveform` at `sample_rate` (Hz): decoded, mixed down, resampled.

    Raises `AudioError` if it is not a recording, has no samples or samples that are not finite, is damaged within the
    first 0.5 s, or exceeds the limits (8 to 192 kHz, 1 to 8 channels, 25 MB, `max_s` seconds). Later damage returns
    the part before it, with `cut_off`. `check` is called after every block and stops the work by raising.
    """
    with open_recording(source, max_s=max_s) as recording:
        return _read_all(recording, sample_rate, check)


def waveform_of_samples(
    samples: np.ndarray, source_rate: int | None, sample_rate: int, *, max_s: float = MAX_PREDICT_S
) -> Waveform:
    """Convert an array at `source_rate` (Hz) to a `Waveform` at `sample_rate`, as a WAV of these samples is loaded.

    The array holds floats with full scale 1.0, or integers that span the range of their type (unsigned: zero in its
    middle). Its shape is (n,), (channels, n) or (n, channels): a first axis of up to 8 is taken for the channels. It is
    not altered. Raises `ParameterError` for another rate, type or shape; `AudioError` if there are no samples, some are
    not finite, or they last longer than `max_s` seconds.
    """
    decoder, label = _ArrayDecoder(samples, source_rate), "The samples"
    _check_header(decoder, label, max_s)
    _require_finite(decoder.frames, label, "Remove or replace them")
    return _read_all(Recording(decoder, label, max_s, ExitStack()), sample_rate)


def checked_waveform(waveform: Waveform) -> Waveform:
    """Return a caller's `Waveform` with mono float32 samples, converted as by `waveform_of_samples` if they are not.

    Raises as that does, but accepts any length.
    """
    samples, rate = np.asarray(waveform.samples), waveform.sample_rate
    if samples.dtype == np.float32 and samples.ndim == 1 and samples.size:
        _require_finite(samples, "The waveform", "Remove or replace them")
        return waveform
    converted = waveform_of_samples(samples, rate, rate, max_s=math.inf)
    return replace(converted, clipped=waveform.clipped or converted.clipped, cut_off=waveform.cut_off)


def open_recording(source: Source, *, max_s: float = MAX_PREDICT_S, max_bytes: int = MAX_BYTES) -> Recording:
    """Open a recording, check its header against the limits, and return it ready to be decoded block by block.

    `source` is a path, the bytes of a file, a binary file object or an upload of Starlette; files are read from their
    start and left open. Raises `AudioError` if it is not a recording, has more than `max_bytes` bytes (before reading
    them) or a header outside the limits; `ParameterError` for any other kind of source.
    """
    with ExitStack() as stack:
        file, label = _open_source(source, max_bytes, stack)
        decoder = open_decoder(file, label)
        stack.callback(decoder.close)
        _check_header(decoder, label, max_s)
        return Recording(decoder, label, max_s, stack.pop_all())


class Recording(AbstractContextManager["Recording"]):
    """Hold an open recording: `format` ("WAV"), `sample_rate` in Hz, `channels`, `length_s` by its header or None.

    `clipped` and `cut_off` (see `Waveform`) are valid once the blocks have been read. `with`, `close()` and the end of
    the blocks close it.
    """

    def __init__(self, decoder: Decoder, label: str, max_s: float, stack: ExitStack) -> None:
        self.format, self.sample_rate, self.channels = decoder.format, decoder.sample_rate, decoder.channels
        self.label, self.length_s, self.cut_off = label, decoder.length_s, False
        self._decoder, self._max_s, self._stack = decoder, max_s, stack
        self._meter, self._n_frames = _ClipMeter(), 0
        self.close = stack.close

    @property
    def clipped(self) -> bool:
        return self._meter.clipped

    def blocks(
        self, sample_rate: int, block_s: float = BLOCK_S, progress: Progress | None = None
    ) -> Iterator[np.ndarray]:
        """Decode, average the channels and resample to `sample_rate` (Hz); can be read once.

        Yields float32 arrays of shape (n_samples,), n_samples > 0, each from up to about `block_s` seconds of the
        source. Joined they are the same for every `block_s`. `progress` is called after each has been processed.
        Raises `AudioError` as `load_waveform` does.
        """
        n_samples = 0
        for block in self._resampled(sample_rate, block_s):
            if len(block):
                _require_finite(block, self.label)  # the resampler's overshoot can leave the range of float32
                yield block
                n_samples += len(block)
                if progress is not None:
                    progress(n_samples / sample_rate, self.length_s)

    def _resampled(self, sample_rate: int, block_s: float) -> Iterator[np.ndarray]:
        resample = _resampler(self.sample_rate, sample_rate)
        with self._stack:
            for frames in self._frames(block_s):
                yield resample(_mix(frames), False)
            self._finish()
            yield resample(np.empty(0, np.float32), True)

    def __exit__(self, *error: object) -> None:
        self.close()

    def _frames(self, block_s: float) -> Iterator[np.ndarray]:
        """Yield decoded frames (n_frames, channels), checked against the limits whatever the header said."""
        n_frames = max(1, min(round(block_s * self.sample_rate), MAX_BLOCK_VALUES // self.channels))
        for frames in _grouped(self._decoder.chunks(n_frames), n_frames):
            self._n_frames += len(frames)
            if self._n_frames > (self._max_s + self._decoder.slack_s) * self.sample_rate:
                raise _too_long(self.label, f"more than {self._max_s:,.0f} s", self._max_s)
            _require_finite(frames, self.label)
            self._meter.add(frames)
            yield frames

    def _finish(self) -> None:
        """Compare the decoded length with the one that the container promised."""
        decoder, decoded_s = self._decoder, self._n_frames / self.sample_rate
        self.cut_off = decoder.damaged or (decoder.promised_s or 0.0) - decoded_s > decoder.slack_s
        if self.cut_off and decoded_s < MIN_DECODED_S:
            raise AudioError(
                f"{self.label}: damaged {self.format}, only {decoded_s:.2f} s could be decoded and at least "
                f"{MIN_DECODED_S} s are needed. Record it again or fetch an undamaged copy."
            )
        if not self._n_frames:
            raise AudioError(f"{self.label}: this {self.format} holds no samples (0.0 s of sound). Record it again.")


def _read_all(recording: Recording, sample_rate: int, check: Callable[[], object] = lambda: None) -> Waveform:
    blocks = []
    for block in recording.blocks(sample_rate):
        check()
        blocks.append(block)
    if not blocks:
        raise AudioError(f"{recording.label}: too few samples to be sound. Record it again, for longer.")
    samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return Waveform(samples, sample_rate, clipped=recording.clipped, cut_off=recording.cut_off)


# --- Sources ---


def source_name(source: object) -> str | None:
    """Return the name to show for a source: a path as given, an uploaded file's name, else None."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = source.filename if _is_upload(source) else getattr(source, "name", None)
    return Path(name).name if isinstance(name, str) else None


def _is_upload(source: object) -> TypeGuard[Upload]:
    return hasattr(source, "file") and hasattr(source, "filename")


def _open_source(source: Any, max_bytes: int, stack: ExitStack) -> tuple[BinaryIO, str]:
    """Return a seekable binary file at its start, and the name for messages; `stack` closes what is opened here."""
    name = source_name(source)
    stream = source.file if _is_upload(source) else source
    if isinstance(source, str) and not source:
        raise AudioError(f"The path is empty. Give the path of a recording: {ACCEPTED}.")
    if isinstance(source, (str, os.PathLike)):
        file = stack.enter_context(_open_path(Path(source)))
    elif isinstance(source, (bytes, bytearray, memoryview)):
        file = io.BytesIO(source)
    elif hasattr(stream, "read") and not isinstance(stream, io.TextIOBase):
        _check_readable(stream)
        is_pipe = not getattr(stream, "seekable", lambda: False)()
        file = io.BytesIO(stream.read(max_bytes + 1)) if is_pipe else stream
    else:
        kind = type(source).__name__
        raise ParameterError(f"A recording must be a path, bytes or a file opened in binary mode, found {kind}.")
    label = "The recording" if name is None else Path(name).name
    _check_size(file, label, max_bytes)
    return file, label


def _check_readable(stream: Any) -> None:
    if getattr(stream, "closed", False) or not getattr(stream, "readable", lambda: True)():
        raise ParameterError("The file is closed, or open for writing only. Open it with open(path, 'rb').")


def _open_path(path: Path) -> BinaryIO:
    label = path.name[:80] or str(path)
    try:
        if path.is_file():
            return path.open("rb")
        if path.is_dir():
            raise AudioError(f"{label}: this is a folder. Give one recording: {ACCEPTED}.")
        reason = "not a regular file" if path.exists() else "no such file"  # a device or a pipe may have no end
        raise AudioError(f"{label}: {reason}. Give the path of a recording: {ACCEPTED}.")
    except OSError as error:
        raise AudioError(f"{label}: cannot be opened ({error.strerror}). Check its name and rights.") from error


def _check_size(file: BinaryIO, label: str, max_bytes: int) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size == 0:
        raise AudioError(f"{label}: the file is empty (0 bytes). Accepted: {ACCEPTED}.")
    if size > max_bytes:
        raise AudioError(
            f"{label}: larger than {max_bytes / 2**20:,.0f} MB, the most that is accepted. "
            "Cut it, or store it as FLAC, OGG or M4A."
        )


class _ArrayDecoder:
    """Present an array of samples as a `Decoder`."""

    format, slack_s, damaged, promised_s = "array", 0.0, False, None

    def __init__(self, samples: np.ndarray, sample_rate: int | None) -> None:
        self.frames = _frames(np.asarray(samples))
        self.sample_rate, self.channels = _whole_rate(sample_rate), self.frames.shape[1]
        self.length_s = len(self.frames) / self.sample_rate

    def chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        return (_floats(self.frames[at : at + n_frames]) for at in range(0, len(self.frames), n_frames))

    def close(self) -> None:
        """Nothing is open."""


def _whole_rate(rate: Any) -> int:
    is_number = isinstance(rate, int | float | np.integer | np.floating) and not isinstance(rate, bool)
    if not (is_number and float(rate).is_integer() and MIN_RATE <= rate <= MAX_RATE):
        raise ParameterError(
            f"Samples need their rate, a whole number from {MIN_RATE:,} to {MAX_RATE:,} Hz; found {rate!r}. "
            "Give it as sample_rate=."
        )
    return int(rate)


def _frames(samples: np.ndarray) -> np.ndarray:
    """Return the samples as (n_frames, channels), a view; raise if their type or shape is not sound's."""
    if samples.dtype.kind not in "iuf":
        raise ParameterError(
            f"Samples of type {samples.dtype}; accepted are integers (spanning the range of their type) and floats "
            "(full scale 1.0). Convert them with .astype."
        )
    if samples.ndim in (1, 2) and not samples.size:
        raise AudioError("The samples: the array is empty (0.0 s of sound). Record it again.")
    if samples.ndim == 1:
        return samples[:, None]
    if samples.ndim == 2 and min(samples.shape) <= MAX_CHANNELS:
        return samples.T if len(samples) <= MAX_CHANNELS else samples
    raise ParameterError(
        f"Samples of shape {samples.shape}; accepted are (n,), (channels, n) and (n, channels), up to {MAX_CHANNELS} "
        "channels. Choose one recording, or mix it down."
    )


def _floats(samples: np.ndarray) -> np.ndarray:
    """Return a float32 copy, integers scaled to -1 .. 1."""
    scale = 2.0 ** (1 - 8 * samples.itemsize)
    if samples.dtype.kind == "u":  # in float64, since float32 would round what is quiet to the steps of the middle
        return (scale * samples.astype(np.float64, order="C") - 1).astype(np.float32)
    with np.errstate(over="ignore"):
        copied = samples.astype(np.float32, order="C")
    return copied if samples.dtype.kind == "f" else copied * np.float32(scale)


# --- Limits ---


def _check_header(decoder: Decoder, label: str, max_s: float) -> None:
    rate, channels = decoder.sample_rate, decoder.channels
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"{label}: {rate:,} Hz; accepted are {MIN_RATE:,} to {MAX_RATE:,} Hz. Resample it.")
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{label}: {channels:,} channels; accepted are 1 to {MAX_CHANNELS}. Mix it down.")
    if decoder.length_s is not None and decoder.length_s > max_s + decoder.slack_s:
        raise _too_long(label, f"{decoder.length_s:,.1f} s", max_s)


def _too_long(label: str, length: str, max_s: float) -> AudioError:
    other = ", or use `timeline` of the command line, Python or the service" if max_s < MAX_TIMELINE_S else ""
    return AudioError(f"{label}: {length} long; accepted are up to {max_s:,.0f} s. Cut it into parts{other}.")


def _require_finite(samples: np.ndarray, label: str, advice: str = "Export it again as 16-bit") -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(samples.sum()):
            return
    if wrong := np.count_nonzero(~np.isfinite(samples)):
        raise AudioError(f"{label}: {wrong:,} of {samples.size:,} samples are not finite (NaN or infinite). {advice}.")


# --- Mixing, resampling, clipping ---


def _grouped(chunks: Iterable[np.ndarray], n_frames: int) -> Iterator[np.ndarray]:
    """Join small chunks until they hold at least `n_frames` frames."""
    pending: list[np.ndarray] = []
    held = 0
    for chunk in chunks:
        pending.append(chunk)
        held += len(chunk)
        if held >= n_frames:
            yield pending[0] if len(pending) == 1 else np.concatenate(pending)
            pending, held = [], 0
    if pending:
        yield np.concatenate(pending)


def _mix(frames: np.ndarray) -> np.ndarray:
    """Average the channels: (n_frames, channels) to (n_frames,)."""
    channels = frames.shape[1]
    return frames[:, 0] if channels == 1 else frames @ np.full(channels, 1 / channels, np.float32)


def _resampler(source_rate: int, sample_rate: int) -> Callable[[np.ndarray, bool], np.ndarray]:
    """Return a function of (mono block, whether it is the last) that keeps its state from block to block."""
    if source_rate == sample_rate:
        return lambda mono, last: mono
    return soxr.ResampleStream(source_rate, sample_rate, 1, dtype="float32", quality=RESAMPLER_QUALITY).resample_chunk


class _ClipMeter:
    """Measure the share of the energy in flat tops at the recording's own peak; a later higher peak resets it."""

    def __init__(self) -> None:
        self._peak = self._energy = 0.0
        self._n_tops = 0
        self._tail: np.ndarray | None = None

    def add(self, frames: np.ndarray) -> None:
        """Measure frames of shape (n_frames, channels)."""
        values = frames.ravel(order="K")
        with np.errstate(over="ignore"):
            self._energy += float(np.dot(values, values))
        level = np.abs(frames)
        level = level if self._tail is None else np.concatenate((self._tail, level))
        self._tail = level[-3:].copy()
        peak = float(level.max())
        if peak * (1 - PEAK_TOLERANCE) > self._peak:
            self._n_tops = 0
        self._peak = max(peak, self._peak)
        low, high = level < self._peak * (1 - EDGE), level >= self._peak * (1 - PEAK_TOLERANCE)
        self._n_tops += int(np.count_nonzero(low[:-3] & high[1:-2] & high[2:-1] & high[3:]))

    @property
    def clipped(self) -> bool:
        return self._energy > 0 and 3 * self._n_tops * self._peak**2 / self._energy > CLIPPED_SHARE
