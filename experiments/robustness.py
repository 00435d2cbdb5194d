"""What a telephone, a coder, noise or a short excerpt cost on unseen speakers; `--write` keeps it in `reports/`.

Run: python experiments/robustness.py --data FOLDER [--model NAME] [--jobs 2] [--write]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def main() -> None:
    from ser.evaluation.robustness import robustness
    from ser.reporting.model_card import robustness_table
    from ser.types import SerError

    options = _options()
    try:
        report = robustness(
            options.model, options.data, options.corpus, every=options.every, seed=options.seed, jobs=options.jobs
        )
    except SerError as error:
        raise SystemExit(str(error)) from None
    print(robustness_table(report))
    if options.write:
        write(report, options.write)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="where the corpus lies")
    parser.add_argument("--corpus", default="ravdess", help="one that the model was trained on; default: ravdess")
    parser.add_argument("--model", help="a model's name or folder; default: the best")
    parser.add_argument("--every", type=int, default=1, help="take each n-th clip only")
    parser.add_argument("--seed", type=int, default=0, help="of noise and excerpts")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--write", type=Path, nargs="?", const=ROOT / "reports", help="folder; default: reports/")
    return parser.parse_args()


def write(report: dict[str, Any], folder: Path) -> None:
    """`robustness.json`, `.md` and `.png` in a folder."""
    from ser.reporting import figures

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "robustness.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (folder / "robustness.md").write_text(page(report), encoding="utf-8")
    figures.robustness(report).savefig(folder / "robustness.png", dpi=110, bbox_inches="tight")


def page(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    from ser.reporting.model_card import robustness_table

    return f"""# `{report["model"]}` on a worse line

{report["clips"]} clips of {report["speakers"]} speakers of {report["corpus"]}, each answered by the stored network that
never heard the speaker; seed {report["seed"]}. Every distorted recording is given to the recogniser as the bytes of a
file; `ser/evaluation/distortions.py` says how each is made.

{robustness_table(report)}

![UAR under each distortion](robustness.png)
"""


if __name__ == "__main__":
    main()
