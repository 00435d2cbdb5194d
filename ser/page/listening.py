"""Analyse long recordings in threads of their own: timeline, envelope and sound in one pass that can be stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from threading import Event, Semaphore, Thread
from time import monotonic

import numpy as np
import soundfile as sf

from ser.audio.envelope import Envelope
from ser.audio.loading import Source, open_recording
from ser.page.intake import MAX_UPLOAD_BYTES, named
from ser.page.visit import Kind, Recording
from ser.timeline.segments import WindowRecognizer, timeline
from ser.types import Channels, SerError, Timeline

MOST_S = 3600.0
N_PEAKS = 1000  # of the envelope
AWAY_S = 150.0  # without a look from the page, after which the work ends; a tab in the background looks once a minute

# Two recordings at a time for all visitors: each holds up to 120 MB and takes all cores.
TURNS = Semaphore(2)
WAIT_S = 0.2

# Two channels are the two sides of a call if each is louder by 6 dB in a tenth of the time that sounds.
LEAD = 2.0
LEAD_SHARE = 0.1
FRAME_S = 0.2
SOUND_SHARE = 0.02  # of the loudest frame, from which on a frame sounds
LOOK_S = 120.0  # of the recording, by which this is decided
LOOK_RATE = 8_000  # Hz


class Listening:
    """A timeline in the making: `done_s` of `length_s` seconds (None if the file does not tell), until it has `ended`.

    The page calls `look` while it shows it; without a look for `AWAY_S` seconds it stops, as by `stop`, which keeps
    what is done.
    """

    def __init__(
        self,
        source: bytes | BytesIO,
        recognizer: WindowRecognizer,
        *,
        name: str,
        kind: Kind = "file",
        channels: Channels | None = None,
        again: Recording | None = None,
    ) -> None:
        """Start to analyse a file of up to an hour and 120 MB.

        `channels` are by default those of a call, each by itself, or else the mean. `again` is the recording that is
        analysed once more, from its own sound; it keeps its id, time and note.
        """
        self.name, self.channels, self.again = name, channels, again
        self.done_s, self.waiting = 0.0, True
        self.length_s: float | None = None
        self._kind = kind
        self._stop, self._looked = Event(), monotonic()
        self._outcome: Recording | SerError | None = None
        self._failure: Exception | None = None
        self._thread = Thread(target=self._run, args=(named(source, name), recognizer), name="listening", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """Stop within a fraction of a second; the timeline up to there is kept."""
        self._stop.set()

    def look(self) -> None:
        """Say that the page is still there."""
        self._looked = monotonic()

    def take(self) -> Recording | SerError | None:
        """Wait for the end and return the recording, or why there is none; None if it was stopped before it began."""
        while not self.ended:
            self.look()
            self._thread.join(timeout=WAIT_S)
        if self._failure is not None:
            raise self._failure
        return self._outcome

    def _run(self, source: BytesIO, recognizer: WindowRecognizer) -> None:
        try:
            with self._turn() as begins:
                self._outcome = self._recording(source, recognizer) if begins else None
        except SerError as error:
            self._outcome = error
        except Exception as error:
            self._failure = error

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Wait until fewer than two are at work; gives whether it may begin."""
        begins = TURNS.acquire(blocking=False)
        while not begins and not self._ends():
            begins = TURNS.acquire(timeout=WAIT_S)
        self.waiting = False
        try:
            yield begins
        finally:
            if begins:
                TURNS.release()

    def _ends(self) -> bool:
        return self._stop.is_set() or monotonic() - self._looked > AWAY_S

    def _progress(self, done_s: float, length_s: float | None) -> None:
        self.done_s, self.length_s = done_s, length_s

    def _recording(self, source: BytesIO, recognizer: WindowRecognizer) -> Recording:
        channels = self.channels or ("each" if is_call(source) else "mix")
        heard = _Heard(recognizer.sample_rate)
        found = timeline(
            source,
            recognizer,
            progress=self._progress,
            channels=channels,
            max_s=MOST_S,
            max_bytes=MAX_UPLOAD_BYTES,
            stop=self._ends,
            on_block=heard.add,
        )
        if self.again is not None:
            return replace(self.again, timeline=found, model=recognizer.name)
        return heard.recording(self.name, self._kind, found)


def is_call(source: Source) -> bool:
    """Return whether a recording has two channels that speak in turn, as those of a call do; by its first minutes."""
    frames, size, n_samples = [], round(FRAME_S * LOOK_RATE), 0
    with open_recording(source, max_s=MOST_S, max_bytes=MAX_UPLOAD_BYTES) as recording:
        if recording.channels != 2:
            return False
        for block in recording.channel_blocks(LOOK_RATE):
            both = np.stack(block)
            n_samples += both.shape[1]
            whole = both[:, : both.shape[1] // size * size].reshape(2, -1, size)
            frames.append(np.sqrt((whole**2).mean(axis=2)))
            if n_samples > LOOK_S * LOOK_RATE:
                break
    left, right = np.concatenate(frames, axis=1)
    loudest = np.maximum(left, right)
    sounds = loudest > SOUND_SHARE * loudest.max(initial=0)
    return all(
        np.count_nonzero(sounds & (one > LEAD * other)) > LEAD_SHARE * np.count_nonzero(sounds)
        for one, other in ((left, right), (right, left))
    )


class _Heard:
    """The envelope and the sound of a recording, from its blocks; the sound becomes a FLAC that every browser plays."""

    def __init__(self, sample_rate: int) -> None:
        self._rate, self._envelope = sample_rate, Envelope(sample_rate)
        self._file = BytesIO()
        self._writer: sf.SoundFile | None = None

    def add(self, block: list[np.ndarray]) -> None:
        samples = np.stack(block, axis=1)
        if self._writer is None:
            self._writer = sf.SoundFile(self._file, "w", self._rate, len(block), "PCM_16", format="FLAC")
        self._writer.write(samples)
        self._envelope.add(np.abs(samples).max(axis=1))

    def recording(self, name: str, kind: Kind, found: Timeline) -> Recording:
        if self._writer is not None:
            self._writer.close()
        sound = self._file.getvalue()
        peaks = self._envelope.peaks(N_PEAKS)
        return Recording(
            name, kind, found.duration_s, peaks, timeline=found, model=found.model, sound=sound, mime="audio/flac"
        )
