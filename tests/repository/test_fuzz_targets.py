"""The targets of the coverage-guided fuzzer take their committed corpus, whole and halved."""

from __future__ import annotations

import pytest

from experiments.fuzzing.seeds import CORPUS
from experiments.fuzzing.targets import TARGETS

SEEDS = sorted(CORPUS.glob("*/*"))


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_target_takes_its_seeds(seed):
    data = seed.read_bytes()
    for part in (data[: len(data) // 2], data):
        TARGETS[seed.parent.name](part)


def test_every_target_has_a_small_corpus():
    assert {path.parent.name for path in SEEDS} == set(TARGETS)
    assert sum(path.stat().st_size for path in SEEDS) < 40_000
