"""Tasks in worker processes: their results, their threads, and that none outlives its program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import ser
from ser.training.parallel import THREADS, in_parallel

ROOT = Path(ser.__file__).parents[1]
PROGRAM = """
import os, time
from functools import partial
from ser.training.parallel import in_parallel

def wait():
    print(os.getpid(), flush=True)
    time.sleep(60)

list(in_parallel([wait, wait], 2))
"""


def squared_later(number: int, delay_s: float) -> int:
    time.sleep(delay_s)
    return number**2


def test_one_job_is_this_process():
    assert list(in_parallel([os.getpid, os.getpid], 1)) == [os.getpid()] * 2


@pytest.mark.slow
def test_results_come_in_order_if_asked_for():
    tasks = [partial(squared_later, 1, 0.5), partial(squared_later, 2, 0.0)]
    assert list(in_parallel(tasks, 2, ordered=True)) == [1, 4]
    assert sorted(in_parallel(tasks, 2)) == [1, 4]


@pytest.mark.slow
def test_a_worker_has_one_thread():
    assert list(in_parallel([partial(os.getenv, name) for name in THREADS], 2, ordered=True)) == ["1"] * 2


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_workers_end_with_a_program_that_is_killed():
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as program:
        workers = [int(program.stdout.readline()) for _ in range(2)]
        program.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(map(is_alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not any(map(is_alive, workers))
