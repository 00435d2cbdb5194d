"""The command `evaluate`: the scores of a model on a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from ser.cli.options import LabelSet, ModelOption, ReportOption
from ser.cli.output import out, say
from ser.evaluation.evaluate import evaluate as run
from ser.extras import needs


def evaluate(
    corpus: Annotated[str, typer.Option(help="The corpus' name, e.g. ravdess.")],
    data: Annotated[Path, typer.Option(help="Its folder, or a parent that holds it under its usual name.")],
    model: ModelOption = None,
    protocol: Annotated[
        Literal["folds", "random", "all"],
        typer.Option(help="Speakers left out in turn, a random split, or all clips by the shipped network."),
    ] = "folds",
    labels: Annotated[LabelSet, typer.Option(help="The labels to choose from.")] = "eight",
    adapt: Annotated[
        int, typer.Option(min=0, help="Also score answers adapted to so many unlabelled clips of the corpus.")
    ] = 0,
    format: ReportOption = "table",
) -> None:
    """Score a model on recordings; by default on speakers that its networks were not trained on."""
    with needs("train", "evaluate"):
        report = run(corpus, data, model, protocol, labels, adapt=adapt)
    if report["seen_in_training"]:
        say("ser: the model was trained on these speakers; this is not a score on unseen people.")
    if format == "json":
        print(json.dumps(report, indent=1))
    else:
        print_report(report)


def _adapted_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of the scores of adapted answers, if there are any."""
    names = {"adapted": "of the corpus", "calibrated": "of the speaker"}
    return [
        (
            f"UAR with {scores['clips']} clips",
            f"{scores['with']:.1%}  ({name}, without labels; {scores['draws']} draws)",
        )
        for key, name in names.items()
        if (scores := report.get(key))
    ]


def _sure(sure: dict[str, Any]) -> str:
    share = f"{sure['share']:.1%} of the answers"
    return share if sure["accuracy"] is None else f"{share}; {sure['accuracy']:.1%} of them are right"


def print_report(report: dict[str, Any]) -> None:
    """Print the scores and the confusion matrix of a report."""
    low, high = report["uar_interval"]
    merged = report["neutral_calm_merged"]
    summary = Table.grid(padding=(0, 2))
    for name, value in (
        ("model, corpus", f"{report['model']} on {report['corpus']}"),
        ("protocol", f"{report['protocol']}: {report['note']}"),
        ("clips", f"{report['clips']} of {report['speakers']} speakers"),
        ("UAR", f"{report['uar']:.1%}  (95 % interval over speakers {low:.1%} to {high:.1%})"),
        *_adapted_rows(report),
        ("accuracy", f"{report['accuracy']:.1%}"),
        ("among the first two", f"{report['top_two']:.1%}"),
        ("called sure", _sure(report["sure"])),
        ("macro F1", f"{report['macro_f1']:.1%}"),
        ("calibration error", f"{report['calibration_error']:.1%}"),
        ("neutral = calm", f"accuracy {merged['accuracy']:.1%}, UAR {merged['uar']:.1%}  (as listeners were scored)"),
        ("excluded", ", ".join(f"{count} {label}" for label, count in report["excluded"].items()) or "nothing"),
        ("errors", str(len(report["errors"]))),
    ):
        summary.add_row(name, value)
    out.print(summary)
    table = Table("true \\ predicted", *report["labels"], "recall", box=None, header_style="dim")
    for label, counts in zip(report["labels"], report["confusion"], strict=True):
        recall = report["recall"][label]
        table.add_row(label, *map(str, counts), "no clips" if recall is None else f"{recall:.0%}")
    out.print(table)
