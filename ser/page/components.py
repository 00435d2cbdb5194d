"""Components of an answer: headline, doubts, bars and scales as HTML; the spectrogram as a plotly figure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import plotly.graph_objects as go

from ser.features.spectral import HOP_LENGTH, N_FFT, power_to_db, stft_power
from ser.page import wording
from ser.page.texts import Texts
from ser.page.wording import ranked
from ser.types import COLOURS, EMOJI, Prediction, Waveform

MAX_COLUMNS = 480  # of the spectrogram
BIN_POOL = 8  # neighbouring frequency bins drawn as one
CHUNK = 2**18  # samples per transform, so that two minutes need no more memory than sixteen seconds
FOLDED_BELOW = 0.05  # probability of emotions that are folded to one line
FEWEST_BARS = 3
UNNAMED = "#8A8F98"
HEAT = ["#150F24", "#3B1F6B", "#8C2E7C", "#E0567A", "#FBB26A", "#FFF3C4"]
FONT = "Figtree, Apple Color Emoji, Segoe UI Emoji, Noto Color Emoji, system-ui, sans-serif"
LAYOUT = {
    "margin": {"l": 44, "r": 0, "t": 0, "b": 24},
    "showlegend": False,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": FONT, "size": 14},
    "dragmode": False,
}
CONFIG = {"displayModeBar": False, "staticPlot": True, "responsive": True}


def headline(prediction: Prediction, texts: Texts) -> str:
    """Return emoji, title and subtitle as HTML: one face, a ring in two colours for two names, else a question mark."""
    head = wording.headline(prediction, texts)
    colours = [COLOURS[label] for label in head.labels] or [UNNAMED]
    if head.certainty == "none":
        face = _face("?", "unsure", UNNAMED, UNNAMED)
    elif head.certainty == "two":
        face = _face("".join(f"<i>{EMOJI[label]}</i>" for label in head.labels), "two", *colours)
    elif head.certainty == "hard":
        face = _face("".join(f"<i>{EMOJI[label]}</i>" for label in head.labels), "three", UNNAMED, UNNAMED)
    else:
        face = _face(EMOJI[head.labels[0]], head.certainty, colours[0], colours[0])
    subtitle = f'<p class="sure">{escape(head.subtitle)}</p>' if head.subtitle else ""
    return (
        f'<section class="headline" role="status">{face}<div><p class="eyebrow">{escape(head.eyebrow)}</p>'
        f"<h2>{escape(head.title)}</h2>{subtitle}</div></section>"
    )


def _face(content: str, kind: str, first: str, second: str) -> str:
    return f'<span class="face {kind}" style="--a:{first};--b:{second}" aria-hidden="true">{content}</span>'


def adapted(prediction: Prediction, texts: Texts) -> str:
    """Return a line that says what the answer is adapted to; empty if nothing."""
    if prediction.adapted is None:
        return ""
    name, clips = prediction.adapted
    line = texts("answer.adapted", source=wording.source(name, texts), clips=clips)
    return f'<p class="ready">{escape(line)}</p>'


def doubts(prediction: Prediction, metrics: Mapping[str, object], texts: Texts) -> str:
    """Return one box of doubt as HTML, empty for a sure answer of a good recording.

    What spoils the recording stands open; that no emotion is clear enough can be opened, with the way out.
    """
    pairs = wording.doubts(prediction, texts)
    if not pairs:
        return ""
    items = "".join(f"<li><b>{escape(problem)}</b> <span>{escape(advice)}</span></li>" for problem, advice in pairs)
    told = (wording.rate_right(prediction, metrics, texts), wording.first_two(metrics, texts))
    sentences = " ".join(filter(None, told if not wording.is_unnamed(prediction) else ()))
    body = f"<ul>{items}</ul>" + (f"<p>{escape(sentences)}</p>" if sentences else "")
    if {*prediction.reasons, *prediction.quality} == {"close_call"}:
        return f'<details class="doubts"><summary>{escape(texts("doubt.why"))}</summary>{body}</details>'
    return f'<div class="doubts">{body}</div>'


def bars(prediction: Prediction, texts: Texts) -> str:
    """Return each emotion's probability as a bar from 0 to 100 %, the most likely on top; unlikely ones are folded."""
    rows = ranked(prediction)
    n_open = max(FEWEST_BARS, sum(share >= FOLDED_BELOW for _, share in rows))
    n_named = len(wording.named(prediction))
    html = [_bar(label, share, index < n_named, texts) for index, (label, share) in enumerate(rows)]
    if n_open > len(rows) - 2:  # a line for one row saves nothing
        n_open = len(rows)
    folded = ""
    if rows[n_open:]:
        rest = texts.percent(sum(share for _, share in rows[n_open:]))
        summary = texts("answer.others", count=len(rows) - n_open, share=rest)
        folded = f"<details><summary>{escape(summary)}</summary>{''.join(html[n_open:])}</details>"
    return f'<div class="bars">{"".join(html[:n_open])}{folded}</div>'


def _bar(label: str, share: float, is_named: bool, texts: Texts) -> str:
    name, value = wording.capitalised(texts.emotion(label)), texts.percent(share)
    colour = COLOURS[label] if is_named else "var(--bar)"
    return (
        f'<div class="bar" role="meter" aria-label="{escape(name)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{100 * share:.0f}" aria-valuetext="{value}" style="--at:{share:.4f};--a:{colour}">'
        f"<span>{EMOJI[label]} {escape(name)}</span><i></i><b>{value}</b></div>"
    )


def scales(prediction: Prediction, texts: Texts) -> str:
    """Return the scales of sex and intensity as HTML; empty if the model gives neither or no emotion is named."""
    if wording.is_unnamed(prediction):
        return ""
    parts = []
    if prediction.sex is not None:
        value = wording.sex(prediction.sex, texts)
        ends = texts("answer.male"), texts("answer.female")
        parts.append(_scale("between", texts("answer.sex"), value, prediction.sex["female"], ends))
    if prediction.intensity is not None:
        value = wording.intensity(prediction.intensity, texts)
        ends = texts("answer.intensity_normal"), texts("answer.strong_end")
        parts.append(_scale("amount", texts("answer.intensity"), value, prediction.intensity, ends))
    return f'<div class="scales">{"".join(parts)}</div>' if parts else ""


def _scale(kind: str, name: str, value: str, at: float, ends: tuple[str, str]) -> str:
    return (
        f'<div class="scale {kind}" role="meter" aria-label="{name}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{100 * at:.0f}" aria-valuetext="{value}" style="--at:{at:.2f}">'
        f'<p class="reading"><span>{name}</span><b>{value}</b></p><div class="track"><i></i></div>'
        f'<p class="ends"><span>{ends[0]}</span><span>{ends[1]}</span></p></div>'
    )


def notice(title: str, *sentences: str) -> str:
    """Return a problem as HTML; names and errors of files are escaped."""
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences if sentence)
    return f'<div class="notice" role="alert"><b>{escape(title)}</b>{text}</div>'


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
    figure.update_layout(LAYOUT, height=240)
    figure.update_xaxes(
        range=[0, waveform.duration_s], ticksuffix=" s", nticks=6, showgrid=False, zeroline=False, tickfont_size=13
    )
    figure.update_yaxes(ticksuffix=" kHz", nticks=5, showgrid=False, zeroline=False)
    return figure


def _pooled(power: np.ndarray) -> np.ndarray:
    """Return the maximum of every `BIN_POOL` neighbouring bins; the top bin is dropped."""
    return power[:, : N_FFT // 2].reshape(len(power), -1, BIN_POOL).max(axis=2)
