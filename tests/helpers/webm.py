"""WebM as a browser's MediaRecorder writes it: Opus in a file without lengths, made with PyAV."""

from __future__ import annotations

import av
import numpy as np

OPUS_RATE = 48_000
FRAME = 960  # samples of an Opus packet of 20 ms


def webm(samples: np.ndarray, rate: int = OPUS_RATE, *, codec: str = "libopus", container: str = "webm") -> bytes:
    """Return int16 samples (n, channels) as a live WebM."""
    file = _Written()
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    with av.open(file, "w", format=container, options={"live": "1"}) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.format, layout, rate, frame_size=FRAME)
        packed = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        packed.sample_rate = rate
        for frame in [*resampler.resample(packed), *resampler.resample(None)]:
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return bytes(file.content)


class _Written:
    """A file that cannot be sought in."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> int:
        self.content += data
        return len(data)
