"""The part "Why": what an answer rests on, as dots on scales, and the stretches that are marked in the waveform."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from html import escape

import streamlit as st

from ser.audio.loading import load_waveform
from ser.inference.explain import Explanation, Group
from ser.inference.recognizer import Recognizer
from ser.page.texts import Texts
from ser.page.visit import Recording
from ser.types import Prediction, Waveform

MOST_Z = 2.0  # standard deviations at the ends of a scale
TICK = "position:absolute;left:calc(50% - 1px);top:-3px;width:2px;height:12px;background:var(--soft)"
ENDS = "display:grid;grid-template-columns:1fr auto 1fr"
Stretches = tuple[tuple[float, float], ...]
# By recording, recogniser and label; None if its sound is no longer kept.
Explanations = MutableMapping[tuple[str, Recognizer, str], Explanation | None]


def explanations() -> Explanations:
    """Return what was explained on this visit."""
    known: Explanations = st.session_state.setdefault("explanations", {})
    return known


def explain(recording: Recording, prediction: Prediction, chosen: Recognizer, texts: Texts) -> None:
    """Show why an answer is given; it is computed when it is first opened."""
    known = explanations()
    is_new = not known_marks(recording, chosen, prediction.label, known)
    with st.spinner(texts("why.working")):
        explanation = explanation_of(recording, chosen, prediction.label, known)
    if explanation:  # of the kept sound, which is rounded to 16 bits; the number is that of the headline
        explanation = replace(explanation, confidence=prediction.confidence)
    if show_why(explanation, texts) and is_new:
        st.rerun()  # the stretches are marked in the waveform above


def why(waveform: Waveform, recognizer: Recognizer, label: str | None = None) -> Explanation:
    """Return the explanation of the answer to a recording, or of another label's probability; it takes a second."""
    return recognizer.explain(waveform, label=label)


def explanation_of(recording: Recording, recognizer: Recognizer, label: str, known: Explanations) -> Explanation | None:
    """Return the explanation of an answer, computed once and kept in `known`; None if the sound is no longer kept."""
    key = recording.id, recognizer, label
    if key not in known:
        sound = recording.sound
        known[key] = why(load_waveform(sound, recognizer.sample_rate), recognizer, label) if sound else None
    return known[key]


def known_marks(recording: Recording, recognizer: Recognizer, label: str, known: Explanations) -> Stretches:
    """Return the stretches of an explanation that was computed before, for the player; empty if there is none."""
    explanation = known.get((recording.id, recognizer, label))
    return () if explanation is None else marks(explanation)


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
    about = "why.about_own" if explanation.reference == "speaker" else "why.about"
    about = texts(about if explanation.groups else "why.about_stretches")
    scales = "".join(_scale(group, explanation, texts) for group in explanation.groups)
    parts = [f'<p class="how">{escape(about)}</p>', scales]
    if explanation.stretches:
        parts.append(_stretches(explanation, texts))
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
        f'<p class="reading"><span>{escape(name)}</span><b>{escape(value)}</b></p>'
        f'<div class="track"><s style="{TICK}"></s><i></i></div>'
        f'<p class="ends" style="{ENDS}"><span>{escape(low)}</span><span>{escape(middle)}</span>'
        f'<span style="text-align:right">{escape(high)}</span></p>'
        f'<p class="how">{escape(texts("why.without", **_shares(group.effect, explanation, texts)))}</p></div>'
    )


def _stretches(explanation: Explanation, texts: Texts) -> str:
    """Return the stretches in order of time, and what the answer is without the strongest."""
    start_s, end_s, effect = max(explanation.stretches, key=lambda stretch: stretch.effect)
    line = texts("why.stretches", times=texts.all_of(_time(*mark, texts) for mark in marks(explanation)))
    shares = _shares(effect, explanation, texts)
    without = texts("why.without_stretch", time=_time(start_s, end_s, texts), **shares)
    return f'<p class="how"><b>{escape(line)}</b> {escape(without)}</p>'


def _time(start_s: float, end_s: float, texts: Texts) -> str:
    return texts("why.stretch", start=texts.number(start_s), end=texts.number(end_s))


def _shares(effect: float, explanation: Explanation, texts: Texts) -> dict[str, str]:
    """Return the label, and its probability with and without what is named."""
    before, after = (texts.percent(max(0.0, explanation.confidence - fall)) for fall in (0.0, effect))
    return {"label": texts.emotion(explanation.label), "before": before, "after": after}
