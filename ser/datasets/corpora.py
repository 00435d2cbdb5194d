"""The registry of corpora: list a folder's recordings with speaker and emotion."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from ser.audio.files import sound_files
from ser.datasets import readers
from ser.files import encodable
from ser.types import EMOTIONS, Clip, ParameterError, lookup


@dataclass(frozen=True)
class Corpus:
    """A corpus: its reader, licence, language, source and usual folder names (lower-case letters and digits only).

    `looks_like` names an example file. `named`: a file's name identifies the recording, so that a second file of that
    name is a copy. `archive` is the file published at `source`, `known_hash` its checksum in pooch's form (`md5:...`).
    """

    name: str
    reader: readers.Reader
    looks_like: str
    licence: str = "As its owner says."
    folders: tuple[str, ...] = ()  # besides its name
    language: str | None = None
    source: str = ""
    named: bool = True
    archive: str = ""
    known_hash: str = ""


@dataclass(frozen=True)
class CorpusClips:
    """The clips of a corpus in a folder, ordered by speaker and file name whatever the folder's layout.

    `excluded` counts clips by label outside the vocabulary; `skipped` are sound files that do not belong to the corpus;
    `missing` are files that a table lists and the folder lacks; `copies` counts further files of recordings in
    `clips`; `songs` counts RAVDESS songs left out because the folder holds speech, too.
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
        """Counts of the clips read and of the files left out, in one sentence."""
        emotions = {clip.emotion for clip in self.clips}
        others = f"other sound files ({', '.join(self.skipped[:3])})"
        counts = {"copies": self.copies, "songs": self.songs, "absent": len(self.missing), others: len(self.skipped)}
        left = ", ".join(f"{count} {what}" for what, count in (self.excluded | counts).items() if count)
        taken = f"{self.corpus}: {len(self.clips)} clips, {len(self.speakers)} speakers, {len(emotions)} emotions"
        return f"{taken}; left out: {left}" if left else taken


NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,59}", re.ASCII)  # of a corpus that is a table
TABLE = "table"
LISTED = "the files listed in table.tsv or table.csv"
CORPORA = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            "ravdess",
            readers.read_ravdess,
            "03-01-05-01-02-01-12.wav",
            "CC BY-NC-SA 4.0. Livingstone SR, Russo FA (2018), PLoS ONE 13(5): e0196391.",
            ("ravdessemotionalspeechaudio",),
            "en",
            "https://zenodo.org/records/1188976",
            archive="Audio_Speech_Actors_01-24.zip",
            known_hash="md5:bc696df654c87fed845eb13823edef8a",
        ),
        Corpus(
            "nemo",
            readers.read_nemo,
            "data.tsv and samples/KS0_anger_1.wav",
            "CC BY-NC-SA 4.0. Christop I (2024), nEMO: Dataset of Emotional Speech in Polish.",
            ("nemomain",),
            "pl",
            "https://github.com/amu-cai/nEMO",
        ),
        Corpus(
            "tess",
            readers.read_tess,
            "OAF_back_angry.wav",
            "CC BY-NC-ND 4.0. Pichora-Fuller MK, Dupuis K (2020), Toronto emotional speech set (TESS).",
            ("tesstorontoemotionalspeechsetdata", "torontoemotionalspeechsettess"),
            "en",
            "https://doi.org/10.5683/SP2/E8H2MF",
        ),
        Corpus(
            "emodb",
            readers.read_emodb,
            "03a01Fa.wav",
            "Free for research. Burkhardt F et al. (2005), A Database of German Emotional Speech, Interspeech.",
            ("berlin", "berlindatabaseofemotionalspeechemodb"),
            "de",
            "http://emodb.bilderbar.info",
        ),
        Corpus(
            "savee",
            readers.read_savee,
            "DC_a01.wav or DC/a01.wav",
            "For research, on registration. Haq S, Jackson PJB (2009), Speaker-dependent audio-visual emotion "
            "recognition, AVSP.",
            ("saveedatabase", "surreyaudiovisualexpressedemotionsavee"),
            "en",
            "http://kahlan.eps.surrey.ac.uk/savee/",
        ),
        Corpus(
            "cremad",
            readers.read_cremad,
            "1001_DFA_ANG_XX.wav",
            "Open Database License. Cao H et al. (2014), IEEE Transactions on Affective Computing 5(4): 377-390.",
            ("crema", "cremadmaster"),
            "en",
            "https://github.com/CheyneyComputerScience/CREMA-D",
        ),
        Corpus(
            "emovo",
            readers.read_emovo,
            "dis-f1-b1.wav",
            "Free for non-commercial use. Costantini G et al. (2014), EMOVO Corpus: an Italian Emotional Speech "
            "Database, LREC.",
            ("emovocorpus",),
            "it",
            "http://voice.fub.it/activities/corpora/emovo/index.html",
        ),
        Corpus(
            "emotiontts",
            readers.read_table,
            LISTED,
            "CC BY-NC-SA 4.0, research. emotiontts open db (Korean).",
            ("emotionttskr",),
            "ko",
            named=False,
        ),
        Corpus(
            "ased",
            readers.read_table,
            LISTED,
            "None stated; freely available. Retta EA et al. (2022), A New Amharic Speech Emotion Dataset.",
            language="am",
            named=False,
        ),
        Corpus(
            "aesdd",
            readers.read_table,
            LISTED,
            "Free for research. Vryzas N et al. (2018), Acted Emotional Speech Dynamic Database (Greek).",
            language="el",
            named=False,
        ),
        Corpus(
            "emospeech",
            readers.read_table,
            LISTED,
            "CC BY-NC-SA. Indian EmoSpeech Command Dataset, arXiv 1910.13801.",
            named=False,
        ),
        Corpus(
            "turev",
            readers.read_table,
            LISTED,
            "CC BY-NC-ND 4.0. TurEV-DB (2020), Turkish Emotion-Voice Database.",
            language="tr",
            named=False,
        ),
        Corpus("folder", readers.read_folder, "happy/anna/1.wav or anna/happy/1.wav", named=False),
        Corpus(TABLE, readers.read_table, LISTED, named=False),
    )
}


def find_corpus(name: str) -> Corpus:
    """Return the corpus of that name; raise `ParameterError` if it is unknown."""
    return lookup(name, CORPORA, "corpus")


def is_table(name: str) -> bool:
    """Return whether the recordings of a corpus are those that a table lists."""
    return name not in CORPORA or CORPORA[name].reader is readers.read_table


def _corpus_of(name: str, folder: Path) -> Corpus:
    """Return a known corpus, or one of a new name if the folder (or its sub-folder of that name) holds a table.

    A corpus that is only called `table` has the folder's name, so that two tables are two corpora; if that is the name
    of a known corpus of another kind, it stays `table`.
    """
    if name == TABLE and _has_table(folder):
        own = folder.resolve().name
        return replace(CORPORA[TABLE], name=own) if is_table(own) else CORPORA[TABLE]
    if name not in CORPORA and NAME.fullmatch(name) and (_has_table(folder) or _has_table(folder / name)):
        return replace(CORPORA[TABLE], name=name)
    return find_corpus(name)


def _has_table(folder: Path) -> bool:
    return any((folder / table).is_file() for table in readers.TABLES)


def load_corpus(name: str, folder: str | Path, *, keep_copies: bool = False, songs: bool = False) -> CorpusClips:
    """List the clips of a corpus in its own folder, or in a parent folder that holds it under its usual name.

    A folder with a `table.tsv` may have any name of letters, digits, dots and dashes.
    Reads names and tables, not the audio. RAVDESS songs are included if the folder holds no speech, or with `songs`.
    `keep_copies` keeps every file of a recording (the doubled Kaggle layout, to measure such a leak). Raises
    `ParameterError` if there are no usable clips or fewer than two emotions.
    """
    folder = Path(folder).expanduser()
    corpus = _corpus_of(name, folder)
    root = _root(corpus, folder)
    paths = list(sound_files(root)) if root.is_dir() else []
    if not paths:
        raise _no_clips(corpus, root, [], [], {})
    files = corpus.reader(root, paths)
    speech = [record for record in files.records if not record.song]
    records = speech if speech and not songs else files.records
    every = sorted((_clip(corpus, record) for record in records), key=_sort_key, reverse=True)
    # Of several files of a recording the first in order is kept.
    kept = every if keep_copies else list({recording_id(clip): clip for clip in every}.values())
    kept.sort(key=_sort_key)
    clips = [clip for clip in kept if clip.emotion in EMOTIONS]
    excluded = dict(sorted(Counter(clip.emotion for clip in kept if clip.emotion not in EMOTIONS).items()))
    if not clips:
        raise _no_clips(corpus, root, paths, files.missing, excluded)
    emotions = {clip.emotion for clip in clips}
    if len(emotions) < 2:
        raise ParameterError(
            f"All {len(clips)} {name} clips in {root} are {emotions.pop()}: "
            "training and evaluation need at least two emotions."
        )
    return CorpusClips(
        corpus.name,
        str(root),
        clips,
        excluded,
        skipped=tuple(str(path.relative_to(root)) for path in files.skipped),
        missing=tuple(files.missing),
        copies=len(every) - len(kept),
        songs=len(files.records) - len(records),
    )


def recording_id(clip: Clip) -> str:
    """Return an id shared by all files of a recording: speaker and file name if these identify it, else the path."""
    corpus = CORPORA.get(clip.corpus)  # none for a table with a name of its own
    return f"{clip.speaker}/{Path(clip.path).stem.lower()}" if corpus and corpus.named else clip.path


def _root(corpus: Corpus, folder: Path) -> Path:
    """Return the corpus' folder: a sub-folder with its usual name if there is one, else `folder` itself."""
    entries = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
    usual = {re.sub(r"[^a-z0-9]", "", entry.name.lower()): entry for entry in entries if entry.is_dir()}
    return next((usual[name] for name in (corpus.name, *corpus.folders) if name in usual), folder)


def _clip(corpus: Corpus, record: readers.Record) -> Clip:
    """Convert a record; its emotion stays the corpus' own word if the vocabulary has none for it."""
    emotion = readers.canonical_emotion(record.emotion) or record.emotion.lower()
    about = (record.sex, record.intensity, record.sentence, record.language or corpus.language)
    return Clip(str(record.path), emotion, encodable(f"{corpus.name}/{record.speaker}"), corpus.name, *about)


def _sort_key(clip: Clip) -> tuple:
    """Order by speaker and file name; of files with the same name the least nested comes first."""
    path = Path(clip.path)
    return clip.speaker, path.name, len(path.parts), clip.path


def _no_clips(corpus: Corpus, folder: Path, paths: list[Path], missing: list[str], excluded: dict) -> ParameterError:
    if not folder.is_dir():
        content = "a file, not a folder" if folder.exists() else "no such folder"
    elif excluded:
        content = f"only labels outside the vocabulary ({', '.join(excluded)}); it knows {', '.join(EMOTIONS)}"
    elif missing:
        content = f"none of the {len(missing)} listed files, first {missing[0]}"
    elif paths:
        content = f"{len(paths)} sound files of another kind, first {', '.join(path.name for path in paths[:3])}"
    else:
        names = [entry.name for entry in sorted(folder.iterdir())[:5]]
        content = f"no sound file, only {', '.join(names)}" if names else "an empty folder"
    source = f" It is published at {corpus.source}." if corpus.source else ""
    advice = f" Fetch it with: ser download {corpus.name}." if corpus.archive else source
    return ParameterError(
        f"No {corpus.name} recordings in {folder} or its sub-folder {corpus.name!r}: looked for {corpus.looks_like} "
        f"(any audio file type), found {content}.{advice}"
    )
