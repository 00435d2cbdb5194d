"""Microphone input through PortAudio: 16-bit mono PCM as it arrives, not stored anywhere."""

from __future__ import annotations

import math
import signal
from collections.abc import Generator, Iterable, Iterator
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
STALL_S = 3.0  # without a block, after which a microphone counts as disconnected
END_S = 1.0  # in which a stream ends by itself, unless its microphone is disconnected
PAUSE_S = 1.0  # of silence after speech
FLOOR_DB = -60.0  # of full scale; a quieter block shows no level


class Microphone:
    """Record from an input of this machine, by its number, its name or a part of it; by default the system's.

    `name` is its name in the system, `rate` its own in Hz, `lost` whether sound was dropped because the machine was too
    busy. Raises `ParameterError` if there is none, or a library is missing.
    """

    def __init__(self, device: str | None = None) -> None:
        self._library = _portaudio()
        info = self._find(device)
        self._index, self.name = int(info["index"]), str(info["name"])
        self.rate = min(max(round(info["default_samplerate"]), MIN_RATE), MAX_RATE)
        self.lost = False

    def blocks(self) -> Generator[bytes, None, None]:
        """Yield the sound since the last block, from now until this generator is closed.

        Raises `ParameterError` if the microphone cannot be opened, `AudioError` if it stops sending.
        """
        with self._opened() as arrived:
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
    def _opened(self) -> Iterator[SimpleQueue[bytes]]:
        """Open a stream; it is ended in PortAudio's thread, since from another one that can block for ever."""
        form = {"channels": 1, "dtype": "int16", "samplerate": self.rate, "blocksize": round(BLOCK_S * self.rate)}
        stop, ended, arrived = Event(), Event(), SimpleQueue[bytes]()

        def callback(pcm: Any, n_frames: int, time: Any, status: Any) -> None:
            if stop.is_set():
                raise self._library.CallbackAbort
            self.lost |= bool(status.input_overflow)
            arrived.put(bytes(pcm))

        try:
            with _interrupts_blocked():
                stream = self._library.RawInputStream(
                    device=self._index, callback=callback, finished_callback=ended.set, **form
                )
                stream.start()
        except self._library.PortAudioError as error:
            raise ParameterError(
                f"The microphone {self.name} cannot be opened: {error}. Close another program that uses it, or "
                "choose another with --device."
            ) from error
        try:
            yield arrived
        finally:
            stop.set()
            ended.wait(END_S)
            stream.close()

    def _find(self, device: str | None) -> dict[str, Any]:
        key = int(device) if device is not None and device.isascii() and device.isdecimal() else device
        try:
            return dict(self._library.query_devices(key, "input"))
        except (ValueError, self._library.PortAudioError) as error:
            inputs = [info["name"] for info in self._library.query_devices() if info["max_input_channels"]]
            raise ParameterError(_missing(device, inputs)) from error


@contextmanager
def interrupted() -> Iterator[Event]:
    """Provide an event that Ctrl-C sets, so that the recording so far stays complete.

    An exception instead could occur while PortAudio opens a stream, which would then run without its callback.
    """
    pressed = Event()
    before = signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Delay Ctrl-C; threads that start meanwhile never receive it, since it would interrupt their wait for sound."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where Ctrl-C interrupts no wait
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _portaudio() -> Any:
    """Import `sounddevice`, which contains PortAudio on some systems and needs it installed on others."""
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
    reason = "The system names no microphone" if device is None else f"No microphone, or more than one, is {device!r}"
    return f"{reason}; choose one with --device: {', '.join(dict.fromkeys(inputs))}."


def until_pause(blocks: Iterable[bytes], rate: int) -> Iterator[bytes]:
    """Yield blocks of PCM at `rate` (Hz) until speech is followed by a second of silence."""
    finder = SpeechFinder(rate)
    has_spoken, end = False, 0
    for pcm in blocks:
        yield pcm
        for span in finder.push(_samples(pcm)):
            has_spoken, end = has_spoken or span.over, span.end
        if has_spoken and finder.position - end >= PAUSE_S * rate:
            return


def first(blocks: Iterable[bytes], n_bytes: int) -> Iterator[bytes]:
    """Yield exactly the first `n_bytes` of the blocks."""
    for pcm in blocks:
        yield pcm[:n_bytes]
        n_bytes -= len(pcm)
        if n_bytes <= 0:
            return


def level(pcm: bytes) -> float:
    """Return the level of the loudest sample: 0 at -60 dB of full scale and below, 1 at full scale."""
    peak = float(np.abs(_samples(pcm)).max(initial=0.0))
    return max(0.0, 1 - 20 * math.log10(peak) / FLOOR_DB) if peak else 0.0


def _samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2", len(pcm) // SAMPLE_BYTES).astype(np.float32) / 2**15
