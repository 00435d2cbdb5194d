"""The page without a browser: every state of it, through Streamlit's AppTest."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import streamlit as st
from streamlit.testing.v1 import AppTest

import ser
from ser.audio.loading import load_waveform
from ser.page import wording
from ser.page.enrolment import FEWEST, MOST
from ser.types import Prediction

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "samples").glob("*.flac"))
NOT_SPEECH = sorted((ROOT / "tests" / "clips").glob("*.flac"))


class Text(HTMLParser):
    """Collect the text of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def text(page: AppTest) -> str:
    """Return the page's text without markup."""
    parts = [" ".join(Text(element.value).words) for element in page.get("html")]
    return re.sub(r"\s+", " ", " ".join([*parts, *(element.value for element in page.markdown)]))


def html(page: AppTest) -> str:
    return "".join(element.value for element in page.get("html"))


def wav(samples: np.ndarray, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format="WAV")
    return file.getvalue()


def voice() -> np.ndarray:
    return sf.read(ROOT / "samples" / "even.flac")[0]


def upload(page: AppTest, data: bytes, name: str = "voice.wav") -> AppTest:
    page.file_uploader(key="upload").set_value((name, data, "audio/wav"))
    return page.run()


def opened() -> AppTest:
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run()
    assert not page.exception
    return page


@pytest.fixture
def page() -> AppTest:
    """Return the page with the default model."""
    return opened()


@pytest.fixture
def nothing_loaded():
    """Clear the page's cached model, before and after."""
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture
def page_of(nothing_loaded, monkeypatch):
    """Return the page with a named model."""

    def named(model: str) -> AppTest:
        monkeypatch.setenv("SER_MODEL", model)
        return opened()

    return named


def test_the_page_starts_with_a_greyed_example(page):
    assert "How does this voice sound?" in text(page)
    assert "An answer looks like this" in text(page)
    assert "Nothing is stored" in text(page)
    assert "25 MB" in text(page) and "WAV, FLAC, OGG, MP3" in text(page)
    assert len(page.get("plotly_chart")) == 1
    assert not page.get("audio")


def test_the_footer_states_use_scores_and_limits(page):
    footer = text(page)
    uar = ser.load().artifact.manifest["metrics"]["folds"]["uar"]
    unseen = [scores["uar"] for scores in ser.load().artifact.manifest["metrics"]["left_out"].values()]
    assert f"rooms and languages, {100 * min(unseen):.0f} to {100 * max(unseen):.0f}" in footer
    assert f"{100 * uar:.1f}" in footer and "62.4" in footer and "12.5" in footer
    assert "does not know what a person feels" in footer
    assert "Article 5(1)(f)" in footer
    assert ser.__version__ in footer
    assert any(expander.label == "Model card" for expander in page.expander)


def test_upload_gives_the_answer_of_predict(page):
    upload(page, wav(voice()))
    prediction = ser.load().predict(wav(voice()))
    assert wording.title(prediction) in text(page)
    assert wording.subtitle(prediction) in text(page)
    assert "voice.wav" in text(page)
    assert len(page.get("audio")) == 1
    assert len(page.get("plotly_chart")) == 2
    assert "An answer looks like this" not in text(page)


def test_visitors_share_nothing_but_the_model(page):
    upload(page, wav(voice()), "mine.wav")
    other = opened()
    assert "mine.wav" in text(page) and "mine.wav" not in text(other)
    assert "An answer looks like this" in text(other) and not other.get("audio")


def test_recording_is_answered(page):
    assert page.audio_input[0].sample_rate == 16_000
    page.audio_input[0].set_value(("audio.wav", wav(voice()), "audio/wav"))
    page.run()
    assert wording.title(ser.load().predict(wav(voice()))) in text(page)


def test_samples_are_answered_and_described_as_synthetic(page):
    assert 4 <= len(SAMPLES) <= 6
    assert "speech synthesiser" in text(page)
    for path in SAMPLES:
        page.button(key=path.stem).click().run()
        assert path.name in text(page)
        assert wording.title(ser.load().predict(path)) in text(page)


def test_the_latest_sound_wins_and_removing_it_removes_the_answer(page):
    upload(page, wav(voice()), "first.wav")
    page.button(key="music").click().run()
    assert "music.flac" in text(page) and "first.wav" not in text(page)
    page.audio_input[0].set_value(("second.wav", wav(voice()), "audio/wav"))
    assert "second.wav" in text(page.run())
    page.audio_input[0].set_value(None)
    assert "An answer looks like this" in text(page.run())


def test_nothing_is_decoded_twice(page, monkeypatch):
    calls = []
    real = load_waveform
    monkeypatch.setattr("ser.audio.loading.load_waveform", lambda *args: calls.append(1) or real(*args))
    upload(page, wav(voice()))
    page.run()
    page.run()
    assert len(calls) == 1


@pytest.mark.parametrize("path", NOT_SPEECH, ids=lambda path: path.stem)
def test_music_noise_and_tones_get_no_emotion(page, path):
    upload(page, path.read_bytes(), path.name)
    assert "unlike_training" in ser.load().predict(path).reasons
    assert "Not like speech" in text(page)
    assert 'role="img"' not in html(page)


def test_silence_is_described(page):
    upload(page, wav(np.zeros(48_000)))
    assert "Silence" in text(page) and "3.0 s long and holds no sound" in text(page)
    assert not page.get("plotly_chart")


def test_too_short_gives_the_duration(page):
    upload(page, wav(voice()[8_000:13_600]))
    assert "Too short to tell" in text(page)
    assert "Only 0.3 s of sound; at least 0.5 s is needed." in text(page)


def test_overdriven_is_described(page):
    upload(page, wav(np.clip(12 * voice(), -1, 1)))
    assert "overdriven" in text(page)
    assert 'role="img"' not in html(page)


def test_half_a_file_is_answered_with_doubt(page):
    data = (ROOT / "samples" / "even.flac").read_bytes()
    upload(page, data[: len(data) * 6 // 10], "half.flac")
    assert "damaged or incomplete" in text(page)


def test_text_is_refused_in_plain_text_and_the_input_stays_ready(page):
    name = "<b>evil<b> **md** www.x.com.wav"
    upload(page, b"this is not a sound at all, only text", name)
    assert "This could not be heard" in text(page)
    assert name in text(page)
    assert "<b>evil" not in html(page)
    upload(page, wav(voice()), "good.wav")
    assert "good.wav" in text(page) and "could not be heard" not in text(page)


@pytest.mark.parametrize("data", [b"", wav(np.zeros(0)), b"RIFF" + bytes(200)], ids=["empty", "no samples", "broken"])
def test_files_without_sound_are_refused(page, data):
    upload(page, data)
    assert "This could not be heard" in text(page)


def test_too_long_names_the_limit(page):
    file = io.BytesIO()
    sf.write(file, np.zeros(16_000 * 130), 16_000, format="FLAC")
    upload(page, file.getvalue(), "long.flac")
    assert "This could not be heard" in text(page) and "120 s" in text(page)


@pytest.mark.usefixtures("nothing_loaded")
def test_broken_artifact_shows_its_sentence_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.setenv("SER_MODEL", str(tmp_path))
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run()
    assert not page.exception
    assert "The model cannot be loaded" in text(page) and "expected schema" in text(page)
    assert not page.file_uploader and not page.get("plotly_chart") and not page.button


# --- Sex and intensity ---


def test_sex_and_intensity_are_below_the_emotions(page_of):
    page = upload(page_of("voice"), wav(voice()))
    expected = ser.load("voice").predict(wav(voice()))
    sounds, likely = wording.sex(expected.sex)
    assert f"Voice {sounds} {likely} male female" in text(page)
    assert f"Intensity {wording.percent(expected.intensity)} normal strong" in text(page)
    assert html(page).count('role="meter"') == 2


@pytest.mark.parametrize("sound", [np.zeros(48_000), voice()[8_000:13_600]], ids=["silence", "too short"])
def test_without_an_emotion_neither_sex_nor_intensity_is_shown(page_of, sound):
    page = upload(page_of("voice"), wav(sound))
    assert 'role="meter"' not in html(page) and "Voice sounds" not in text(page)


def test_a_model_without_sex_intensity_and_enrolment(page_of):
    page = upload(page_of("dense105"), wav(voice()))
    assert wording.subtitle(ser.load("dense105").predict(wav(voice()))) in text(page)
    assert 'role="meter"' not in html(page)
    assert len(page.file_uploader) == 1 and "Your own voice" not in [expander.label for expander in page.expander]


# --- Enrolment ---

SPOKEN = [path for path in SAMPLES if path.stem != "music"]


def give(page: AppTest, *files: tuple[str, bytes]) -> AppTest:
    page.file_uploader(key="voice").set_value([(name, data, "audio/wav") for name, data in files])
    return page.run()


def recordings(n: int) -> list[tuple[str, bytes]]:
    return [(f"{i}-{SPOKEN[i % len(SPOKEN)].name}", SPOKEN[i % len(SPOKEN)].read_bytes()) for i in range(n)]


def shown(page: AppTest) -> Prediction:
    return page.session_state["result"].prediction


def probabilities(model: ser.Recognizer) -> dict[str, float]:
    return pytest.approx(model.predict(load_waveform(wav(voice()))).probabilities, abs=1e-6)


def test_an_enrolment_changes_the_answers_until_it_is_switched_off_or_removed(page_of):
    page, plain = upload(page_of("voice"), wav(voice())), ser.load("voice")
    own = plain.calibrated([load_waveform(data) for _, data in recordings(3)])
    assert shown(page).probabilities == probabilities(plain) and not page.toggle
    give(page, *recordings(3))
    assert page.toggle[0].value is True and page.toggle[0].label == "Adjusted to your voice, from 3 recordings"
    assert "3 recordings of this voice are in use" in text(page)
    assert shown(page).probabilities == probabilities(own) != probabilities(plain).expected
    assert wording.subtitle(shown(page)) in text(page)
    page.toggle[0].set_value(False).run()
    assert shown(page).probabilities == probabilities(plain)
    page.toggle[0].set_value(True).run()
    assert shown(page).probabilities == probabilities(own)
    give(page)
    assert shown(page).probabilities == probabilities(plain) and not page.toggle


def test_an_enrolment_before_the_first_recording(page_of):
    page = give(page_of("voice"), *recordings(4))
    assert page.toggle[0].value is True and "An answer looks like this" in text(page)
    upload(page, wav(voice()))
    own = ser.load("voice").calibrated([load_waveform(data) for _, data in recordings(4)])
    assert shown(page).probabilities == probabilities(own)
    assert shown(upload(page_of("voice"), wav(voice()))).probabilities == probabilities(ser.load("voice"))


def test_the_gain_of_an_enrolment_is_stated(page_of):
    scores = ser.load("voice").artifact.manifest["metrics"]["calibrated"]
    assert f"from {100 * scores['without']:.1f} to {100 * scores['with']:.1f}" in text(page_of("voice"))


def test_too_few_and_too_many_recordings(page_of):
    page = give(page_of("voice"), *recordings(FEWEST - 1))
    assert "2 of at least 3 so far" in text(page) and not page.toggle
    give(page, *recordings(MOST + 1))
    assert "Too many recordings These are 11. Remove some until 10 are left." in text(page) and not page.toggle


def test_unusable_recordings_are_left_out_and_named(page_of):
    useless = [
        ("<b>evil<b>.wav", b"only words, no sound"),
        ("silent.wav", wav(np.zeros(32_000))),
        ("short.wav", wav(voice()[8_000:13_600])),
        ("music.flac", (ROOT / "samples" / "music.flac").read_bytes()),
    ]
    page = give(page_of("voice"), *recordings(2), *useless)
    assert "2 of at least 3 so far" in text(page) and not page.toggle
    for sentence in (
        "<b>evil<b>.wav: this is text, not sound",
        "silent.wav: The recording is 2.0 s long and holds no sound.",
        "short.wav: Only 0.3 s of sound; at least 0.5 s is needed.",
        "music.flac: This does not sound like the speech",
    ):
        assert sentence in text(page)
    assert "<b>evil" not in html(page)
    give(page, *recordings(3), useless[1])
    assert page.toggle[0].value is True and "silent.wav" in text(page)


def test_an_enrolment_is_decoded_once(page_of, monkeypatch):
    calls = []
    real = load_waveform
    monkeypatch.setattr("ser.page.enrolment.load_waveform", lambda *args: calls.append(1) or real(*args))
    page = give(page_of("voice"), *recordings(3))
    upload(page, wav(voice()))
    page.toggle[0].set_value(False).run()
    assert len(calls) == 3
