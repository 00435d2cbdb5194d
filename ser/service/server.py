"""Run the service with uvicorn: checks before the start, one port, worker processes, one log."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from ser.inference.artifact import MODEL_VARIABLE, find, verify
from ser.inference.recognizer import PROFILE_VARIABLE, load
from ser.service.metrics import FOLDER_VARIABLE
from ser.service.settings import Settings
from ser.types import ParameterError

log = logging.getLogger("ser.service")

KEEP_ALIVE_S = 30
DRAIN_S = 15  # for requests in progress when the service stops; above the deadline of an answer
START_S = 20  # for a worker to import and load; with uvicorn's 5 a busy machine restarts it again and again
MAX_MESSAGE_BYTES = 2**20  # of a stream
PREFIX = re.compile(r"/?([\w.~-]+/)*[\w.~-]*", re.ASCII)
LOG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "ser.service.middleware.JsonFormatter"}},
    "filters": {"websocket": {"()": "ser.service.middleware.WebSocketFilter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["websocket"]}},
    "loggers": {
        "ser": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "python_multipart": {"level": "CRITICAL"},  # a body that it refuses has its answer; its lines quote the body
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},  # other libraries, which would write plain text
}


def serve(
    host: str,
    port: int,
    workers: int,
    model: str | None = None,
    on_listening: Callable[[str], None] | None = None,
    root_path: str = "",
    profile: str | os.PathLike[str] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish the requests in progress.

    Workers share one port; one that dies is replaced. `root_path` is the path prefix of a proxy in front, which may
    strip it or not. `profile` is the file of the source that all recordings are of, by default that of `SER_PROFILE`.
    `on_listening` is called with the URL. Raises, before anything starts, `ArtifactError` for a model or profile that
    cannot be loaded and `ParameterError` for invalid settings or an address that cannot be bound.
    """
    Settings.from_environment()  # checked here, as workers read them too late for an error message
    if not PREFIX.fullmatch(root_path) or {".", ".."} & set(root_path.split("/")):
        raise ParameterError(f"--root-path {root_path[:80]}: accepted is the path of a proxy, e.g. /ser.")
    os.environ[MODEL_VARIABLE] = str(_checked_model(model, profile))  # read by the workers when they start
    with bound_socket(host, port) as listening, _metrics_folder() if workers > 1 else nullcontext():
        config = uvicorn.Config(
            "ser.api:create_app",
            factory=True,
            workers=workers,
            log_config=LOG,
            access_log=False,
            server_header=False,
            root_path=f"/{root_path.strip('/')}".rstrip("/"),
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


def _checked_model(model: str | None, profile: str | os.PathLike[str] | None) -> Path:
    """Return the folder of the model that answers, and set `SER_PROFILE`; raise `ArtifactError` if one does not fit."""
    if file := profile or os.environ.get(PROFILE_VARIABLE):
        os.environ[PROFILE_VARIABLE] = str(Path(file).absolute())
        return load(model).artifact.folder
    return verify(find(model)).folder


def netloc(host: str, port: int) -> str:
    """Return host and port as in a URL, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bound_socket(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 takes any free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError, UnicodeError) as error:
        # Errors of the system have an errno, an unknown host a sentence beside a number of its own; a port out of range
        # and a host that is no name have only a text.
        number, sentence = (error.errno or 0, error.strerror) if isinstance(error, OSError) else (0, "")
        reason = os.strerror(number) if number in errno.errorcode else sentence or str(error)
        raise ParameterError(
            f"Cannot listen on {netloc(host, port)}: {reason}. Choose another --port or --host."
        ) from error


@contextmanager
def _metrics_folder() -> Iterator[None]:
    """Create the folder of the metrics of several workers, and remove it afterwards."""
    try:
        folder = TemporaryDirectory(prefix="ser-metrics-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ParameterError(
            f"Several workers need a folder for their metrics: {error.strerror}. Set TMPDIR, or use --workers 1."
        ) from error
    with folder as os.environ[FOLDER_VARIABLE]:
        try:
            yield
        finally:
            del os.environ[FOLDER_VARIABLE]
