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
| input | up to 120 s of sound at 8 to 192 kHz, 1 to 8 channels; features {_recipes(manifest)} |
| network | `{training["config"]["architecture"]}`, trained from scratch, {training["epochs"]} epochs |
| training | {_corpora(training)} |
| made | {manifest["created"]}, ser {manifest["versions"]["ser"]}, Keras {manifest["versions"]["keras"]} |

## How well it does on speakers it has never heard

{folds["speakers"]} speakers in folds: each is answered by a network that was trained without them, its epochs and
temperature chosen on {_chosen_on(training)}. The shipped network is trained on all of them; its score is the
cross-validated one below.{_home(training)}

{score_table(manifest)}

{seeds_line(folds)}
Expected calibration error (15 bins) on unseen speakers: {_percent(folds["calibration_error"])}.
An answer counts as sure from a confidence of {_percent(manifest["thresholds"]["confidence"])} on, where
85 % of the answers on unseen speakers were right.
{_surest_half(manifest["metrics"])}
The random split is {random["note"]}: it is shown because published figures are of that kind, not because it says
anything about a new voice.

| emotion | recall on unseen speakers |
|---|---|
{_recalls(folds["recall"])}

![Confusion matrix](figures/confusion.png)
![Recall](figures/recall.png)
![Speakers](figures/speakers.png)
![Training curves](figures/training.png)
{_confidence_figures(manifest["metrics"])}
{sections(manifest["metrics"])}## What it is and what it is not

{NOTICE}

## Licence

The weights were trained on recordings under licences that do not allow commercial use:

{_licences(training)}

They may therefore be used for non-commercial purposes only, with these sources named. The code that made them is
under the MIT licence.
"""


def _chosen_on(training: dict[str, Any]) -> str:
    """Whose answers set a fold's temperature; that of an ensemble has the speakers of the other folds."""
    if "branches" in training["config"]:
        return "others (a fold's temperature on the answers in the other folds)"
    return "other speakers still"


def _home(training: dict[str, Any]) -> str:
    """Which corpus the folds are made of, where there are more."""
    first, *others = training["corpora"]
    if not others:
        return ""
    return f" The folds are made of {first}'s speakers; {', '.join(others)} were trained on in each of them."


def sections(metrics: dict[str, Any]) -> str:
    """What only some models are scored for, each under its own heading; empty for the others."""
    known = {
        "What else it answers": _other_answers(metrics),
        "Other rooms, other languages": _left_out(metrics),
        "Your own voice": _own_voice(metrics),
        "On a worse line": _on_a_worse_line(metrics),
        "Formats": _formats(metrics),
    }
    return "".join(f"## {heading}\n\n{text}\n\n" for heading, text in known.items() if text)


def _other_answers(metrics: dict[str, Any]) -> str:
    told = {"sex": "the speaker's sex (male or female)", "intensity": "the intensity (normal or strong)"}
    rows = [f"| {what} | {_percent(metrics[key]['accuracy'])} |" for key, what in told.items() if key in metrics]
    return "\n".join(["| answer | right on unseen speakers |", "|---|---|", *rows]) if rows else ""


def _left_out(metrics: dict[str, Any]) -> str:
    if not metrics.get("left_out"):
        return ""
    rows = [
        "Each corpus is answered by a network that never heard any of it, over the labels that both know.",
        "",
        "| corpus never heard | UAR | accuracy | labels |",
        "|---|---|---|---|",
    ]
    for corpus, scores in metrics["left_out"].items():
        n_labels = sum(value is not None for value in scores["recall"].values())
        rows.append(f"| {corpus} | {_percent(scores['uar'])} | {_percent(scores['accuracy'])} | {n_labels} |")
    return "\n".join(rows)


def _own_voice(metrics: dict[str, Any]) -> str:
    """What a few clips of the speaker without their labels are worth."""
    if not metrics.get("calibrated"):
        return ""
    scores = metrics["calibrated"]
    gain, (low, high) = scores["with"] - scores["without"], scores["interval"]
    return (
        f"With five clips of the speaker, without labels, UAR on the speaker's other clips goes from "
        f"{_percent(scores['without'])} to\n{_percent(scores['with'])}: {_points(gain)} points, 95 % interval over "
        f"speakers {_points(low)} to {_points(high)}."
    )


def _on_a_worse_line(metrics: dict[str, Any]) -> str:
    return robustness_table(metrics["robustness"]) if metrics.get("robustness") else ""


def _formats(metrics: dict[str, Any]) -> str:
    """What the graphs weigh and take in each format that `ser.training.export` writes."""
    if not metrics.get("formats"):
        return ""
    rows = ["| format | file | size | an answer of the graph | largest difference |", "|---|---|---|---|---|"]
    for report in metrics["formats"]:
        rows += [f"| {report['format']} | {report['refused']} | | | |"] if "refused" in report else []
        rows += [
            f"| {report['format']} | {row['file']} | {row['bytes'] / 1e6:.2f} MB | {row['ms']:.2f} ms "
            f"| {row['difference']:.1e} |"
            for row in report.get("branches", [])
        ]
    return "\n".join(rows)


def robustness_table(report: dict[str, Any]) -> str:
    """A report of `ser.evaluation.robustness` as a Markdown table."""
    rows = [
        "| unseen speakers, recordings | UAR | 95 % interval over speakers | points lost | uncertain "
        f"| at most {100 * report['allowed_loss']:.0f} lost |",
        "|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        low, high = row["uar_interval"]
        holds = {True: "holds", False: "**fails**", None: "not asked"}[row["holds"]]
        rows.append(
            f"| {row['name']} | {_percent(row['uar'])} | {_percent(low)} to {_percent(high)} | "
            f"{100 * row['lost']:.1f} | {_percent(row['uncertain'])} | {holds} |"
        )
    return "\n".join(rows)


def _surest_half(metrics: dict[str, Any]) -> str:
    if not metrics.get("coverage"):
        return ""
    curve = zip(metrics["coverage"]["coverage"], metrics["coverage"]["accuracy"], strict=True)
    right = next(accuracy for coverage, accuracy in curve if coverage >= 0.5)
    return f"Of the surest half of the answers {_percent(right)} were right.\n"


def _confidence_figures(metrics: dict[str, Any]) -> str:
    pictures = {"reliability": "Reliability", "coverage": "Accuracy by coverage"}
    return "".join(f"![{title}](figures/{key}.png)\n" for key, title in pictures.items() if metrics.get(key))


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
    if next(iter(manifest["training"]["corpora"])) == "ravdess":  # whose speakers the folds are
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


def _recipes(manifest: dict[str, Any]) -> str:
    return ", ".join(f"`{recipe}`" for recipe in dict.fromkeys(branch["recipe"] for branch in manifest["branches"]))


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"
