"""What a process of `experiments.fuzz` does with a mutated file: decode it, and measure time and memory."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.fuzzing.formats import FORMATS, encoded
from experiments.fuzzing.mutations import mutated
from ser.audio.loading import MAX_TIMELINE_BYTES, MAX_TIMELINE_S, load_waveform, open_recording
from ser.types import AudioError

ANSWERED, CUT_OFF, REFUSED = "answered", "cut_off", "refused"
TIMELINE_EVERY = 5  # of this many files one is also decoded block by block, with the limits of a timeline
SPARE_BYTES = 2 * 2**30  # of address space, beyond what a warm process has: a bomb must not take the machine
RATE = 16_000
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # of Linux


class Outcome(NamedTuple):
    """What became of a file: `result` is one of the three above, or says what went wrong.

    `growth_mb` is how far memory rose above what the process had before, `resident_mb` what it has after the file.
    """

    result: str
    cpu_s: float
    growth_mb: float
    resident_mb: float


def work(connection: Connection) -> None:
    """Receive names and seeds until None, send outcomes; the first says that the process is ready."""
    _silence()
    for name in FORMATS:  # whatever a library loads or keeps once is no growth
        with suppress(Exception):
            decode(encoded(name), timeline=True)
    _limit_memory()
    connection.send(Outcome("ready", 0.0, 0.0, _memory_mb("VmRSS")))
    for name, seed in iter(connection.recv, None):
        connection.send(observed(mutated(name, seed), timeline=seed % TIMELINE_EVERY == 0))


def observed(data: bytes, *, timeline: bool) -> Outcome:
    """Decode a file and measure it."""
    with suppress(OSError):
        RESET.write_text("5")  # the peak of memory
    before_mb, began_s = _memory_mb("VmRSS"), time.process_time()
    try:
        result = decode(data, timeline=timeline)
    except AudioError as error:
        result = REFUSED if _is_sentence(str(error)) else f"AudioError without a sentence: {error!r:.200}"
    except Exception as error:
        result = f"{type(error).__name__}: {error!s:.200}"
    growth_mb = max(0.0, _memory_mb("VmHWM") - before_mb)
    return Outcome(result, time.process_time() - began_s, growth_mb, _memory_mb("VmRSS"))


def decode(data: bytes, *, timeline: bool) -> str:
    """Decode as `predict` does, and as a timeline does. Raises `AudioError` only if both refuse it as they should."""
    if timeline:
        with (
            suppress(AudioError),
            open_recording(data, max_s=MAX_TIMELINE_S, max_bytes=MAX_TIMELINE_BYTES) as recording,
        ):
            for block in recording.blocks(RATE):
                _check(block)
    waveform = load_waveform(data)
    _check(waveform.samples)
    return CUT_OFF if waveform.cut_off else ANSWERED


def _check(samples: np.ndarray) -> None:
    if samples.dtype != np.float32 or samples.ndim != 1 or not samples.size or not np.isfinite(samples).all():
        raise ValueError(f"samples of type {samples.dtype}, shape {samples.shape}, or not finite")


def _is_sentence(text: str) -> bool:
    return text.isprintable() and text.endswith((".", "?")) and len(text) < 400


def _memory_mb(field: str) -> float:
    """Return a field of Linux' account of this process: resident memory now, or at most since the reset; else 0."""
    if not STATUS.exists():  # not Linux
        return 0.0
    found = re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else 0.0


def _limit_memory() -> None:
    if STATUS.exists():
        import resource  # Windows has none

        limit = round(_memory_mb("VmSize") * 2**20) + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _silence() -> None:
    """Send what decoders print about damages to nowhere; libsndfile's for SDS prints to standard output."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
