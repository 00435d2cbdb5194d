"""Readers of corpora: get speaker and emotion from file names, folder names or a table.

A reader takes the corpus' folder and the paths of the sound files in it; it does not decode audio.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ser.types import EMOTIONS, ParameterError

# Compared in lower case, with every run of other characters as one "_".
SYNONYMS = {
    "neutral": "neutral neutrality neu",
    "calm": "calm calmness cal",
    "happy": "happy happiness joy joyful hap",
    "sad": "sad sadness sorrow",
    "angry": "angry anger ang",
    "fearful": "fearful fear afraid scared fea",
    "disgust": "disgust disgusted dis",
    "surprised": "surprised surprise sur ps pleasant_surprise pleasant_surprised",
}
CANONICAL = {word: emotion for emotion in EMOTIONS for word in SYNONYMS[emotion].split()}

# Codes in file names, in lower case.
RAVDESS_STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
EMODB = {"w": "anger", "l": "boredom", "e": "disgust", "a": "fear", "f": "happiness", "t": "sadness", "n": "neutral"}
EMODB_SEX = {number: "male" if number in {3, 10, 11, 12, 15} else "female" for number in (3, *range(8, 17))}
SAVEE = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "sa": "sadness", "su": "surprise"}
EMOVO = {"gio": "happiness", "pau": "fear", "rab": "anger", "sor": "surprise", "tri": "sadness"}

SEXES = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female", "woman": "female"}
INTENSITIES = dict.fromkeys(("normal", "low", "lo", "weak", "medium", "md"), "normal")
INTENSITIES |= dict.fromkeys(("strong", "high", "hi"), "strong")
TABLES = ("table.tsv", "table.csv")
TABLE_COLUMNS = ("path", "emotion", "speaker")
LINE = "line number"  # the key of a row's line number in the file


class Record(NamedTuple):
    """A recording as its corpus describes it: the emotion in the corpus' own word, the speaker without prefix."""

    path: Path
    emotion: str
    speaker: str
    sex: str | None = None
    intensity: str | None = None
    sentence: str | None = None
    language: str | None = None
    song: bool = False


@dataclass
class CorpusFiles:
    """The files of a corpus: recordings, sound files that do not belong to it, and listed files that are absent."""

    records: list[Record] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


Reader = Callable[[Path, list[Path]], CorpusFiles]


def canonical_emotion(word: str) -> str | None:
    """Map an emotion word ("Joy", "ps", "pleasant surprise", "ANG") to the vocabulary; None if it is unknown."""
    return CANONICAL.get(re.sub(r"[^a-z]+", "_", word.casefold()).strip("_"))


def by_name(pattern: str) -> Callable[[Callable[..., Record | None]], Reader]:
    """Make a reader of a function that parses a path and the lower-case groups of its file name.

    A file does not belong to the corpus if its name differs from the pattern, or if the function returns None.
    """
    name = re.compile(pattern, re.IGNORECASE)

    def reader(parse: Callable[..., Record | None]) -> Reader:
        def read(_: Path, paths: list[Path]) -> CorpusFiles:
            matches = [(path, name.fullmatch(path.stem)) for path in paths]
            parsed = [(path, match and parse(path, *map(str.lower, match.groups("")))) for path, match in matches]
            return CorpusFiles([record for _, record in parsed if record], [path for path, rec in parsed if not rec])

        return read

    return reader


@by_name(r"03-(01|02)-(0[1-8])-(0[12])-(0[12])-(\d\d)-(\d\d)")
def read_ravdess(path: Path, channel: str, emotion: str, level: str, text: str, _: str, actor: str) -> Record:
    """Parse `03-01-05-02-01-02-12`: modality, channel, emotion, intensity, statement, repetition, actor (even: female).

    The audio of the videos (modality 01) repeats the same takes and is skipped.
    """
    sex, intensity = "male" if int(actor) % 2 else "female", "normal" if level == "01" else "strong"
    word, statement = EMOTIONS[int(emotion) - 1], RAVDESS_STATEMENTS[text]
    return Record(path, word, actor, sex, intensity, statement, song=channel == "02")


@by_name(r"(\d\d)([AB]\d\d)([WLEAFTN])[A-Z]?")
def read_emodb(path: Path, speaker: str, text: str, letter: str) -> Record:
    """Parse `03a01Fa`: speaker, text, letter of the German emotion word, version."""
    return Record(path, EMODB[letter], speaker, EMODB_SEX.get(int(speaker)), sentence=text)


@by_name(r"(OAF?|YAF)_([^_]+)_(.+)")
def read_tess(path: Path, actress: str, word: str, emotion: str) -> Record:
    """Parse `OAF_back_angry`: actress, word, emotion. One published file has `OA` for `OAF`."""
    return Record(path, emotion, "YAF" if actress == "yaf" else "OAF", "female", sentence=f"Say the word {word}")


@by_name(r"(?:(DC|JE|JK|KL)_)?(sa|su|[adfhn])(\d\d)")
def read_savee(path: Path, speaker: str, code: str, number: str) -> Record | None:
    """Parse `DC_sa01` or `DC/sa01`: speaker, emotion code, sentence number."""
    speaker = (speaker or path.parent.name).upper()
    record = Record(path, SAVEE[code], speaker, "male", sentence=code + number)
    return record if speaker in {"DC", "JE", "JK", "KL"} else None


@by_name(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})")
def _cremad_names(path: Path, actor: str, sentence: str, emotion: str, level: str) -> Record:
    """Parse `1001_DFA_ANG_XX`: actor, sentence, emotion, intensity (LO and MD are normal, XX is unknown)."""
    return Record(path, emotion, actor, intensity=INTENSITIES.get(level), sentence=sentence.upper())


def read_cremad(root: Path, paths: list[Path]) -> CorpusFiles:
    """Read CREMA-D by file name, the actors' sex from `VideoDemographics.csv` in the folder or its parent."""
    files = _cremad_names(root, paths)
    table = _first_file(root / "VideoDemographics.csv", root.parent / "VideoDemographics.csv")
    rows = read_rows(table) if table else []
    sexes = {row.get("actorid", ""): SEXES.get(row.get("sex", "").lower()) for row in rows}
    files.records = [record._replace(sex=sexes.get(record.speaker)) for record in files.records]
    return files


def _first_file(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


@by_name(r"(dis|gio|neu|pau|rab|sor|tri)-([fm])(\d)-(.+)")
def read_emovo(path: Path, emotion: str, sex: str, number: str, sentence: str) -> Record:
    """Parse `dis-f1-b1`: Italian emotion word, speaker, sentence."""
    return Record(path, EMOVO.get(emotion, emotion), sex + number, SEXES[sex], sentence=sentence)


def read_nemo(root: Path, paths: list[Path]) -> CorpusFiles:
    """Read nEMO by `data.tsv` (in the folder or its parent); files match by stem, with any audio extension."""
    table = _first_file(root / "data.tsv", root.parent / "data.tsv")
    if table is None:
        raise ParameterError(f"nEMO needs its data.tsv, which is neither in {root} nor in its parent folder.")
    by_stem = {path.stem: path for path in reversed(paths)}
    files = CorpusFiles()
    for row in read_rows(table, ("file_id", "emotion", "speaker_id")):
        path = by_stem.get(PurePosixPath(row["file_id"]).stem)
        if path:
            sex, text = SEXES.get(row.get("gender", "")), row.get("raw_text") or None
            files.records.append(Record(path, row["emotion"], row["speaker_id"], sex, sentence=text))
        else:
            files.missing.append(row["file_id"])
    listed = {record.path.stem for record in files.records}
    files.skipped = [path for path in paths if path.stem not in listed]
    return files


def read_folder(root: Path, paths: list[Path]) -> CorpusFiles:
    """Read a tree with a folder per emotion: the level at which most folder names are emotions gives the label.

    The speaker is the folder below the emotion (`happy/anna/1.wav`) or the one above it (`anna/happy/1.wav`); a
    single folder above all emotions is no speaker. If there is neither, all files have the speaker `all`.
    """
    folders = [(path, path.relative_to(root).parts[:-1]) for path in paths]
    levels = Counter(level for _, parts in folders for level, part in enumerate(parts) if canonical_emotion(part))
    if not levels:
        return CorpusFiles(skipped=list(paths))
    level = max(levels, key=lambda key: (levels[key], -key))
    labelled = [(path, parts) for path, parts in folders if len(parts) > level]
    above = level > 0 and len({parts[level - 1] for _, parts in labelled}) > 1
    files = CorpusFiles(skipped=[path for path, parts in folders if len(parts) <= level])
    for path, parts in labelled:
        speaker = parts[level - 1 : level] if above else parts[level + 1 : level + 2]
        files.records.append(Record(path, parts[level], speaker[0] if speaker else "all"))
    return files


def read_table(root: Path, paths: list[Path]) -> CorpusFiles:
    """Read `table.tsv` or `table.csv`: columns path, emotion, speaker; optional sex, intensity, sentence, language.

    Paths are relative to the table's folder; if a listed file is absent, the same name with another audio extension
    is used. Intensity is a word (normal, strong) or a number: above the middle of the column's range is strong.
    """
    table = _first_file(*(root / name for name in TABLES))
    if table is None:
        raise ParameterError(f"{root} holds no table.tsv or table.csv with the columns {', '.join(TABLE_COLUMNS)}.")
    rows = read_rows(table, TABLE_COLUMNS)
    by_stem = {path.relative_to(root).with_suffix(""): path for path in reversed(paths)}
    matches = {
        name: root / name if (root / name).is_file() else by_stem.get(Path(name).with_suffix(""))
        for name in _checked_paths(table, rows)
    }
    missing = [name for name, path in matches.items() if path is None]
    if missing:
        raise ParameterError(
            f"{table} lists {len(missing)} of {len(rows)} files that are not there, first {', '.join(missing[:3])}. "
            f"Paths are relative to {root}."
        )
    listed = [path for path in matches.values() if path]
    levels = _intensities(table, [row.get("intensity", "").lower() for row in rows])
    files = CorpusFiles(skipped=sorted(set(paths) - set(listed)))
    for row, path, level in zip(rows, listed, levels, strict=True):
        sex, text, language = (row.get(name, "") for name in ("sex", "sentence", "language"))
        about = (SEXES.get(sex.lower()), level, text or None, language or None)
        files.records.append(Record(path, row["emotion"], row["speaker"], *about))
    return files


def read_rows(table: Path, needed: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Read the rows of a tab- or comma-separated table (by its extension): stripped, with lower-case column names.

    Raises `ParameterError` if it is not text, lacks a column of `needed`, or leaves such a field empty.
    """
    try:
        text = io.StringIO(table.read_text(encoding="utf-8-sig"), newline="")
        lines = csv.DictReader(text, delimiter="\t" if table.suffix == ".tsv" else ",")
        rows = [
            {name.strip().lower(): (value or "").strip() for name, value in line.items() if name}
            | {LINE: str(lines.line_num)}
            for line in lines
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ParameterError(f"{table} cannot be read as a UTF-8 table: {error}.") from error
    columns = [name.strip().lower() for name in lines.fieldnames or ()]
    absent = [name for name in needed if name not in columns]
    if absent:
        raise ParameterError(
            f"{table} lacks the column {' and '.join(absent)}; it has {', '.join(columns) or 'none'}. "
            f"Columns are separated by {'tabs' if table.suffix == '.tsv' else 'commas'}."
        )
    for row in rows:
        empty = [name for name in needed if not row[name]]
        if empty:
            raise ParameterError(f"{table} line {row[LINE]} has no {' and no '.join(empty)}.")
    return rows


def _checked_paths(table: Path, rows: list[dict[str, str]]) -> list[str]:
    """Return the listed paths, normalised; raise if one leaves the table's folder or is repeated."""
    first: dict[str, str] = {}
    for row in rows:
        name = os.path.normpath(row["path"].replace("\\", "/"))
        if name == ".":
            raise ParameterError(f"{table} line {row[LINE]}: {row['path']!r} is the table's folder, not a recording.")
        if Path(name).is_absolute() or Path(name).parts[0] == "..":
            raise ParameterError(f"{table} line {row[LINE]}: {row['path']!r} is outside the table's folder.")
        if first.setdefault(name, row[LINE]) != row[LINE]:
            raise ParameterError(f"{table} line {row[LINE]}: {row['path']!r} is listed already in line {first[name]}.")
    return list(first)


def _intensities(table: Path, words: list[str]) -> list[str | None]:
    """Convert a column of intensities to "normal", "strong" or None (empty, or all numbers equal)."""
    numbers: dict[str, float] = {}
    for word in {word for word in words if word and word not in INTENSITIES}:
        try:
            numbers[word] = float(word)
        except ValueError as error:
            raise ParameterError(f"{table}: intensity {word!r} is neither normal, strong nor a number.") from error
    if len(set(numbers.values())) < 2:
        return [INTENSITIES.get(word) for word in words]
    middle = (min(numbers.values()) + max(numbers.values())) / 2
    graded = {word: "strong" if value > middle else "normal" for word, value in numbers.items()}
    return [(INTENSITIES | graded).get(word) for word in words]
