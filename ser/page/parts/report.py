"""Report of an answer or a timeline: one HTML file with its pictures as SVG; it loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

import ser
from ser.metrics import HUMAN
from ser.page import wording
from ser.page.components import UNNAMED
from ser.page.parts.mood import mood_html
from ser.page.player import channel_name, is_likely, segment_label
from ser.page.texts import Texts
from ser.page.timeline import minutes, mostly
from ser.page.visit import Recording
from ser.types import COLOURS, EMOJI, SELF, Adaptation, Prediction, Segment, Timeline

WIDTH, WAVE, RIBBON, GAP = 720, 96, 22, 6  # pixels of the drawing
MOST_STROKES = 240
HATCH = (
    '<defs><pattern id="unsure" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="2.5" height="5" style="fill:var(--card)" fill-opacity="0.75"/></pattern></defs>'
)
# No source is allowed but the styles in the file: a browser would refuse to load anything for it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
:root {
  color-scheme: light dark; --page: light-dark(#f7f5f1, #13111a); --card: light-dark(#ffffff, #1c1926);
  --line: light-dark(#e4dfd6, #353140); --soft: light-dark(#6a6477, #a9a3b8); --ink: light-dark(#1e1b29, #f1eef8);
  --accent: light-dark(#5145cd, #a99fff);
  --warn: light-dark(#8a4b00, #f3bd7a); --warn-card: light-dark(#fff6e8, #2c2218);
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.5 Figtree, system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 760px; margin: 0 auto; padding: 40px 24px 48px; display: grid; gap: 16px; }
section, header {
  background: var(--card); border: 1px solid var(--line); border-radius: 20px; padding: 24px; min-width: 0;
}
h1, h2, p, ul, table { margin: 0; }
h1 { font-size: 2rem; line-height: 1.15; letter-spacing: -0.02em; text-wrap: balance; }
h2 { font-size: 1.125rem; margin-bottom: 12px; }
.emoji { font-family: "Apple Color Emoji", "Segoe UI Emoji", "Noto Color Emoji", sans-serif; font-weight: 400; }
.eyebrow, .soft, .how { color: var(--soft); font-size: 0.9375rem; }
header p { margin-top: 6px; }
svg.wave { display: block; width: 100%; }
.ends { display: flex; justify-content: space-between; color: var(--soft); font-size: 0.8125rem; }
.bars { display: grid; gap: 8px; }
.bar { display: grid; grid-template-columns: 9.5rem 1fr 5.5rem; gap: 12px; align-items: center; }
.bar i {
  height: 10px; border-radius: 5px; background: color-mix(in oklab, var(--soft) 22%, transparent); overflow: hidden;
}
.bar i::before {
  content: ""; display: block; height: 100%; width: calc(100% * var(--at)); border-radius: 5px; background: var(--a);
}
.bar b { font-weight: 600; text-align: right; font-variant-numeric: tabular-nums; }
.doubts { background: var(--warn-card); border-color: color-mix(in oklab, var(--warn) 35%, transparent); }
.doubts ul { padding: 0; list-style: none; display: grid; gap: 8px; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 0.9375rem; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 500; }
th, td { padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th, td { overflow-wrap: normal; }
td.whole { white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
.swatch {
  display: inline-block; width: 10px; height: 10px; border-radius: 3px; background: var(--a); margin-right: 6px;
}
.swatch.unsure { background: repeating-linear-gradient(45deg, var(--a) 0 2px, transparent 2px 4px); }
.key { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-top: 8px; font-size: 0.875rem; color: var(--soft); }
dl { margin: 0; display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; }
dt { color: var(--soft); }
dd { margin: 0; }
.notice p + p { margin-top: 8px; }
@media (max-width: 560px) {
  main { padding: 16px 12px 32px; }
  section, header { padding: 16px; border-radius: 16px; }
  h1 { font-size: 1.625rem; }
  .bar { grid-template-columns: 8rem 1fr 4.5rem; gap: 8px; font-size: 0.9375rem; }
  .hide { display: none; }
  th, td { padding-right: 8px; }
}
@media print {
  :root { color-scheme: light; --page: #ffffff; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { padding: 0; max-width: none; }
  header, section, tr { break-inside: avoid; }
  section.long { break-inside: auto; }
}
"""


def report(recording: Recording, answer: Prediction | Timeline, manifest: Mapping[str, Any], texts: Texts) -> str:
    """Return the report of a recording as an HTML page; `manifest` is that of the model that answered."""
    if isinstance(answer, Prediction):
        body = _of_answer(recording, answer, texts)
    else:
        body = _of_timeline(recording, answer, texts)
    about = [_note(recording, texts), _model(answer, manifest, texts), _notice(texts)]
    title = escape(texts("report.title", name=recording.name))
    return (
        f'<!DOCTYPE html>\n<html lang="{texts.language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(filter(None, [*body, *about]))
        + "\n</main></body></html>\n"
    )


def _of_answer(recording: Recording, answer: Prediction, texts: Texts) -> list[str]:
    head = wording.headline(answer, texts)
    top = _top(recording, head, _adapted(answer.adapted, texts), texts)
    pairs = wording.doubts(answer, texts)
    items = "".join(f"<li><b>{escape(problem)}</b> {escape(advice)}</li>" for problem, advice in pairs)
    doubts = f'<section class="doubts"><ul>{items}</ul></section>' if pairs else ""
    start_s, end_s = answer.used_s
    fills = [
        (0.0, answer.duration_s, "var(--line)"),
        (start_s, end_s, UNNAMED if head.certainty in ("none", "hard") else COLOURS[answer.label]),
    ]
    sound = _section(texts("report.sound"), _drawing(recording, answer.duration_s, fills, (), texts))
    words = _section(texts("words.title"), f"<p>{escape(recording.text)}</p>") if recording.text else ""
    if not head.labels:
        return [top, doubts, sound, words]
    emotions = _bars(wording.ranked(answer), texts) + _voice(answer, texts)
    mood = _section(texts("mood.title"), mood_html(answer, texts))
    return [top, doubts, sound, words, _section(texts("answer.emotions"), emotions), mood]


def _of_timeline(recording: Recording, answer: Timeline, texts: Texts) -> list[str]:
    shares = sorted(((label, share) for label, share in answer.share.items() if share), key=lambda item: -item[1])
    length, speech = texts.seconds(answer.duration_s), texts.seconds(answer.speech_s)
    title = mostly(answer, texts) if shares else texts("report.no_speech")
    labels = tuple(label for label, _ in shares[:2])
    said = texts("report.speech", length=length, speech=speech)
    head = wording.Headline("probably", said, wording.capitalised(title), "", labels)
    top = _top(recording, head, (*_adapted(answer.adapted, texts), *_ends_early(answer, texts)), texts)
    if not shares:
        return [top]
    ribbons = [of.segments for of in map(answer.of_channel, answer.channels)] or [answer.segments]
    key = _key([label for label, _ in shares], answer.channels, texts)
    drawing = _drawing(recording, answer.duration_s, [(0.0, answer.duration_s, "var(--soft)")], ribbons, texts) + key
    sections = [
        (texts("report.over_time"), drawing),
        (texts("report.shares"), _bars(shares, texts)),
        (texts("mood.title"), mood_html(answer, texts)),
    ]
    return [top, *(_section(*each) for each in sections), _table(answer, texts)]


# --- Sections ---


def _section(title: str, content: str, *, kind: str = "") -> str:
    return f'<section class="{kind}"><h2>{escape(title)}</h2>{content}</section>'


def _top(recording: Recording, head: wording.Headline, lines: Iterable[str], texts: Texts) -> str:
    told = "".join(f"<p>{escape(line)}</p>" for line in (head.subtitle, *lines) if line)
    faces = f"{_emoji(*head.labels)} " if head.labels else ""
    day = recording.time
    when = texts("report.date", day=f"{day:%d}", month=f"{day:%m}", year=f"{day:%Y}", time=f"{day:%H:%M}")
    length = texts.seconds(recording.duration_s)
    return (
        f'<header><p class="eyebrow">{escape(head.eyebrow)}</p><h1>{faces}{escape(head.title)}</h1>{told}'
        f'<p class="soft">{escape(recording.name)} · {escape(length)} · {escape(when)}</p></header>'
    )


def _emoji(*labels: str) -> str:
    """Return emoji in a font of emoji; others draw some of them in black."""
    return f'<span class="emoji" aria-hidden="true">{"".join(EMOJI[label] for label in labels)}</span>'


def _adapted(adapted: Adaptation | None, texts: Texts) -> list[str]:
    if adapted is None:
        return []
    if adapted.source == SELF:
        return [texts("report.adapted_self")]
    return [texts("answer.adapted", source=wording.source(adapted.source, texts), clips=adapted.clips)]


def _ends_early(answer: Timeline, texts: Texts) -> list[str]:
    at = texts.seconds(answer.duration_s)
    present = {"timeline.stopped": answer.stopped, "timeline.cut_off": answer.cut_off}
    return [texts(key, at=at) for key, found in present.items() if found]


def _bars(shares: Sequence[tuple[str, float]], texts: Texts) -> str:
    """Return a bar from 0 to 100 % for each emotion; the numbers stand beside them."""
    rows = (
        f'<div class="bar" style="--at:{share:.4f};--a:{COLOURS[label]}"><span>{_emoji(label)} '
        f"{escape(wording.capitalised(texts.emotion(label)))}</span><i></i><b>{escape(texts.percent(share))}</b></div>"
        for label, share in shares
    )
    return f'<div class="bars">{"".join(rows)}</div>'


def _voice(answer: Prediction, texts: Texts) -> str:
    """Say how the voice sounds beyond its emotion, if the model tells."""
    parts = []
    if answer.sex is not None:
        parts.append((texts("answer.sex"), wording.sex(answer.sex, texts)))
    if answer.intensity is not None:
        parts.append((texts("answer.intensity"), wording.intensity(answer.intensity, texts)))
    return f'<dl style="margin-top: 16px">{_pairs(parts)}</dl>' if parts else ""


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)


def _table(answer: Timeline, texts: Texts) -> str:
    """Return the segments as a table: time, emotion, probability, doubt, and channel and words if there are any."""
    heads = [texts("report.time"), texts("report.sounds"), texts("report.probability"), texts("report.doubt")]
    heads += [texts("report.channel")] if answer.channels else []
    heads += [texts("report.words")] if answer.text is not None else []
    kinds = ["whole", "whole", "number", "hide"]
    marked = [f'<th scope="col" class="{kind}">{escape(head)}</th>' for head, kind in _padded(heads, kinds)]
    rows = "".join(_row(segment, answer, kinds, texts) for segment in answer.segments)
    table = f"<table><thead><tr>{''.join(marked)}</tr></thead><tbody>{rows}</tbody></table>"
    return _section(texts("report.segments"), f'<div class="scroll">{table}</div>', kind="long")


def _row(segment: Segment, answer: Timeline, kinds: Sequence[str], texts: Texts) -> str:
    unsure = "" if is_likely(segment) else " unsure"
    name = segment_label(segment, texts)
    swatch = f'<span class="swatch{unsure}" style="--a:{COLOURS[segment.label]}"></span>'
    cells = [
        f"{minutes(segment.start_s)}–{minutes(segment.end_s)}",
        f"{swatch}{_emoji(segment.label)} {escape(name)}",
        escape(texts.percent(segment.confidence)),
        escape(", ".join(texts(f"report.reason.{reason}") for reason in segment.reasons)),
    ]
    cells += [escape(channel_name(segment.channel or "", texts))] if answer.channels else []
    cells += [escape(segment.text)] if answer.text is not None else []
    marked = (f'<td class="{kind}">{cell}</td>' for cell, kind in _padded(cells, kinds))
    return f"<tr>{''.join(marked)}</tr>"


def _padded(cells: Sequence[str], kinds: Sequence[str]) -> Iterable[tuple[str, str]]:
    return ((cell, kinds[place] if place < len(kinds) else "") for place, cell in enumerate(cells))


def _note(recording: Recording, texts: Texts) -> str:
    return _section(texts("report.note"), f"<p>{escape(recording.note)}</p>") if recording.note else ""


def _model(answer: Prediction | Timeline, manifest: Mapping[str, Any], texts: Texts) -> str:
    """Say which model answered, and how well it does on voices that it has never heard."""
    labels = list(answer.probabilities) if isinstance(answer, Prediction) else list(answer.labels)
    pairs = [
        (texts("report.model"), f"{answer.model}, ser {ser.__version__}"),
        (texts("report.labels"), ", ".join(map(texts.emotion, labels))),
    ]
    metrics = manifest["metrics"]
    told = (wording.score(metrics, len(manifest["labels"]), HUMAN, texts), wording.first_two(metrics, texts))
    sentences = "".join(f'<p style="margin-top: 12px">{escape(sentence)}</p>' for sentence in told if sentence)
    return _section(texts("report.how_good"), f"<dl>{_pairs(pairs)}</dl>{sentences}")


def _notice(texts: Texts) -> str:
    parts = "".join(
        f"<p><b>{escape(texts(key))}</b> {escape(texts(f'{key}.text'))}</p>" for key in ("foot.is", "foot.not")
    )
    return f'<section class="notice">{parts}</section>'


# --- Drawing ---


def _drawing(
    recording: Recording,
    duration_s: float,
    fills: Sequence[tuple[float, float, str]],
    ribbons: Sequence[Sequence[Segment]],
    texts: Texts,
) -> str:
    """Draw the waveform, coloured by stretches of time, and a ribbon of segments for each channel.

    `fills` are start, end and colour; of those that overlap the last one is seen.
    """
    height = WAVE + len(ribbons) * (RIBBON + GAP)
    drawn = _wave(recording.peaks, duration_s, fills)
    for index, segments in enumerate(ribbons):
        drawn += _ribbon(segments, duration_s, WAVE + GAP + index * (RIBBON + GAP))
    label = escape(texts("report.drawing", length=texts.seconds(duration_s)))
    start, end = ("0", texts.seconds(duration_s)) if duration_s < 60 else (minutes(0), minutes(duration_s))
    view = f'viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none" style="height: {height}px"'
    return (
        f'<svg class="wave" {view} role="img" aria-label="{label}">{HATCH}{drawn}</svg>'
        f'<p class="ends"><span>{start}</span><span>{escape(end)}</span></p>'
    )


def _wave(peaks: np.ndarray, duration_s: float, fills: Sequence[tuple[float, float, str]]) -> str:
    """Draw the envelope as strokes."""
    parts = np.array_split(np.asarray(peaks, float), min(MOST_STROKES, len(peaks))) if len(peaks) else []
    step = WIDTH / max(len(parts), 1)
    strokes = []
    for index, part in enumerate(parts):
        time_s = (index + 0.5) / len(parts) * duration_s
        colour = next((colour for start, end, colour in reversed(fills) if start <= time_s <= end), "var(--soft)")
        half = max(part.max(), 0.02) * (WAVE / 2 - 4)
        strokes.append(
            f'<rect x="{index * step + step * 0.19:.1f}" y="{WAVE / 2 - half:.1f}" width="{step * 0.62:.1f}" '
            f'height="{2 * half:.1f}" style="fill:{colour}"/>'
        )
    return "".join(strokes)


def _ribbon(segments: Sequence[Segment], duration_s: float, top: float) -> str:
    """Draw segments in their colours, hatched where not even probable, on grey where nobody speaks."""
    place = f'y="{top}" height="{RIBBON}"'
    parts = [f'<rect x="0" {place} width="{WIDTH}" style="fill:var(--line)"/>']
    scale = WIDTH / max(duration_s, 1e-9)
    for segment in segments:
        where = f'x="{scale * segment.start_s:.1f}" width="{max(scale * segment.duration_s, 0.8):.1f}" {place}'
        parts.append(f'<rect {where} fill="{COLOURS[segment.label]}"/>')
        if not is_likely(segment):
            parts.append(f'<rect {where} fill="url(#unsure)"/>')
    return "".join(parts)


def _key(labels: Sequence[str], channels: Sequence[str], texts: Texts) -> str:
    """Return what the colours and the order of the ribbons mean."""
    keys = [
        (f'<span class="swatch" style="--a:{COLOURS[label]}"></span>{_emoji(label)} ', texts.emotion(label))
        for label in labels
    ]
    keys.append(('<span class="swatch unsure" style="--a:var(--soft)"></span>', texts("report.unsure")))
    if channels:
        names = texts.all_of(channel_name(name, texts) for name in channels)
        keys.append(("", texts("report.ribbons", channels=names)))
    return f'<div class="key">{"".join(f"<span>{swatch}{escape(text)}</span>" for swatch, text in keys)}</div>'
