"""The answers of several networks: which of them count for a recording."""

from __future__ import annotations

import numpy as np
import pytest

from ser.inference.manifest import HEADS
from ser.inference.mixture import HOME, mixed
from ser.models.voice import N_HEADS

SCORES = [np.array([[-1.0, -2.0]]), np.array([[-3.0, -1.0]]), np.array([[-5.0, -7.0]])]


def heads(*home: float) -> list[np.ndarray]:
    return [np.array([[0.5, 0.5, value]]) for value in home]


def test_networks_give_every_head():
    assert len(HEADS) == N_HEADS


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize(
    ("home", "plain", "scaled"),
    [
        (0.0, [-6.0, -2.0], [0.0, 0.0]),  # twice the second
        (1.0, [0.0, 0.0], [-6.0, -6.9]),  # 70 % of the first and the third, 30 % of twice the second
        (0.25, [-4.5, -1.5], [-1.5, -1.725]),
    ],
)
def test_home_branches_count_by_the_head(home, plain, scaled, scale):
    scores, mean = mixed(SCORES, heads(home, home, home), [1.0, 2.0, 1.0], [True, False, True], scale)
    np.testing.assert_allclose(scores, [np.add(plain, np.multiply(scale, scaled))])
    np.testing.assert_allclose(mean, [[0.5, 0.5, home]])


def test_the_heads_are_weighted():
    _, mean = mixed(SCORES, heads(1.0, 0.0, 0.0), [3.0, 1.0, 1.0], [True, False, True])
    assert mean[0, HOME] == pytest.approx(0.6)


@pytest.mark.parametrize("given", [[], heads(0.9, 0.9, 0.9)])
def test_without_home_branches_all_count(given):
    scores, mean = mixed(SCORES, given, [0.5, 0.3, 0.2], [False] * 3)
    np.testing.assert_allclose(scores, [[-2.4, -2.7]])
    assert (mean is None) == (not given)


def test_every_clip_has_its_own_share():
    several = [np.repeat(each, 2, axis=0) for each in SCORES]
    both = [np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 1.0]])] * 3
    scores, _ = mixed(several, both, [1.0, 2.0, 1.0], [True, False, True])
    np.testing.assert_allclose(scores, [[-6, -2], [-6, -6.9]])
