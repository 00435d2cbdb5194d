"""Load recordings and NumPy samples as mono float32, in blocks or as one `Waveform`.

Nothing is written to disk. The memory for blocks does not grow with the recording's length, rate or channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import soxr

from ser.audio.clipping import ClipMeter
from ser.audio.decoders import Decoder, Decoding, open_decoder
from ser.audio.isolation import IsolatedDecoder, is_wanted
from ser.audio.sources import Source, open_source, source_name  # noqa: F401 (others import the name from here)
from ser.types import CHANNELS, AudioError, Channels, ParameterError, Progress, Waveform, check_known

MIN_RATE, MAX_RATE = 8_000, 192_000  # Hz
MAX_CHANNELS = 8
MAX_BYTES = 25 * 2**20
MAX_PREDICT_S = 120.0
MAX_TIMELINE_S = 4 * 3600.0
MAX_TIMELINE_BYTES = 4 * 2**30  # as large as a WAV can be; four hours of most others are far smaller
MIN_DECODED_S = 0.5  # sound before a damage that is enough for an answer
BLOCK_S = 5.0
MAX_BLOCK_VALUES = 2**16  # decoded at once; larger arrays are returned to the system each time, at triple cost

# Channels cancel each other if their mean has less than this share of their mean power: it has a half if only one of
# two has sound, or if they have nothing in common. Decided once every `CANCELLING_S`, whatever the size of the blocks.
CANCELLED_SHARE = 0.05
CANCELLING_S = 0.5

# As in librosa and soxr by default. MQ saves 0.02 ms of 0.6; LQ falls 3 dB at 6.5 kHz already.
RESAMPLER_QUALITY = "HQ"


def load_waveform(
    source: Source,
    sample_rate: int = 16_000,
    *,
    max_s: float = MAX_PREDICT_S,
    channels: Literal["mix", "left", "right"] = "mix",
    track: int | None = None,
    check: Callable[[], object] = lambda: None,
) -> Waveform:
    """Load a recording as one mono float32 `Waveform` at `sample_rate` (Hz): decoded, mixed down, resampled.

    `channels` takes one channel instead of the mean of all. `track` is the sound track, from 1; by default the default
    one of the file if it is not silent, else the first that is not. Raises `AudioError` if it is not a recording, has
    no samples or samples that are not finite, is damaged within the first 0.5 s, has no such track, or exceeds the
    limits (8 to 192 kHz, 1 to 8 channels, 25 MB, `max_s` seconds). Later damage returns the part before it, with
    `cut_off`. `check` is called after every block and stops the work by raising.
    """
    if channels == "each":
        raise ParameterError('One waveform has one channel: take "mix", "left" or "right", or call load_channels.')
    return load_channels(source, sample_rate, max_s=max_s, channels=channels, track=track, check=check)[0]


def load_channels(
    source: Source,
    sample_rate: int = 16_000,
    *,
    max_s: float = MAX_PREDICT_S,
    channels: Channels = "each",
    track: int | None = None,
    check: Callable[[], object] = lambda: None,
) -> list[Waveform]:
    """Load a recording as `load_waveform` does; with "each" one waveform for every channel."""
    with open_recording(source, max_s=max_s, track=track) as recording:
        return _read_all(recording, sample_rate, channels, check)


def waveform_of_samples(
    samples: np.ndarray,
    source_rate: int | None,
    sample_rate: int,
    *,
    max_s: float = MAX_PREDICT_S,
    channels: Channels = "mix",
) -> Waveform:
    """Convert an array at `source_rate` (Hz) to a `Waveform` at `sample_rate`, as a WAV of these samples is loaded.

    The array holds floats with full scale 1.0, or integers that span the range of their type (unsigned: zero in its
    middle). Its shape is (n,), (channels, n) or (n, channels): a first axis of up to 8 is taken for the channels. It is
    not altered. Raises `ParameterError` for another rate, type or shape; `AudioError` if there are no samples, some are
    not finite, or they last longer than `max_s` seconds.
    """
    return channels_of_samples(samples, source_rate, sample_rate, max_s=max_s, channels=channels)[0]


def channels_of_samples(
    samples: np.ndarray,
    source_rate: int | None,
    sample_rate: int,
    *,
    max_s: float = MAX_PREDICT_S,
    channels: Channels = "each",
) -> list[Waveform]:
    """Convert an array as `waveform_of_samples` does; with "each" one waveform for every channel."""
    decoder, label = _ArrayDecoder(samples, source_rate), "The samples"
    _check_header(decoder, label, max_s)
    _require_finite(decoder.frames, label, "Remove or replace them")
    return _read_all(Recording(decoder, label, max_s, ExitStack()), sample_rate, channels)


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


def open_recording(
    source: Source,
    *,
    max_s: float = MAX_PREDICT_S,
    max_bytes: int = MAX_BYTES,
    track: int | None = None,
    keep_times: bool = False,
) -> Recording:
    """Open a recording, check its header against the limits, and return it ready to be decoded block by block.

    `source` is a path, the bytes of a file, a binary file object or an upload of Starlette; files are read from their
    start and left open. `track` is the sound track, as in `load_waveform`. With `keep_times` a late start of the track
    and gaps between its time stamps become silence, so that times are those of the file. Raises `AudioError` if it is
    not a recording, has more than `max_bytes` bytes (before reading them), no such track or a header outside the
    limits; `ParameterError` for any other kind of source, and a track that is no whole number.
    """
    if track is not None and type(track) is not int:
        raise ParameterError(f"track is a whole number from 1, found {track!r:.40}.")
    with ExitStack() as stack:
        file, label = open_source(source, max_bytes, stack)
        decoder: Decoder = (IsolatedDecoder if is_wanted() else open_decoder)(file, label, Decoding(track, keep_times))
        stack.callback(decoder.close)
        _check_header(decoder, label, max_s)
        return Recording(decoder, label, max_s, stack.pop_all())


class Recording(AbstractContextManager["Recording"]):
    """Hold an open recording: `format` ("WAV"), `sample_rate` in Hz, `channels`, `length_s` by its header or None.

    `track` is the sound track that is heard, from 1, out of `n_tracks`. `clipped` and `cut_off` (see `Waveform`) are
    valid once the blocks have been read. `with`, `close()` and the end of the blocks close it.
    """

    def __init__(self, decoder: Decoder, label: str, max_s: float, stack: ExitStack) -> None:
        self.format, self.sample_rate, self.channels = decoder.format, decoder.sample_rate, decoder.channels
        self.label, self.length_s, self.cut_off = label, decoder.length_s, False
        self.track, self.n_tracks = decoder.track, decoder.n_tracks
        self._decoder, self._max_s, self._stack = decoder, max_s, stack
        self._n_frames = 0
        self._meters: list[ClipMeter] = []
        self.close = stack.close

    @property
    def clipped(self) -> bool:
        return any(self.clipped_channels)

    @property
    def clipped_channels(self) -> tuple[bool, ...]:
        """Whether the peaks are cut off flat, for each of `channel_blocks`."""
        return tuple(meter.clipped for meter in self._meters)

    def names(self, channels: Channels) -> tuple[str | None, ...]:
        """Return the name of every channel that is heard: None for the mean of all, "mono" if there is only one."""
        all_names = {1: ("mono",), 2: ("left", "right")}
        each = all_names.get(self.channels) or tuple(str(number + 1) for number in range(self.channels))
        return {"mix": (None,), "each": each}.get(channels) or (channels if self.channels > 1 else "mono",)

    def blocks(
        self,
        sample_rate: int,
        block_s: float = BLOCK_S,
        progress: Progress | None = None,
        channels: Literal["mix", "left", "right"] = "mix",
    ) -> Iterator[np.ndarray]:
        """Decode, average the channels (or take one) and resample to `sample_rate` (Hz); can be read once.

        Yields float32 arrays of shape (n_samples,), n_samples > 0, each from up to about `block_s` seconds of the
        source. Joined they are the same for every `block_s`. If the channels cancel each other, the stronger one is
        taken. `progress` is called after each has been processed. Raises `AudioError` as `load_waveform` does.
        """
        return (block[0] for block in self.channel_blocks(sample_rate, block_s, progress, channels))

    def channel_blocks(
        self,
        sample_rate: int,
        block_s: float = BLOCK_S,
        progress: Progress | None = None,
        channels: Channels = "each",
    ) -> Iterator[list[np.ndarray]]:
        """Decode as `blocks` does; yield one array for each of `names(channels)`."""
        check_known(channels, CHANNELS, "choice of channels")
        n_samples = 0
        for block in self._resampled(sample_rate, block_s, channels):
            if len(block[0]):
                for samples in block:
                    _require_finite(samples, self.label)  # the resampler's overshoot can leave the range of float32
                yield block
                n_samples += len(block[0])
                if progress is not None:
                    progress(n_samples / sample_rate, self.length_s)

    def _resampled(self, sample_rate: int, block_s: float, channels: Channels) -> Iterator[list[np.ndarray]]:
        splitter = _Splitter(self.channels, self.sample_rate, channels)
        resamplers = [_resampler(self.sample_rate, sample_rate) for _ in self.names(channels)]
        self._meters = [ClipMeter(self.sample_rate) for _ in resamplers]
        with self._stack:
            for frames in self._frames(block_s):
                for meter, part in zip(self._meters, splitter.parts(frames), strict=True):
                    meter.add(part)
                yield [resample(mono, False) for resample, mono in zip(resamplers, splitter.add(frames), strict=True)]
            self._finish()
            yield [resample(mono, True) for resample, mono in zip(resamplers, splitter.finish(), strict=True)]

    def __exit__(self, *error: object) -> None:
        self.close()

    def _frames(self, block_s: float) -> Iterator[np.ndarray]:
        """Yield decoded frames (n_frames, channels), checked against the limits whatever the header said."""
        n_frames = max(1, min(round(block_s * self.sample_rate), MAX_BLOCK_VALUES // self.channels))
        for frames in _grouped(self._chunks(n_frames), n_frames):
            self._n_frames += len(frames)
            if self._n_frames > (self._max_s + self._decoder.slack_s) * self.sample_rate:
                raise _too_long(self.label, f"more than {self._max_s:,.0f} s", self._max_s)
            _require_finite(frames, self.label)
            yield frames

    def _chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        """Yield the decoder's chunks; whatever it raises becomes an `AudioError`."""
        n_decoded = 0
        try:
            for chunk in self._decoder.chunks(n_frames):
                n_decoded += len(chunk)
                yield chunk
        except AudioError:
            raise
        except Exception as error:
            raise _unforeseen(error, self.label, self.format, n_decoded / self.sample_rate) from error

    def _finish(self) -> None:
        """Set `cut_off`, and raise `AudioError` if the sound before a damage, or the recording, is too little."""
        self.cut_off, decoded_s = self._decoder.damaged, self._n_frames / self.sample_rate
        if self.cut_off and decoded_s < MIN_DECODED_S:
            raise AudioError(
                f"{self.label}: damaged {self.format}, only {decoded_s:.2f} s could be decoded and at least "
                f"{MIN_DECODED_S} s are needed. Record it again or fetch an undamaged copy."
            )
        if not self._n_frames:
            raise AudioError(f"{self.label}: this {self.format} holds no samples (0.0 s of sound). Record it again.")


def _read_all(
    recording: Recording, sample_rate: int, channels: Channels, check: Callable[[], object] = lambda: None
) -> list[Waveform]:
    blocks = []
    for block in recording.channel_blocks(sample_rate, channels=channels):
        check()
        blocks.append(block)
    if not blocks:
        raise AudioError(f"{recording.label}: too few samples to be sound. Record it again, for longer.")
    track = recording.track if recording.n_tracks > 1 else None
    each = zip(zip(*blocks, strict=True), recording.clipped_channels, recording.names(channels), strict=True)
    return [
        Waveform(_joined(pieces), sample_rate, clipped, recording.cut_off, channel, track)
        for pieces, clipped, channel in each
    ]


def _joined(pieces: Sequence[np.ndarray]) -> np.ndarray:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


# --- Arrays ---


class _ArrayDecoder:
    """Present an array of samples as a `Decoder`."""

    format, slack_s, damaged, track, n_tracks = "array", 0.0, False, 1, 1

    def __init__(self, samples: np.ndarray, sample_rate: int | None) -> None:
        self.frames = _frames(np.asarray(samples))
        self.sample_rate, self.channels = _whole_rate(sample_rate), self.frames.shape[1]
        self.length_s = len(self.frames) / self.sample_rate

    def measured_s(self) -> float:
        return self.length_s

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
    most_s = max_s + decoder.slack_s
    if decoder.length_s is None or decoder.length_s <= most_s:
        return
    try:
        length_s = decoder.measured_s()  # a header may be wrong
    except Exception as error:
        raise _unforeseen(error, label, decoder.format, 0.0) from error
    if length_s > most_s:
        raise _too_long(label, f"{length_s:,.1f} s", max_s)


def _unforeseen(error: Exception, label: str, format: str, decoded_s: float) -> AudioError:
    """Return the error for whatever a decoder raised."""
    return AudioError(
        f"{label}: this {format} cannot be decoded behind {decoded_s:.1f} s ({type(error).__name__}). Export it again, "
        "as WAV or FLAC."
    )


def _too_long(label: str, length: str, max_s: float) -> AudioError:
    other = ", or use `timeline` of the command line, Python or the service" if max_s < MAX_TIMELINE_S else ""
    return AudioError(f"{label}: {length} long; accepted are up to {max_s:,.0f} s. Cut it into parts{other}.")


def _require_finite(samples: np.ndarray, label: str, advice: str = "Export it again as 16-bit") -> None:
    is_finite = np.isfinite(samples)
    if not is_finite.all():
        wrong = np.count_nonzero(~is_finite)
        raise AudioError(f"{label}: {wrong:,} of {samples.size:,} samples are not finite (NaN or infinite). {advice}.")


# --- Mixing, resampling ---


def _grouped(chunks: Iterable[np.ndarray], n_frames: int) -> Iterator[np.ndarray]:
    """Join small chunks until they hold at least `n_frames` frames."""
    pending: list[np.ndarray] = []
    held = 0
    for chunk in chunks:
        pending.append(chunk)
        held += len(chunk)
        if held >= n_frames:
            yield _joined(pending)
            pending, held = [], 0
    if pending:
        yield _joined(pending)


class _Splitter:
    """Split frames (n_frames, channels) into the mono channels that are heard: the mean, one of them, or each."""

    def __init__(self, n_channels: int, sample_rate: int, channels: Channels) -> None:
        chosen = {"mix": slice(None), "left": slice(1), "right": slice(min(1, n_channels - 1), 2)}
        self._slices = [slice(k, k + 1) for k in range(n_channels)] if channels == "each" else [chosen[channels]]
        self._mixes = channels == "mix" and n_channels > 1
        self._size = max(1, round(CANCELLING_S * sample_rate))
        self._held = np.empty((0, n_channels), np.float32)
        self._taken: int | None = None  # the channel in place of the mean, once they have cancelled each other

    def parts(self, frames: np.ndarray) -> list[np.ndarray]:
        """Return for each channel that is heard the frames it is made of, (n_frames, at least 1)."""
        return [frames[:, chosen] for chosen in self._slices]

    def add(self, frames: np.ndarray) -> list[np.ndarray]:
        """Return arrays of shape (n,). A mean is given for whole steps of `CANCELLING_S`; the rest is held back."""
        if not self._mixes:
            return [part[:, 0] for part in self.parts(frames)]
        frames = np.concatenate((self._held, frames)) if len(self._held) else frames
        n_ready = len(frames) // self._size * self._size
        ready, self._held = frames[:n_ready], frames[n_ready:]
        return [self._mix(ready, self._size) if n_ready else np.empty(0, np.float32)]

    def finish(self) -> list[np.ndarray]:
        """Return what was held back."""
        if not self._mixes or not len(self._held):
            return [np.empty(0, np.float32) for _ in self._slices]
        return [self._mix(self._held, len(self._held))]

    def _mix(self, frames: np.ndarray, size: int) -> np.ndarray:
        """Return the mean of the channels; from the first step of `size` frames on that they cancel, the strongest."""
        channels = frames.shape[1]
        if self._taken is not None:
            return frames[:, self._taken]
        mono = frames @ np.full(channels, 1 / channels, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            steps = frames.reshape(-1, size * channels), mono.reshape(-1, size)
            power, mixed = (np.einsum("ij,ij->i", step, step) for step in steps)
            cancelled = np.flatnonzero(mixed < CANCELLED_SHARE * power / channels)
        if cancelled.size:
            first = cancelled[0] * size
            self._taken = int(np.abs(frames[first : first + size]).sum(axis=0, dtype=np.float64).argmax())
            mono[first:] = frames[first:, self._taken]
        return mono


def _resampler(source_rate: int, sample_rate: int) -> Callable[[np.ndarray, bool], np.ndarray]:
    """Return a function of (mono block, whether it is the last) that keeps its state from block to block."""
    if source_rate == sample_rate:
        return lambda mono, last: mono
    return soxr.ResampleStream(source_rate, sample_rate, 1, dtype="float32", quality=RESAMPLER_QUALITY).resample_chunk
