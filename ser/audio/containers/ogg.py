"""Read the pages of OGG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ser.audio.containers.limits import MOST_STEPS


@dataclass(frozen=True)
class _Page:
    start: int
    is_first: bool  # of a stream
    continues: bool  # its last packet goes on in the next page
    end: int


def _pages(file: BinaryIO) -> Iterator[_Page]:
    """Yield the pages of an OGG (RFC 3533) up to the first bytes that are none."""
    at = 0
    for _ in range(MOST_STEPS):
        file.seek(at)
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            return
        lengths = file.read(head[26])
        end = at + 27 + head[26] + sum(lengths) + (head[26] - len(lengths))
        yield _Page(at, bool(head[5] & 2), bool(lengths) and lengths[-1] == 255, end)
        at = end


def ogg_starts(file: BinaryIO) -> Iterator[int]:
    """Yield the start of every group of streams: a first page behind a page that is not one."""
    in_header = False
    for page in _pages(file):
        if page.is_first and not in_header:
            yield page.start
        in_header = page.is_first


def ogg_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether the last page is incomplete, or its last packet goes on."""
    page = None
    for page in _pages(file):  # noqa: B007
        pass
    return page is None or page.end > size or page.continues or size - page.end in range(1, 27)
