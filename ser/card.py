"""The model card: what a model is, is not, and how well it does, written from its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ser.metrics import HUMAN

NOTICE = """\
The estimate says how a voice **sounds** to a model trained on acted speech. It does not say what a person feels,
means or intends, and it is often wrong: see the scores. Acted emotions are stronger and purer than everyday ones.

- Do not use it to judge people: not in hiring, work, school, insurance, policing, health or lie detection.
- In the European Union, inferring emotions at work and in education is prohibited (AI Act, Art. 5(1)(f)), and people
  who are exposed to emotion recognition elsewhere must be told (Art. 50(3)).
- A voice is personal data. Ask the speaker."""


def write_card(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / "MODEL_CARD.md").write_text(card(manifest), encoding="utf-8")


def card(manifest: dict[str, Any]) -> str:
    """The card as Markdown; every number in it comes from the manifest."""
    folds, random = manifest["metrics"]["folds"], manifest["metrics"]["random"]
    training = manifest["training"]
    return f"""# Model card: {manifest["name"]}

Hears speech and gives a probability for each of {len(manifest["labels"])} emotions: {", ".join(manifest["labels"])}.

| | |
|---|---|
| input | up to 120 s of sound at 8 to 192 kHz, 1 to 8 channels; features `{manifest["branches"][0]["recipe"]}` |
| network | `{training["config"]["architecture"]}`, trained from scratch, {training["epochs"]} epochs |
| training | {_corpora(training)} |
| made | {manifest["created"]}, ser {manifest["versions"]["ser"]}, Keras {manifest["versions"]["keras"]} |

## How well it does on speakers it has never heard

{folds["speakers"]} speakers in folds: each is answered by a network that was trained without them, its epochs and
temperature chosen on other speakers still. The shipped network is trained on all of them; its score is the
cross-validated one below.

{score_table(manifest)}

{seeds_line(folds)}
Expected calibration error (15 bins) on unseen speakers: {_percent(folds["calibration_error"])}.
An answer counts as sure from a confidence of {_percent(manifest["thresholds"]["confidence"])} on, where
85 % of the answers on unseen speakers were right.

The random split is {random["note"]}: it is shown because published figures are of that kind, not because it says
anything about a new voice.

| emotion | recall on unseen speakers |
|---|---|
{_recalls(folds["recall"])}

![Confusion matrix](figures/confusion.png)
![Recall](figures/recall.png)
![Speakers](figures/speakers.png)
![Training curves](figures/training.png)

## What it is and what it is not

{NOTICE}

## Licence

The weights were trained on recordings under licences that do not allow commercial use:

{_licences(training)}

They may therefore be used for non-commercial purposes only, with these sources named. The code that made them is
under the MIT licence.
"""


def score_table(manifest: dict[str, Any]) -> str:
    """Unseen speakers, the random split and the human score as a Markdown table."""
    folds, random = manifest["metrics"]["folds"], manifest["metrics"]["random"]
    low, high = folds["uar_interval"]
    rows = [
        "| protocol | UAR | accuracy | macro F1 |",
        "|---|---|---|---|",
        f"| **unseen speakers** | **{_percent(folds['uar'])}** (95 % interval over speakers {_percent(low)} to "
        f"{_percent(high)}) | {_percent(folds['accuracy'])} | {_percent(folds['macro_f1'])} |",
        f"| random 80/20, {random['note']} | {_percent(random['uar'])} | {_percent(random['accuracy'])} | "
        f"{_percent(random['macro_f1'])} |",
    ]
    if set(manifest["training"]["corpora"]) == {"ravdess"}:
        rows.append(f"| human listeners, neutral and calm accepted for each other | | {_percent(HUMAN)} | |")
    return "\n".join(rows)


def seeds_line(folds: dict[str, Any]) -> str:
    """The scores of all seeds in a sentence; empty where there is one."""
    scores = ", ".join(_percent(seed["uar"]) for seed in folds["seeds"])
    if len(folds["seeds"]) < 2:
        return ""
    mean = _percent(folds["uar_mean_of_seeds"])
    return f"UAR of {len(folds['seeds'])} seeds fixed beforehand: {scores}; mean {mean}. The first is the one above.\n"


def _corpora(training: dict[str, Any]) -> str:
    parts = [
        f"{name} ({corpus['clips']} clips of {len(corpus['speakers'])} speakers)"
        for name, corpus in training["corpora"].items()
    ]
    return f"{', '.join(parts)}; {training['config']['copies']} altered copies of each clip"


def _recalls(recall: dict[str, float | None]) -> str:
    return "\n".join(
        f"| {label} | {'no clips' if value is None else _percent(value)} |" for label, value in recall.items()
    )


def _licences(training: dict[str, Any]) -> str:
    return "\n".join(f"- {name}: {corpus['licence']}" for name, corpus in training["corpora"].items())


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"
