"""Settings of memory and its collection for programs that answer many recordings."""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache

import numpy as np

# Numbers of glibc's malloc.h, and bytes that hold the largest array of an answer and all of them together.
M_TRIM_THRESHOLD, KEPT = -1, 32 << 20
M_MMAP_THRESHOLD, LARGEST = -3, 16 << 20
M_ARENA_MAX, ARENAS = -8, 4


def tune_malloc() -> None:
    """Set glibc's malloc, if it is there, to keep up to 32 MiB of freed memory: else an answer costs 4,000 page faults.

    All threads share four heaps in place of one each: with twenty visitors at once the page needs 80 MB less. For
    programs: it fixes thresholds that a host may want to choose. The library calls `keep_freed_memory`.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
        libc.mallopt(M_ARENA_MAX, ARENAS)


def keep_freed_memory() -> None:
    """Allocate a block and free it, after which every heap of glibc's malloc keeps up to twice as much freed memory.

    Its thresholds are by default those of the largest block freed so far. The arrays of an answer are just below: their
    memory goes back to the system with each answer and costs 500 page faults, a millisecond, in the next. No effect if
    the host has fixed the thresholds, as some builds of Python do.
    """
    np.empty(LARGEST, np.uint8)


@cache
def freeze_loaded() -> None:
    """Leave what is loaded by now out of garbage collection, once: Streamlit collects after every run of a page.

    That takes 0.2 s with its modules and a model, during which nothing is sent to the browser. For programs, too.
    """
    gc.collect()
    gc.freeze()
