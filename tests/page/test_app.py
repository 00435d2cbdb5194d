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
from ser.page import wording
from ser.page.sources import ENOUGH
from ser.page.texts import Texts
from ser.types import Prediction

pytestmark = pytest.mark.slow

EN, DE = Texts("en"), Texts("de")
ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "samples").glob("*.flac"))
SPOKEN = [path for path in SAMPLES if path.stem != "music"]
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


def upload(page: AppTest, *files: tuple[str, bytes] | bytes) -> AppTest:
    """Give files to the uploader, which is opened first if it is folded, and wait for the answers."""
    if not uploaders(page):
        page.button(key="open-add").click().run()
    named = [("voice.wav", file) if isinstance(file, bytes) else file for file in files]
    uploaders(page)[0].set_value([(name, data, "audio/wav") for name, data in named])
    page.run()
    assert not page.exception
    return page


def uploaders(page: AppTest) -> list:
    return [each for each in page.file_uploader if each.key.startswith("upload-")]


def opened() -> AppTest:
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run()
    assert not page.exception
    return page


def open_part(page: AppTest, name: str) -> AppTest:
    page.session_state[f"part-{name}"] = True
    return page.run()


def shown(page: AppTest) -> Prediction:
    """Return the answer that is shown."""
    visit = page.session_state["visit"]
    name = page.session_state["model"] if "model" in page.session_state else None  # noqa: SIM401 (it has no `get`)
    model = ser.load(name)
    return visit.answer(visit.current, page.session_state["sources"].chosen(model))


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


# --- Before and after the first answer ---


def test_the_page_starts_with_a_greyed_example(page):
    assert "How does this voice sound?" in text(page)
    assert "An answer looks like this" in text(page)
    assert "deleted when you leave" in text(page)
    assert "120 MB" in text(page) and "WAV, MP3, M4A" in text(page)
    assert not page.get("plotly_chart") and not page.get("audio")


def test_the_footer_states_use_scores_and_limits(page):
    footer = text(page)
    metrics = ser.load().artifact.manifest["metrics"]
    unseen = [scores["uar"] for scores in metrics["left_out"].values()]
    assert f"to choose from, {100 * min(unseen):.0f} to {100 * max(unseen):.0f}" in footer
    assert f"{100 * metrics['folds']['uar']:.0f} %" in footer and "62 %" in footer and "12.5 %" in footer
    assert "does not know what a person feels" in footer
    assert "Article 5(1)(f)" in footer
    assert ser.__version__ in footer


def test_upload_gives_the_answer_of_predict(page):
    upload(page, wav(voice()))
    head = wording.headline(ser.load().predict(wav(voice())), EN)
    assert head.title in text(page) and head.subtitle in text(page)
    assert "voice.wav" in text(page)
    assert len(page.get("audio")) == 1
    assert "An answer looks like this" not in text(page)
    assert not uploaders(page) and page.button(key="open-add")  # folded to one line


def test_visitors_share_nothing_but_the_model(page):
    upload(page, ("mine.wav", wav(voice())))
    other = opened()
    assert "mine.wav" in text(page) and "mine.wav" not in text(other)
    assert "An answer looks like this" in text(other) and not other.get("audio")


def test_samples_are_answered_and_described_as_synthetic(page):
    assert 4 <= len(SAMPLES) <= 6
    assert "speech synthesiser" in text(page)
    for path in SAMPLES:
        if not any(button.key == path.stem for button in page.button):
            page.button(key="open-samples").click().run()
        page.button(key=path.stem).click().run()
        assert path.name in text(page)
        assert wording.headline(ser.load().predict(path), EN).title in text(page)


def test_the_other_recorders_are_reachable(page):
    page.session_state["others"] = True
    page.run()
    assert page.audio_input(key="stop").sample_rate == 16_000
    page.audio_input(key="stop").set_value(("audio.wav", wav(voice()), "audio/wav"))
    page.run()
    assert "Recording 1" in text(page)
    assert wording.headline(ser.load().predict(wav(voice())), EN).title in text(page)
    assert len(page.run().session_state["visit"]) == 1  # heard once


def test_several_files_one_of_which_cannot_be_heard(page):
    upload(page, ("a.wav", wav(voice())), ("broken.wav", b"only words"), ("b.flac", SAMPLES[2].read_bytes()))
    assert [each.name for each in page.session_state["visit"]] == ["a.wav", "b.flac"]
    assert "broken.wav: this is text, not sound" in text(page) and "b.flac" in text(page)
    upload(page, ("c.wav", wav(voice())))
    assert "broken.wav" not in text(page) and len(page.session_state["visit"]) == 3


def test_a_sample_is_shown_again_and_heard_once(page):
    page.button(key="even").click().run()
    page.button(key="open-samples").click().run()
    page.button(key="sharp").click().run()
    page.button(key="open-samples").click().run()
    page.button(key="even").click().run()
    assert page.session_state["visit"].current.name == "even.flac" and len(page.session_state["visit"]) == 2
    page.session_state["visit"].clear()
    page.run().button(key="even").click().run()
    assert [each.name for each in page.session_state["visit"]] == ["even.flac"]


def test_a_long_recording_becomes_a_timeline_after_the_short_one(page):
    long = np.tile(np.append(voice(), np.zeros(8_000)), 4)
    upload(page, ("long.wav", wav(long)), ("short.wav", wav(voice())))
    page.session_state["listening"]._thread.join()
    page.run()
    assert [each.name for each in page.session_state["visit"]] == ["short.wav", "long.wav"]
    assert "long.wav" in text(page) and "Share of each emotion" in text(page)
    assert page.session_state["listening"] is None


def test_what_is_heard_is_forgotten_with_the_visit(page):
    long = np.tile(np.append(voice(), np.zeros(8_000)), 4)
    upload(page, ("short.wav", wav(voice())), ("long.wav", wav(long)), ("longer.wav", wav(np.tile(long, 2))))
    open_part(page, "visit").button(key="visit-clear-yes").click().run()
    assert not len(page.session_state["visit"]) and not page.session_state["long"]
    assert page.session_state["listening"] is None and "An answer looks like this" in text(page)


@pytest.mark.parametrize("query", ["nonsense", "<script>"])
def test_a_link_to_an_unknown_sample_lists_the_known_ones(query):
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
    page.query_params["sample"] = query
    page.run()
    assert not page.exception and "slow-and-soft" in text(page) and "<script>" not in html(page)


# --- States of an answer ---


@pytest.mark.parametrize("path", NOT_SPEECH, ids=lambda path: path.stem)
def test_music_noise_and_tones_get_no_emotion(page, path):
    upload(page, (path.name, path.read_bytes()))
    assert "unlike_training" in ser.load().predict(path).reasons
    assert "Not like speech" in text(page)
    assert 'class="bar"' not in html(page)


def test_silence_is_described(page):
    upload(page, wav(np.zeros(48_000)))
    assert "Silence" in text(page) and "3.0\N{NO-BREAK SPACE}s long and holds no sound" in html(page)
    assert 'class="bar"' not in html(page) and 'role="meter"' not in html(page)


def test_too_short_gives_the_duration(page):
    upload(page, wav(voice()[8_000:13_600]))
    assert "Too short to tell" in text(page)
    assert "Only 0.3 s of sound; at least 0.5 s is needed." in text(page)


def test_overdriven_is_described(page):
    upload(page, wav(np.clip(12 * voice(), -1, 1)))
    assert "too loud for its microphone" in text(page)


def test_half_a_file_is_answered_with_doubt(page):
    data = (ROOT / "samples" / "even.flac").read_bytes()
    upload(page, ("half.flac", data[: len(data) * 6 // 10]))
    assert "damaged or incomplete" in text(page)


def test_text_is_refused_in_plain_text_and_the_visit_is_intact(page):
    upload(page, ("good.wav", wav(voice())))
    name = "<b>evil<b> **md** www.x.com.wav"
    upload(page, (name, b"this is not a sound at all, only text"))
    assert "This could not be used" in text(page) and name in text(page) and "good.wav" in text(page)
    assert "<b>evil" not in html(page)


@pytest.mark.parametrize("data", [b"", wav(np.zeros(0)), b"RIFF" + bytes(200)], ids=["empty", "no samples", "broken"])
def test_files_without_sound_are_refused(page, data):
    upload(page, data)
    assert "This could not be used" in text(page) and "An answer looks like this" in text(page)


@pytest.mark.usefixtures("nothing_loaded")
def test_broken_artifact_shows_its_sentence_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.setenv("SER_MODEL", str(tmp_path))
    page = opened()
    assert "The model cannot be loaded" in text(page) and "expected schema" in text(page)
    assert not page.file_uploader and not page.button


def test_sex_and_intensity_are_below_the_emotions(page_of):
    page = upload(page_of("voice"), wav(voice()))
    expected = ser.load("voice").predict(wav(voice()))
    assert wording.sex(expected.sex, EN) in text(page) and wording.intensity(expected.intensity, EN) in text(page)


def test_a_model_without_sex_and_intensity(page_of):
    page = upload(page_of("dense105"), wav(voice()))
    assert wording.headline(ser.load("dense105").predict(wav(voice())), EN).title in text(page)
    assert "Intensity" not in text(page)
    assert "of 10 recordings of this visit so far" in text(open_part(page, "source"))


# --- My voice, this source, the model ---


def test_this_is_me_too_calibrates_from_three_recordings_on(page):
    upload(page, *((path.name, path.read_bytes()) for path in SPOKEN[:3]))
    open_part(page, "source")
    plain = shown(page)
    for recording in list(page.session_state["visit"]):
        page.session_state["visit"].shown = recording.id
        page.run().button(key="me-too").click().run()
    analyses = [recording.analysis for recording in page.session_state["visit"]]
    calibrated = ser.load().calibrated_to(analyses).answer(analyses[-1])
    assert shown(page).probabilities == pytest.approx(calibrated.probabilities, abs=1e-6)
    assert "Adapted to your voice, 3 recordings" in text(page) and "This answer: before" in text(page)
    page.get("button_group")[0].set_value(None).run()
    assert shown(page).probabilities == pytest.approx(plain.probabilities, abs=1e-6)


def test_ten_recordings_offer_to_adapt_to_their_source(page):
    files = [(f"{i}-{SPOKEN[i % 5].name}", SPOKEN[i % 5].read_bytes()) for i in range(ENOUGH)]
    upload(page, *files[:-1])
    open_part(page, "source")
    assert "9 of 10 recordings of this visit so far" in text(page)
    assert "offer-adapt" not in [button.key for button in page.button]
    upload(page, files[-1])
    assert "Do these 10 recordings come from the same microphone and room, in different moods?" in text(page)
    page.button(key="offer-decline").click().run()
    assert "offer-adapt" not in [button.key for button in page.button]
    open_part(page, "source").button(key="adapt").click().run()
    assert "Adapted to this source, 10 recordings" in text(page)
    assert shown(page).adapted.clips == ENOUGH
    assert "Adapted to the 10 recordings of this visit" in text(page)
    assert "adapt" not in [button.key for button in page.button]


def test_gains_of_adaptation_are_those_of_the_model(page):
    scores = ser.load().artifact.manifest["metrics"]["calibrated"]
    sentence = f"from {100 * scores['without']:.0f} to {100 * scores['with']:.0f}"
    assert sentence in text(open_part(page, "source"))


def test_another_model_answers_what_was_heard(page):
    upload(page, wav(voice()))
    open_part(page, "model")
    page.selectbox(key="choose-model").select("dense105").run()
    assert "model dense105" in text(page)
    expected = ser.load("dense105").predict(wav(voice())).probabilities
    assert shown(page).probabilities == pytest.approx(expected, abs=0.01)  # of its sound as 16 bits


def test_a_model_that_cannot_be_loaded_leaves_the_page_as_it_is(page_of, monkeypatch):
    page = page_of("voice")
    monkeypatch.delenv("SER_MODEL")
    upload(page, wav(voice()))
    open_part(page, "model")
    real, stored = ser.load, ser.load().adapted(SPOKEN).profile

    def refuse(name: str | None = None) -> ser.Recognizer:
        return real("dense105").with_profile(stored)

    monkeypatch.setattr("ser.load", refuse)
    page.selectbox(key="choose-model").select("dense105").run()
    assert not page.exception and "cannot be loaded" in text(page)
    assert "model voice" in text(page) and len(page.session_state["visit"]) == 1


def test_why_this_is_not_me_is_said(page):
    upload(page, ("music.flac", (ROOT / "samples" / "music.flac").read_bytes()))
    open_part(page, "source").button(key="me-too").click().run()
    assert not page.exception and "This could not be used" in text(page)
    assert not page.session_state["sources"].voice and "does not sound like the speech" in text(page)


def test_a_set_of_labels_restricts_the_answer(page):
    upload(page, wav(voice()))
    open_part(page, "model")
    page.selectbox(key="choose-labels").select("four").run()
    names = re.findall(r'class="bar"[^>]*aria-label="(\w+)"', html(page))
    assert sorted(names) == ["Angry", "Fearful", "Happy", "Sad"]


def test_german_from_first_to_last_word(page):
    page.session_state["language"] = "de"
    upload(page.run(), wav(voice()))
    assert wording.headline(shown(page), DE).title in text(page)
    assert "Was das ist." in text(page) and "What this is." not in text(page)
    upload(page, ("kaputt.wav", b"only words"))
    assert "kaputt.wav" in text(page) and "this is text" not in text(page)
