"""Present a part of a file, or a file with other bytes at one place, as a file of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO


class Part(io.RawIOBase):
    """Present the bytes of a file from `start` to `end` as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        super().__init__()
        self._file, self._start, self._size, self._at = file, start, end - start, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        bases: dict[int, Callable[[], int]] = {
            os.SEEK_SET: lambda: 0,
            os.SEEK_CUR: lambda: self._at,
            os.SEEK_END: lambda: self._size,
        }
        position = bases[whence]() + offset
        if position < 0:
            raise ValueError("negative position")
        self._at = position
        return position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        left = max(0, min(len(view), self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(left)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class Patched(Part):
    """Present a file with other bytes at one place."""

    def __init__(self, file: BinaryIO, size: int, place: int, patch: bytes) -> None:
        super().__init__(file, 0, size)
        self._place, self._patch = place, patch

    def readinto(self, buffer: Any) -> int:
        start = self._at
        n_read = super().readinto(buffer)
        first, last = max(start, self._place), min(start + n_read, self._place + len(self._patch))
        if first < last:
            patch = self._patch[first - self._place : last - self._place]
            memoryview(buffer).cast("B")[first - start : last - start] = patch
        return n_read
