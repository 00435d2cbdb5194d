"""Sound from a microphone, through PortAudio: 16-bit mono PCM as it arrives, kept by nobody who does not ask for it."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

import numpy as np

from ser.audio.loading import MAX_RATE, MIN_RATE
from ser.audio.pcm import SAMPLE_BYTES
from ser.audio.vad import SpeechFinder
from ser.extras import needs
from ser.types import AudioError, ParameterError

BLOCK_S = 0.05
STALL_S = 3.0  # without any sound, after which a microphone counts as gone
END_S = 1.0  # in which a stream ends by itself, unless its microphone is gone
PAUSE_S = 1.0  # of silence after speech
FLOOR_DB = -60.0  # of full scale; a quieter block shows no level


class Microphone:
    """An input of this machine by its number, its name or a part of it; without one the system's.

    `name` is what the system calls it, `rate` its own in Hz, `lost` whether sound was dropped because the machine was
    too busy. Raises `ParameterError` where there is none, or no library to ask.
    """

    def __init__(self, device: str | None = None) -> None:
        self._library = _portaudio()
        found = self._find(device)
        self._index: int = found["index"]
        self.name: str = found["name"]
        self.rate = min(max(round(found["default_samplerate"]), MIN_RATE), MAX_RATE)
        self.lost = False

    def blocks(self) -> Generator[bytes, None, None]:
        """All that has arrived since the last block, from now until this is closed.

        Raises `ParameterError` where the microphone cannot be opened, `AudioError` where it falls silent for good.
        """
        arrived: SimpleQueue[bytes] = SimpleQueue()

        def hear(pcm: bytes, *, overflowed: bool) -> None:
            self.lost |= overflowed
            arrived.put(pcm)

        with self._opened(hear):
            while True:
                try:
                    pcm = arrived.get(timeout=STALL_S)
                except Empty:
                    raise AudioError(
                        f"The microphone {self.name} has given nothing for {STALL_S:g} s. Connect it again, or choose "
                        "another with --device."
                    ) from None
                yield pcm + b"".join(arrived.get() for _ in range(arrived.qsize()))

    @contextmanager
    def _opened(self, hear: Callable[..., None]) -> Iterator[None]:
        """A stream that hands its blocks to `hear`, in a thread of PortAudio's, which ends it itself in the end.

        Ended from outside, it can block for good in the midst of waiting for sound.
        """
        form = {"channels": 1, "dtype": "int16", "samplerate": self.rate, "blocksize": round(BLOCK_S * self.rate)}
        enough, over = Event(), Event()

        def callback(pcm: Any, n_frames: int, time: Any, status: Any) -> None:
            if enough.is_set():
                raise self._library.CallbackAbort
            hear(bytes(pcm), overflowed=bool(status.input_overflow))

        try:
            with _interrupts_kept_off():
                stream = self._library.RawInputStream(
                    device=self._index, callback=callback, finished_callback=over.set, **form
                )
                stream.start()
        except self._library.PortAudioError as error:
            raise ParameterError(
                f"The microphone {self.name} cannot be opened: {error}. Does another program hold it? Close that, or "
                "choose another with --device."
            ) from error
        try:
            yield
        finally:
            enough.set()
            over.wait(END_S)
            stream.close()

    def _find(self, device: str | None) -> dict[str, Any]:
        key = int(device) if device is not None and device.isascii() and device.isdecimal() else device
        try:
            return dict(self._library.query_devices(key, "input"))
        except (ValueError, self._library.PortAudioError) as error:
            inputs = [one["name"] for one in self._library.query_devices() if one["max_input_channels"]]
            raise ParameterError(_missing(device, inputs)) from error


@contextmanager
def interrupted() -> Iterator[Event]:
    """An event that the first Ctrl-C sets, so that what was heard until then is whole.

    An exception instead could come while PortAudio opens a stream, which would then run on after its callback is gone.
    """
    asked = Event()
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _interrupts_kept_off() -> Iterator[None]:
    """Ctrl-C waits; threads that start meanwhile never get it, since it would break off their waiting for sound."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where Ctrl-C breaks nothing off
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _portaudio() -> Any:
    """The library `sounddevice`, which brings PortAudio on some systems and wants it there on others."""
    with needs("record", "the microphone"):
        try:
            import sounddevice
        except OSError as error:
            raise ParameterError(
                "The microphone needs the library PortAudio: apt-get install libportaudio2 on Debian and Ubuntu, dnf "
                "install portaudio on Fedora."
            ) from error
    return sounddevice


def _missing(device: str | None, inputs: list[str]) -> str:
    if not inputs:
        return "No microphone was found. Connect one, or ask about a recording: ser predict FILE."
    found = "The system names no microphone" if device is None else f"No microphone, or more than one, is {device!r}"
    return f"{found}; choose one with --device: {', '.join(dict.fromkeys(inputs))}."


def until_pause(blocks: Iterable[bytes], rate: int) -> Iterator[bytes]:
    """Blocks of PCM at `rate` (Hz) to where somebody has spoken and then kept silent for a second."""
    finder = SpeechFinder(rate)
    has_spoken, end = False, 0
    for pcm in blocks:
        yield pcm
        for span in finder.push(_samples(pcm)):
            has_spoken, end = has_spoken or span.over, span.end
        if has_spoken and finder.position - end >= PAUSE_S * rate:
            return


def first(blocks: Iterable[bytes], n_bytes: int) -> Iterator[bytes]:
    """That many bytes of them, exactly."""
    for pcm in blocks:
        yield pcm[:n_bytes]
        n_bytes -= len(pcm)
        if n_bytes <= 0:
            return


def level(pcm: bytes) -> float:
    """How loud the loudest sample is: 0 from -60 dB of full scale down, 1 at full scale."""
    peak = float(np.abs(_samples(pcm)).max(initial=0.0))
    return max(0.0, 1 - 20 * math.log10(peak) / FLOOR_DB) if peak else 0.0


def _samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2", len(pcm) // SAMPLE_BYTES).astype(np.float32) / 2**15
