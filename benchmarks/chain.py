"""The plain chain: how a project of this kind is usually written, with librosa, joblib and Keras.

It is the baseline of `benchmarks/predict.py`, computes the same features and asks the same weights. As a program,
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

SAMPLE_RATE = 16_000


class Chain:
    """A network and its scaler as training wrote them: `predict` gives probabilities before any calibration."""

    def __init__(self, folder: Path) -> None:
        self.labels = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["labels"]
        self.scaler = joblib.load(folder / "scaler.joblib")
        self.model = keras.saving.load_model(folder / "model.keras")

    def predict(self, data: bytes) -> np.ndarray:
        """Bytes of a recording of one window to probabilities, shape (n_labels,)."""
        features = self.scaler.transform([extract(read(data))])
        return self.model.predict(features, verbose=0)[0]


def read(data: bytes) -> np.ndarray:
    """Sound at 16 kHz, trimmed, peak 1."""
    samples, _ = librosa.load(io.BytesIO(data), sr=SAMPLE_RATE)
    samples, _ = librosa.effects.trim(samples, top_db=30)
    return librosa.util.normalize(samples)


def extract(samples: np.ndarray) -> np.ndarray:
    """The 105 features, one call of librosa for each block."""
    mfcc = librosa.feature.mfcc(y=samples, sr=SAMPLE_RATE, n_mfcc=13)
    delta = librosa.feature.delta(mfcc)
    mel = librosa.power_to_db(librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE, n_mels=48))
    centroid = librosa.feature.spectral_centroid(y=samples, sr=SAMPLE_RATE)
    rolloff = librosa.feature.spectral_rolloff(y=samples, sr=SAMPLE_RATE)
    crossings = librosa.feature.zero_crossing_rate(samples)
    chroma = librosa.feature.chroma_stft(y=samples, sr=SAMPLE_RATE, tuning=0)
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
