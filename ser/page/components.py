"""Components of the page: headline, doubts and scales as HTML; bars, waveform and spectrogram as plotly figures."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go

from ser.features.spectral import HOP_LENGTH, N_FFT, power_to_db, stft_power
from ser.page import wording
from ser.page.wording import percent, ranked
from ser.types import COLOURS, EMOJI, Prediction, Waveform

N_STROKES = 100
MAX_COLUMNS = 480  # of the spectrogram
BIN_POOL = 8  # neighbouring frequency bins drawn as one
CHUNK = 2**18  # samples per transform, so that two minutes need no more memory than sixteen seconds
NAMES = 124  # pixels, the width of the names beside the bars
GREY = "rgba(128, 124, 140, 0.5)"
RAIL = "rgba(128, 124, 140, 0.14)"
UNDECIDED = "#8B80F0"
UNNAMED = "#8A8F98"
HEAT = ["#150F24", "#3B1F6B", "#8C2E7C", "#E0567A", "#FBB26A", "#FFF3C4"]
FONT = "Figtree, Apple Color Emoji, Segoe UI Emoji, Noto Color Emoji, system-ui, sans-serif"
LAYOUT = {
    "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    "showlegend": False,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": FONT, "size": 14},
    "dragmode": False,
}
TIME_AXIS = {"ticksuffix": " s", "nticks": 6, "showgrid": False, "zeroline": False, "tickfont": {"size": 13}}
CONFIG = {"displayModeBar": False, "staticPlot": True, "responsive": True}


@dataclass(frozen=True)
class Answer:
    """A classified recording, kept in the session only; `wav` is its waveform as every browser plays it."""

    name: str
    waveform: Waveform
    wav: bytes
    prediction: Prediction


def headline(prediction: Prediction) -> str:
    """Return emoji, title and confidence as HTML."""
    (first, _), (second, _) = ranked(prediction)[:2]
    if prediction.uncertain:
        colours = (UNNAMED,) * 2 if wording.is_unnamed(prediction) else (COLOURS[first], COLOURS[second])
        face = f'<span class="face unsure" style="--a:{colours[0]};--b:{colours[1]}" aria-hidden="true">?</span>'
        eyebrow = "No clear answer"
    else:
        face = f'<span class="face" style="--a:{COLOURS[first]}" role="img" aria-label="{first}">{EMOJI[first]}</span>'
        eyebrow = "This voice sounds"
    sure = wording.subtitle(prediction).replace(" %", "&nbsp;%")  # no line break before the sign
    return (
        f'<section class="headline" role="status">{face}<div><p class="eyebrow">{eyebrow}</p>'
        f"<h2>{wording.title(prediction)}</h2><p class='sure'>{sure}</p></div></section>"
    )


def doubts(prediction: Prediction, sure_from: float) -> str:
    """Return reasons for doubt and faults of the recording as an HTML list: what is wrong, and what would help."""
    pairs = wording.doubts(prediction, sure_from) + wording.faults(prediction)
    items = "".join(f"<li><b>{escape(problem)}</b> <span>{escape(advice)}</span></li>" for problem, advice in pairs)
    return f'<ul class="doubts">{items}</ul>'


def scales(prediction: Prediction) -> str:
    """Return the scales of sex and intensity as HTML; empty if the model gives neither or no emotion is named."""
    if wording.is_unnamed(prediction):
        return ""
    parts = []
    if prediction.sex is not None:
        sounds, likely = wording.sex(prediction.sex)
        parts.append(_scale("between", f"Voice {sounds}", likely, prediction.sex["female"], ("male", "female")))
    if prediction.intensity is not None:
        share = percent(prediction.intensity)
        parts.append(_scale("amount", "Intensity", share, prediction.intensity, ("normal", "strong")))
    return f'<div class="scales">{"".join(parts)}</div>' if parts else ""


def _scale(kind: str, name: str, value: str, at: float, ends: tuple[str, str]) -> str:
    return (
        f'<div class="scale {kind}" role="meter" aria-label="{name}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{100 * at:.0f}" aria-valuetext="{value}" style="--at:{at:.2f}">'
        f'<p class="reading"><span>{name}</span><b>{value}</b></p><div class="track"><i></i></div>'
        f'<p class="ends"><span>{ends[0]}</span><span>{ends[1]}</span></p></div>'
    )


def bars(prediction: Prediction, *, muted: bool = False) -> go.Figure:
    """Draw each emotion's probability as a bar from 0 to 100 %, the most likely on top; `muted` ones are grey."""
    emotions, values = zip(*ranked(prediction)[::-1], strict=True)
    colours = [GREY if muted else COLOURS[emotion] for emotion in emotions]
    numbers = [f" <b>{percent(value)}</b>" for value in values]
    figure = go.Figure()
    # A faint rail behind each bar marks 100 % and carries the number.
    figure.add_bar(x=[100.0] * len(values), y=emotions, marker_color=RAIL, text=numbers, textposition="outside")
    figure.add_bar(x=[100 * value for value in values], y=emotions, marker_color=colours, yaxis="y2")
    figure.update_traces(
        orientation="h", marker_cornerradius=8, marker_line_width=0, textfont_size=15, cliponaxis=False
    )
    for emotion in emotions:
        name = f"{EMOJI[emotion]}  {emotion.capitalize()}"
        figure.add_annotation(text=name, y=emotion, x=0, xref="paper", xanchor="left", xshift=-NAMES, showarrow=False)
    # On separate axes both are single bars, which plotly rounds.
    figure.update_layout(LAYOUT, height=36 * len(values), margin_l=NAMES, margin_r=56)
    figure.update_layout(bargap=0.56, yaxis2={"overlaying": "y"})
    figure.update_xaxes(range=[0, 100], visible=False)
    figure.update_yaxes(visible=False)
    return figure


def sound(answer: Answer) -> go.Figure:
    """Draw the waveform as strokes over time, with the trimmed ends in grey."""
    samples, prediction = answer.waveform.samples, answer.prediction
    parts = np.array_split(np.abs(samples), min(N_STROKES, len(samples)))
    peaks = np.array([part.max() for part in parts])
    heights = np.maximum(peaks / max(peaks.max(), 1e-9), 0.02)
    colour = UNDECIDED if prediction.uncertain else COLOURS[prediction.label]
    step = prediction.duration_s / len(peaks)
    times = (np.arange(len(peaks)) + 0.5) * step
    used = (times >= prediction.used_s[0]) & (times <= prediction.used_s[1])
    marker = {"color": np.where(used, colour, GREY), "cornerradius": 3}
    figure = go.Figure(go.Bar(x=times, y=2 * heights, base=-heights, width=step * 0.62, marker=marker))
    figure.update_layout(LAYOUT, height=132, margin_b=24)
    figure.update_xaxes(range=[0, prediction.duration_s], **TIME_AXIS)
    figure.update_yaxes(range=[-1.05, 1.05], visible=False)
    return figure


def spectrogram(waveform: Waveform) -> go.Figure:
    """Draw the level in dB over time and frequency, pooled to at most `MAX_COLUMNS`."""
    starts = range(0, len(waveform.samples), CHUNK)
    power = np.concatenate([_pooled(stft_power(waveform.samples[start : start + CHUNK])) for start in starts])
    step = -(-len(power) // MAX_COLUMNS)
    power = power[: len(power) // step * step].reshape(-1, step, power.shape[1]).max(axis=1)
    times = (np.arange(len(power)) + 0.5) * step * HOP_LENGTH / waveform.sample_rate
    bin_hz = waveform.sample_rate / N_FFT
    kilohertz = (np.arange(power.shape[1]) + 0.5) * BIN_POOL * bin_hz / 1000
    db = power_to_db(power / power.max() if power.max() > 0 else power).round().astype(np.int8)
    figure = go.Figure(go.Heatmap(x=times, y=kilohertz, z=db.T, colorscale=HEAT, showscale=False, zmin=-70, zmax=0))
    figure.update_layout(LAYOUT, height=240, margin_l=44, margin_b=24)
    figure.update_xaxes(range=[0, waveform.duration_s], **TIME_AXIS)
    figure.update_yaxes(ticksuffix=" kHz", nticks=5, showgrid=False, zeroline=False)
    return figure


def _pooled(power: np.ndarray) -> np.ndarray:
    """Return the maximum of every `BIN_POOL` neighbouring bins; the top bin is dropped."""
    return power[:, : N_FFT // 2].reshape(len(power), -1, BIN_POOL).max(axis=2)
