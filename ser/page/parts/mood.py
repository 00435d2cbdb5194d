"""Mood map: valence and arousal of an answer, or their path over a timeline, as SVG with an equivalent in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

import streamlit as st

from ser.page.player import channel_name
from ser.page.texts import Texts
from ser.page.timeline import minutes
from ser.page.wording import is_unnamed
from ser.types import COLOURS, EMOJI, PLACES, Mood, Prediction, Segment, Timeline

WIDTH, HEIGHT, MARGIN = 340, 312, 26
HALF_X, HALF_Y = WIDTH / 2, HEIGHT / 2
SCALE_X, SCALE_Y = HALF_X - MARGIN, HALF_Y - MARGIN  # of one unit
MAX_POINTS = 10  # of a path; more are one tangle
DRAWN_FROM = 0.05  # probability from which on an emotion's pull is drawn
STEPS = ((0.5, "very"), (0.15, "rather"))  # how far from the middle; nearer is neither
# Where a name stands beside its emoji: text-anchor, and the shift in pixels.
NAMES: Final = {
    "neutral": ("middle", 0, 24),
    "calm": ("middle", 0, 24),
    "happy": ("middle", 0, 24),
    "sad": ("middle", 0, 24),
    "angry": ("start", 13, 4),
    "fearful": ("end", -13, 4),
    "disgust": ("middle", 0, 24),
    "surprised": ("middle", 0, -15),
}
STYLE = """<style>
.mood-map {
  margin: 0 0 16px; display: grid; gap: 8px; justify-items: center;
  --from: light-dark(#2f7fb8, #6fb6e8); --to: light-dark(#c2185b, #ff7aa8);
}
.mood-map svg { display: block; width: 100%; max-width: 480px; height: auto; overflow: visible; }
.mood-map text { fill: var(--ink); font: 500 13.5px Figtree, system-ui, sans-serif; }
.mood-map .emoji { font: 19px "Apple Color Emoji", "Segoe UI Emoji", "Noto Color Emoji", sans-serif; }
.mood-map .axis { fill: var(--soft); font-weight: 600; }
.mood-map .halo { stroke: var(--card); stroke-width: 4px; paint-order: stroke; stroke-linejoin: round; }
.mood-map figcaption { display: grid; gap: 4px; text-align: center; font-size: 0.9375rem; max-width: 480px; }
.mood-map figcaption b { font-weight: 650; }
.mood-map figcaption span, .mood-map .hours { color: var(--soft); }
.mood-map .hours { display: flex; gap: 8px; align-items: center; width: 100%; max-width: 320px; font-size: 0.875rem; }
.mood-map .hours i {
  flex: 1; height: 6px; border-radius: 3px; background: linear-gradient(to right in oklab, var(--from), var(--to));
}
</style>"""


@dataclass(frozen=True)
class Point:
    """The mood of a stretch of a timeline, and the time of its middle in seconds."""

    time_s: float
    mood: Mood


def mood_map(answer: Prediction | Timeline, texts: Texts) -> None:
    """Show where an answer or a timeline lies on the mood map."""
    # `st.html` removes SVG; one line, so that Markdown leaves it as it is.
    st.markdown(mood_html(answer, texts).replace("\n", " "), unsafe_allow_html=True)


def mood_html(answer: Prediction | Timeline, texts: Texts) -> str:
    """Return the mood map as HTML, or a sentence if no emotion is named."""
    if isinstance(answer, Prediction):
        if answer.mood is None or is_unnamed(answer):
            return f'<p class="how">{escape(texts("mood.none"))}</p>'
        drawn = _pulls(answer, answer.mood) + _places(texts) + _dot(answer.mood)
        return _figure(drawn, answer.mood, in_words(answer.mood, texts), (), texts)
    paths = {name: points for name, segments in _by_channel(answer) if (points := path(segments))}
    if not paths:
        return f'<p class="how">{escape(texts("mood.none"))}</p>'
    drawn = "".join(_path(each, answer.duration_s, dashed=index > 0) for index, each in enumerate(paths.values()))
    mood = _overall(answer)
    told = texts("mood.overall", where=in_words(mood, texts))
    return _figure(_places(texts) + drawn, mood, told, _legend(paths, texts), texts, scale=_scale(answer.duration_s))


def path(segments: Sequence[Segment]) -> list[Point]:
    """Return the mood over time: a point for each segment, or for each of `MAX_POINTS` stretches of equal length."""
    known = [(segment, segment.mood) for segment in segments if segment.mood is not None]
    if not known:
        return []
    end_s = max(segment.end_s for segment, _ in known)
    start_s = min(segment.start_s for segment, _ in known)
    stretch_s = (end_s - start_s) / MAX_POINTS if len(known) > MAX_POINTS else 0.0
    groups: dict[int, list[tuple[Segment, Mood]]] = {}
    for number, (segment, mood) in enumerate(known):
        middle_s = (segment.start_s + segment.end_s) / 2
        groups.setdefault(int((middle_s - start_s) / stretch_s) if stretch_s else number, []).append((segment, mood))
    return [_mean(group) for group in groups.values()]


def _mean(group: Sequence[tuple[Segment, Mood]]) -> Point:
    """Return the mean of some segments, weighted by their length."""
    total_s = sum(segment.duration_s for segment, _ in group) or 1.0
    weights = [segment.duration_s / total_s for segment, _ in group]
    valence, arousal = (
        sum(weight * mood[axis] for weight, (_, mood) in zip(weights, group, strict=True)) for axis in (0, 1)
    )
    middles = ((segment.start_s + segment.end_s) / 2 for segment, _ in group)
    return Point(sum(weight * middle for weight, middle in zip(weights, middles, strict=True)), Mood(valence, arousal))


def in_words(mood: Mood, texts: Texts) -> str:
    """Say where a mood lies: "rather unpleasant, high energy"."""
    return ", ".join(texts(_key(axis, value)) for axis, value in zip(("valence", "arousal"), mood, strict=True))


def _key(axis: str, value: float) -> str:
    how = next((step for least, step in STEPS if abs(value) >= least), "neither")
    return f"mood.{axis}.neither" if how == "neither" else f"mood.{axis}.{how}.{'high' if value > 0 else 'low'}"


def _overall(timeline: Timeline) -> Mood:
    return _mean([(segment, segment.mood) for segment in timeline.segments if segment.mood is not None]).mood


def _by_channel(timeline: Timeline) -> list[tuple[str, tuple[Segment, ...]]]:
    """Return the name and the segments of each channel that was heard apart; one without a name for a mean of all."""
    channels = [(channel, timeline.of_channel(channel).segments) for channel in timeline.channels]
    return channels or [("", timeline.segments)]


# --- Drawing ---


def _at(mood: tuple[float, float]) -> tuple[float, float]:
    """Return the pixel of a mood: valence to the right, arousal up."""
    return HALF_X + mood[0] * SCALE_X, HALF_Y - mood[1] * SCALE_Y


def _figure(drawn: str, mood: Mood, told: str, legend: Sequence[str], texts: Texts, *, scale: str = "") -> str:
    """Return drawing and caption; `told` and `legend` say in words what the drawing shows."""
    numbers = texts("mood.numbers", valence=_signed(mood.valence, texts), arousal=_signed(mood.arousal, texts))
    lines = "".join(f"<span>{escape(line)}</span>" for line in (numbers, *legend, texts("mood.derived")))
    label = escape(f"{texts('mood.label')}: {told}. {numbers}.")
    return (
        f'{STYLE}<figure class="mood-map"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{_axes(texts)}{drawn}</svg>{scale}"
        f"<figcaption><b>{escape(told[0].upper() + told[1:])}</b>{lines}</figcaption></figure>"
    )


def _signed(value: float, texts: Texts) -> str:
    return f"{'−' if value < -0.005 else ''}{texts.number(abs(value), 2)}"


def _axes(texts: Texts) -> str:
    low, high = 8, WIDTH - 8
    ends = (
        (low, HALF_Y + 16, "start", "mood.axis.unpleasant"),
        (high, HALF_Y + 16, "end", "mood.axis.pleasant"),
        (HALF_X, 11, "middle", "mood.axis.high"),
        (HALF_X, HEIGHT - 4, "middle", "mood.axis.low"),
    )
    names = "".join(
        f'<text class="axis halo" x="{x}" y="{y}" text-anchor="{anchor}">{escape(texts(key))}</text>'
        for x, y, anchor, key in ends
    )
    return (
        f'<g aria-hidden="true"><ellipse cx="{HALF_X}" cy="{HALF_Y}" rx="{SCALE_X}" ry="{SCALE_Y}" fill="none" '
        f'stroke="var(--line)" stroke-width="1.5"/><path d="M{low} {HALF_Y}H{high}M{HALF_X} 18V{HEIGHT - 18}" '
        f'stroke="var(--line)" stroke-width="1.5"/>{names}</g>'
    )


def _places(texts: Texts) -> str:
    """Draw the emoji and the name of every emotion at its place in the literature."""
    parts = []
    for label, place in PLACES.items():
        x, y = _at(place)
        anchor, right, down = NAMES[label]
        parts.append(
            f'<text class="emoji" x="{x:.1f}" y="{y + 7:.1f}" text-anchor="middle">{EMOJI[label]}</text>'
            f'<text class="halo" x="{x + right:.1f}" y="{y + down:.1f}" text-anchor="{anchor}">'
            f"{escape(texts.emotion(label))}</text>"
        )
    return f'<g aria-hidden="true">{"".join(parts)}</g>'


def _pulls(answer: Prediction, mood: Mood) -> str:
    """Draw a line from the answer to every emotion that draws it, as wide as that is likely."""
    x, y = _at(mood)
    lines = []
    for label, probability in answer.probabilities.items():
        if probability >= DRAWN_FROM:
            to_x, to_y = _at(PLACES[label])
            lines.append(
                f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{COLOURS[label]}" stroke-opacity="0.75" '
                f'stroke-width="{1 + 6 * probability:.1f}" stroke-linecap="round"/>'
            )
    return f'<g aria-hidden="true">{"".join(lines)}</g>'


def _dot(mood: Mood) -> str:
    x, y = _at(mood)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="var(--accent)" stroke="var(--card)" stroke-width="3"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="12.5" fill="none" stroke="var(--accent)" stroke-width="1.5"/>'
    )


def _path(points: Sequence[Point], duration_s: float, *, dashed: bool) -> str:
    """Draw the mood over time; the first point is hollow, the last one large."""
    if not points:
        return ""
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    lines = [
        f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" style="stroke: {_shade(end.time_s, duration_s)}" '
        f'stroke-width="2" stroke-opacity="0.8"{dash}/>'
        for start, end in pairwise(points)
        for (x, y), (to_x, to_y) in [(_at(start.mood), _at(end.mood))]
    ]
    dots = [_mark(point, duration_s, first=point is points[0], last=point is points[-1]) for point in points]
    return f'<g aria-hidden="true">{"".join(lines + dots)}</g>'


def _mark(point: Point, duration_s: float, *, first: bool, last: bool) -> str:
    (x, y), shade = _at(point.mood), _shade(point.time_s, duration_s)
    if last:
        return (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" style="fill: {shade}" stroke="var(--card)" stroke-width="2.5"/>'
        )
    if first:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="var(--card)" style="stroke: {shade}" stroke-width="3"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" style="fill: {shade}"/>'


def _shade(time_s: float, duration_s: float) -> str:
    share = min(max(time_s / duration_s, 0.0), 1.0) if duration_s else 0.0
    return f"color-mix(in oklab, var(--to) {100 * share:.0f}%, var(--from))"


def _scale(duration_s: float) -> str:
    """Return the colours of time, from the start to the end."""
    ends = f"<span>{minutes(0)}</span><i></i><span>{minutes(duration_s)}</span>"
    return f'<div class="hours" aria-hidden="true">{ends}</div>'


def _legend(paths: Mapping[str, Sequence[Point]], texts: Texts) -> list[str]:
    """Say where the path starts and ends, and which line is which channel's."""
    points = [point for each in paths.values() for point in each]
    first, last = min(points, key=lambda point: point.time_s), max(points, key=lambda point: point.time_s)
    lines = [texts("mood.path", first=in_words(first.mood, texts), last=in_words(last.mood, texts))]
    names = [channel_name(name, texts) for name in paths]
    return lines + ([texts("mood.channels", first=names[0], others=texts.all_of(names[1:]))] if names[1:] else [])
