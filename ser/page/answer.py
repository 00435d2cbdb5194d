"""The answer card: headline, player, doubt, emotions, and what was heard."""

from __future__ import annotations

from html import escape

import streamlit as st

from ser.audio.loading import load_waveform
from ser.inference.recognizer import Recognizer
from ser.page import components, wording
from ser.page.player import player
from ser.page.texts import Texts
from ser.page.visit import Recording
from ser.types import COLOURS, EMOJI, Prediction

SHARES = dict(zip(EMOJI, (0.04, 0.03, 0.71, 0.02, 0.05, 0.03, 0.01, 0.11), strict=True))
EXAMPLE = Prediction("happy", SHARES, reasons=("close_call",), duration_s=3.0, model="example")


def show_example(texts: Texts) -> None:
    """Show what an answer looks like, before there is one."""
    with st.container(border=True, key="example"):
        st.html(
            f'<div class="example"><p class="eyebrow">{escape(texts("answer.example"))}</p>'
            + components.headline(EXAMPLE, texts).replace('role="status"', "")
            + components.bars(EXAMPLE, texts)
            + "</div>"
        )


def show_answer(
    recording: Recording,
    prediction: Prediction,
    recognizer: Recognizer,
    texts: Texts,
    stretches: tuple[tuple[float, float], ...] = (),
) -> None:
    """Show the answer to a short recording; `stretches` are marked in its waveform."""
    metrics = recognizer.artifact.manifest["metrics"]
    unnamed = wording.is_unnamed(prediction)
    with st.container(border=True, key="answer"):
        st.html(
            components.headline(prediction, texts)
            + components.adapted(prediction, texts)
            + components.doubts(prediction, metrics, texts)
        )
        if not unnamed:
            st.html(components.bars(prediction, texts) + components.scales(prediction, texts))
        name = f"{escape(recording.name)}<span>{texts.seconds(prediction.duration_s)}</span>"
        st.html(f'<p class="file">{name}</p>')
        is_grey = wording.certainty(prediction) in ("none", "hard")
        colour = components.UNNAMED if is_grey else COLOURS[prediction.label]
        player(
            recording,
            texts,
            key=recording.id,
            used_s=prediction.used_s,
            colour=colour,
            stretches=stretches,
        )
        if prediction.sound_s:
            st.html(f'<p class="how">{escape(wording.used_part(prediction, texts))}</p>')
        show_spectrogram(recording, texts)


@st.fragment
def show_spectrogram(recording: Recording, texts: Texts) -> None:
    """Show the spectrogram if it is opened; plotly is loaded only then."""
    panel = st.expander(texts("answer.sound"), on_change="rerun", key=f"spectrogram-{recording.id}", type="compact")
    if not panel.open:
        return
    with panel:
        if recording.sound is None:
            st.html(f'<p class="how">{escape(texts("answer.no_sound"))}</p>')
            return
        figure = components.spectrogram(load_waveform(recording.sound, 16_000))
        st.plotly_chart(figure, config=components.CONFIG, key="spectrogram-chart", alt=texts("answer.spectrogram"))
