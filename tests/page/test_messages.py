"""German messages: all that modules of the page can raise, found in their source, and those of real recordings."""

from __future__ import annotations

import io
import re
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import raised
import soundfile as sf
from cases import CASES
from raised import ROOT, Source, reached

from ser.audio.loading import load_waveform, open_recording, waveform_of_samples
from ser.history import History
from ser.inference.adaptation import MAX_BYTES, SourceMean, check_source, profile_of, read_profile
from ser.inference.artifact import find, verify
from ser.page.messages import GERMAN, german, translate
from ser.page.texts import Texts
from ser.types import SerError, lookup

ENGLISH = re.compile(
    r"\b(the|and|is|are|of|found|this|that|it|its|not|be|or|to|from|with|expected|cannot|needs|accepted)\b",
    re.IGNORECASE,
)
ENGLISH_TEXTS, GERMAN_TEXTS = Texts("en"), Texts("de")
SHOWN = [ROOT / "app.py", ROOT / "ser" / "history.py"]
SHOWN += [path for part in ("page", "timeline", "transcript") for path in (ROOT / "ser" / part).glob("*.py")]
RATE = 16_000


def left_english(text: str | None) -> set[str]:
    """Return the English words of a German text, commands aside."""
    return set(ENGLISH.findall(re.sub("`.*?`", "", text or "")))


def message(refused: Callable[[], Any]) -> str:
    """Return the German for the error that a call raises."""
    with pytest.raises(SerError) as error:
        refused()
    assert translate(str(error.value), ENGLISH_TEXTS) == str(error.value)
    return translate(str(error.value), GERMAN_TEXTS)


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def named(name: str, content: bytes) -> io.BytesIO:
    file = io.BytesIO(content)
    file.name = name
    return file


def test_every_message_that_the_page_can_show_is_german() -> None:
    examples = [each for path in reached(*SHOWN) for each in Source(path).messages() if each.text != raised.TEXT]
    missing = [f"{place}: {text}" for place, text in examples if german(text) is None or left_english(german(text))]
    assert not missing, "without a template in ser/page/messages.py: " + "\n".join(missing)
    assert len(examples) > 100
    assert {"isolation", "loading", "sources", "history", "artifact", "segments"} <= {
        Path(place.split(":")[0]).stem for place, _ in examples
    }


def test_a_new_message_is_found_and_missed(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        'def check(x, loud):\n    how = "too loud" if loud else x\n    raise AudioError(f"{x} is {how}.")\n'
    )
    texts = [text for _, text in Source(module).messages()]
    assert texts == ["7 is too loud.", "7 is 7."]
    assert not any(map(german, texts))


def test_templates_use_only_values_that_they_have() -> None:
    for english in GERMAN:
        text = GERMAN[english].format(**dict.fromkeys(re.findall(r"\{(\w+)", english), "7"))
        assert not left_english(text)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.refusal])
def test_refused_recordings_are_refused_in_german(name: str) -> None:
    text = message(lambda: load_waveform(named(name, CASES[name].make())))
    assert text.startswith(f"{name}: ")
    assert not left_english(text)


SHORT = np.ones(RATE, np.float32)
REAL: dict[str, tuple[Callable[[], Any], str]] = {
    "text": (lambda: load_waveform(named("the notes.txt", b"hello")), "the notes.txt: das ist Text, kein Ton. Möglich"),
    "empty": (lambda: load_waveform(b""), "Die Aufnahme: Die Datei ist leer (0 Bytes). Möglich sind WAV, FLAC"),
    "bytes": (lambda: load_waveform(b"\x00\x01\x02\x03" * 9), "Die Aufnahme: keine bekannte Art von Aufnahme (die"),
    "path": (lambda: load_waveform("of/this.wav"), "this.wav: diese Datei gibt es nicht. Geben Sie den Pfad"),
    "folder": (
        lambda: load_waveform(ROOT / "samples"),
        "samples: Das ist ein Ordner. Geben Sie eine einzelne Aufnahme",
    ),
    "long": (
        lambda: load_waveform(wav(SHORT), max_s=0.5),
        "Die Aufnahme: 1,0 s lang; möglich sind bis zu 0 s. Teilen Sie die Aufnahme, oder verwenden Sie `timeline`",
    ),
    "large": (
        lambda: open_recording(bytes(2**21), max_bytes=2**20),
        "Die Aufnahme: größer als 1 MB, mehr wird nicht angenommen. Kürzen Sie",
    ),
    "rate": (lambda: load_waveform(wav(SHORT, 4000)), "Die Aufnahme: 4.000 Hz; möglich sind 8.000 bis 192.000 Hz."),
    "channels": (lambda: load_waveform(wav(np.zeros((99, 9)))), "Die Aufnahme: 9 Kanäle; möglich sind 1 bis 8."),
    "no samples": (
        lambda: load_waveform(wav(SHORT[:0])),
        "Die Aufnahme: Diese Datei (WAV) enthält keinen Ton (0,0 s).",
    ),
    "one sample": (lambda: load_waveform(wav(SHORT[:1], 192_000), 8000), "Die Aufnahme: zu kurz, um Ton zu sein."),
    "not finite": (
        lambda: load_waveform(wav(SHORT * np.nan)),
        "Die Aufnahme: 16.000 von 16.000 Samples sind keine endlichen Zahlen (NaN oder unendlich). Exportieren",
    ),
    "array": (lambda: waveform_of_samples(SHORT * np.inf, RATE, RATE), "Die Samples: 16.000 von 16.000 Samples"),
    "track": (lambda: load_waveform(wav(SHORT), track=3), "Die Aufnahme: Diese Aufnahme hat 1 Tonspur, verlangt war"),
    "damaged": (
        lambda: load_waveform(struct.pack("<4sI4s", b"RIFF", 99, b"WAVE")),
        "Die Aufnahme: das beginnt wie WAV, ist aber beschädigt oder unvollständig (0,0 s lesbar).",
    ),
    "profile": (lambda: profile_of(b"{}", "my.json"), "my.json ist kein Profil (kein ser-profile/2). Geben Sie die"),
    "no JSON": (
        lambda: profile_of(b"x", "my.json"),
        "my.json ist kein Profil (kein JSON: Zeile 1, Spalte 1, Zeichen 0)",
    ),
    "binary": (lambda: profile_of(b"\xff\xfe", "my.json"), "my.json ist kein Profil (kein Text in UTF-8 ab Byte 0)."),
    "no scores": (
        lambda: profile_of(
            b'{"schema": "ser-profile/2", "model": "m", "version": "v", "source": "s", "created": "c", "clips": 3, '
            b'"log_probabilities": {"sad": NaN}}',
            "my.json",
        ),
        "my.json ist kein Profil (die Log-Wahrscheinlichkeiten passen nicht). Geben Sie die",
    ),
    "large profile": (lambda: profile_of(bytes(MAX_BYTES + 1), "my.json"), "my.json ist kein Profil (mehr als "),
    "no profile": (lambda: read_profile("a/b.json"), "Das Profil a/b.json lässt sich nicht lesen (Datei oder Ordner "),
    "source": (lambda: check_source(""), "Der Name einer Quelle hat 1 bis 100 druckbare Zeichen, anders als ''."),
    "few": (SourceMean().check_enough, "Die Anpassung braucht mindestens 3 Aufnahmen mit Sprache, vorhanden: 0; zehn"),
    "model": (lambda: find("new"), "Kein Modell 'new': weder ein Ordner mit manifest.json noch eines der bekannten: "),
    "manifest": (lambda: verify(ROOT / "samples"), "samples: In diesem Ordner fehlt manifest.json."),
    "format": (
        lambda: lookup("srx", {"srt": 1}, "format"),
        "Format: 'srx' ist unbekannt; bekannt: srt. Meinten Sie 'srt'?",
    ),
    "address": (lambda: History("nonsense"), "SER_DATABASE_URL ist keine Adresse einer Datenbank; eine sieht so aus"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_messages_are_german(name: str) -> None:
    refused, expected = REAL[name]
    text = message(refused)
    assert text.startswith(expected)
    assert not left_english(text.removeprefix(expected))


def test_histories_that_cannot_be_used(tmp_path: Path) -> None:
    foreign, text, missing = tmp_path / "foreign", tmp_path / "text", tmp_path / "no" / "folder"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE songs (name)")
    text.write_text("not a database, and longer than its header " * 9)
    other = "SER_DATABASE_URL"
    assert message(History(f"sqlite:///{foreign}").open) == (
        f"{foreign} ist kein Verlauf dieses Programms: die Tabellen darin heißen songs. Nennen Sie in {other} einen "
        "anderen."
    )
    assert message(History(f"sqlite:///{text}").open) == (
        f"Der Verlauf {text} ist nicht verwendbar: die Datei ist keine Datenbank. Prüfen Sie ihn, oder nennen Sie in "
        f"{other} eine andere Datenbank."
    )
    assert message(History(f"sqlite:///{missing}").open) == (
        f"Der Verlauf {missing} ist nicht verwendbar: die Datei lässt sich nicht öffnen. Sorgen Sie für einen "
        f"vorhandenen, beschreibbaren Ordner, oder nennen Sie in {other} eine andere Datenbank."
    )


def test_an_unknown_message_stays_as_it_is() -> None:
    assert translate("A message of tomorrow.", GERMAN_TEXTS) == "A message of tomorrow."
    assert translate("7.5 s", GERMAN_TEXTS) == "7,5 s"
    assert translate("7.5 s", ENGLISH_TEXTS) == "7.5 s"


def test_names_of_files_are_kept() -> None:
    said = "no such file: 1.5 of 2, the take.wav: this is text, not sound. Accepted: WAV."
    assert translate(said, GERMAN_TEXTS) == (
        "no such file: 1.5 of 2, the take.wav: das ist Text, kein Ton. Möglich sind WAV."
    )
