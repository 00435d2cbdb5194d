"""What five clips of a speaker, without their labels, are worth: from the recordings and the stored fold graphs.

python experiments/own_voice.py --data DIR [--model voice] [--write]. Every actor is answered by the networks that never
heard it, with and without calibration, on the clips that were not drawn; no training. With --write the figures are kept
in `reports/own_voice.json`; `python -m scripts.card` takes them over.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ser.datasets.corpora import load_corpus
from ser.evaluation.robustness import fold_of
from ser.inference.artifact import find, verify
from ser.inference.recognizer import Recognizer
from ser.training.enrolment import CLIPS, DRAWS, enrolment, voices

REPORT = Path(__file__).resolve().parent.parent / "reports" / "own_voice.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder that holds the corpus")
    parser.add_argument("--model", default="voice")
    parser.add_argument("--corpus", default="ravdess")
    parser.add_argument("--clips", type=int, default=CLIPS, help="drawn from each speaker")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {REPORT.name}")
    options = parser.parse_args()
    artifact = verify(find(options.model))
    clips = load_corpus(options.corpus, options.data).clips
    speakers = sorted({clip.speaker for clip in clips})
    folds = fold_of(artifact, speakers)
    recognizers = {fold["name"]: Recognizer(artifact, fold) for fold in artifact.manifest["folds"]}
    answers = voices(clips, {speaker: recognizers[folds[speaker]] for speaker in speakers})
    with tqdm(total=len(speakers) * DRAWS, desc="Own voices", unit="draw") as bar:
        scores = enrolment(clips, artifact.labels, *answers, n_clips=options.clips, on_draw=bar.update)
    low, high = scores["interval"]
    print(
        f"{artifact.name} on {options.corpus}, {scores['speakers']} unseen speakers, {options.clips} clips each, "
        f"{DRAWS} draws: UAR {scores['without']:.4f} without, {scores['with']:.4f} with; gain "
        f"{scores['with'] - scores['without']:+.4f}, 95 % interval over speakers {low:+.4f} to {high:+.4f}"
    )
    if options.write:
        report = {"model": artifact.name, "corpus": options.corpus, **scores}
        REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
