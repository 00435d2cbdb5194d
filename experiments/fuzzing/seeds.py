"""Writes the corpus that the coverage-guided fuzzer begins with: python -m experiments.fuzzing.seeds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from experiments.fuzzing.formats import FORMATS, encoded
from experiments.fuzzing.targets import CONTENT, GRAPH, TARGETS
from ser.inference.manifest import MANIFEST

CORPUS = Path(__file__).resolve().parent / "corpus"
SECONDS = 0.01
MOST_BYTES = 1700  # of a recording; others have headers that are much larger
MANIFEST_SEED = {
    "schema": "ser-artifact/1",
    "name": "tiny",
    "created": "2026-01-01",
    "labels": ["neutral", "happy"],
    "branches": [{"recipe": "voice105-v1", "file": GRAPH, "weight": 1.0}],
    "golden": GRAPH,
    "temperature": 1.0,
    "thresholds": {"confidence": 0.5},
    "training": {"config": {"seeds": [1]}, "corpora": {"ravdess": {"speakers": ["ravdess/01"]}}},
    "metrics": {"folds": {"uar": 0.5}},
    "versions": {"ser": "0"},
    "files": {GRAPH: hashlib.sha256(CONTENT).hexdigest()},
}
PROFILE_SEED = {
    "schema": "ser-profile/2",
    "model": "voice",
    "version": "0",
    "source": "calls",
    "clips": 12,
    "created": "2026-01-01T00:00:00+00:00",
    "log_probabilities": {"neutral": -0.5, "happy": -1e-3},
}
PART = 'Content-Disposition: form-data; name="file"; filename="{}"\r\nContent-Type: audio/wav\r\n\r\n{}\r\n'
BODY = "multipart/form-data; boundary=b\n--b\r\n" + PART.format("a.wav", "RIFF") + "--b\r\n" + PART.format("ö", "")


def seeds() -> dict[str, dict[str, bytes]]:
    """Return the corpus of every target: its files by name."""
    recordings = {name: encoded(name, SECONDS) for name in FORMATS}
    extended = "form-data; name=\"file\"; filename*=utf-8''na%C3%AFve.wav\n"
    return {
        "decoder": {name: data for name, data in recordings.items() if len(data) <= MOST_BYTES},
        "artifact": {MANIFEST: json.dumps(MANIFEST_SEED).encode()},
        "profile": {"profile.json": json.dumps(PROFILE_SEED).encode()},
        "request": {"body": (BODY + "--b--\r\n").encode(), "unfinished": BODY.encode(), "name": extended.encode()},
        "stream": {"mono": bytes([160, 1, 99]) + bytes(300), "stereo": bytes([80, 2, 0]) + bytes(range(200))},
    }


def main() -> None:
    for target, files in seeds().items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (CORPUS / target / name).write_bytes(data)
    print(
        f"{sum(path.stat().st_size for path in CORPUS.rglob('*') if path.is_file()):,} bytes for {len(TARGETS)} targets"
    )


if __name__ == "__main__":
    main()
