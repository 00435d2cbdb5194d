"""Speech emotion recognition: which emotion a voice carries, how sure that is, and why it may be wrong.

>>> import ser
>>> ser.predict("clip.wav").label
"""

from __future__ import annotations

from importlib import import_module, util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser.inference.recognizer import Recognizer, load, predict
    from ser.tables import to_pandas
    from ser.types import Failure, Prediction, SerError, Timeline

__version__ = "0.1.0"
__all__ = ["Failure", "Prediction", "Recognizer", "SerError", "Timeline", "load", "predict", "to_pandas"]

# Imported on first use, so that a bare `import ser` takes milliseconds.
_MODULES = dict.fromkeys(("Recognizer", "load", "predict"), "ser.inference.recognizer") | {"to_pandas": "ser.tables"}
_MODULES |= dict.fromkeys(("Failure", "Prediction", "SerError", "Timeline"), "ser.types")


def __getattr__(name: str) -> Any:
    """Return a public name, or a package such as `ser.models`, on first use."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if not name.startswith("_") and util.find_spec(f"ser.{name}"):
        return import_module(f"ser.{name}")
    raise AttributeError(f"module 'ser' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
