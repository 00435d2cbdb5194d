"""Optional libraries, and the sentence that says how to install them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distributions

from ser.types import ParameterError

PACKAGE = "voice-ser"


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Turn a missing library of an extra into a `ParameterError` that says what needs it and how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library in ("", "ser"):  # a mistake of our own, which no installation mends
            raise
        missing = f"{what} needs {library}, which this installation lacks"
        raise ParameterError(f"{missing}; {advice(extra)}.") from error


def advice(extra: str) -> str:
    """Return the command that installs an extra: by the distribution's name only if it is installed under it.

    An egg-info, which builds leave in a clone, is no installation: that has a dist-info, which holds METADATA.
    """
    if any(distribution.read_text("METADATA") for distribution in distributions(name=PACKAGE)):
        return f"pip install '{PACKAGE}[{extra}]'"
    return f"pip install '.[{extra}]' in the repository"
