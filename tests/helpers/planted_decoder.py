"""The process of `ser.audio.isolation` with a decoder that fails in the way that the recording's name says."""

from __future__ import annotations

import os
import signal
import time
from typing import BinaryIO

from ser.audio import isolated
from ser.audio.decoders import Decoder, Decoding, open_decoder

WAYS = {
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "hang": lambda: time.sleep(60),
    "bomb": lambda: bytearray(2**36),
    "raise": lambda: {}["nothing"],
}


def planted(file: BinaryIO, label: str, decoding: Decoding) -> Decoder:
    WAYS.get(label.removesuffix(".wav"), bool)()
    return open_decoder(file, label, decoding)


if __name__ == "__main__":
    isolated.open_decoder = planted
    isolated.main()
