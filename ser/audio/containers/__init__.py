"""Structure of recordings, read from their bytes: whether one follows another, and whether one ends inside a packet.

Only headers are read, so that an hour costs little and nothing is kept in memory.
"""

from ser.audio.containers.limits import STREAMED_BYTES
from ser.audio.containers.mp3 import Mp3, read_mp3
from ser.audio.containers.parts import Part
from ser.audio.containers.riff import is_late_caf, with_size
from ser.audio.containers.structure import is_broken, starts

__all__ = ["STREAMED_BYTES", "Mp3", "Part", "is_broken", "is_late_caf", "read_mp3", "starts", "with_size"]
