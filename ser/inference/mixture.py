"""The answers of several networks, weighted by whether a recording is made like those of the first corpus.

What serves one corpus (its sentences, studio and language) misleads on all others. So some branches, called home, count
only for recordings like those of the first corpus; a head of the networks tells which these are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ser.inference.manifest import HEADS

HOME = HEADS.index("home")
HOME_FROM = 0.9  # probability; hardly any recording of left-out corpora reaches it
HOME_SHARE = 0.7  # of home branches in answers at home, beside the others


def is_home(heads: np.ndarray) -> np.ndarray:
    """Return whether recordings are made like those of the first corpus, from heads (..., n_heads) that tell it."""
    return heads[..., HOME] >= HOME_FROM


def mixed(
    scores: Sequence[np.ndarray],
    heads: Sequence[np.ndarray],
    weights: Sequence[float],
    home: Sequence[bool],
    home_scale: float = 1.0,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the weighted sum of log-probabilities (n, n_labels) and the weighted mean of the heads (n, n_heads).

    The arguments hold one entry a branch; `heads` may be empty. If some branches are `home`, the others answer alone
    where the head of that name is 0; where it is 1, both do, `HOME_SHARE` to the rest, and the sum is multiplied by
    `home_scale`, since such answers are more often right.
    """
    importance, is_home = np.array(weights), np.array(home)
    mean = np.tensordot(importance / importance.sum(), heads, 1) if len(heads) else None
    if mean is None or not is_home.any():
        return np.tensordot(importance, scores, 1), mean
    at_home = mean[:, HOME]
    of_home, of_others = HOME_SHARE * home_scale * at_home, (1 - HOME_SHARE) * home_scale * at_home + 1 - at_home
    share = np.where(is_home[:, None], of_home, of_others)  # (n_branches, n)
    return np.einsum("b,bn,bnl->nl", importance, share, scores), mean
