"""Makes the page's samples and, for the tests, recordings that are not speech.

The voices are those of the synthesisers flite and espeak-ng, shaped with sox (Debian: `apt-get install flite
espeak-ng sox`). Run it as `python samples/make.py`; the same versions give the same samples.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
CLIPS = ROOT / "tests" / "clips"
RATE = 16_000

FLITE, ESPEAK = "flite -voice {} -o", "espeak-ng -v {} -w"
# Name: synthesiser with its voice, its options, the sentence, the effects of sox.
VOICES = {
    "even": (FLITE.format("slt"), "", "I left the parcel for you on the kitchen table.", ""),
    "slow-and-soft": (
        FLITE.format("awb"),
        "--setf duration_stretch=1.3",
        "It has been raining since the morning, and nobody came.",
        "lowpass 2200",
    ),
    "sharp": (ESPEAK.format("en-us+f3"), "-p 20 -s 120", "You never listen to a single word that I say!", ""),
    "quick-and-high": (
        FLITE.format("kal16"),
        "--setf duration_stretch=0.8 --setf int_f0_target_mean=240 --setf int_f0_target_stddev=80",
        "Did you see that? It is already here, can you believe it?",
        "pitch 200",
    ),
    "trembling": (
        FLITE.format("slt"),
        "--setf duration_stretch=0.9",
        "There is somebody outside, and I do not know what to do.",
        "pitch 450 tremolo 9 70 treble 6",
    ),
}


def speak(name: str) -> None:
    """Synthesise one voice, shape it, and write it as mono FLAC at 16 kHz with a little silence at both ends."""
    program, options, text, effects = VOICES[name]
    with tempfile.TemporaryDirectory() as folder:
        spoken = str(Path(folder, "spoken.wav"))
        said = ["-t", text] if program.startswith("flite") else [text]
        subprocess.run([*program.split(), spoken, *options.split(), *said], check=True)
        shape = f"gain -12 {effects} gain -n -3 pad 0.3 0.4".split()
        target = str(SAMPLES / f"{name}.flac")
        subprocess.run(["sox", "-D", spoken, "-b", "16", "-c", "1", "-r", str(RATE), target, *shape], check=True)


def seconds(duration_s: float) -> np.ndarray:
    return np.arange(round(duration_s * RATE)) / RATE


def music(duration_s: float = 4.0) -> np.ndarray:
    """Return a plucked melody over four chords."""
    time = seconds(duration_s)

    def note(pitch_hz: float, start_s: float, decay: float) -> np.ndarray:
        since = np.clip(time - start_s, 0, None)
        shape = np.minimum(since * 80, 1) * np.exp(-decay * since)
        return shape * sum(np.sin(2 * np.pi * pitch_hz * k * since) / k**1.5 for k in range(1, 6))

    chords = [note(root * step, i * 1.0, 1.5) for i, root in enumerate((220, 175, 262, 196)) for step in (1, 1.26, 1.5)]
    melody = [note(pitch, i * 0.5, 3.0) for i, pitch in enumerate((659, 523, 440, 523, 784, 659, 587, 494))]
    return 0.6 * sum(chords) + sum(melody)


def not_speech() -> dict[str, np.ndarray]:
    """Return recordings without speech, by name."""
    time = seconds(2.0)
    noise = np.random.default_rng(1).standard_normal(len(time))
    return {
        "music": music(),
        "noise": noise,
        "tone": np.sin(2 * np.pi * 440 * time),
        "hum": sum(np.sin(2 * np.pi * 50 * k * time) / k for k in range(1, 9)) + 0.02 * noise,
    }


def write(path: Path, samples: np.ndarray, peak: float = 0.3) -> None:
    sf.write(path, peak * samples / np.abs(samples).max(), RATE, subtype="PCM_16")


def main() -> None:
    for name in VOICES:
        speak(name)
    CLIPS.mkdir(exist_ok=True)
    for name, samples in not_speech().items():
        write(CLIPS / f"{name}.flac", samples)
    write(SAMPLES / "music.flac", music())


if __name__ == "__main__":
    main()
