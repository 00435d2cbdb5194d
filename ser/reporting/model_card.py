"""The model card: use, limits and scores of a model, written from its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ser.metrics import HUMAN
from ser.reporting.markdown import percent, table

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
    """Return the card as Markdown; every number in it comes from the manifest."""
    metrics, training = manifest["metrics"], manifest["training"]
    folds, random = metrics["folds"], metrics["random"]
    return f"""# Model card: {manifest["name"]}

Estimates the probability of each of {len(manifest["labels"])} emotions from speech: {", ".join(manifest["labels"])}.

{_summary_table(manifest)}

## Scores on unseen speakers

{folds["speakers"]} speakers in folds: each is tested by a network that was trained without them, with epochs and
temperature chosen on {_chosen_on(training)}. The shipped network is trained on all of them; its score is
the cross-validated one below.{_fold_corpus(training)}

{score_table(manifest)}

{seeds_line(folds)}
Expected calibration error (15 bins) on unseen speakers: {percent(folds["calibration_error"])}.
Answers below a confidence of {percent(manifest["thresholds"]["confidence"])} are uncertain: of the others,
85 % were correct on unseen speakers.
{_surest_half(metrics)}
The random split is {random["note"]}. It is shown because most published scores use such a split; it does not predict
the score on a new speaker.

{_recall_table(folds["recall"])}

![Confusion matrix](figures/confusion.png)
![Recall](figures/recall.png)
![Speakers](figures/speakers.png)
![Training curves](figures/training.png)
{_confidence_figures(metrics)}
{sections(metrics)}## Intended use and limits

{NOTICE}

## Licence

The weights were trained on recordings under licences that do not allow commercial use:

{_licences(training)}

They may therefore be used for non-commercial purposes only, with attribution to these sources. The code is under the
MIT licence.
"""


def _summary_table(manifest: dict[str, Any]) -> str:
    training, versions = manifest["training"], manifest["versions"]
    recipes = dict.fromkeys(branch["recipe"] for branch in manifest["branches"])
    features = ", ".join(f"`{recipe}`" for recipe in recipes)
    rows = (
        ("input", f"up to 120 s of audio at 8 to 192 kHz, 1 to 8 channels; features {features}"),
        ("network", f"`{training['config']['architecture']}`, trained from scratch, {training['epochs']} epochs"),
        ("training", _corpora(training)),
        ("created", f"{manifest['created']}, ser {versions['ser']}, Keras {versions['keras']}"),
    )
    return table(("", ""), rows)


def _chosen_on(training: dict[str, Any]) -> str:
    """Name the data that epochs and temperature of a fold are chosen on."""
    if "branches" in training["config"]:
        return "other speakers (the temperature on the predictions in the other folds)"
    return "other speakers"


def _fold_corpus(training: dict[str, Any]) -> str:
    """Name the corpus of the folds if there are several."""
    first, *others = training["corpora"]
    if not others:
        return ""
    return f" The folds consist of the speakers of {first}; {', '.join(others)} are training data in every fold."


def sections(metrics: dict[str, Any]) -> str:
    """Return the scores that only some models have, each under a heading; empty if there are none."""
    texts = {
        "Sex and intensity": _other_outputs(metrics),
        "Unseen corpora": _left_out(metrics),
        "Calibration to a speaker": _calibrated(metrics),
        "Degraded recordings": robustness_table(metrics["robustness"]) if metrics.get("robustness") else "",
        "Formats": _formats(metrics),
    }
    return "".join(f"## {heading}\n\n{text}\n\n" for heading, text in texts.items() if text)


def _other_outputs(metrics: dict[str, Any]) -> str:
    outputs = {"sex": "the speaker's sex (male or female)", "intensity": "the intensity (normal or strong)"}
    rows = [(name, percent(metrics[key]["accuracy"])) for key, name in outputs.items() if key in metrics]
    return table(("answer", "right on unseen speakers"), rows) if rows else ""


def _left_out(metrics: dict[str, Any]) -> str:
    if not metrics.get("left_out"):
        return ""
    rows = [
        (corpus, percent(scores["uar"]), percent(scores["accuracy"]), str(_n_scored(scores["recall"])))
        for corpus, scores in metrics["left_out"].items()
    ]
    introduction = "Each corpus is tested by a network that was trained without it, over the labels that both have."
    return f"{introduction}\n\n{table(('unseen corpus', 'UAR', 'accuracy', 'labels'), rows)}"


def _n_scored(recall: dict[str, float | None]) -> int:
    return sum(value is not None for value in recall.values())


def _calibrated(metrics: dict[str, Any]) -> str:
    """Return the gain from a few unlabelled clips of the speaker, in a sentence."""
    if not metrics.get("calibrated"):
        return ""
    scores = metrics["calibrated"]
    gain, (low, high) = scores["with"] - scores["without"], scores["interval"]
    return (
        f"With five clips of the speaker, without labels, UAR on the speaker's other clips goes from "
        f"{percent(scores['without'])} to\n{percent(scores['with'])}: {_points(gain)} points, 95 % interval over "
        f"speakers {_points(low)} to {_points(high)}."
    )


def _formats(metrics: dict[str, Any]) -> str:
    """Return size and speed of the graphs in each format of `ser.training.export`."""
    if not metrics.get("formats"):
        return ""
    rows = [row for report in metrics["formats"] for row in _format_rows(report)]
    return table(("format", "file", "size", "an answer of the graph", "largest difference"), rows)


def _format_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    if "refused" in report:
        return [(report["format"], report["refused"], "", "", "")]
    cells = ((row["bytes"] / 1e6, row["ms"], row["difference"], row["file"]) for row in report["branches"])
    return [
        (report["format"], file, f"{megabytes:.2f} MB", f"{ms:.2f} ms", f"{difference:.1e}")
        for megabytes, ms, difference, file in cells
    ]


def robustness_table(report: dict[str, Any]) -> str:
    """Return a report of `ser.evaluation.robustness` as a Markdown table."""
    head = ("unseen speakers, recordings", "UAR", "95 % interval over speakers", "points lost", "uncertain")
    rows = [
        (
            row["name"],
            percent(row["uar"]),
            " to ".join(map(percent, row["uar_interval"])),
            f"{100 * row['lost']:.1f}",
            percent(row["uncertain"]),
            {True: "holds", False: "**fails**", None: "not asked"}[row["holds"]],
        )
        for row in report["rows"]
    ]
    return table((*head, f"at most {100 * report['allowed_loss']:.0f} lost"), rows)


def _surest_half(metrics: dict[str, Any]) -> str:
    if not metrics.get("coverage"):
        return ""
    curve = zip(metrics["coverage"]["coverage"], metrics["coverage"]["accuracy"], strict=True)
    right = next(accuracy for coverage, accuracy in curve if coverage >= 0.5)
    return f"Of the most confident half of the answers, {percent(right)} were correct.\n"


def _confidence_figures(metrics: dict[str, Any]) -> str:
    titles = {"reliability": "Reliability", "coverage": "Accuracy by coverage"}
    return "".join(f"![{title}](figures/{key}.png)\n" for key, title in titles.items() if metrics.get(key))


def score_table(manifest: dict[str, Any]) -> str:
    """Return the scores on unseen speakers, on the random split and of listeners as a Markdown table."""
    folds, random = manifest["metrics"]["folds"], manifest["metrics"]["random"]
    low, high = map(percent, folds["uar_interval"])
    uar = f"**{percent(folds['uar'])}** (95 % interval over speakers {low} to {high})"
    rows: list[tuple[str, ...]] = [("**unseen speakers**", uar, percent(folds["accuracy"]), percent(folds["macro_f1"]))]
    scores = (percent(random[score]) for score in ("uar", "accuracy", "macro_f1"))
    rows.append((f"random 80/20, {random['note']}", *scores))
    if next(iter(manifest["training"]["corpora"])) == "ravdess":  # the corpus of the folds
        rows.append(("human listeners, neutral and calm accepted for each other", "", percent(HUMAN), ""))
    return table(("protocol", "UAR", "accuracy", "macro F1"), rows)


def seeds_line(folds: dict[str, Any]) -> str:
    """Return the scores of all seeds in a sentence; empty if there is only one."""
    if len(folds["seeds"]) < 2:
        return ""
    scores, mean = ", ".join(percent(seed["uar"]) for seed in folds["seeds"]), percent(folds["uar_mean_of_seeds"])
    return f"UAR of {len(folds['seeds'])} seeds fixed beforehand: {scores}; mean {mean}. The first is the one above.\n"


def _corpora(training: dict[str, Any]) -> str:
    parts = [
        f"{name} ({corpus['clips']} clips of {len(corpus['speakers'])} speakers)"
        for name, corpus in training["corpora"].items()
    ]
    return f"{', '.join(parts)}; {training['config']['copies']} augmented copies of each clip"


def _recall_table(recall: dict[str, float | None]) -> str:
    rows = [(label, "no clips" if value is None else percent(value)) for label, value in recall.items()]
    return table(("emotion", "recall on unseen speakers"), rows)


def _licences(training: dict[str, Any]) -> str:
    return "\n".join(f"- {name}: {corpus['licence']}" for name, corpus in training["corpora"].items())


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}"
