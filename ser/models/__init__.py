"""Network architectures in Keras, which is loaded when one is built."""

from ser.models.registry import ARCHITECTURES, build

__all__ = ["ARCHITECTURES", "build"]
