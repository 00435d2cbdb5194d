"""The answers of several networks, weighted by whether a recording is made like those of the first corpus.

What serves one corpus (its sentences, studio and language) misleads on all others. So some branches, called home,
answer recordings like those of the first corpus, and the others the rest; a head of the networks tells which it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ser.inference.manifest import HEADS

HOME = HEADS.index("home")
HOME_FROM = 0.5  # probability


def is_home(heads: np.ndarray) -> np.ndarray:
    """Return whether recordings are made like those of the first corpus, from heads (..., n_heads) that tell it."""
    return heads[..., HOME] >= HOME_FROM


def mixed(
    scores: Sequence[np.ndarray], heads: Sequence[np.ndarray], weights: Sequence[float], home: Sequence[bool]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the weighted sum of log-probabilities (n, n_labels) and the weighted mean of the heads (n, n_heads).

    The arguments hold one entry a branch; `heads` may be empty. If some branches are `home`, they count by the
    probability of the head of that name, and the others by the rest of it; both kinds have half of the say in the
    heads, whatever the scale of their scores.
    """
    importance, is_home = np.array(weights), np.array(home)
    of_kind = np.array([importance[is_home == kind].sum() for kind in is_home])  # (n_branches,)
    say = importance / of_kind / len(set(home))
    mean = np.tensordot(say, heads, 1) if len(heads) else None
    if mean is None or not is_home.any():
        return np.tensordot(importance, scores, 1), mean
    share = np.where(is_home[:, None], mean[:, HOME], 1 - mean[:, HOME])  # (n_branches, n)
    return np.einsum("b,bn,bnl->nl", importance, share, scores), mean
