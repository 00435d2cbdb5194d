"""Runs the service: a free port, a model that loads, some worker processes, one log."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from ser.inference.artifact import find, verify
from ser.service.metrics import FOLDER
from ser.service.state import Settings
from ser.types import ParameterError

log = logging.getLogger("ser.service")

KEEP_ALIVE_S = 30
DRAIN_S = 15  # for answers in hand when the service is told to stop; above the deadline of an answer
START_S = 20  # for a worker to import and load; uvicorn's 5 end it again and again on a machine that is busy
MAX_MESSAGE_BYTES = 2**20  # of a stream
LOG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "ser.service.middleware.JsonLines"}},
    "filters": {"unnamed": {"()": "ser.service.middleware.Unnamed"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["unnamed"]}},
    "loggers": {
        "ser": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}


def serve(
    host: str, port: int, workers: int, model: str | None = None, on_listening: Callable[[str], None] | None = None
) -> None:
    """Answer until told to stop (SIGINT, SIGTERM); then finish what is in hand.

    Workers share one port: one that dies is replaced, and the others go on. Raises `ArtifactError` for a model that
    cannot be loaded and `ParameterError` for settings that cannot hold or an address that cannot be had, before
    anything is started. `on_listening` is told the service's address.
    """
    Settings.from_environment()  # which workers read when they start, too late for a sentence
    folder = find(model)
    verify(folder)
    os.environ["SER_MODEL"] = str(folder)  # which workers read when they start
    with bound(host, port) as listening, _shared_counts(workers):
        config = uvicorn.Config(
            "ser.api:create_app",
            factory=True,
            workers=workers,
            log_config=LOG,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
            timeout_worker_healthcheck=START_S,
            ws_max_size=MAX_MESSAGE_BYTES,
        )
        url = f"http://{netloc(host, listening.getsockname()[1])}"
        log.info("listening", extra={"fields": {"url": url}})
        if on_listening:
            on_listening(url)
        if workers > 1:
            Multiprocess(config, sockets=[listening]).run()
        else:
            uvicorn.Server(config).run(sockets=[listening])


def netloc(host: str, port: int) -> str:
    """Both as they stand in a URL, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there; port 0 is any free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        # The system words an errno of its own; an unknown host and a port out of range bring their own words.
        number = (error.errno or 0) if isinstance(error, OSError) else 0
        reason = os.strerror(number) if number in errno.errorcode else str(error)
        raise ParameterError(
            f"Cannot listen on {netloc(host, port)}: {reason}. Choose another --port or --host."
        ) from error
    with listening:
        yield listening


@contextmanager
def _shared_counts(workers: int) -> Iterator[None]:
    """A folder in which several workers add up what they count. It holds counts, and is gone afterwards."""
    if workers == 1:
        yield
        return
    try:
        folder = tempfile.mkdtemp(prefix="ser-metrics-")
    except OSError as error:
        raise ParameterError(
            f"Several workers need a folder for their counts: {error.strerror}. Set TMPDIR, or use --workers 1."
        ) from error
    os.environ[FOLDER] = folder
    try:
        yield
    finally:
        del os.environ[FOLDER]
        shutil.rmtree(folder, ignore_errors=True)
