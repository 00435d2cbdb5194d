"""The part "My voice and this source": four sentences to read, adaptation to a visit's recordings, profiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from statistics import fmean
from typing import Any

import streamlit as st

from ser.audio.loading import load_waveform
from ser.inference.recognizer import Recognizer
from ser.page import components, wording
from ser.page.messages import translate
from ser.page.sources import ENOUGH, Sources, changed, speech_of
from ser.page.texts import Texts
from ser.page.visit import Recording, Visit
from ser.sentences import SENTENCES
from ser.types import Adaptation, AudioError, Prediction, SerError

PROFILE_MB = 1
Record = Callable[..., bytes | None]  # the recorder, by key


def show_sources(sources: Sources, visit: Visit, model: Recognizer, texts: Texts, record: Record) -> None:
    """Show what answers can be adapted to, and what the one in use changes."""
    st.html(f'<p class="how">{escape(about(model.artifact.manifest["metrics"], texts))}</p>')
    show_change(sources, visit, model, texts)
    st.html(f"<h3>{escape(texts('source.voice'))}</h3>")
    show_voice(sources, model, texts, record)
    st.html(f"<h3>{escape(wording.capitalised(texts('answer.source')))}</h3>")
    show_source(sources, visit, model, texts)
    show_profiles(sources, model, texts)


def about(metrics: Mapping[str, Any], texts: Texts) -> str:
    """Return what adaptation does and, from the model's scores, what it gains."""
    sentences = [texts("source.about")]
    if scores := metrics.get("calibrated"):
        sentences.append(texts("source.gain_voice", **_gain([scores], texts)))
    unseen = [scores["adapted_20"] for scores in metrics.get("left_out", {}).values() if "adapted_20" in scores]
    if unseen:
        sentences.append(texts("source.gain_source", **_gain(unseen, texts)))
    return " ".join(sentences)


def _gain(scores: list[dict[str, float]], texts: Texts) -> dict[str, str]:
    before, after = (100 * fmean(score[key] for score in scores) for key in ("without", "with"))
    return {"without": texts.number(before, 0), "with_": texts.number(after, 0)}


def show_change(sources: Sources, visit: Visit, model: Recognizer, texts: Texts) -> None:
    """Show the answer before and after, and how many of the visit changed, if an adaptation is in use."""
    chosen, shown = sources.chosen(model), visit.current
    short = [recording for recording in visit if recording.analysis is not None]
    if chosen is model or not short:
        return
    before = [visit.answer(recording, model) for recording in short]
    after = [visit.answer(recording, chosen) for recording in short]
    lines = [texts("source.changed_all", changed=changed(before, after), all=len(short))]
    if shown is not None and shown.analysis is not None:
        pair = {"before": _said(visit.answer(shown, model), texts), "after": _said(visit.answer(shown, chosen), texts)}
        lines.insert(0, texts("source.changed", **pair))
    st.html(f'<p class="ready">{"<br>".join(escape(line) for line in lines)}</p>')


def _said(prediction: Prediction, texts: Texts) -> str:
    return f"{texts.emotion(prediction.label)} ({texts.percent(prediction.confidence)})"


def show_voice(sources: Sources, model: Recognizer, texts: Texts, record: Record) -> None:
    """Show the sentence to read next and record it; from three on the voice is in use."""
    sentences = SENTENCES[texts.language]
    number = sum(sentence in sources.voice for sentence in sentences)
    if sources.voice:
        st.html(f'<p class="ready">{escape(texts("source.done", clips=len(sources.voice)))}</p>')
        st.button(texts("source.start_again"), on_click=sources.forget_voice, key="voice-again")
    if number == len(sentences):
        return
    sentence = sentences[number]
    progress = texts("source.read", number=number + 1, all=len(sentences))
    st.html(f'<p class="how">{escape(progress)}. {escape(texts("source.read_how"))}</p><p class="read">{sentence}</p>')
    sound = record(texts, key=f"voice-{number}")
    if sound is None:
        return
    try:
        analysis = model.analyse(load_waveform(sound, model.sample_rate))
    except AudioError as error:
        st.html(components.notice(texts("source.read_again", why=translate(str(error), texts))))
        return
    if sources.add_to_voice(model, sentence, analysis):
        st.rerun()
    prediction = model.answer(analysis)
    why = wording.doubts(prediction, texts)[0]
    st.html(components.notice(texts("source.read_again", why=" ".join(why))))


def show_source(sources: Sources, visit: Visit, model: Recognizer, texts: Texts) -> None:
    """Offer to adapt to the recordings of this visit, if there are enough and it is not adapted to all of them."""
    clips = len(speech_of(visit, model))
    if clips < ENOUGH:
        st.html(f'<p class="how">{escape(texts("source.needs", clips=clips, needed=ENOUGH))}</p>')
        return
    known = sources.recognizers.get("source")
    is_done = known is not None and known.adaptation == Adaptation("source", clips)
    question = texts("source.in_use" if is_done else "source.offer", clips=clips)
    st.html(f'<p class="how">{escape(question)}</p>')
    if not is_done:
        st.button(texts("source.adapt"), on_click=sources.adapt_to, args=(model, list(visit)), key="adapt")


def offer(sources: Sources, visit: Visit, model: Recognizer, texts: Texts) -> None:
    """Offer to adapt to the recordings of a visit, once, if there are enough and nothing is adapted."""
    clips = len(speech_of(visit, model))
    if clips < ENOUGH or sources.recognizers or sources.is_declined:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="offer"):
        st.html(f"<p>{escape(texts('source.offer', clips=clips))}</p>")
        st.button(texts("source.adapt"), on_click=sources.adapt_to, args=(model, list(visit)), key="offer-adapt")
        st.button(texts("source.decline"), on_click=sources.decline, key="offer-decline", type="tertiary")


def show_profiles(sources: Sources, model: Recognizer, texts: Texts) -> None:
    """Offer the adaptation in use as a profile, and take a stored one."""
    chosen = sources.chosen(model)
    if chosen is not model:
        name = f"{sources.in_use}.profile"
        st.download_button(
            texts("source.download"),
            chosen.profile.to_json,
            name,
            "application/json",
            help=texts("source.download_help"),
            on_click="ignore",
            key="profile-down",
        )
    state = st.session_state
    file = st.file_uploader(texts("source.upload"), max_upload_size=PROFILE_MB, key="profile-up")
    if file is None or file.file_id == state.get("profile_id"):
        return
    state.profile_id = file.file_id
    try:
        sources.add_profile(model, file.getvalue(), file.name)
    except SerError as error:
        st.html(components.notice(texts("input.refused"), translate(str(error), texts)))
        return
    st.rerun()


def me_too(sources: Sources, recording: Recording, model: Recognizer, texts: Texts) -> None:
    """Offer to count a shown recording as the visitor's own voice."""
    if recording.analysis is None or recording.model not in ("", model.name):
        return
    if recording.id in sources.voice:
        st.html(f'<p class="ready">{escape(texts("source.me_too_done"))}</p>')
        return
    if st.button(texts("source.me_too"), key="me-too"):
        if sources.add_to_voice(model, recording.id, recording.analysis):
            st.rerun()
        why = wording.doubts(model.answer(recording.analysis), texts)[0]
        st.html(components.notice(texts("input.refused"), " ".join(why)))
