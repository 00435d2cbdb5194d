"""The corpora: which recordings a folder holds, who speaks in them, and which emotion was meant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ser.audio.files import sound_files
from ser.datasets.duplicates import check_duplicates, find_duplicates
from ser.datasets.readers import (
    Reader,
    Reading,
    Record,
    by_name,
    canonical_emotion,
    parse_emodb,
    parse_emovo,
    parse_ravdess,
    parse_savee,
    parse_tess,
    read_cremad,
    read_folder,
    read_nemo,
    read_table,
)
from ser.types import EMOTIONS, Clip, ParameterError, lookup

__all__ = [
    "CORPORA",
    "Archive",
    "Corpus",
    "Listing",
    "canonical_emotion",
    "check_duplicates",
    "find_corpus",
    "find_duplicates",
    "load_corpus",
    "recording_id",
]


@dataclass(frozen=True)
class Archive:
    """A publisher's file with the checksum that the publisher prints beside it, as pooch writes it (`md5:...`)."""

    base_url: str
    file: str
    known_hash: str


@dataclass(frozen=True)
class Corpus:
    """A corpus: its usual folder names (lower-case letters and digits only), what its files look like, its licence.

    `named` says that a file's name identifies the recording, so that a second file of that name is a copy.
    """

    name: str
    reader: Reader
    looks_like: str
    licence: str
    folders: tuple[str, ...] = ()
    language: str | None = None
    source: str = ""
    named: bool = True
    archive: Archive | None = None


@dataclass(frozen=True)
class Listing:
    """What a folder holds of a corpus. `clips` are ordered by speaker and file name, whatever the folder's layout.

    `excluded` counts clips by a label outside the vocabulary; `skipped` are sound files that are no recording of the
    corpus; `missing` are listed files that are not there; `copies` counts further files of recordings in `clips`;
    `songs` counts RAVDESS songs left out because speech lies beside them.
    """

    corpus: str
    folder: str
    clips: list[Clip]
    excluded: dict[str, int] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    copies: int = 0
    songs: int = 0

    @property
    def speakers(self) -> list[str]:
        return sorted({clip.speaker for clip in self.clips})

    @property
    def summary(self) -> str:
        """One sentence for a person: what was taken and what was left out."""
        emotions = {clip.emotion for clip in self.clips}
        left = [f"{count} {label}" for label, count in self.excluded.items()]
        left += [f"{count} {what}" for count, what in self._left_out() if count]
        taken = f"{self.corpus}: {len(self.clips)} clips, {len(self.speakers)} speakers, {len(emotions)} emotions"
        return f"{taken}; left out: {', '.join(left)}" if left else taken

    def _left_out(self) -> list[tuple[int, str]]:
        skipped = f"other sound files ({', '.join(self.skipped[:3])})"
        return [
            (self.copies, "copies"),
            (self.songs, "songs"),
            (len(self.missing), "absent"),
            (len(self.skipped), skipped),
        ]


CORPORA = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            "ravdess",
            by_name(parse_ravdess),
            "03-01-05-01-02-01-12.wav",
            "CC BY-NC-SA 4.0. Livingstone SR, Russo FA (2018), PLoS ONE 13(5): e0196391.",
            ("ravdess", "ravdessemotionalspeechaudio"),
            "en",
            "https://zenodo.org/records/1188976",
            archive=Archive(
                "https://zenodo.org/records/1188976/files/",
                "Audio_Speech_Actors_01-24.zip",
                "md5:bc696df654c87fed845eb13823edef8a",
            ),
        ),
        Corpus(
            "nemo",
            read_nemo,
            "data.tsv and samples/KS0_anger_1.wav",
            "CC BY-NC-SA 4.0. Christop I (2024), nEMO: Dataset of Emotional Speech in Polish.",
            ("nemo", "nemomain"),
            "pl",
            "https://github.com/amu-cai/nEMO",
        ),
        Corpus(
            "tess",
            by_name(parse_tess),
            "OAF_back_angry.wav",
            "CC BY-NC-ND 4.0. Pichora-Fuller MK, Dupuis K (2020), Toronto emotional speech set (TESS).",
            ("tess", "tesstorontoemotionalspeechsetdata", "torontoemotionalspeechsettess"),
            "en",
            "https://doi.org/10.5683/SP2/E8H2MF",
        ),
        Corpus(
            "emodb",
            by_name(parse_emodb),
            "03a01Fa.wav",
            "Free for research. Burkhardt F et al. (2005), A Database of German Emotional Speech, Interspeech.",
            ("emodb", "berlin", "berlindatabaseofemotionalspeechemodb"),
            "de",
            "http://emodb.bilderbar.info",
        ),
        Corpus(
            "savee",
            by_name(parse_savee),
            "DC_a01.wav or DC/a01.wav",
            "For research, on registration. Haq S, Jackson PJB (2009), Speaker-dependent audio-visual emotion "
            "recognition, AVSP.",
            ("savee", "saveedatabase", "surreyaudiovisualexpressedemotionsavee"),
            "en",
            "http://kahlan.eps.surrey.ac.uk/savee/",
        ),
        Corpus(
            "cremad",
            read_cremad,
            "1001_DFA_ANG_XX.wav",
            "Open Database License. Cao H et al. (2014), IEEE Transactions on Affective Computing 5(4): 377-390.",
            ("cremad", "crema", "cremadmaster"),
            "en",
            "https://github.com/CheyneyComputerScience/CREMA-D",
        ),
        Corpus(
            "emovo",
            by_name(parse_emovo),
            "dis-f1-b1.wav",
            "Free for non-commercial use. Costantini G et al. (2014), EMOVO Corpus: an Italian Emotional Speech "
            "Database, LREC.",
            ("emovo", "emovocorpus"),
            "it",
            "http://voice.fub.it/activities/corpora/emovo/index.html",
        ),
        Corpus(
            "folder",
            read_folder,
            "happy/anna/1.wav or anna/happy/1.wav",
            "As its owner says.",
            ("folder",),
            named=False,
        ),
        Corpus(
            "table",
            read_table,
            "the files listed in table.tsv or table.csv",
            "As its owner says.",
            ("table",),
            named=False,
        ),
    )
}


def find_corpus(name: str) -> Corpus:
    """Return the corpus of that name; raise `ParameterError` if it is unknown."""
    return lookup(name, CORPORA, "corpus")


def load_corpus(name: str, folder: str | Path, *, keep_copies: bool = False, songs: bool = False) -> Listing:
    """Lists the clips of a corpus in its own folder, or in a parent that holds it under its usual name.

    Opens no sound. Any sound ending is taken. RAVDESS songs are read where no speech lies beside them, or with
    `songs`. `keep_copies` keeps every file of a recording that lies there more than once (the doubled Kaggle layout,
    to show what such a leak does). Raises `ParameterError` where there is nothing to learn or score from.
    """
    corpus = find_corpus(name)
    root = _root(corpus, Path(folder).expanduser())
    sounds = list(sound_files(root))
    if not sounds:
        raise _nothing(corpus, root, sounds)
    reading = corpus.reader(root, sounds)
    records = _without_songs(reading.records, songs)
    found = _in_order(_clip(corpus, record) for record in records)
    kept = found if keep_copies else _without_copies(found)
    clips, excluded = _within_vocabulary(kept)
    if not clips:
        raise _nothing(corpus, root, sounds, reading, excluded)
    _check_classes(corpus, root, clips)
    return Listing(
        name,
        str(root),
        clips,
        excluded,
        skipped=tuple(str(path.relative_to(root)) for path in reading.skipped),
        missing=tuple(reading.missing),
        copies=len(found) - len(kept),
        songs=len(reading.records) - len(records),
    )


def recording_id(clip: Clip) -> str:
    """The same for every file of one recording: its name where the corpus' names identify it, else its path."""
    corpus = CORPORA.get(clip.corpus)
    return f"{clip.speaker}/{Path(clip.path).stem.lower()}" if corpus and corpus.named else clip.path


def _root(corpus: Corpus, folder: Path) -> Path:
    """The corpus' folder: a sub-folder with its usual name where there is one, else `folder` itself."""
    if not folder.is_dir():
        raise _nothing(corpus, folder, [])
    usual = {_plain(entry.name): entry for entry in sorted(folder.iterdir(), reverse=True) if entry.is_dir()}
    return next((usual[name] for name in corpus.folders if name in usual), folder)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _without_songs(records: list[Record], songs: bool) -> list[Record]:
    speech = [record for record in records if not record.song]
    return speech if speech and not songs else records


def _clip(corpus: Corpus, record: Record) -> Clip:
    """The record in the project's words, its emotion still in the corpus' own where the vocabulary has none."""
    emotion = canonical_emotion(record.emotion) or record.emotion.lower()
    about = (record.sex, record.intensity, record.sentence, record.language or corpus.language)
    return Clip(str(record.path), emotion, f"{corpus.name}/{record.speaker}", corpus.name, *about)


def _in_order(clips: Iterable[Clip]) -> list[Clip]:
    """By speaker and file name; of two files with one name the one that lies less deep comes first."""

    def place(clip: Clip) -> tuple:
        path = Path(clip.path)
        return clip.speaker, path.name, len(path.parts), clip.path

    return sorted(clips, key=place)


def _without_copies(clips: list[Clip]) -> list[Clip]:
    """The first file of every recording."""
    first: dict[str, Clip] = {}
    for clip in clips:
        first.setdefault(recording_id(clip), clip)
    return list(first.values())


def _within_vocabulary(clips: list[Clip]) -> tuple[list[Clip], dict[str, int]]:
    excluded = Counter(clip.emotion for clip in clips if clip.emotion not in EMOTIONS)
    return [clip for clip in clips if clip.emotion in EMOTIONS], dict(sorted(excluded.items()))


def _check_classes(corpus: Corpus, root: Path, clips: list[Clip]) -> None:
    found = {clip.emotion for clip in clips}
    if len(found) < 2:
        raise ParameterError(
            f"All {len(clips)} {corpus.name} clips in {root} are {found.pop()}: "
            "at least two emotions are needed to learn or to score."
        )


def _nothing(
    corpus: Corpus, folder: Path, sounds: list[Path], reading: Reading | None = None, excluded: dict | None = None
) -> ParameterError:
    """The error for a folder without a usable clip: what was looked for, what is there, what to do."""
    if not folder.is_dir():
        found = "a file, not a folder" if folder.exists() else "no such folder"
    elif excluded:
        found = f"only labels outside the vocabulary ({', '.join(excluded)}); it knows {', '.join(EMOTIONS)}"
    elif reading and reading.missing:
        found = f"none of the {len(reading.missing)} listed files, first {reading.missing[0]}"
    elif sounds:
        found = f"{len(sounds)} sound files of another kind, first {', '.join(path.name for path in sounds[:3])}"
    else:
        names = [entry.name for entry in sorted(folder.iterdir())[:5]]
        found = f"no sound file, only {', '.join(names)}" if names else "an empty folder"
    usual = f" or its sub-folder {corpus.folders[0]!r}" if corpus.folders else ""
    advice = f" Fetch it with: python -m ser download {corpus.name}." if corpus.archive else ""
    source = f" It is published at {corpus.source}." if corpus.source and not corpus.archive else ""
    return ParameterError(
        f"No {corpus.name} recordings in {folder}{usual}: looked for {corpus.looks_like} "
        f"(any sound ending), found {found}.{advice}{source}"
    )
