"""The model card: use, limits and scores of a model, written from its manifest."""

from __future__ import annotations

from collections.abc import Callable
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


HIGH = 0.5  # mean confidence of the answers on unseen corpora whose share that is right is told
HARDLY = 0.001  # share of sure answers below which no more is said of them
# Scores of a left-out corpus with a known source, and their headings.
ADAPTED = {"adapted_10": "10 clips", "adapted_20": "20 clips", "calibrated": "speaker"}


def card(manifest: dict[str, Any]) -> str:
    """Return the card as Markdown; every number in it comes from the manifest."""
    metrics, training = manifest["metrics"], manifest["training"]
    folds, random = metrics["folds"], metrics["random"]
    corpora = training["corpora"]
    other_folds = " (the temperature on the predictions in the other folds)" if "branches" in training["config"] else ""
    recalls = [(label, "no clips" if value is None else percent(value)) for label, value in folds["recall"].items()]
    licences = "\n".join(f"- {name}: {corpus['licence']}" for name, corpus in corpora.items())
    return f"""# Model card: {manifest["name"]}

Estimates the probability of each of {len(manifest["labels"])} emotions from speech: {", ".join(manifest["labels"])}.

{_summary_table(manifest)}

## Scores on unseen speakers

{folds["speakers"]} speakers in folds: each is tested by a network that was trained without them, with epochs and
temperature chosen on other speakers{other_folds}. The shipped network is trained on all of them; its score is
the cross-validated one below.{_fold_corpora(training)}

{score_table(manifest)}

{seeds_line(folds)}
Expected calibration error (15 bins) on unseen speakers: {percent(folds["calibration_error"])}.
{_top_two(folds)}{sure_line(manifest)}
{_surest_half(metrics)}
The random split is {random["note"]}. It is shown because most published scores use such a split; it does not predict
the score on a new speaker.

{table(("emotion", "recall on unseen speakers"), recalls)}

![Confusion matrix](figures/confusion.png)
![Recall](figures/recall.png)
![Speakers](figures/speakers.png)
![Training curves](figures/training.png)
{_confidence_figures(metrics)}
{sections(metrics)}## Intended use and limits

{NOTICE}

## Licence

The weights were trained on recordings under licences that do not allow commercial use:

{licences}

They may therefore be used for non-commercial purposes only, with attribution to these sources. The code is under the
MIT licence.
"""


def _summary_table(manifest: dict[str, Any]) -> str:
    training, versions = manifest["training"], manifest["versions"]
    features = ", ".join(dict.fromkeys(f"`{branch['recipe']}`" for branch in manifest["branches"]))
    corpora = ", ".join(
        f"{name} ({corpus['clips']} clips of {len(corpus['speakers'])} speakers)"
        for name, corpus in training["corpora"].items()
    )
    rows = (
        ("input", f"up to 120 s of audio at 8 to 192 kHz, 1 to 8 channels; features {features}"),
        ("network", f"`{training['config']['architecture']}`, {_basis(manifest)}, {training['epochs']} epochs"),
        ("training", f"{corpora}; {training['config']['copies']} augmented copies of each clip"),
        ("created", f"{manifest['created']}, ser {versions['ser']}, Keras {versions['keras']}"),
    )
    return table(("", ""), rows)


def _top_two(folds: dict[str, Any]) -> str:
    if "top_two" not in folds:  # of an older model
        return ""
    return f"The true emotion is among the two most probable in {percent(folds['top_two'])} of the answers.\n"


def sure_line(manifest: dict[str, Any]) -> str:
    """Return how many answers count as sure, and how many of these are right."""
    metrics = manifest["metrics"]
    kinds = {"unseen speakers": metrics["folds"].get("sure"), "unseen corpora": metrics.get("left_out_sure")}
    parts = [f"{_sure_share(sure)} of those on {name}" + _right(sure) for name, sure in kinds.items() if sure]
    return f"{_limits(manifest)}. All others are called sure: {', '.join(parts)}.{_unseen(metrics)}" if parts else ""


def _unseen(metrics: dict[str, Any]) -> str:
    """Return how far the confidence of answers on unseen corpora can be relied on; empty if it was not scored."""
    if "left_out_sure" not in metrics:
        return ""
    together = metrics["left_out_sure"]
    error = f" Calibration error on all unseen corpora together: {percent(together['calibration_error'])}"
    by_corpus = [scores["calibration_error"] for scores in metrics["left_out"].values()]
    error += f", on each {percent(min(by_corpus))} to {percent(max(by_corpus))}."
    if "reliability" not in together:
        return error
    confidence, accuracy, _ = together["reliability"]
    pairs = ", ".join(f"{p:.0%} and {r:.0%}" for p, r in zip(confidence, accuracy, strict=True) if p >= HIGH)
    return f"{error} Mean confidence, and share that is right, of their most confident answers: {pairs}."


def _limits(manifest: dict[str, Any]) -> str:
    """Return below which confidences answers are uncertain."""
    thresholds = manifest["thresholds"]
    strangers = _below(thresholds["confidence"], thresholds.get("adapted"))
    if "home" not in thresholds:
        return f"Answers {strangers} are uncertain"
    corpus = next(iter(manifest["training"]["corpora"]))
    home = _below(thresholds["home"], thresholds["home_adapted"])
    return f"Answers {home} are uncertain if a recording sounds like those of {corpus}; about others, those {strangers}"


def _below(plain: float, adapted: float | None) -> str:
    """Return which answers are uncertain, by their confidence."""
    if plain > 1 and (adapted is None or adapted > 1):
        return "of any confidence"
    known = f" ({percent(min(adapted, 1))} if adapted to a source)" if adapted is not None else ""
    return f"below a confidence of {percent(min(plain, 1))}{known}"


def _sure_share(sure: dict[str, Any]) -> str:
    if "answers" not in sure:  # of an older model
        return "hardly any" if 0 < sure["share"] < HARDLY else percent(sure["share"])
    n_sure = round(sure["share"] * sure["answers"])
    return f"{percent(sure['share'])} ({n_sure} of {sure['answers']})" if n_sure else f"none of {sure['answers']}"


def _right(sure: dict[str, Any]) -> str:
    """Return how many of the sure answers are right, if there are any, and so many that a share says something."""
    return "" if sure["share"] < HARDLY else f", {percent(sure['accuracy'])} of them right"


def _basis(manifest: dict[str, Any]) -> str:
    """Return what the networks were trained on top of."""
    if "encoder" in manifest:
        return "trained on blocks of Whisper base (Copyright (c) 2022 OpenAI, MIT licence), which stay as they are"
    return "trained from scratch"


def _scored_corpora(training: dict[str, Any]) -> list[str]:
    """Return the corpora whose speakers the folds consist of: an ensemble's first, all of a single network."""
    corpora = list(training["corpora"])
    return corpora[:1] if "branches" in training["config"] else corpora


def _fold_corpora(training: dict[str, Any]) -> str:
    """Name the corpora of the folds if the model has several corpora."""
    scored = _scored_corpora(training)
    others = [name for name in training["corpora"] if name not in scored]
    if len(scored) + len(others) == 1:
        return ""
    rest = f"; {', '.join(others)} are training data in every fold" if others else ""
    return f" The folds consist of the speakers of {', '.join(scored)}{rest}."


def sections(metrics: dict[str, Any]) -> str:
    """Return the scores that only some models have, each under a heading; empty if there are none."""
    renderers: dict[str, tuple[str, Callable[[Any], str]]] = {
        "left_out": ("Unseen corpora", _left_out),
        "calibrated": ("Calibration to a speaker", _calibrated),
        "source_kinds": ("What a source's clips must be like", _source_kinds),
        "robustness": ("Degraded recordings", robustness_table),
        "explained": ("Explanations", _explained),
        "formats": ("Formats", _formats),
    }
    texts = {"Sex and intensity": _other_outputs(metrics)}
    texts |= {title: render(metrics[key]) for key, (title, render) in renderers.items() if metrics.get(key)}
    return "".join(f"## {title}\n\n{text}\n\n" for title, text in texts.items() if text)


def _other_outputs(metrics: dict[str, Any]) -> str:
    outputs = {"sex": "the speaker's sex (male or female)", "intensity": "the intensity (normal or strong)"}
    rows = [(name, percent(metrics[key]["accuracy"])) for key, name in outputs.items() if key in metrics]
    return table(("answer", "right on unseen speakers"), rows) if rows else ""


def _left_out(by_corpus: dict[str, dict[str, Any]]) -> str:
    rows, known = [], adapted_columns(by_corpus)
    for corpus, scores in by_corpus.items():
        n_scored = sum(value is not None for value in scores["recall"].values())
        adapted = [percent(scores[key]["with"]) if key in scores else "" for key in known]
        errors = (percent(scores["calibration_error"]), percent(1 / n_scored))
        rows.append((corpus, percent(scores["uar"]), *adapted, percent(scores["top_two"]), *errors))
    introduction = "Each corpus is tested by networks that were trained without it, over the labels that both have"
    introduction += ": alone,\nadapted to unlabelled clips of the corpus, and to five of the speaker." if known else "."
    titles = ("unseen corpus", "UAR", *known.values(), "first two", "calibration error", "guessing")
    return f"{introduction}\n\n{table(titles, rows)}"


def adapted_columns(by_corpus: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the titles of the adapted scores that some left-out corpus has, by their key."""
    return {key: title for key, title in ADAPTED.items() if any(key in scores for scores in by_corpus.values())}


def _calibrated(scores: dict[str, Any]) -> str:
    """Return the gain from a few unlabelled clips of the speaker, in a sentence."""
    points = (scores["with"] - scores["without"], *(scores["interval"] or ()))
    gain, *ends = (f"{100 * fraction:+.1f}" for fraction in points)
    interval = f", 95 % interval over speakers {' to '.join(ends)}" if ends else ""
    return (
        f"With five clips of the speaker, without labels, UAR on the speaker's other clips goes from "
        f"{percent(scores['without'])} to\n{percent(scores['with'])}: {gain} points{interval}."
    )


def _source_kinds(report: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return what adaptation gains by the kind of clips, for sources in a known studio and elsewhere."""
    introduction = (
        "UAR on the other clips of a source, without and with adaptation to its clips, mean over sources: the groups\n"
        "of speakers that the folds test, and whole corpora, each by networks that were trained without them."
    )
    return f"{introduction}\n\n{kinds_table(report)}" if any(report.values()) else ""


def kinds_table(report: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return a report of `ser.training.source_kinds` for several kinds of sources as a Markdown table."""
    names = {"folds": "unseen speakers", "left_out": "unseen corpora"}
    known = {name: kinds for name, kinds in report.items() if kinds}
    rows = [
        (kind, *(_change(known[name].get(kind)) for name in known))
        for kind in dict.fromkeys(kind for kinds in known.values() for kind in kinds)
    ]
    return table(("clips", *(names[name] for name in known)), rows)


def _change(pair: dict[str, float] | None) -> str:
    if pair is None:
        return ""
    gain = 100 * (pair["with"] - pair["without"])
    return f"{percent(pair['without'])} to {percent(pair['with'])} ({gain:+.1f})"


def _formats(reports: list[dict[str, Any]]) -> str:
    """Return size and speed of the graphs in each format of `ser.training.export`."""
    rows = []
    for report in reports:
        if "refused" in report:
            rows.append((report["format"], report["refused"], "", "", ""))
            continue
        for row in report["branches"]:
            size, time = f"{row['bytes'] / 1e6:.2f} MB", f"{row['ms']:.2f} ms"
            rows.append((report["format"], row["file"], size, time, f"{row['difference']:.1e}"))
    return table(("format", "file", "size", "an answer of the graph", "largest difference"), rows)


def robustness_table(report: dict[str, Any]) -> str:
    """Return a report of `ser.evaluation.robustness` as a Markdown table."""
    head = ("unseen speakers, recordings", "UAR", "95 % interval over speakers", "points lost", "allowed", "uncertain")
    rows = [
        (
            row["name"],
            percent(row["uar"]),
            " to ".join(map(percent, row["uar_interval"])),
            f"{100 * row['lost']:.1f}",
            _allowed(row),
            percent(row["uncertain"]),
        )
        for row in report["rows"]
    ]
    return table(head, rows)


def _explained(report: dict[str, Any]) -> str:
    introduction = (
        f"`predict --explain` names something in {percent(report['explained'])} of {report['clips']} clips of "
        f"{report['actors']} unseen actors. The table says by how\nmany points the probability of the answer changes "
        "if that is hidden, and if as much is hidden at random: other stretches\nof time, or other properties by as "
        "many standard deviations. Stretches are chosen by turning them down and replacing them\nby noise, properties "
        "against others that are made less marked; cutting out and more marked play no part in the choice."
    )
    return f"{introduction}\n\n{explained_table(report)}"


def explained_table(report: dict[str, Any]) -> str:
    """Return a report of `experiments/explain.py` as a Markdown table."""
    head = ("hidden", "in clips", "named", "at random", "times as much", "95 % interval over actors")
    rows = [
        (
            row["name"],
            percent(row["share"]),
            *(f"{100 * row[key]:.1f}" for key in ("named", "random")),
            f"{row['ratio']:.1f}",
            " to ".join(f"{value:.1f}" for value in row["interval"]),
        )
        for row in report["rows"]
    ]
    return table(head, rows)


def _allowed(row: dict[str, Any]) -> str:
    if row["holds"] is None:
        return ""
    return f"{100 * row['allowed_loss']:.0f}" + ("" if row["holds"] else ": **fails**")


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
    rows = [
        ("**unseen speakers**", uar, percent(folds["accuracy"]), percent(folds["macro_f1"])),
        (f"random 80/20, {random['note']}", *(percent(random[score]) for score in ("uar", "accuracy", "macro_f1"))),
    ]
    if _scored_corpora(manifest["training"]) == ["ravdess"]:
        rows.append(("human listeners, neutral and calm accepted for each other", "", percent(HUMAN), ""))
    return table(("protocol", "UAR", "accuracy", "macro F1"), rows)


def seeds_line(folds: dict[str, Any]) -> str:
    """Return the scores of all seeds in a sentence; empty if there is only one."""
    if len(folds["seeds"]) < 2:
        return ""
    scores, mean = ", ".join(percent(seed["uar"]) for seed in folds["seeds"]), percent(folds["uar_mean_of_seeds"])
    return f"UAR of {len(folds['seeds'])} seeds fixed beforehand: {scores}; mean {mean}. The first is the one above.\n"
