"""The page: a recording in, the emotion that it sounds like out. Start it with `streamlit run app.py`."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import soundfile as sf
import streamlit as st
from audio_recorder_streamlit import audio_recorder

import ser
from ser.audio.loading import load_waveform
from ser.metrics import HUMAN
from ser.page import components as view
from ser.page import wording as words
from ser.page.enrolment import FEWEST, MOST, OwnVoice, enrolled
from ser.types import EMOJI, ArtifactError, AudioError, Prediction

HERE = Path(__file__).parent
SAMPLES = sorted((HERE / "samples").glob("*.flac"))
MAX_MB = 25
LOCAL = re.compile(r"(.+\.)?localhost|127\.[0-9.]+|::1")
FORMATS = "WAV, FLAC, OGG, MP3, M4A, WebM and most other recordings"
EXAMPLE = Prediction(
    label="happy",
    probabilities=dict(zip(EMOJI, (0.04, 0.03, 0.71, 0.02, 0.05, 0.03, 0.01, 0.11), strict=True)),
    reasons=(),
    duration_s=3.0,
    model="example",
)
TABS = (":material/upload: Upload", ":material/mic: Record", ":material/graphic_eq: Samples")
VOICE_MB = 5  # of a recording of the visitor's voice


@st.cache_resource(show_spinner="Loading the model …")
def recognizer() -> ser.Recognizer:
    return ser.load()


def main() -> None:
    st.set_page_config("How does this voice sound?", page_icon="🎙️", layout="centered")
    st.html(HERE / "static" / "page.css")
    try:
        model = recognizer()
    except ArtifactError as error:
        notice("The model cannot be loaded", str(error))
        return
    header()
    with st.container(border=True, key="input"):
        sounds = inputs()
    shown = st.container(key="result")
    own = own_voice(model)
    with shown:
        asked = adjusted(model, own)
        listen(asked, sounds)
        result(asked)
    footer(model)


def header() -> None:
    st.html(
        '<header class="top"><p class="brand"><span class="mark" aria-hidden="true"><i></i><i></i><i></i><i></i></span>'
        "ser<span>speech emotion recognition</span></p>"
        "<h1>How does this voice sound?</h1>"
        "<p>Upload a recording or speak, and see which emotion it carries and how sure that is.</p>"
        '<p class="quiet">Processed in memory. Nothing is stored.</p></header>'
    )


def inputs() -> dict[str, io.BytesIO | None]:
    """The three ways in; each sound with its name, under the name of its widget."""
    upload, record, samples = st.tabs(TABS)
    with upload:
        st.html(f'<p class="how">{FORMATS}, up to {MAX_MB} MB and two minutes.</p>')
        uploaded = st.file_uploader("Drop a recording here, or choose a file", max_upload_size=MAX_MB, key="upload")
    with record:
        paused, stopped = recorders()
    with samples:
        sample = sample_buttons()
    return {"upload": uploaded, "pause": paused, "stop": stopped, "sample": sample}


def recorders() -> tuple[io.BytesIO | None, io.BytesIO | None]:
    if not microphone_allowed():
        notice(
            "No microphone on this address",
            "Browsers lend the microphone only to pages under https or on localhost. "
            "Open the page that way, or upload a file instead.",
        )
    left, right = st.columns(2, gap="medium")
    with left:
        st.html('<p class="how"><b>Stops when you pause</b>Click the microphone, then speak.</p>')
        with st.container(key="recorder"):
            spoken = audio_recorder(
                text="",
                pause_threshold=1.5,
                neutral_color=view.UNDECIDED,
                recording_color="#E0457B",
                icon_size="2x",
                key="pause",
            )
    with right:
        st.html('<p class="how"><b>Stops when you say so</b>Click to start, click again to stop.</p>')
        stopped = st.audio_input(
            "Record until you press stop", sample_rate=16000, key="stop", label_visibility="collapsed"
        )
    with st.expander("The microphone does not start?"):
        st.markdown(
            "Allow the microphone when the browser asks. If it was denied before, click the icon beside the page's "
            "address, set the microphone to *allow*, and reload. Or record with another program and upload the file."
        )
    return named(spoken, "your recording"), stopped


def microphone_allowed() -> bool:
    """Whether browsers lend the microphone to the address under which the page was opened."""
    url = urlsplit(st.context.url or "http://localhost")
    return url.scheme == "https" or bool(LOCAL.fullmatch(url.hostname or ""))


def sample_buttons() -> io.BytesIO | None:
    st.html('<p class="how">Spoken by a speech synthesiser, not by people, so expect doubt. One is music.</p>')
    with st.container(horizontal=True, key="samples"):
        clicked = [path for path in SAMPLES if st.button(path.stem.replace("-", " ").capitalize(), key=path.stem)]
    return named(clicked[0].read_bytes(), clicked[0].name) if clicked else None


def named(data: bytes | None, name: str) -> io.BytesIO | None:
    """Bytes as a file with a name, like an uploaded one."""
    if not data:
        return None
    file = io.BytesIO(data)
    file.name = name
    return file


def listen(model: ser.Recognizer, sounds: dict[str, io.BytesIO | None]) -> None:
    """Judge the sound that has just arrived, if one has; drop the answer whose sound was taken away."""
    state = st.session_state
    ask_again(model)
    seen = state.setdefault("seen", {})
    for source, file in sounds.items():
        arrival = mark(file) if file else None
        if arrival == seen.get(source):
            continue
        seen[source] = arrival
        if file:
            with st.spinner("Listening to the recording …"):
                state.source, state.result = source, judge(model, file)
        elif source != "sample" and state.get("source") == source:
            state.source = state.result = None


def ask_again(model: ser.Recognizer) -> None:
    """Answer the sound that is shown once more where another recogniser is to be asked than before."""
    state = st.session_state
    if isinstance(state.get("result"), view.Judged) and state.asked is not model:
        state.result = replace(state.result, prediction=model.predict(state.result.waveform))
    state.asked = model


def mark(file: io.BytesIO) -> str:
    """Tells one arrival from the next: Streamlit's number of an upload, else the content's hash."""
    return getattr(file, "file_id", None) or hashlib.sha256(file.getbuffer()).hexdigest()


def judge(model: ser.Recognizer, file: io.BytesIO) -> view.Judged | AudioError:
    """The answer, with what the page shows of the recording; or why there is none."""
    try:
        waveform = load_waveform(file, model.sample_rate)
    except AudioError as error:
        return error
    wav = io.BytesIO()
    sf.write(wav, waveform.samples, waveform.sample_rate, format="WAV", subtype="PCM_16")
    return view.Judged(file.name, waveform, wav.getvalue(), model.predict(waveform))


def result(model: ser.Recognizer) -> None:
    found = st.session_state.get("result")
    if found is None:
        example()
    elif isinstance(found, AudioError):
        notice("This could not be heard", str(found), "Nothing was kept. Choose another recording above.")
    else:
        answer(found, model.artifact.manifest["thresholds"]["confidence"])


def answer(found: view.Judged, sure_from: float) -> None:
    prediction = found.prediction
    with st.container(border=True, key="answer"):
        left, right = st.columns([1.45, 1], gap="medium", vertical_alignment="center")
        with left:
            st.html(view.headline(prediction))
        with right:
            st.html(f'<p class="file">{escape(found.name)}<span>{words.seconds(prediction.duration_s)}</span></p>')
            st.audio(found.wav, format="audio/wav")
        if prediction.reasons:
            st.html(view.doubts(prediction, sure_from))
        if "silent" not in prediction.reasons:
            emotions(prediction)
            the_sound(found)


def emotions(prediction: Prediction) -> None:
    muted = words.unnamed(prediction)
    st.html("<h3>All emotions</h3>" + ('<p class="how">For completeness; here they say little.</p>' if muted else ""))
    spoken = ", ".join(f"{emotion} {words.percent(p)}" for emotion, p in words.ranked(prediction))
    st.plotly_chart(
        view.bars(prediction, muted=muted),
        config=view.CONFIG,
        key="bars",
        alt=f"Probability of every emotion: {spoken}",
    )
    if scales := view.scales(prediction):
        st.html(scales)


@st.fragment
def the_sound(found: view.Judged) -> None:
    heard = words.heard(found.prediction)
    st.html(f'<h3>The sound</h3><p class="how">{heard}</p>')
    figure = view.sound(found)
    st.plotly_chart(figure, config=view.CONFIG, key="sound", alt=f"Loudness of the recording over time. {heard}")
    spectrogram = st.expander("Spectrogram", on_change="rerun", key="spectrogram")
    if spectrogram.open:
        with spectrogram:
            figure = view.spectrogram(found.waveform)
            st.plotly_chart(figure, config=view.CONFIG, key="spectrogram-chart", alt="Level over time and frequency")


def example() -> None:
    with st.container(border=True, key="example"):
        st.html('<p class="eyebrow">An answer looks like this</p>')
        st.html(view.headline(EXAMPLE).replace('role="status"', 'aria-hidden="true"'))
        st.plotly_chart(view.bars(EXAMPLE, muted=True), config=view.CONFIG, key="bars", alt="Example of an answer")


def notice(title: str, *sentences: str) -> None:
    """A problem as plain text: nothing that a visitor's file says is read as markup."""
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    st.html(f'<div class="notice" role="alert"><b>{escape(title)}</b>{text}</div>')


def own_voice(model: ser.Recognizer) -> OwnVoice | None:
    """Where a visitor gives recordings of one speaker; what they gave, if anything."""
    if "own_voice" not in model.artifact.manifest:
        return None
    state = st.session_state
    with st.expander("Your own voice", key="own-voice"):
        st.html(f'<p class="how">{about_voices(model)}</p>')
        files = st.file_uploader(
            f"{FEWEST} to {MOST} recordings of one speaker, in different moods",
            accept_multiple_files=True,
            max_upload_size=VOICE_MB,
            key="voice",
        )
        arrived = [mark(file) for file in files]
        if arrived != state.get("voice_files", []):
            state.voice_files = arrived
            with st.spinner("Listening to the voice …"):
                state.own_voice = enrolled(model, files) if files else None
        own: OwnVoice | None = state.get("own_voice")
        if own:
            told(own)
    return own


def about_voices(model: ser.Recognizer) -> str:
    """What calibration does and, from the model's own scores, what it is worth."""
    scores = model.artifact.manifest["metrics"].get("calibrated")
    worth = (
        f" On actors that it had never heard, five recordings took the share of rightly named emotions from "
        f"{100 * scores['without']:.1f} to {100 * scores['with']:.1f}&nbsp;%."
        if scores
        else ""
    )
    return (
        "One person's everyday voice is another's sad one. Give a few recordings of one speaker, and every answer is "
        f"measured against that voice, until you remove them or leave.{worth} They stay in memory."
    )


def told(own: OwnVoice) -> None:
    """How far the recordings of a voice got."""
    if own.model:
        st.html(f'<p class="ready">{own.usable} recordings of this voice are in use.</p>')
    elif own.usable > MOST:
        notice("Too many recordings", f"These are {own.usable}. Remove some until {MOST} are left.")
    else:
        st.html(f'<p class="how">{own.usable} of at least {FEWEST} so far; five do well.</p>')
    if own.refused:
        notice("Left out", *own.refused)


def adjusted(model: ser.Recognizer, own: OwnVoice | None) -> ser.Recognizer:
    """The recogniser to ask: that of the visitor's voice, where there is one and it is switched on."""
    if own is None or own.model is None:
        return model
    label = f"Adjusted to your voice, from {own.usable} recordings"
    return own.model if st.toggle(label, value=True, key="use-voice") else model


def below_the_page(card: str) -> str:
    """The model card with its headings one level down and without its pictures, which lie beside it as files."""
    return re.sub(r"(?m)^#", "##", re.sub(r"(?m)^!\[.*?\]\(.*?\)\s*$", "", card))


def honest_score(metrics: Mapping[str, Any], n_labels: int) -> str:
    """The model's score on unseen speakers between that of guessing and that of people, and in other rooms."""
    uar = metrics.get("folds", {}).get("uar")
    if not uar:
        return ""
    score = (
        f" On actors that it had never heard, it names {100 * uar:.1f}&nbsp;% of the emotions rightly; guessing gives "
        f"{100 / n_labels:.1f}&nbsp;%, and people who listened to the same recordings {100 * HUMAN:.1f}&nbsp;%."
    )
    elsewhere = [100 * scores["uar"] for scores in metrics.get("left_out", {}).values()]
    if elsewhere:
        low, high = min(elsewhere), max(elsewhere)
        score += f" In rooms and languages that it had never heard, {low:.0f} to {high:.0f}&nbsp;%."
    return score


def footer(model: ser.Recognizer) -> None:
    artifact = model.artifact
    score = honest_score(artifact.manifest["metrics"], len(model.labels))
    st.html(
        "<footer><p><b>What this is.</b> An estimate of how a voice <em>sounds</em> to a model that learned from acted "
        f"speech.{score}</p>"
        "<p><b>What it is not.</b> It does not know what a person feels, and it is no ground for judging anyone. "
        "In the EU, inferring emotions at work or in education is prohibited (AI Act, Article 5(1)(f)). "
        "Tell people before you let a machine listen for their emotions.</p></footer>"
    )
    card = artifact.path("MODEL_CARD.md")
    if card.is_file():
        with st.expander("Model card"):
            st.markdown(below_the_page(card.read_text(encoding="utf-8")))
    st.html(f'<p class="version">ser {ser.__version__}, model {escape(model.name)}</p>')


if __name__ == "__main__":
    main()
