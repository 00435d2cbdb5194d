"""Check the elements of Matroska and WebM."""

from __future__ import annotations

from typing import BinaryIO

from ser.audio.containers.limits import MOST_STEPS

SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
UNKNOWN = -1  # length of an element that ends where the next one of its kind begins
# Times, blocks, and what else a cluster may hold (RFC 9559, 5.1.3).
IN_CLUSTER = {0xE7, 0xA3, 0xA0, 0xA7, 0xAB, 0xAF, 0x5854, 0xEC, 0xBF}


def ebml_is_broken(file: BinaryIO, size: int) -> bool:
    """Return whether an element goes on behind the last byte, or a cluster holds what is no part of one."""
    at, clusters_end, in_cluster = 0, size, False
    for _ in range(MOST_STEPS):
        if at >= size:
            return at > size
        file.seek(at)
        head = file.read(12)
        element, id_length = _vint(head, keep_marker=True)
        length, length_length = _vint(head[id_length:])
        if not id_length or not length_length:
            return (in_cluster and at < clusters_end) or (len(head) < 12 and head.strip(b"\0") != b"")
        start = at + id_length + length_length
        end = start + max(length, 0)
        if element in (SEGMENT, CLUSTER):
            if end > size:
                return True
            in_cluster, clusters_end = element == CLUSTER, size if length == UNKNOWN else end
            at = start
        elif in_cluster and at < clusters_end and element not in IN_CLUSTER:
            if clusters_end < size or element < 2**28:  # a cluster of unknown length ends with an element of the top
                return True
            in_cluster, at = False, end
        else:
            at = end
    return False


def _vint(data: bytes, keep_marker: bool = False) -> tuple[int, int]:
    """Return an EBML number (RFC 8794, 4) and its length in bytes; -1 if all bits are set, (0, 0) if it is none."""
    if not data or not data[0]:
        return 0, 0
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return 0, 0
    value = int.from_bytes(data[:length], "big")
    if keep_marker:
        return value, length
    value &= (1 << 7 * length) - 1
    return (UNKNOWN if value == (1 << 7 * length) - 1 else value), length
