"""Damage to recordings that a number decides: the same format and seed always make the same file."""

from __future__ import annotations

import random
from collections.abc import Callable

from experiments.fuzzing.formats import FORMATS, encoded, with_checksums

MOST = 4  # alterations of a file
HEADER = 256  # bytes, where lengths, counts and rates mostly are
LONGEST_RUN = 2048  # bytes
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
EXTREMES += (2**63 - 1, 2**63, 2**64 - 1)
WIDTHS = (1, 2, 3, 4, 4, 4, 8)  # bytes of a number; four are the most common


def mutated(name: str, seed: int) -> bytes:
    """Return a recording of the format `name` with one to four alterations."""
    chance = random.Random(f"{name}:{seed}")
    data = bytearray(encoded(name))
    for _ in range(chance.randint(1, MOST)):
        data = chance.choice(ALTERATIONS)(data, chance)
    return with_checksums(bytes(data)) if data.startswith(b"OggS") and chance.random() < 0.7 else bytes(data)


def _place(data: bytearray, chance: random.Random) -> int:
    """Return a position, half of the time in the header."""
    end = len(data) if chance.random() < 0.5 else min(HEADER, len(data))
    return chance.randrange(end) if end else 0


def _run(data: bytearray, chance: random.Random) -> slice:
    start = _place(data, chance)
    return slice(start, start + chance.randint(1, min(LONGEST_RUN, max(1, len(data) - start))))


def _flip_bits(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.choice((1, 2, 8, 64)) if data else 0):
        data[_place(data, chance)] ^= 1 << chance.randrange(8)
    return data


def _overwrite(data: bytearray, chance: random.Random) -> bytearray:
    place = _run(data, chance)
    n_bytes = len(data[place])
    data[place] = chance.choice((bytes(n_bytes), b"\xff" * n_bytes, chance.randbytes(n_bytes)))
    return data


def _set_number(data: bytearray, chance: random.Random) -> bytearray:
    width, order = chance.choice(WIDTHS), chance.choice(("little", "big"))
    start = _place(data, chance)
    number = chance.choice(EXTREMES) % 256**width
    data[start : start + width] = number.to_bytes(width, order)  # type: ignore[arg-type]
    return data


def _truncate(data: bytearray, chance: random.Random) -> bytearray:
    return data[: _place(data, chance)]


def _duplicate(data: bytearray, chance: random.Random) -> bytearray:
    run, start = data[_run(data, chance)], _place(data, chance)
    return data[:start] + run * chance.choice((1, 1, 2, 16)) + data[start:]


def _remove(data: bytearray, chance: random.Random) -> bytearray:
    del data[_run(data, chance)]
    return data


def _move(data: bytearray, chance: random.Random) -> bytearray:
    place = _run(data, chance)
    run = data[place]
    del data[place]
    start = _place(data, chance)
    return data[:start] + run + data[start:]


def _insert_noise(data: bytearray, chance: random.Random) -> bytearray:
    start = _place(data, chance)
    return data[:start] + chance.randbytes(chance.randint(1, LONGEST_RUN)) + data[start:]


def _add_noise_behind(data: bytearray, chance: random.Random) -> bytearray:
    n_bytes = chance.randint(1, 4 * LONGEST_RUN)
    return data + chance.choice((bytes(n_bytes), chance.randbytes(n_bytes)))


def _splice(data: bytearray, chance: random.Random) -> bytearray:
    """Go on with the second half of another recording."""
    other = encoded(chance.choice(FORMATS))
    return data[: _place(data, chance)] + other[chance.randrange(len(other)) :]


def _join(data: bytearray, chance: random.Random) -> bytearray:
    """Put another recording behind this one or before it."""
    other = encoded(chance.choice(FORMATS))
    return data + other if chance.random() < 0.7 else bytearray(other) + data


Alteration = Callable[[bytearray, random.Random], bytearray]
ALTERATIONS: tuple[Alteration, ...] = (
    _flip_bits,
    _overwrite,
    _set_number,
    _set_number,  # lengths are what decoders trust most
    _truncate,
    _duplicate,
    _remove,
    _move,
    _insert_noise,
    _add_noise_behind,
    _splice,
    _join,
)
