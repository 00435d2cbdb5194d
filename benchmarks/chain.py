"""The plain chain: the usual implementation with librosa, joblib and Keras.

It is the baseline of `benchmarks/predict.py`, computes the same features and uses the same weights. As a program,
`python benchmarks/chain.py MODEL_FOLDER CLIP` prints the emotion, then its own peak memory.
"""

import io
import json
import resource
import sys
from pathlib import Path

import joblib
import keras
import librosa
import numpy as np

from ser.features.preprocessing import prepare

SAMPLE_RATE = 16_000


class Chain:
    """A network and its scaler as training wrote them; `predict` returns probabilities before calibration."""

    def __init__(self, folder: Path) -> None:
        self.labels = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["labels"]
        self.scaler = joblib.load(folder / "scaler.joblib")
        self.model = keras.saving.load_model(folder / "model.keras")

    def predict(self, data: bytes) -> np.ndarray:
        """Return the probabilities (n_labels,) of a recording of one window."""
        features = self.scaler.transform([extract(read(data))])
        return self.model.predict(features, verbose=0)[0]


def read(data: bytes) -> np.ndarray:
    """Return the waveform at 16 kHz, prepared as `ser` does: without rumble, silent ends and long pauses."""
    samples, _ = librosa.load(io.BytesIO(data), sr=SAMPLE_RATE)
    return prepare(samples, SAMPLE_RATE).samples


def spectrum(samples: np.ndarray, *, gated: bool = False) -> np.ndarray:
    """Return the power spectrogram, at least 60 dB below its peak; with `gated` the magnitude, zero below that."""
    magnitude = np.abs(librosa.stft(samples))
    floor = 1e-3 * magnitude.max()
    return np.where(magnitude > floor, magnitude, 0) if gated else np.maximum(magnitude, floor) ** 2


def extract(samples: np.ndarray) -> np.ndarray:
    """Return the 105 features: one call of librosa for each block, each with its own spectrum, as from `y`."""
    cepstral_mel = librosa.feature.melspectrogram(S=spectrum(samples), sr=SAMPLE_RATE, n_mels=128)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(cepstral_mel), n_mfcc=13)
    delta = librosa.feature.delta(mfcc)
    mel = librosa.power_to_db(librosa.feature.melspectrogram(S=spectrum(samples), sr=SAMPLE_RATE, n_mels=48))
    centroid = librosa.feature.spectral_centroid(S=spectrum(samples, gated=True), sr=SAMPLE_RATE)
    rolloff = librosa.feature.spectral_rolloff(S=spectrum(samples, gated=True), sr=SAMPLE_RATE)
    crossings = librosa.feature.zero_crossing_rate(samples, threshold=0.003)
    chroma = librosa.feature.chroma_stft(S=spectrum(samples), sr=SAMPLE_RATE, tuning=0)
    return np.hstack(
        [
            mfcc.mean(axis=1),
            mfcc.std(axis=1),
            delta.mean(axis=1),
            mel.mean(axis=1),
            [centroid.mean(), centroid.std()],
            [rolloff.mean(), rolloff.std()],
            [crossings.mean(), crossings.std()],
            chroma.mean(axis=1),
        ]
    )


if __name__ == "__main__":
    chain = Chain(Path(sys.argv[1]))
    answer = chain.predict(Path(sys.argv[2]).read_bytes())
    print(chain.labels[int(answer.argmax())], flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
