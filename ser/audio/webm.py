"""Decode WebM as it arrives, as browsers' MediaRecorder sends it: chunks of one growing file in, 16-bit PCM out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Condition, Thread
from types import SimpleNamespace
from typing import Any

OPTIONS = {"format_whitelist": "matroska,webm", "protocol_whitelist": "none"}  # one file, and nothing else
CHECK_S = 0.5  # between calls of `check` while a chunk is decoded


class WebmDecoder:
    """Decode one WebM in a thread of its own, which waits for the next chunk inside FFmpeg's demuxer.

    `rate` (Hz) and `channels` are 0 until the first sound is decoded. The thread ends at `close`, at a damage of the
    file, and once more than `most_bytes(rate, channels)` bytes of PCM have been decoded.
    """

    def __init__(self, most_bytes: Callable[[int, int], int]) -> None:
        self.rate = self.channels = 0
        self._most_bytes = most_bytes
        self._changed = Condition()
        self._webm, self._pcm, self._n_bytes = bytearray(), bytearray(), 0
        self._is_waiting = self._is_closed = self._is_over = False
        self._thread = Thread(target=self._run, name="webm", daemon=True)

    def decode(self, webm: bytes, check: Callable[[], object] = lambda: None) -> bytes:
        """Add the next bytes of the file, wait until they are decoded, and return their PCM.

        `check` is called while waiting and stops that by raising.
        """
        with self._changed:
            if self._thread.ident is None:
                self._thread.start()
            if not self._is_over:
                self._webm += webm
            self._changed.notify_all()
            while not self._changed.wait_for(self._is_done, CHECK_S):
                check()
            pcm, self._pcm = self._pcm, bytearray()
            return bytes(pcm)

    def _is_done(self) -> bool:
        """Return whether the thread needs more bytes, or none any more."""
        return (self._is_waiting and not self._webm) or self._is_over

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _read(self, n_bytes: int) -> bytes:
        """Return up to so many bytes of the file to the demuxer, which calls this; wait for them if there are none."""
        with self._changed:
            self._is_waiting = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._webm or self._is_closed)
            self._is_waiting = False
            piece = b"" if self._is_closed else bytes(self._webm[:n_bytes])
            del self._webm[:n_bytes]
            return piece

    def _run(self) -> None:
        try:
            with suppress(Exception):  # a damage, or another rate or layout than at the beginning
                for frame in self._frames():
                    self._append(frame)
                    if self._n_bytes > self._most_bytes(self.rate, self.channels):
                        break
        finally:
            with self._changed:
                self._is_over = True
                self._webm.clear()
                self._changed.notify_all()

    def _frames(self) -> Iterator[Any]:
        """Yield decoded frames as 16-bit samples, interleaved."""
        import av  # other streams do not need it

        file, resampler = SimpleNamespace(read=self._read), av.AudioResampler(format="s16")
        opened: Any = av.open(file, format="matroska", options=OPTIONS, metadata_errors="replace")
        with opened as container:
            for packet in container.demux(container.streams.audio[0]):
                for frame in packet.decode():
                    yield from resampler.resample(frame)

    def _append(self, frame: Any) -> None:
        """Add a frame to what `decode` returns."""
        pcm = frame.to_ndarray().tobytes()
        with self._changed:
            self.rate, self.channels = frame.sample_rate, frame.layout.nb_channels
            self._pcm += pcm
            self._n_bytes += len(pcm)
