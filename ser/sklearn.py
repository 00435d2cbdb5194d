"""`VoiceFeatures`, a scikit-learn transformer from recordings to features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ser.extras import needs

if TYPE_CHECKING:
    from ser.features.transformer import VoiceFeatures

__all__ = ["VoiceFeatures"]


def __getattr__(name: str) -> Any:
    """Import `VoiceFeatures` on first use: its base class is scikit-learn's, which takes seconds to load."""
    if name not in __all__:
        raise AttributeError(f"module 'ser.sklearn' has no attribute {name!r}")
    with needs("sklearn", name):
        from ser.features.transformer import VoiceFeatures
    return VoiceFeatures
