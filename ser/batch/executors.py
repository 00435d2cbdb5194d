"""Executors of a run: the cores of this machine or a Dask cluster, both through joblib."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from threading import Thread
from typing import Any

from ser.extras import needs
from ser.types import ParameterError

CONNECT_S = 10
WATCH_S = 1.0
UNORDERED: dict[str, Any] = {"return_as": "generator_unordered", "batch_size": 1}  # a result as soon as it is there

Call = tuple[Any, ...]  # a function and its arguments
Pool = Callable[[Iterable[Call]], Iterator[Any]]  # yields results in any order; raises `WorkerDied`


class WorkerDied(Exception):
    """A worker was killed or crashed; the calls that it had or that waited for it have no result."""


def _results(parallel: Any, calls: Iterable[Call], deaths: type[BaseException]) -> Iterator[Any]:
    from joblib import delayed

    results = parallel(delayed(function)(*arguments) for function, *arguments in calls)
    try:
        yield from results
    except deaths as error:
        raise WorkerDied from error
    finally:
        with warnings.catch_warnings():  # about dropped results: they are computed again when the run resumes
            warnings.simplefilter("ignore")
            results.close()


# --- Cores ---


@contextmanager
def cores(jobs: int | None) -> Iterator[Pool]:
    """Provide processes of this machine (None: one a core), each with one thread; one job runs in this process."""
    from joblib import Parallel

    if jobs is not None and jobs < 1:
        raise ParameterError(f"{jobs} processes: give 1 or more.")
    with _processes(jobs or -1):
        yield lambda calls: _results(Parallel(**UNORDERED), calls, BrokenProcessPool)


def _processes(jobs: int) -> Any:
    """Return the context in which joblib works in `jobs` processes, or in this one if there are no others."""
    from joblib import parallel_config

    if jobs == 1 or not _has_semaphores():
        return parallel_config("sequential")
    only = {"inner_max_num_threads": 1, "initializer": _exit_with, "initargs": (os.getpid(),)}
    return parallel_config("loky", n_jobs=jobs, **only)


def _has_semaphores() -> bool:
    """Return whether this system offers what processes need to work together; it lies in /dev/shm on Linux."""
    if os.environ.get("JOBLIB_MULTIPROCESSING") == "0":
        return False
    try:
        get_context().Semaphore()
    except (ImportError, OSError):
        return False
    return True


def _exit_with(parent: int) -> None:
    """End this worker if the run is killed: loky's workers wait for ever, each with a model in memory."""

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    Thread(target=wait, daemon=True).start()


# --- Clusters ---


@contextmanager
def cluster(address: str) -> Iterator[Pool]:
    """Provide the workers of a Dask scheduler. A crashed one is replaced; `WorkerDied` if a call crashes several."""
    with needs("dask", "--dask"):
        from distributed import KilledWorker
    from joblib import Parallel

    backend = _backend()
    with _client(address) as client:
        try:
            yield lambda calls: _results(Parallel(**UNORDERED, backend=backend(client=client)), calls, KilledWorker)
        except CancelledError as error:
            raise ParameterError(
                f"The scheduler {address} is gone. Start it, and run the same command to resume."
            ) from error


def _backend() -> Any:
    """Return joblib's Dask backend, changed to report calls that crashed their workers: its own waits for ever."""
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):
        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, sum(self.client.ncores().values()))  # with 1, joblib would work in this process

        def submit(self, func: Any, callback: Any = None) -> Any:
            future = super().submit(func, callback)
            future.add_done_callback(lambda done: callback(done) if done.exception() else None)
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            return out.result() if isinstance(out, Future) else super().retrieve_result_callback(out)

    return Backend


def _client(address: str) -> Any:
    import distributed

    class Client(distributed.Client):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            try:
                super().__init__(*arguments, **options)
            except BaseException:  # the garbage collector would close it, in a deadlock if the next client is starting
                self.close()
                raise

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ParameterError(f"No Dask scheduler answers at {address} ({error}). Start one: dask scheduler.") from error
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
        client.run_on_scheduler(_ready)
        client.run(_ready)
    except TimeoutError as error:
        client.close()
        raise ParameterError(f"{address} has no workers. Start some: dask worker {address} --nthreads 1.") from error
    except Exception as error:  # an `Exception` with the text of the error on the cluster
        client.close()
        raise ParameterError(
            f"The scheduler or a worker of {address} cannot run voice-ser ({error}). Install the same version there."
        ) from error
    return client


def _ready() -> bool:
    """Return True from a worker that can import this module."""
    return True
