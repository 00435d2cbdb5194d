"""The part "Why": what an answer rests on, as dots on scales, and the stretches that are marked in the waveform."""

from __future__ import annotations

from collections.abc import MutableMapping
from html import escape

import streamlit as st

from ser.audio.loading import load_waveform
from ser.inference.explain import Explanation, Group
from ser.inference.recognizer import Recognizer
from ser.page.texts import Texts
from ser.page.visit import Recording
from ser.types import Waveform

MOST_Z = 2.0  # standard deviations at the ends of a scale
Stretches = tuple[tuple[float, float], ...]
# By recording, recogniser and label; None if its sound is no longer kept.
Explanations = MutableMapping[tuple[str, int, str], Explanation | None]


def why(waveform: Waveform, recognizer: Recognizer, label: str | None = None) -> Explanation:
    """Return the explanation of the answer to a recording, or of another label's probability; it takes a second."""
    return recognizer.explain(waveform, label=label)


def explanation_of(recording: Recording, recognizer: Recognizer, label: str, known: Explanations) -> Explanation | None:
    """Return the explanation of an answer, computed once and kept in `known`; None if the sound is no longer kept."""
    key = recording.id, id(recognizer), label
    if key not in known:
        sound = recording.sound
        known[key] = why(load_waveform(sound, recognizer.sample_rate), recognizer, label) if sound else None
    return known[key]


def show_why(explanation: Explanation | None, texts: Texts) -> Stretches:
    """Show what the answer rests on; return the stretches for the player, start and end in seconds."""
    st.html(html(explanation, texts))
    return () if explanation is None else marks(explanation)


def marks(explanation: Explanation) -> Stretches:
    """Return start and end of the stretches in seconds, in order of time."""
    return tuple(sorted((stretch.start_s, stretch.end_s) for stretch in explanation.stretches))


def html(explanation: Explanation | None, texts: Texts) -> str:
    """Return an explanation as HTML; None means that the sound is no longer kept."""
    if explanation is None:
        return f'<p class="how">{escape(texts("why.no_sound"))}</p>'
    if not explanation.checked:
        return f'<p class="how"><b>{escape(texts("why.nothing"))}</b> {escape(texts("why.nothing.about"))}</p>'
    about = texts("why.about_own" if explanation.reference == "speaker" else "why.about")
    scales = "".join(_scale(group, explanation, texts) for group in explanation.groups)
    parts = [f'<p class="how">{escape(about)}</p>', scales]
    if explanation.stretches:
        times = texts.all_of(
            texts("why.stretch", start=texts.number(start_s), end=texts.number(end_s))
            for start_s, end_s in marks(explanation)
        )
        line = escape(texts("why.stretches", times=times))
        strongest = max(stretch.effect for stretch in explanation.stretches)
        parts.append(f'<p class="how"><b>{line}</b> {_without(strongest, explanation, texts)}</p>')
    return f'<div class="why" style="display:grid;gap:24px">{"".join(parts)}</div>'


def _scale(group: Group, explanation: Explanation, texts: Texts) -> str:
    """Return one property as a dot between its two ends, with the voice that it is compared with in the middle."""
    at = (min(max(group.z, -MOST_Z), MOST_Z) + MOST_Z) / (2 * MOST_Z)
    name, value = texts(f"why.{group.name}"), texts(f"why.{group.name}.{group.direction}")
    middle = texts("why.own" if explanation.reference == "speaker" else "why.neutral")
    low, high = (texts(f"why.{group.name}.{direction}") for direction in ("lower", "higher"))
    return (
        f'<div class="scale between" role="meter" aria-label="{escape(name)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{100 * at:.0f}" aria-valuetext="{escape(value)}" style="--at:{at:.2f}">'
        f'<p class="reading"><span>{escape(name)}</span><b>{escape(value)}</b></p><div class="track"><i></i></div>'
        f'<p class="ends"><span>{escape(low)}</span><span>{escape(middle)}</span><span>{escape(high)}</span></p></div>'
        f'<p class="how" style="margin-top:-16px">{_without(group.effect, explanation, texts)}</p>'
    )


def _without(effect: float, explanation: Explanation, texts: Texts) -> str:
    before = explanation.confidence
    shares = {"before": texts.percent(before), "after": texts.percent(max(0.0, before - effect))}
    return escape(texts("why.without", label=texts.emotion(explanation.label), **shares))
