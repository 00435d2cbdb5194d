"""What each corpus says about its recordings: in file names, folder names, or a table.

A reader takes the corpus' folder and the sound files under it and returns a `Reading`; it opens no sound.
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

# Words are compared in lower case with every run of other signs as one "_".
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

RAVDESS_NAME = re.compile(r"03-(01|02)-(0[1-8])-(0[12])-(0[12])-(\d\d)-(\d\d)")
RAVDESS_STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
EMODB_NAME = re.compile(r"(\d\d)([AB]\d\d)([WLEAFTN])[A-Z]?", re.IGNORECASE)
EMODB_LETTERS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
EMODB_SEX = {number: "male" if number in {3, 10, 11, 12, 15} else "female" for number in (3, *range(8, 17))}
TESS_NAME = re.compile(r"(OAF?|YAF)_([^_]+)_(.+)", re.IGNORECASE)
SAVEE_NAME = re.compile(r"(?:(DC|JE|JK|KL)_)?(sa|su|[adfhn])(\d\d)", re.IGNORECASE)
SAVEE_CODES = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
CREMAD_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})", re.IGNORECASE)
EMOVO_NAME = re.compile(r"(dis|gio|neu|pau|rab|sor|tri)-([fm])(\d)-(.+)", re.IGNORECASE)
EMOVO_CODES = {
    "dis": "disgust",
    "gio": "happiness",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}

SEXES = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female", "woman": "female"}
INTENSITIES = dict.fromkeys(("normal", "low", "lo", "weak", "medium", "md"), "normal") | dict.fromkeys(
    ("strong", "high", "hi"), "strong"
)
TABLE_COLUMNS = ("path", "emotion", "speaker")
LINE = "line number"  # the key under which a row carries its place in the file


class Record(NamedTuple):
    """One recording as its corpus describes it: the emotion in the corpus' own word, the speaker without prefix."""

    path: Path
    emotion: str
    speaker: str
    sex: str | None = None
    intensity: str | None = None
    sentence: str | None = None
    language: str | None = None
    song: bool = False


@dataclass
class Reading:
    """What a reader found: recordings, sound files that are none of the corpus, and listed files that are not there."""

    records: list[Record] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


Reader = Callable[[Path, list[Path]], Reading]


def canonical_emotion(word: str) -> str | None:
    """The vocabulary's word for an emotion ("Joy", "ps", "pleasant surprise", "ANG"), None for any other word."""
    return CANONICAL.get(re.sub(r"[^a-z]+", "_", word.casefold()).strip("_"))


def by_name(parse: Callable[[Path], Record | None]) -> Reader:
    """Reader of a corpus whose file names say everything; `parse` answers None for other files."""

    def read(root: Path, sounds: list[Path]) -> Reading:
        parsed = [(path, parse(path)) for path in sounds]
        return Reading([record for _, record in parsed if record], [path for path, record in parsed if not record])

    return read


def parse_ravdess(path: Path) -> Record | None:
    """`03-01-05-02-01-02-12`: audio only, channel, emotion, intensity, statement, repetition, actor (even: female).

    Sound pulled out of the videos (modality 01) repeats the same takes and is not read.
    """
    match = RAVDESS_NAME.fullmatch(path.stem)
    if not match:
        return None
    channel, emotion, intensity, statement, _, actor = match.groups()
    return Record(
        path,
        EMOTIONS[int(emotion) - 1],
        actor,
        sex="male" if int(actor) % 2 else "female",
        intensity="normal" if intensity == "01" else "strong",
        sentence=RAVDESS_STATEMENTS[statement],
        song=channel == "02",
    )


def parse_emodb(path: Path) -> Record | None:
    """`03a01Fa`: speaker, text, letter of the German emotion word, version."""
    match = EMODB_NAME.fullmatch(path.stem)
    if not match:
        return None
    speaker, text, letter = match.groups()
    return Record(path, EMODB_LETTERS[letter.upper()], speaker, sex=EMODB_SEX.get(int(speaker)), sentence=text.lower())


def parse_tess(path: Path) -> Record | None:
    """`OAF_back_angry`: actress, word, emotion. One published file says `OA` for `OAF`."""
    match = TESS_NAME.fullmatch(path.stem)
    if not match:
        return None
    actress, word, emotion = match.groups()
    speaker = "YAF" if actress.upper() == "YAF" else "OAF"
    return Record(path, emotion.lower(), speaker, sex="female", sentence=f"Say the word {word.lower()}")


def parse_savee(path: Path) -> Record | None:
    """`DC_sa01` in one folder or `DC/sa01`: speaker, emotion code, sentence number."""
    match = SAVEE_NAME.fullmatch(path.stem)
    speaker = ((match and match[1]) or path.parent.name).upper()
    if not match or speaker not in {"DC", "JE", "JK", "KL"}:
        return None
    code = match[2].lower()
    return Record(path, SAVEE_CODES[code], speaker, sex="male", sentence=code + match[3])


def parse_cremad(path: Path) -> Record | None:
    """`1001_DFA_ANG_XX`: actor, sentence, emotion, intensity (LO and MD count as normal, XX as unknown)."""
    match = CREMAD_NAME.fullmatch(path.stem)
    if not match:
        return None
    actor, sentence, emotion, level = (part.upper() for part in match.groups())
    return Record(path, emotion.lower(), actor, intensity=INTENSITIES.get(level.lower()), sentence=sentence)


def read_cremad(root: Path, sounds: list[Path]) -> Reading:
    """CREMA-D by file name, the actors' sex from `VideoDemographics.csv` in the folder or above it."""
    reading = by_name(parse_cremad)(root, sounds)
    tables = [place / "VideoDemographics.csv" for place in (root, root.parent)]
    table = next((table for table in tables if table.is_file()), None)
    rows = read_rows(table) if table else []
    sexes = {row.get("actorid", ""): SEXES.get(row.get("sex", "").lower()) for row in rows}
    reading.records = [record._replace(sex=sexes.get(record.speaker)) for record in reading.records]
    return reading


def parse_emovo(path: Path) -> Record | None:
    """`dis-f1-b1`: Italian emotion word, speaker, sentence."""
    match = EMOVO_NAME.fullmatch(path.stem)
    if not match:
        return None
    emotion, sex, number, sentence = (part.lower() for part in match.groups())
    return Record(path, EMOVO_CODES[emotion], sex + number, sex=SEXES[sex], sentence=sentence)


def read_nemo(root: Path, sounds: list[Path]) -> Reading:
    """nEMO by `data.tsv` (in the folder or above it); a row's file is found by its stem, whatever its ending."""
    tables = [place / "data.tsv" for place in (root, root.parent)]
    table = next((table for table in tables if table.is_file()), None)
    if table is None:
        raise ParameterError(f"nEMO needs its data.tsv, which is neither in {root} nor above it.")
    by_stem = {path.stem: path for path in reversed(sounds)}
    reading = Reading()
    for row in read_rows(table, ("file_id", "emotion", "speaker_id")):
        path = by_stem.get(PurePosixPath(row["file_id"]).stem)
        if path is None:
            reading.missing.append(row["file_id"])
            continue
        sex, text = SEXES.get(row.get("gender", "")), row.get("raw_text") or None
        reading.records.append(Record(path, row["emotion"], row["speaker_id"], sex=sex, sentence=text))
    listed = {record.path.stem for record in reading.records}
    reading.skipped = [path for path in sounds if path.stem not in listed]
    return reading


def read_folder(root: Path, sounds: list[Path]) -> Reading:
    """A folder per emotion, at the level where most folder names are emotions; other names there are labels too.

    The speaker is the folder below the emotion (`happy/anna/1.wav`) or the one above it (`anna/happy/1.wav`);
    a single folder above all emotions counts as no speaker. Without either, all files share the speaker `all`.
    """
    places = [(path, path.relative_to(root).parts[:-1]) for path in sounds]
    levels = Counter(level for _, parts in places for level, part in enumerate(parts) if canonical_emotion(part))
    if not levels:
        return Reading(skipped=list(sounds))
    level = max(levels, key=lambda key: (levels[key], -key))
    has_level = [(path, parts) for path, parts in places if len(parts) > level]
    above = level > 0 and len({parts[level - 1] for _, parts in has_level}) > 1
    reading = Reading(skipped=[path for path, parts in places if len(parts) <= level])
    for path, parts in has_level:
        speaker = parts[level - 1 : level] if above else parts[level + 1 : level + 2]
        reading.records.append(Record(path, parts[level], speaker[0] if speaker else "all"))
    return reading


def read_table(root: Path, sounds: list[Path]) -> Reading:
    """`table.tsv` or `table.csv` with the columns path, emotion, speaker; optional sex, intensity, sentence, language.

    A path is relative to the table's folder; another sound ending than the listed one is taken where the listed
    file is absent. Intensity is a word (normal, strong) or a number: above the middle of the column's range is strong.
    """
    table = next((root / name for name in ("table.tsv", "table.csv") if (root / name).is_file()), None)
    if table is None:
        raise ParameterError(f"{root} holds no table.tsv or table.csv with the columns {', '.join(TABLE_COLUMNS)}.")
    rows = read_rows(table, TABLE_COLUMNS)
    names = _checked_paths(table, rows)
    by_stem = {path.relative_to(root).with_suffix(""): path for path in reversed(sounds)}
    found = [root / name if (root / name).is_file() else by_stem.get(Path(name).with_suffix("")) for name in names]
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    if missing:
        raise ParameterError(
            f"{table} lists {len(missing)} of {len(rows)} files that are not there, first {', '.join(missing[:3])}. "
            f"Paths count from {root}."
        )
    paths = [path for path in found if path]
    levels = _intensities(table, [row.get("intensity", "").lower() for row in rows])
    reading = Reading(skipped=sorted(set(sounds) - set(paths)))
    for row, path, level in zip(rows, paths, levels, strict=True):
        sex, text, language = (row.get(name, "") for name in ("sex", "sentence", "language"))
        about = (SEXES.get(sex.lower()), level, text or None, language or None)
        reading.records.append(Record(path, row["emotion"], row["speaker"], *about))
    return reading


def read_rows(table: Path, needed: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Rows of a tab- or comma-separated table (by its ending), stripped, with lower-case column names.

    Raises `ParameterError` where it is no text, lacks a column of `needed`, or leaves such a field empty.
    """
    try:
        text = io.StringIO(table.read_text(encoding="utf-8-sig"), newline="")
        lines = csv.DictReader(text, delimiter="\t" if table.suffix == ".tsv" else ",")
        rows = [_tidy(line) | {LINE: str(lines.line_num)} for line in lines]
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


def _tidy(line: dict) -> dict[str, str]:
    """A row without the fields that have no column, names in lower case, all stripped."""
    return {key.strip().lower(): (value or "").strip() for key, value in line.items() if key}


def _checked_paths(table: Path, rows: list[dict[str, str]]) -> list[str]:
    """The listed paths, normalised; refused where one leaves the table's folder or comes twice."""
    first: dict[str, str] = {}
    for row in rows:
        name = os.path.normpath(row["path"].replace("\\", "/"))
        if name == ".":
            raise ParameterError(f"{table} line {row[LINE]}: {row['path']!r} is the table's folder, not a recording.")
        if Path(name).is_absolute() or Path(name).parts[0] == "..":
            raise ParameterError(f"{table} line {row[LINE]}: {row['path']!r} leads out of the table's folder.")
        if first.setdefault(name, row[LINE]) != row[LINE]:
            raise ParameterError(f"{table} line {row[LINE]}: {row['path']!r} is listed already in line {first[name]}.")
    return list(first)


def _intensities(table: Path, words: list[str]) -> list[str | None]:
    """The column `intensity` as "normal", "strong" or None (empty, or numbers that are all equal)."""
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
