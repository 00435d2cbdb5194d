"""Libraries that only some installations have, and the sentence that says how to get them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from ser.types import ParameterError

PACKAGE = "voice-ser"


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Code that needs the libraries of an extra of the package; `what` is what cannot be done without them.

    A library that is missing is refused with a `ParameterError` that names it and the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library in ("", "ser"):  # a mistake of our own, which no installation mends
            raise
        missing = f"{what} needs {library}, which this installation lacks"
        raise ParameterError(f"{missing}; {advice(extra)}.") from error


def advice(extra: str) -> str:
    """How to get an extra here: by the package's name only where it is installed, else it might be anybody's."""
    try:
        version(PACKAGE)
    except PackageNotFoundError:
        return f"pip install '.[{extra}]' in the repository"
    return f"pip install '{PACKAGE}[{extra}]'"
