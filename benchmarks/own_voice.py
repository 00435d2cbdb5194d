"""What five clips of a speaker, without their labels, are worth: from the recordings and the stored fold graphs.

python benchmarks/own_voice.py --data DIR [--model voice]. Every actor is answered by the networks that never heard it,
with and without calibration, on the clips that were not drawn; no training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ser.artifact import find, verify
from ser.datasets import load_corpus
from ser.enrolment import CLIPS, DRAWS, enrolment, voices
from ser.predict import Recognizer
from ser.robustness import unheard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder that holds the corpus")
    parser.add_argument("--model", default="voice")
    parser.add_argument("--corpus", default="ravdess")
    parser.add_argument("--clips", type=int, default=CLIPS, help="drawn from each speaker")
    options = parser.parse_args()
    artifact = verify(find(options.model))
    clips = load_corpus(options.corpus, options.data).clips
    speakers = sorted({clip.speaker for clip in clips})
    fold_of = unheard(artifact, speakers)
    heard = {fold["name"]: Recognizer(artifact, fold) for fold in artifact.manifest["folds"]}
    answers = voices(clips, {speaker: heard[fold_of[speaker]] for speaker in speakers})
    with tqdm(total=len(speakers) * DRAWS, desc="Own voices", unit="draw") as bar:
        scores = enrolment(clips, artifact.labels, *answers, n_clips=options.clips, on_draw=bar.update)
    low, high = scores["interval"]
    print(
        f"{artifact.name} on {options.corpus}, {scores['speakers']} unseen speakers, {options.clips} clips each, "
        f"{DRAWS} draws: UAR {scores['without']:.4f} without, {scores['with']:.4f} with; gain "
        f"{scores['with'] - scores['without']:+.4f}, 95 % interval over speakers {low:+.4f} to {high:+.4f}"
    )


if __name__ == "__main__":
    main()
