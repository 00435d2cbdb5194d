"""Hears a voice and says which emotion it carries, how sure it is and why.

>>> import ser
>>> ser.load().predict("clip.wav").label
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser.inference.recognizer import Recognizer, load
    from ser.tables import to_pandas
    from ser.types import Failure, Prediction, SerError, Timeline

__version__ = "0.1.0"
__all__ = ["Failure", "Prediction", "Recognizer", "SerError", "Timeline", "load", "to_pandas"]

# Where the public names live: a bare `import ser` stays cheap.
_HOMES = {"load": "inference.recognizer", "Recognizer": "inference.recognizer", "to_pandas": "tables"}
_HOMES |= dict.fromkeys(("Failure", "Prediction", "SerError", "Timeline"), "types")


def __getattr__(name: str) -> Any:
    """`ser.load` and the packages (`ser.models`, `ser.train` ...) on first use."""
    from importlib import import_module, util

    if name in _HOMES:
        return getattr(import_module(f"ser.{_HOMES[name]}"), name)
    if not name.startswith("_") and util.find_spec(f"ser.{name}"):
        return import_module(f"ser.{name}")
    raise AttributeError(f"module 'ser' has no attribute {name!r}")
