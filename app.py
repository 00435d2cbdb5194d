"""The Streamlit page: classifies a recording. Start it with `streamlit run app.py`."""

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

import plotly.graph_objects as go
import soundfile as sf
import streamlit as st
from audio_recorder_streamlit import audio_recorder

import ser
from ser.audio.loading import load_waveform
from ser.inference.memory import tune_malloc
from ser.metrics import HUMAN
from ser.page import components, wording
from ser.page.enrolment import FEWEST, MOST, Enrolment, enrol
from ser.types import EMOJI, ArtifactError, AudioError, Prediction

HERE = Path(__file__).parent
SAMPLES = sorted((HERE / "samples").glob("*.flac"))
MAX_MB = 25
LOCAL = re.compile(r"(.+\.)?localhost|127\.[0-9.]+|::1")
FORMATS = "WAV, FLAC, OGG, MP3, M4A, WebM and most other recordings"
SHARES = dict(zip(EMOJI, (0.04, 0.03, 0.71, 0.02, 0.05, 0.03, 0.01, 0.11), strict=True))
EXAMPLE = Prediction("happy", SHARES, reasons=(), duration_s=3.0, model="example")
TABS = (":material/upload: Upload", ":material/mic: Record", ":material/graphic_eq: Samples")
VOICE_MB = 5  # per recording of an enrolment


@st.cache_resource(show_spinner="Loading the model …")
def recognizer() -> ser.Recognizer:
    tune_malloc()
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
    enrolment = enrolment_inputs(model)
    with shown:
        chosen = chosen_model(model, enrolment)
        classify_new(chosen, sounds)
        show_result(chosen)
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
    """Show the three inputs and return their named files by widget."""
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
    url = urlsplit(st.context.url or "http://localhost")
    if url.scheme != "https" and not LOCAL.fullmatch(url.hostname or ""):
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
                neutral_color=components.UNDECIDED,
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


def sample_buttons() -> io.BytesIO | None:
    st.html('<p class="how">Spoken by a speech synthesiser, not by people, so expect doubt. One is music.</p>')
    with st.container(horizontal=True, key="samples"):
        clicked = [path for path in SAMPLES if st.button(path.stem.replace("-", " ").capitalize(), key=path.stem)]
    return named(clicked[0].read_bytes(), clicked[0].name) if clicked else None


def named(data: bytes | None, name: str) -> io.BytesIO | None:
    """Return bytes as a named file, like an uploaded one."""
    if not data:
        return None
    file = io.BytesIO(data)
    file.name = name
    return file


def classify_new(model: ser.Recognizer, sounds: dict[str, io.BytesIO | None]) -> None:
    """Classify a new recording, the shown one again if the model has changed; clear the result of a removed one."""
    state = st.session_state
    if isinstance(state.get("result"), components.Answer) and state.model is not model:
        state.result = replace(state.result, prediction=model.predict(state.result.waveform))
    state.model = model
    seen = state.setdefault("seen", {})
    for source, file in sounds.items():
        identity = upload_id(file) if file else None
        if identity == seen.get(source):
            continue
        seen[source] = identity
        if file:
            with st.spinner("Listening to the recording …"):
                state.source, state.result = source, classify(model, file)
        elif source != "sample" and state.get("source") == source:
            state.source = state.result = None


def upload_id(file: io.BytesIO) -> str:
    """Return Streamlit's id of an upload, else the hash of its content."""
    return getattr(file, "file_id", None) or hashlib.sha256(file.getbuffer()).hexdigest()


def classify(model: ser.Recognizer, file: io.BytesIO) -> components.Answer | AudioError:
    """Return the answer to a recording, or the error if it cannot be decoded."""
    try:
        waveform = load_waveform(file, model.sample_rate)
    except AudioError as error:
        return error
    wav = io.BytesIO()
    sf.write(wav, waveform.samples, waveform.sample_rate, format="WAV", subtype="PCM_16")
    return components.Answer(file.name, waveform, wav.getvalue(), model.predict(waveform))


def show_result(model: ser.Recognizer) -> None:
    result = st.session_state.get("result")
    if result is None:
        show_example()
    elif isinstance(result, AudioError):
        notice("This could not be heard", str(result), "Nothing was kept. Choose another recording above.")
    else:
        show_answer(result, model.artifact.manifest["thresholds"]["confidence"])


def show_answer(answer: components.Answer, sure_from: float) -> None:
    prediction = answer.prediction
    with st.container(border=True, key="answer"):
        left, right = st.columns([1.45, 1], gap="medium", vertical_alignment="center")
        with left:
            st.html(components.headline(prediction))
        with right:
            st.html(f'<p class="file">{escape(answer.name)}<span>{wording.seconds(prediction.duration_s)}</span></p>')
            st.audio(answer.wav, format="audio/wav")
        if prediction.reasons or prediction.quality:
            st.html(components.doubts(prediction, sure_from))
        if "silent" not in prediction.reasons:
            show_emotions(prediction)
            show_sound(answer)


def show_emotions(prediction: Prediction) -> None:
    muted = wording.is_unnamed(prediction)
    st.html("<h3>All emotions</h3>" + ('<p class="how">For completeness; here they say little.</p>' if muted else ""))
    values = ", ".join(f"{emotion} {wording.percent(p)}" for emotion, p in wording.ranked(prediction))
    chart(components.bars(prediction, muted=muted), "bars", f"Probability of every emotion: {values}")
    if scales := components.scales(prediction):
        st.html(scales)


@st.fragment
def show_sound(answer: components.Answer) -> None:
    used = wording.used_part(answer.prediction)
    st.html(f'<h3>The sound</h3><p class="how">{used}</p>')
    chart(components.sound(answer), "sound", f"Loudness of the recording over time. {used}")
    spectrogram = st.expander("Spectrogram", on_change="rerun", key="spectrogram")
    if spectrogram.open:
        with spectrogram:
            chart(components.spectrogram(answer.waveform), "spectrogram-chart", "Level over time and frequency")


def chart(figure: go.Figure, key: str, alt: str) -> None:
    st.plotly_chart(figure, config=components.CONFIG, key=key, alt=alt)


def show_example() -> None:
    with st.container(border=True, key="example"):
        st.html('<p class="eyebrow">An answer looks like this</p>')
        st.html(components.headline(EXAMPLE).replace('role="status"', 'aria-hidden="true"'))
        chart(components.bars(EXAMPLE, muted=True), "bars", "Example of an answer")


def notice(title: str, *sentences: str) -> None:
    """Show a problem; names and errors of files are escaped."""
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    st.html(f'<div class="notice" role="alert"><b>{escape(title)}</b>{text}</div>')


def enrolment_inputs(model: ser.Recognizer) -> Enrolment | None:
    """Show the inputs for recordings of one speaker and return the enrolment, if there is one."""
    if not model.adapts:
        return None
    state = st.session_state
    with st.expander("Your own voice", key="own-voice"):
        st.html(f'<p class="how">{about_enrolment(model)}</p>')
        files = st.file_uploader(
            f"{FEWEST} to {MOST} recordings of one speaker, in different moods",
            accept_multiple_files=True,
            max_upload_size=VOICE_MB,
            key="voice",
        )
        uploaded = [upload_id(file) for file in files]
        if uploaded != state.get("voice_files", []):
            state.voice_files = uploaded
            with st.spinner("Listening to the voice …"):
                state.enrolment = enrol(model, files) if files else None
        enrolment: Enrolment | None = state.get("enrolment")
        if enrolment:
            show_enrolment(enrolment)
    return enrolment


def about_enrolment(model: ser.Recognizer) -> str:
    """Return what calibration does and, from the model's scores, its gain."""
    scores = model.artifact.manifest["metrics"].get("calibrated")
    gain = (
        f" On unseen actors, five recordings took the share of correctly recognised emotions from "
        f"{100 * scores['without']:.1f} to {100 * scores['with']:.1f}&nbsp;%."
        if scores
        else ""
    )
    return (
        "One person's everyday voice is another's sad one. Give a few recordings of one speaker, and every answer is "
        f"measured against that voice, until you remove them or leave.{gain} They stay in memory."
    )


def show_enrolment(enrolment: Enrolment) -> None:
    if enrolment.model:
        st.html(f'<p class="ready">{enrolment.usable} recordings of this voice are in use.</p>')
    elif enrolment.usable > MOST:
        notice("Too many recordings", f"These are {enrolment.usable}. Remove some until {MOST} are left.")
    else:
        st.html(f'<p class="how">{enrolment.usable} of at least {FEWEST} so far; five do well.</p>')
    if enrolment.refused:
        notice("Left out", *enrolment.refused)


def chosen_model(model: ser.Recognizer, enrolment: Enrolment | None) -> ser.Recognizer:
    """Return the calibrated model if there is one and it is switched on, else the given one."""
    if enrolment is None or enrolment.model is None:
        return model
    label = f"Adjusted to your voice, from {enrolment.usable} recordings"
    return enrolment.model if st.toggle(label, value=True, key="use-voice") else model


def score_sentences(metrics: Mapping[str, Any], n_labels: int) -> str:
    """Return the score on unseen speakers beside chance and listeners, and that on unseen corpora."""
    uar = metrics.get("folds", {}).get("uar")
    if not uar:
        return ""
    score = (
        f" On unseen actors, it recognises {100 * uar:.1f}&nbsp;% of the emotions correctly; guessing gives "
        f"{100 / n_labels:.1f}&nbsp;%, and people who listened to the same recordings {100 * HUMAN:.1f}&nbsp;%."
    )
    unseen = [100 * scores["uar"] for scores in metrics.get("left_out", {}).values()]
    if unseen:
        score += f" On unseen corpora in other rooms and languages, {min(unseen):.0f} to {max(unseen):.0f}&nbsp;%."
    return score


def footer(model: ser.Recognizer) -> None:
    artifact = model.artifact
    score = score_sentences(artifact.manifest["metrics"], len(model.labels))
    st.html(
        "<footer><p><b>What this is.</b> An estimate of how a voice <em>sounds</em> to a model that learned from acted "
        f"speech.{score}</p>"
        "<p><b>What it is not.</b> It does not know what a person feels, and it is no ground for judging anyone. "
        "In the EU, inferring emotions at work or in education is prohibited (AI Act, Article 5(1)(f)). "
        "Tell people before you let a machine listen for their emotions.</p></footer>"
    )
    card = artifact.path("MODEL_CARD.md")
    if card.is_file():
        text = re.sub(r"(?m)^!\[.*?\]\(.*?\)\s*$", "", card.read_text(encoding="utf-8"))  # pictures are not served
        with st.expander("Model card"):
            st.markdown(re.sub(r"(?m)^#", "##", text))
    st.html(f'<p class="version">ser {ser.__version__}, model {escape(model.name)}</p>')


if __name__ == "__main__":
    main()
