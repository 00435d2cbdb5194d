"""Runs tasks in worker processes of one thread each, which end if the program that started them ends."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from threading import Thread
from typing import Any, TypeVar

THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")  # read when TensorFlow starts
WATCH_S = 0.5

Result = TypeVar("Result")


def in_parallel(tasks: Iterable[Callable[[], Result]], jobs: int, *, ordered: bool = False) -> Iterator[Result]:
    """Yield the result of each task as it is ready (`ordered`: in the order of the tasks).

    `jobs` is the number of worker processes: 1 runs the tasks in this process, -1 takes all cores.
    """
    from joblib import Parallel, delayed, parallel_config

    worker: dict[str, Any] = {"inner_max_num_threads": 1, "initializer": _start_worker, "initargs": (os.getpid(),)}
    with warnings.catch_warnings(), parallel_config("loky", n_jobs=jobs, **worker):
        # TensorFlow keeps memory from fit to fit, so joblib replaces workers that have grown.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        parallel = Parallel(return_as="generator" if ordered else "generator_unordered")
        yield from parallel(delayed(task)() for task in tasks)


def _start_worker(parent: int) -> None:
    """Limit TensorFlow to one thread, and end this worker if the parent is killed.

    An orphaned worker would write into the work folder of a run that resumes.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    for variable in THREADS:
        os.environ.setdefault(variable, "1")
    Thread(target=watch, daemon=True).start()
