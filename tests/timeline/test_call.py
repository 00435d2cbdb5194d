"""The two sides of a call, heard apart: every format has the turns of each where they are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import ser
from experiments.call import READERS, WANTED_S, call, measure, spoken
from ser.inference.artifact import ARTIFACTS

SAMPLES = sorted(path for path in (ARTIFACTS.parent / "samples").glob("*.flac") if path.stem != "music")


def test_turns_of_each_speaker_are_found_in_every_format():
    speech = [spoken(path) for path in SAMPLES]
    assert all(one is not None for one in speech)
    recording, turns = call([speech[:3], speech[3:]], 60.0)
    found = measure(recording, turns, ser.load("dense105"))["formats"]
    assert set(found) == set(READERS) and min(map(len, turns.values())) >= 4
    for figures in found.values():
        assert (figures["missed"], figures["extra"]) == (0, 0)
        assert max(figures["starts"]["largest"], figures["ends"]["largest"]) <= WANTED_S


@pytest.mark.parametrize("seed", [1, 2])
def test_a_call_has_one_speaker_at_a_time(seed):
    voices = [[np.ones(4000)], [np.ones(8000)]]
    _, turns = call(voices, 30.0, seed)
    spans = sorted(span for of_side in turns.values() for span in of_side)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
