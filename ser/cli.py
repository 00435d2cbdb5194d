"""The command line: results on stdout, everything else on stderr; exit code 2 where something was refused."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import ser
from ser.types import EMOJI, EMOTIONS, REASONS, ParameterError, SerError

app = typer.Typer(
    help="Hears a voice and says which emotion it carries, how sure it is and why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console()
err = Console(stderr=True)
REFUSED = 2


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"
    csv = "csv"


class Scores(StrEnum):
    """How scores are printed."""

    table = "table"
    json = "json"


class Protocol(StrEnum):
    """Which clips are asked of which network."""

    folds = "folds"
    random = "random"
    all = "all"


class File(StrEnum):
    """What an exported graph is written as."""

    onnx = "onnx"
    tflite = "tflite"
    keras = "keras"


class Labels(StrEnum):
    """A label set by its size."""

    eight = "eight"
    seven = "seven"
    six = "six"
    four = "four"


ModelOption = Annotated[str | None, typer.Option("--model", "-m", help="A model's name or folder; default: the best.")]


def main() -> None:
    """Run the command line; what `ser` refuses is a sentence on stderr and exit code 2."""
    # Read when NumPy and TensorFlow are first imported: one core answers faster than several that wait on each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name or an emoji that the terminal cannot show
    try:
        app()
    except SerError as error:
        err.print(f"ser: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        err.print("ser: stopped.")
        sys.exit(130)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(ser.__version__, highlight=False)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options before the command."""


@app.command()
def predict(
    files: Annotated[list[str], typer.Argument(help="Recordings, folders to walk, or - for standard input.")],
    model: ModelOption = None,
    format: Annotated[Format, typer.Option("--format", "-f")] = Format.table,
    voice: Annotated[
        list[str] | None,
        typer.Option(help="A recording of the same speaker to calibrate with; may be repeated, five do well."),
    ] = None,
) -> None:
    """Say how recordings sound. A file that fails stays in the list; the exit code is then 2."""
    recognizer = ser.load(model)
    if voice:
        recognizer = recognizer.calibrated(voice)
    rows = list(_rows(recognizer, files))
    _print_rows(rows, format, recognizer.labels)
    if any("error" in row for row in rows):
        raise typer.Exit(REFUSED)


def _rows(recognizer: Any, files: Iterable[str]) -> Iterator[dict[str, Any]]:
    """One answer, or `{"file", "error"}`, for every recording named."""
    for file in files:
        try:
            sources = list(_sources(file))
        except OSError as error:
            yield {"file": file, "error": f"{file}: {error.strerror}. Check its name and rights."}
            continue
        for source, name in sources:
            try:
                yield {**recognizer.predict(source).to_dict(), "file": name}
            except SerError as error:
                yield {"file": name, "error": str(error)}


def _sources(file: str) -> Iterator[tuple[Any, str]]:
    """What a word of the command line stands for: standard input, the sound files of a folder, or the file itself."""
    from ser.readers import sound_files

    if file == "-":
        yield io.BytesIO(sys.stdin.buffer.read()), "-"
    elif file and Path(file).is_dir():
        found = sorted(sound_files(Path(file)))
        yield from ((str(path), str(path)) for path in found)
        if not found:
            yield file, file  # refused as a folder without sound, by the same door as any other source
    else:
        yield file, file


def _print_rows(rows: list[dict[str, Any]], format: Format, labels: tuple[str, ...]) -> None:
    if format is Format.json:
        print(json.dumps(rows, indent=1))
    elif format is Format.csv:
        _print_csv(rows, labels)
    else:
        _print_table(rows)


def _print_csv(rows: list[dict[str, Any]], labels: tuple[str, ...]) -> None:
    fields = ["file", "label", "confidence", *labels, "uncertain", "reasons"]
    fields += ["sex", "sex_confidence", "intensity", "duration_s", "model", "error"]
    writer = csv.DictWriter(sys.stdout, fields, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        sex, likely = _sex(row)
        told = {"reasons": " ".join(row.get("reasons", [])), "sex": sex, "sex_confidence": likely}
        writer.writerow({**row, **row.get("probabilities", {}), **told})


def _sex(row: dict[str, Any]) -> tuple[str, float] | tuple[None, None]:
    """The likelier sex of a voice with its probability, where the model says one."""
    return max(row["sex"].items(), key=lambda item: item[1]) if row.get("sex") else (None, None)


def _print_table(rows: list[dict[str, Any]]) -> None:
    """One line a recording; the sentence behind each doubt stands once, on stderr."""
    from rich.text import Text

    table = Table(box=None, header_style="dim")
    table.add_column("file", overflow="fold")
    more = [heading for heading in ("sex", "intensity") if any(row.get(heading) is not None for row in rows)]
    for heading in ("sounds", "sure", "next", *more, "doubt"):
        table.add_column(heading, no_wrap=heading != "doubt")
    for row in rows:
        table.add_row(Text(row["file"]), *(_failed(row, more) if "error" in row else _cells(row, more)))
    out.print(table)
    doubts = {reason for row in rows for reason in row.get("reasons", ())}
    for reason, sentence in REASONS.items():
        if reason in doubts:
            err.print(f"{_words(reason)}: {sentence}", style="dim", highlight=False)


def _failed(row: dict[str, Any], more: list[str]) -> tuple[Any, ...]:
    from rich.text import Text

    return "", "", "", *("" for _ in more), Text(row["error"], style="red")


def _cells(row: dict[str, Any], more: list[str]) -> tuple[Any, ...]:
    """Cells of one answer; `more` names the columns that only some models fill."""
    from rich.text import Text

    ranked = sorted(row["probabilities"].items(), key=lambda item: -item[1])
    (label, confidence), (following, chance) = ranked[:2]
    doubt = Text(", ".join(map(_words, row["reasons"])), style="yellow")
    heads = (_head(row, heading) for heading in more)
    return f"{EMOJI[label]} {label}", f"{confidence:.0%}", f"{following} {chance:.0%}", *heads, doubt


def _head(row: dict[str, Any], heading: str) -> str:
    if row[heading] is None:
        return ""
    if heading == "intensity":
        return f"{row['intensity']:.0%}"
    sex, likely = _sex(row)
    return f"{sex} {likely:.0%}"


def _words(reason: str) -> str:
    return reason.replace("_", " ")


def _corpora(values: list[str]) -> list[tuple[str, str]]:
    pairs = [tuple(value.split("=", 1)) for value in values]
    for pair, value in zip(pairs, values, strict=True):
        if len(pair) != 2 or not all(pair):
            raise typer.BadParameter(f"expected NAME=DIR, e.g. ravdess=../data, found {value!r}")
    return [(pair[0], pair[1]) for pair in pairs]


@app.command()
def train(
    corpus: Annotated[list[str], typer.Option(help="NAME=DIR, e.g. ravdess=../data; may be repeated.")],
    config: Annotated[
        str, typer.Option(help="How to train: a name from ser.fit.CONFIGS or ser.ensemble.ENSEMBLES.")
    ] = "dense105",
    name: Annotated[str | None, typer.Option(help="The artifact's name; default: that of the configuration.")] = None,
    labels: Annotated[
        Labels | None, typer.Option(help="The emotions to learn; default: those of the configuration.")
    ] = None,
    reduce_noise: Annotated[
        bool, typer.Option("--reduce-noise", help="Turn down steady noise, in training and in every answer.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the finished fits of a killed run.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an artifact of this name.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that train the networks of an ensemble.")] = 2,
) -> None:
    """Train a model, score it on speakers it has not heard, and write artifacts/NAME/."""
    from ser.artifact import read_manifest
    from ser.card import score_table
    from ser.ensemble import ENSEMBLES
    from ser.release import train_ensemble
    from ser.train import train as run

    if config in ENSEMBLES:
        if labels or reduce_noise:
            raise ParameterError(f"--labels and --reduce-noise are for single networks; {config} is an ensemble.")
        folder = train_ensemble(_corpora(corpus), config, name, resume=resume, force=force, jobs=jobs)
    else:
        chosen = labels and labels.value
        folder = run(
            _corpora(corpus), config, name, labels=chosen, reduce_noise=reduce_noise, resume=resume, force=force
        )
    out.print(score_table(read_manifest(folder)), markup=False, highlight=False, soft_wrap=True)
    err.print(f"Written to {folder}", markup=False, highlight=False)


@app.command()
def evaluate(
    corpus: Annotated[str, typer.Option(help="The corpus' name, e.g. ravdess.")],
    data: Annotated[Path, typer.Option(help="Its folder, or a parent that holds it under its usual name.")],
    model: ModelOption = None,
    protocol: Annotated[Protocol, typer.Option()] = Protocol.folds,
    labels: Annotated[Labels, typer.Option(help="The labels to choose from.")] = Labels.eight,
    format: Annotated[Scores, typer.Option("--format", "-f")] = Scores.table,
) -> None:
    """Score a model from recordings; by default on speakers that its networks have not heard."""
    from ser.evaluate import evaluate as run

    report = run(corpus, data, model, protocol.value, labels.value)
    if report["seen_in_training"]:
        err.print("ser: the model was trained on these speakers; this is not a score on unseen people.")
    if format is Scores.json:
        print(json.dumps(report, indent=1))
    else:
        _print_report(report)


def _print_report(report: dict[str, Any]) -> None:
    low, high = report["uar_interval"]
    merged = report["neutral_calm_merged"]
    summary = Table.grid(padding=(0, 2))
    for name, value in (
        ("model, corpus", f"{report['model']} on {report['corpus']}"),
        ("protocol", f"{report['protocol']}: {report['note']}"),
        ("clips", f"{report['clips']} of {report['speakers']} speakers"),
        ("UAR", f"{report['uar']:.1%}  (95 % interval over speakers {low:.1%} to {high:.1%})"),
        ("accuracy", f"{report['accuracy']:.1%}"),
        ("macro F1", f"{report['macro_f1']:.1%}"),
        ("calibration error", f"{report['calibration_error']:.1%}"),
        ("neutral = calm", f"accuracy {merged['accuracy']:.1%}, UAR {merged['uar']:.1%}  (as listeners were scored)"),
        ("left out", ", ".join(f"{count} {label}" for label, count in report["excluded"].items()) or "nothing"),
        ("errors", str(len(report["errors"]))),
    ):
        summary.add_row(name, value)
    out.print(summary, highlight=False)
    table = Table("meant \\ answered", *report["labels"], "recall", box=None, header_style="dim")
    for label, counts in zip(report["labels"], report["confusion"], strict=True):
        recall = report["recall"][label]
        table.add_row(label, *map(str, counts), "no clips" if recall is None else f"{recall:.0%}")
    out.print(table, highlight=False)


@app.command()
def leaderboard(
    data: Annotated[Path, typer.Option(help="Where RAVDESS lies, or a parent that holds it under its usual name.")],
    models: Annotated[
        list[str] | None,
        typer.Option(help="An artifact or a configuration; may be repeated. Default: all artifacts and designs."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the finished fits of a killed run.")] = False,
    out: Annotated[Path, typer.Option(help="Where leaderboard.json, .md and .png are written.")] = Path("reports"),
    jobs: Annotated[int, typer.Option(min=1, help="Networks trained at a time, each on one thread.")] = 1,
) -> None:
    """Measure published designs and our models in one way, beside their claims, listeners and others' scores."""
    from ser.leaderboard import leaderboard as run
    from ser.standings import scores_table

    print(scores_table(run(data, models or (), resume=resume, out=out, jobs=jobs)))
    err.print(f"Written to {out}", markup=False, highlight=False)


@app.command()
def export(
    format: Annotated[File, typer.Option("--format", "-f")],
    model: ModelOption = None,
    place: Annotated[Path, typer.Option("--out", help="A folder, or the file of a model of one branch.")] = Path(),
    check: Annotated[Path | None, typer.Option(help="A folder of further recordings to check with.")] = None,
    report: Annotated[Path | None, typer.Option(help="Where the figures are written as JSON.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files of these names.")] = False,
) -> None:
    """Write a model's graphs for other programs, each checked against the original on real recordings."""
    from ser.export import export as run
    from ser.export import table

    made = run(model, format.value, place, check, report, force=force)
    sheet = Table("file", "size", "an answer", f"largest difference on {made['clips']} clips", box=None)
    for cells in table(made):
        sheet.add_row(*cells)
    out.print(sheet, markup=False, highlight=False)
    err.print(f"Written to {place}", markup=False, highlight=False)


@app.command()
def download(
    corpus: Annotated[str, typer.Argument(help="The corpus' name, e.g. ravdess.")],
    folder: Annotated[Path, typer.Option("--to", help="Where the corpora lie.")] = Path("data"),
) -> None:
    """Fetch a corpus from its publisher, checked by its checksum."""
    from ser.download import download as run

    print(run(corpus, folder))


@app.command()
def info(
    model: Annotated[str | None, typer.Argument(help="A model's name or folder; without it all are listed.")] = None,
    format: Annotated[Scores, typer.Option("--format", "-f")] = Scores.table,
) -> None:
    """List the models with their scores on unseen speakers, or show one."""
    from ser.artifact import find, known, read_manifest

    folders = [find(model)] if model else list(known().values())
    manifests = [read_manifest(folder) for folder in folders]
    if format is Scores.json:
        print(json.dumps({"version": ser.__version__, "models": manifests}, indent=1))
        return
    for manifest in manifests:
        _print_model(manifest, whole=model is not None)


def _print_model(manifest: dict[str, Any], *, whole: bool) -> None:
    from rich.markdown import Markdown

    from ser.card import card

    if whole and {"folds", "random"} <= manifest["metrics"].keys():
        out.print(Markdown(card(manifest)))
        return
    scores = manifest["metrics"].get("folds", {})
    uar = f"UAR {scores['uar']:.1%} on unseen speakers" if scores else "not scored"
    missing = [emotion for emotion in EMOTIONS if emotion not in manifest["labels"]]
    labels = f"{len(manifest['labels'])} emotions" + (f" (without {', '.join(missing)})" if missing else "")
    out.print(f"{manifest['name']}: {labels}, {uar}", highlight=False)
