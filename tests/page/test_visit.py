"""A visit without Streamlit: its recordings, their answers, the intake of files, CSV, and what is kept."""

from __future__ import annotations

import csv
import io
import os
import re
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import ser
from ser.history import History
from ser.inference.adaptation import SourceMean
from ser.page import intake, strip
from ser.page.components import UNNAMED
from ser.page.intake import SHORT_S, Intake, is_long, listen, take
from ser.page.parts import compare, keep
from ser.page.parts.keep import Keeper, is_local
from ser.page.texts import Texts
from ser.page.visit import MOST_NOTE, MOST_SOUND_BYTES, MOST_SOUNDS, Recording, Visit
from ser.tables import columns
from ser.types import COLOURS, EMOTIONS, AudioError, Prediction, Segment, Timeline

ROOT = Path(__file__).resolve().parents[2]
EVEN, MUSIC = ROOT / "samples" / "even.flac", ROOT / "samples" / "music.flac"
ENGLISH, GERMAN = Texts("en"), Texts("de")
RATE = 16_000


@pytest.fixture(scope="module")
def model() -> ser.Recognizer:
    return ser.load()


@pytest.fixture(scope="module")
def even(model) -> Recording:
    return listen(model, EVEN.read_bytes(), "even.flac", "file")


@pytest.fixture
def visit(even) -> Visit:
    """A visit of three short recordings and one of ten minutes."""
    made = Visit()
    for name in ("a.wav", "b.wav", "c.wav"):
        made.add(copied(even, name))
    made.add(long_recording())
    return made


def copied(recording: Recording, name: str, **changes) -> Recording:
    fields = {
        "model": recording.model,
        "peaks": recording.peaks,
        "analysis": recording.analysis,
        "sound": recording.sound,
        **changes,
    }
    return Recording(name, fields.pop("kind", "file"), recording.duration_s, **fields)


def long_recording(n_sure: int = 20, labels: tuple[str, ...] = ("sad", "calm", "sad")) -> Recording:
    p = dict.fromkeys(EMOTIONS, 0.0) | {"sad": 0.7, "calm": 0.3}
    segments = tuple(
        Segment(10.0 * i, 10.0 * i + 6, labels[i % len(labels)], p, () if i < n_sure else ("close_call",))
        for i in range(20 if labels else 0)
    )
    timeline = Timeline("call.mp3", 618.0, segments, EMOTIONS, "voice")
    return Recording("call.mp3", "file", 618.0, np.ones(200), timeline=timeline)


def wav(samples: np.ndarray, name: str, rate: int = RATE, **options) -> io.BytesIO:
    file = io.BytesIO()
    sf.write(file, samples, rate, format="WAV", **options)
    file.name = name
    return file


def names(visit: Visit) -> list[str]:
    return [recording.name for recording in visit]


# --- The visit ---


def test_answers_are_computed_once_for_each_recogniser(even, model, monkeypatch):
    visit, asked = Visit(), []
    visit.add(even)
    adapted = model.adapted_to(SourceMean(10, even.analysis.scores), "source")
    real = type(model).answer
    monkeypatch.setattr(type(model), "answer", lambda self, analysis: asked.append(self) or real(self, analysis))
    plain = visit.answer(even, model)
    assert visit.answer(even, model) is plain and asked == [model]
    changed = visit.answer(even, adapted)
    assert changed.adapted and not plain.adapted and visit.answer(even, adapted) is changed
    assert asked == [model, adapted]


def test_answers_of_a_recogniser_that_is_gone_are_never_those_of_another(even, model):
    """Python uses the number of an object again: by it, 54 of these 57 answers are an earlier recogniser's."""
    visit = Visit()
    visit.add(even)
    for clips in range(3, 60):
        adapted = model.adapted_to(SourceMean(clips, even.analysis.scores), "source")
        assert visit.answer(even, adapted).adapted.clips == clips
        del adapted
    assert len(visit._answers) == 0


def test_another_model_answers_what_still_has_its_sound(even, model):
    visit, small = Visit(), ser.load("small")
    old, new = copied(even, "old.wav"), copied(even, "new.wav")
    visit.add(old)
    visit.add(new)
    before = visit.answer(old, model)
    visit.replace(replace(old, sound=None))
    assert visit.answer(visit[old.id], model) == before
    visit.hear_again(small)
    assert visit.answer(visit[old.id], small).model == "voice"
    assert visit.answer(visit[new.id], small).model == "small" and visit[new.id].analysis.file == "new.wav"


def test_a_deleted_recording_is_followed_by_its_neighbour(visit):
    a, b, c, call = visit
    visit.show(b.id)
    visit.delete(b.id)
    assert visit.current is c and names(visit) == ["a.wav", "c.wav", "call.mp3"]
    visit.show(call.id)
    visit.delete(call.id)
    assert visit.current is c
    visit.delete(a.id)
    assert visit.current is c
    visit.delete(c.id)
    assert visit.current is None and len(visit) == 0


def test_ids_that_are_not_of_the_visit_change_nothing(visit):
    """A click may arrive after its recording was deleted in another window, and a browser may send anything."""
    shown, before = visit.shown, names(visit)
    for change in (visit.show, visit.delete, lambda id: visit.note(id, "hello")):
        change("gone")
        change("None")
    assert visit.shown == shown and names(visit) == before and not any(recording.note for recording in visit)


def test_a_note_is_one_short_line(visit):
    first = next(iter(visit))
    visit.note(first.id, "  at the\n\tdoor " + "x" * 300)
    note = visit[first.id].note
    assert note.startswith("at the door x") and len(note) == MOST_NOTE and visit[first.id].sound == first.sound


def test_clearing_leaves_nothing_but_the_uploads_that_were_taken(visit, model):
    visit.uploads.add("1")
    visit.kept.add(visit.shown)
    visit.answer(next(iter(visit)), model)
    visit.clear()
    assert len(visit) == 0 and visit.current is None and not visit.kept and not len(visit._answers)
    assert visit.uploads == {"1"}


def test_sound_of_the_last_ten_is_kept(even):
    visit = Visit()
    for number in range(15):
        visit.add(copied(even, f"{number}.wav"))
    assert [recording.name for recording in visit if recording.sound] == [f"{n}.wav" for n in range(5, 15)]
    assert all(recording.analysis for recording in visit)


def test_large_sounds_are_dropped_earlier_but_the_newest_stays(even):
    visit = Visit()
    for number in range(4):
        visit.add(copied(even, f"{number}.wav", sound=bytes(MOST_SOUND_BYTES // 2)))
    assert [bool(recording.sound) for recording in visit] == [False, False, True, True]
    visit.add(copied(even, "huge.wav", sound=bytes(2 * MOST_SOUND_BYTES)))
    assert [bool(recording.sound) for recording in visit] == [False] * 4 + [True]
    assert MOST_SOUNDS == 10


@pytest.mark.parametrize(
    ("n_sure", "labels", "label", "reasons"),
    [
        (20, ("sad", "calm", "sad"), "sad", ()),
        (9, ("calm",), "calm", ("close_call",)),
        (20, (), "neutral", ("silent",)),
    ],
    ids=["sure", "mostly unsure", "no speech"],
)
def test_a_long_recording_in_short(n_sure, labels, label, reasons, model):
    recording = long_recording(n_sure, labels)
    short = Visit().summary(recording, model)
    assert (short.label, short.reasons) == (label, reasons) and short.duration_s == 618
    assert sum(short.probabilities.values()) == pytest.approx(1)
    assert short.confidence == (pytest.approx(recording.timeline.share[label]) if labels else 1 / 8)


def test_what_a_reload_loses(even):
    visit = Visit()
    assert not visit.is_lost_on_reload
    visit.add(copied(even, "sample.flac", kind="sample"))
    assert not visit.is_lost_on_reload  # a click brings it back
    visit.note(visit.shown, "mine")
    assert visit.is_lost_on_reload
    visit.kept.add(visit.shown)
    assert not visit.is_lost_on_reload
    visit.add(copied(even, "mine.wav", kind="microphone"))
    assert visit.is_lost_on_reload
    visit.delete(visit.shown)
    assert not visit.is_lost_on_reload


# --- Intake ---


def test_a_short_file_becomes_a_recording(even, model):
    assert Visit().answer(even, model) == model.predict(io_named(EVEN))
    samples, rate = sf.read(io.BytesIO(even.sound))
    assert (rate, sf.info(io.BytesIO(even.sound)).subtype) == (RATE, "PCM_16")
    assert len(samples) / rate == pytest.approx(even.duration_s, abs=1e-3)
    assert even.peaks.shape == (240,) and even.peaks.max() == 1 and even.peaks.min() >= 0
    assert (even.kind, even.mime, even.time.utcoffset() is not None) == ("file", "audio/wav", True)


def io_named(path: Path) -> io.BytesIO:
    file = io.BytesIO(path.read_bytes())
    file.name = path.name
    return file


@pytest.mark.parametrize(
    ("seconds", "ending", "expected"),
    [(12.0, "wav", False), (12.1, "wav", True), (11.9, "webm", False), (12.2, "webm", True)],
)
def test_length_by_header_or_decoding(seconds, ending, expected, rng):
    """WebM of a browser's recorder has no length in its header."""
    samples = 0.1 * rng.standard_normal(round(seconds * RATE))
    data = wav(samples, "x.wav").getvalue() if ending == "wav" else webm_without_length(samples)
    assert is_long(data, f"x.{ending}") == expected


def webm_without_length(samples: np.ndarray) -> bytes:
    import av

    class Pipe(io.RawIOBase):
        """Cannot be sought, so that no length is written into the header afterwards."""

        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            self.data += data
            return len(data)

    pipe = Pipe()
    with av.open(pipe, "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray((32767 * samples[None]).astype(np.int16), "s16", "mono")
        frame.sample_rate = RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return bytes(pipe.data)


def test_one_of_several_that_cannot_be_read_leaves_the_others(model):
    voice = sf.read(EVEN)[0]
    files = [
        wav(voice, "one.wav"),
        io.BytesIO(b"no sound"),
        wav(np.tile(voice, 4), "long.wav"),
        wav(np.zeros(0), "empty.wav"),
        wav(voice, "two.wav", 44_100),
    ]
    files[1].name = "<b>letter</b>.wav"
    visit, told = Visit(), []
    result = take(visit, model, files, progress=lambda *step: told.append(step))
    assert names(visit) == [recording.name for recording in result.heard] == ["one.wav", "two.wav"]
    assert visit.current is result.heard[-1]
    assert result.long == [files[2]]
    assert [failure.file for failure in result.failures] == ["<b>letter</b>.wav", "empty.wav"]
    assert all(isinstance(failure.error, AudioError) for failure in result.failures)
    assert told == [(number, 5, file.name) for number, file in enumerate(files)]


def test_an_upload_is_heard_once(model):
    """Streamlit gives all files of a widget in every run, and the same again after the visit was cleared."""
    files = [io_named(EVEN), io_named(MUSIC)]
    for number, file in enumerate(files):
        file.file_id = str(number)
    visit = Visit()
    assert len(take(visit, model, files[:1]).heard) == 1
    assert [recording.name for recording in take(visit, model, [*files, files[1]]).heard] == ["music.flac"]
    visit.clear()
    assert take(visit, model, files) == Intake()
    again = io_named(EVEN)
    again.file_id = "2"
    assert len(take(visit, model, [again]).heard) == 1


def test_a_recording_of_the_microphone_is_told_apart_by_its_bytes(model):
    visit = Visit()
    first, second = (intake.named(path.read_bytes(), "Recording 1") for path in (EVEN, MUSIC))
    assert len(take(visit, model, [first], "microphone").heard) == 1
    assert not take(visit, model, [intake.named(EVEN.read_bytes(), "Recording 1")], "microphone").heard
    assert take(visit, model, [second], "microphone").heard[0].kind == "microphone"
    assert SHORT_S == 12


# --- Words and HTML ---


def test_titles(model):
    music, call, empty = (
        listen(model, MUSIC.read_bytes(), "music.flac", "sample"),
        long_recording(),
        long_recording(0, ()),
    )

    def said(recording: Recording, texts: Texts) -> tuple[str, str]:
        prediction = Visit().summary(recording, model)
        return strip.title(recording, prediction, texts), strip.detail(recording, prediction, texts)

    assert [said(each, ENGLISH) for each in (music, call)] == [("Not like speech", ""), ("Most often sad", "65\xa0%")]
    assert [said(each, GERMAN) for each in (music, empty)] == [("Klingt nicht nach Sprache", ""), ("Stille", "")]


@pytest.mark.parametrize(
    ("shares", "reasons", "title", "detail", "colours"),
    [
        ({"sad": 0.9, "calm": 0.1}, (), "Sad", "90\xa0%", ("sad", "sad")),
        ({"sad": 0.7, "calm": 0.3}, ("close_call",), "Probably sad", "70\xa0%", ("sad", "sad")),
        ({"sad": 0.5, "calm": 0.5}, ("close_call",), "Sad or calm", "50\xa0% / 50\xa0%", ("sad", "calm")),
        ({"sad": 0.3, "calm": 0.29, "angry": 0.2}, ("close_call",), "Hard to say", "sad, calm or angry", None),
    ],
)
def test_short_words_and_signs_of_each_certainty(even, shares, reasons, title, detail, colours):
    probabilities = {**shares, **{label: 0.0 for label in EMOTIONS if label not in shares}}
    prediction = Prediction("sad", probabilities, reasons, 1.0, "voice")
    assert (strip.title(even, prediction, ENGLISH), strip.detail(even, prediction, ENGLISH)) == (title, detail)
    ring = tuple(COLOURS[label] for label in colours) if colours else (UNNAMED, UNNAMED)
    assert strip.Face.of(prediction) == strip.Face("😢", ring)


def test_chips(visit, model):
    visit.add(listen(model, MUSIC.read_bytes(), "music.flac", "sample"))
    chips = strip.chips(visit, model, ENGLISH)
    assert [chip["sign"] for chip in chips] == ["😐", "😐", "😐", "😢", "?"]
    assert [chip["shown"] for chip in chips] == [False] * 4 + [True]
    assert re.fullmatch(r"call\.mp3 · Most often sad, 65\xa0% · 10\xa0min 18\xa0s · \d\d:\d\d", chips[3]["about"])
    assert [strip.caption(each, ENGLISH) for each in visit] == [chip["caption"] for chip in chips]


@pytest.mark.parametrize(
    ("kind", "name", "caption"),
    [
        ("file", "call.mp3", "call"),
        ("file", "03-01-01-01-01-01-12.flac", "03-0…1-01-12"),
        ("sample", "slow-and-soft.flac", "Slow and soft"),
        ("microphone", "Recording 1", r"\d\d:\d\d"),
    ],
)
def test_a_chip_shows_the_name_of_a_file_or_the_time(even, kind, name, caption):
    assert re.fullmatch(caption, strip.caption(replace(even, kind=kind, name=name), ENGLISH))


def test_names_of_files_are_text(even, model):
    visit = Visit()
    for _ in range(3):
        visit.add(copied(even, "<img src=x onerror=alert(1)>.wav"))
    first, second, _ = visit
    for html in (compare.comparison(visit, first, second, model, ENGLISH), compare.course(visit, model, ENGLISH)):
        assert "<img" not in html and "&lt;img src=x" in html


def test_comparison_says_the_largest_difference(visit, model):
    a, b, _, call = visit
    html = compare.comparison(visit, a, call, model, GERMAN)
    assert html.count('class="visit-bar"') == 2 * len(EMOTIONS)
    of_a, of_call = (visit.summary(each, model).probabilities for each in (a, call))
    most = max(EMOTIONS, key=lambda label: abs(of_a[label] - of_call[label]))
    shares = " und ".join(GERMAN.percent(each[most]) for each in (of_a, of_call))
    assert f"Der größte Unterschied: {GERMAN.emotion(most)}, {shares}." in html and "Anteile ihrer Sprechzeit" in html
    assert "Both sound nearly the same." in compare.comparison(visit, a, b, model, ENGLISH)
    visit.add(listen(model, MUSIC.read_bytes(), "music.flac", "sample"))
    nameless = compare.comparison(visit, a, visit.current, model, ENGLISH)
    assert nameless.count("visit-bar muted") == len(EMOTIONS) and "No emotion is named for at least one" in nameless


def test_csv_has_the_columns_of_every_table(visit, model):
    first, call = next(iter(visit)), visit.current
    visit.note(first.id, 'angry? "no", ü')
    visit.note(call.id, "=1+1")  # a formula in a spreadsheet
    rows = list(csv.DictReader(io.StringIO(compare.visit_to_csv(visit, model).decode("utf-8-sig"))))
    assert list(rows[0]) == ["time", "kind", *columns(model.labels), "note"]
    assert [row["file"] for row in rows] == ["even.flac"] * 3 + ["call.mp3"]
    assert rows[0]["note"] == 'angry? "no", ü' and rows[0]["reasons"] == "close_call"
    assert (rows[3]["kind"], rows[3]["label"], float(rows[3]["sad"])) == ("timeline", "sad", call.timeline.share["sad"])
    assert float(rows[3]["duration_s"]) == 618 and rows[3]["note"] == "'=1+1"


# --- Keeping ---


@pytest.fixture
def database(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "kept.sqlite"
    monkeypatch.setenv("SER_DATABASE_URL", f"sqlite:///{path}")
    return path


def test_nothing_is_kept_unless_it_is_switched_on(visit, model, database):
    Keeper().keep_new(visit, model)
    assert not database.exists() and not visit.kept


def test_each_answer_is_kept_once(visit, model, database):
    keeper = Keeper(on=True)
    keeper.keep_new(visit, model)
    keeper.keep_new(visit, model)
    call, *short = History().newest()
    assert [entry.file for entry in short] == ["even.flac"] * 3
    assert short[0].answer == visit.answer(next(iter(visit)), model).to_dict()
    assert (call.file, call.label, call.answer["duration_s"]) == ("call.mp3", "sad", 618)
    assert keeper.on and visit.kept == {recording.id for recording in visit} and not visit.is_lost_on_reload


def locked(path: Path):
    History().keep([])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    return other


def foreign(path: Path):
    path.write_text("a letter, not a database; " * 100)


def bookmarks(path: Path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
        connection.commit()


def read_only(path: Path):
    History().keep([])
    os.environ["SER_DATABASE_URL"] = f"sqlite:///file:{path}?mode=ro&uri=true"


def unreachable(path: Path):
    path.parent.joinpath("file").touch()
    os.environ["SER_DATABASE_URL"] = f"sqlite:///{path.parent}/file/kept.sqlite"


@pytest.mark.parametrize(
    ("prepare", "cause"),
    [
        (locked, "locked"),
        (foreign, "foreign"),
        (bookmarks, "foreign"),
        (read_only, "read-only"),
        (unreachable, "unreachable"),
    ],
)
def test_a_history_that_cannot_be_used_leaves_the_visit(visit, model, database, prepare, cause, monkeypatch):
    monkeypatch.setattr("ser.history.LOCKED_S", 0.1)
    held = prepare(database)
    keeper = Keeper(on=True)
    try:
        keeper.keep_new(visit, model)
    finally:
        if held is not None:
            held.close()
    assert (keeper.on, keeper.cause) == (False, cause)
    assert not visit.kept and len(visit) == 4 and visit.is_lost_on_reload
    for texts in (ENGLISH, GERMAN):
        assert len(texts(f"visit.keep.{cause}").split(". ")) <= 2


def test_a_locked_history_is_kept_on_the_next_try(visit, model, database, monkeypatch):
    monkeypatch.setattr("ser.history.LOCKED_S", 0.1)
    keeper = Keeper(on=True)
    with closing(locked(database)):
        keeper.keep_new(visit, model)
    keeper.switch(True)
    keeper.keep_new(visit, model)
    assert keeper.cause is None and len(History().newest()) == len(visit)


def test_a_full_disk(visit, model, database):
    """SQLite's limit on a file's pages raises the same error as a full disk."""
    from sqlalchemy import Engine, event

    def fill(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count=4")

    for number in range(60):
        visit.add(copied(next(iter(visit)), f"{number}.wav"))
    event.listen(Engine, "connect", fill)
    try:
        keeper = Keeper(on=True)
        keeper.keep_new(visit, model)
    finally:
        event.remove(Engine, "connect", fill)
    assert (keeper.on, keeper.cause) == (False, "full") and History().newest() == []


def test_without_the_extra(visit, model, monkeypatch):
    monkeypatch.delitem(sys.modules, "ser.history", raising=False)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)  # Python's own way to say that it is not there
    keeper = Keeper(on=True)
    keeper.keep_new(visit, model)
    assert (keeper.on, keeper.cause) == (False, keep.MISSING)
    assert "pip install" in ENGLISH("visit.keep.missing", command=keep.advice("history"))


@pytest.mark.parametrize(
    ("url", "address", "headers", "expected"),
    [
        ("http://localhost:8501/", None, {}, True),
        ("http://127.0.0.1:8501/page", None, {"User-Agent": "x"}, True),
        ("http://[::1]:8501", None, {}, True),
        ("https://voice.streamlit.app/", None, {}, False),
        ("http://localhost.example.com/", None, {}, False),
        ("http://localhost:8501/", "192.168.1.9", {}, False),  # says so, but calls from elsewhere
        ("http://localhost:8501/", None, {"x-forwarded-for": "203.0.113.9"}, False),
        (None, None, {}, False),
    ],
)
def test_only_who_sits_at_the_server_may_keep(url, address, headers, expected):
    assert is_local(url, address, headers) is expected
