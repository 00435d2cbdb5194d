"""The page's view of a long recording: progress with Stop, then its emotions over time and the files to take along."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile as sf
import streamlit as st

from ser.inference.recognizer import Recognizer
from ser.page import wording
from ser.page.listening import Listening
from ser.page.player import channel_name, is_likely, player
from ser.page.texts import Texts
from ser.page.visit import Recording
from ser.timeline.formats import WRITERS, write
from ser.types import COLOURS, EMOJI, SELF, Channels, SerError, Timeline

STYLES = Path(__file__).parent / "assets" / "timeline.css"
POLL_S = 0.5
MOSTLY = 0.6  # share of the speech that one or two emotions must reach together to be what it mostly is
MOST_NAMED = 3  # emotions that the headline names if none do
LEAST_SHARE = 0.005  # that is shown: less would read "0 %"
FEWEST_BINS, MOST_BINS, BIN_S = 24, 120, 5.0  # of the picture over time
FORMATS = ("csv", "json", "srt", "vtt", "textgrid", "audacity")
TITLES = {"csv": "CSV", "json": "JSON", "srt": "SRT", "vtt": "VTT", "textgrid": "TextGrid", "audacity": "Audacity"}


# --- While it is made ---


def listen_long(listening: Listening, texts: Texts) -> Recording | SerError | None:
    """Show the progress with a way to stop it; once it has ended, return the recording, or why there is none.

    The page is run again at the end. Call it in every run in which `listening` has not been taken.
    """
    if listening.ended:
        return listening.take()
    _styles()
    with st.container(border=True, key="listening"):
        _progress(listening, texts)
    return None


@st.fragment(run_every=POLL_S)
def _progress(listening: Listening, texts: Texts) -> None:
    listening.look()
    if listening.ended:
        st.rerun()
    st.html(progress(listening, texts))
    st.button(texts("timeline.stop"), key="stop-listening", on_click=listening.stop, disabled=listening.stopping)


def progress(listening: Listening, texts: Texts) -> str:
    """Return the progress as HTML: "4 of 10 min" and a bar."""
    done_s, length_s = listening.done_s, listening.length_s
    done = f"{done_s // 60:.0f}" if done_s >= 60 else texts.number(done_s / 60)
    if listening.stopping:
        state = texts("timeline.stopping")
    elif listening.waiting:
        state = texts("timeline.waiting")
    elif length_s is None:
        state = texts("timeline.minutes", done=done)
    else:
        state = texts("timeline.minutes_of", done=done, all=texts.number(length_s / 60, digits=int(length_s < 600)))
    title = html.escape(texts("timeline.working", name=listening.name))
    value = f'value="{done_s:.0f}" max="{max(length_s, done_s):.0f}"' if length_s else ""
    return (
        f'<div class="listening"><p><b>{title}</b><span>{state}</span></p>'
        f'<progress {value} aria-label="{title}"></progress></div>'
    )


# --- The answer ---


def show_timeline(
    recording: Recording,
    recognizer: Recognizer,
    texts: Texts,
    *,
    key: str = "timeline",
    listen_again: Callable[[Channels], None] | None = None,
) -> None:
    """Show a recording's timeline: headline, player with ribbons and rows, shares, emotions over time, downloads.

    `listen_again` is called with the other choice of channels where a visitor wants the two sides of a call as one, or
    apart again; without it there is no such switch.
    """
    timeline = recording.timeline
    if timeline is None:
        raise ValueError(f"{recording.name} has an answer in place of a timeline.")
    _styles()
    name = f'<p class="file">{html.escape(recording.name)}</p>'
    st.html(headline(timeline, texts) + notices(timeline, texts) + name)
    channels = timeline.channels if len(timeline.channels) > 1 else ()
    player(
        recording,
        texts,
        key=f"{key}-{recording.id}",
        segments=timeline.segments,
        channels=channels,
        listed=bool(timeline.segments),
    )
    if listen_again and is_stereo(recording):
        _channel_switch(timeline, texts, f"{key}-{recording.id}", listen_again)
    if timeline.segments:
        st.html(summary(timeline, texts))
        downloads(recording, texts, key)


def _channel_switch(timeline: Timeline, texts: Texts, key: str, listen_again: Callable[[Channels], None]) -> None:
    apart = len(timeline.channels) > 1
    st.toggle(
        texts("timeline.apart"),
        value=apart,
        key=f"{key}-apart-{apart}",
        on_change=listen_again,
        args=("mix" if apart else "each",),
    )


def is_stereo(recording: Recording) -> bool:
    """Return whether both sides of a call are kept in the recording's sound, so that they can be chosen."""
    return recording.sound is not None and sf.info(BytesIO(recording.sound)).channels == 2


def headline(timeline: Timeline, texts: Texts) -> str:
    """Return what the recording mostly is, its length and that of its speech, as HTML."""
    length = texts("timeline.length", length=texts.seconds(timeline.duration_s))
    if not timeline.segments:
        title, about = texts("timeline.no_speech"), length
    else:
        title = _title(timeline, texts)
        about = texts("timeline.speech", length=length, speech=texts.seconds(timeline.speech_s))
        if (share := unsure_share(timeline)) >= LEAST_SHARE:
            about += ", " + texts("timeline.unsure", share=texts.percent(share))
        if timeline.adapted is not None:
            name = wording.source(timeline.adapted.source, texts)
            is_own = timeline.adapted.source == SELF
            about += ", " + (texts("timeline.adapted_self") if is_own else texts("timeline.adapted", source=name))
    return (
        f'<section class="timeline-head" role="status"><h2>{html.escape(title)}</h2>'
        f"<p>{html.escape(about)}.</p></section>"
    )


def unsure_share(timeline: Timeline) -> float:
    """Return the share of the speech, 0 to 1, in segments that are hatched: their label is not even probable."""
    durations = [(segment.end_s - segment.start_s, is_likely(segment)) for segment in timeline.segments]
    return sum(seconds for seconds, likely in durations if not likely) / sum(seconds for seconds, _ in durations)


def _title(timeline: Timeline, texts: Texts) -> str:
    """Return the emotions that make up most of the speech; those of each side of a call."""
    if len(timeline.channels) < 2:
        return mostly(timeline, texts)
    sides = [(channel, timeline.of_channel(channel)) for channel in timeline.channels]
    parts = [
        f"{channel_name(channel, texts)} {_lower(mostly(side, texts))}" for channel, side in sides if side.segments
    ]
    return _upper("; ".join(parts))


def mostly(timeline: Timeline, texts: Texts) -> str:
    """Return the one or two emotions that make up most of the speech, else the most frequent three, with shares."""
    falling = sorted(timeline.share.items(), key=lambda item: -item[1])[:MOST_NAMED]
    reached = np.cumsum([share for _, share in falling[:2]])
    is_mostly = reached[-1] >= MOSTLY
    named = falling[: int(np.searchsorted(reached, MOSTLY)) + 1] if is_mostly else falling
    emotions = texts.all_of(f"{texts.emotion(label)} ({texts.percent(share)})" for label, share in named)
    return texts("timeline.mostly" if is_mostly else "timeline.mixed", emotions=emotions)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def notices(timeline: Timeline, texts: Texts) -> str:
    """Return why the timeline ends early, as HTML; empty if it does not."""
    at = texts.seconds(timeline.duration_s)
    keys = [key for key, present in (("stopped", timeline.stopped), ("cut_off", timeline.cut_off)) if present]
    items = "".join(f"<li><b>{texts(f'timeline.{key}', at=at)}</b></li>" for key in keys)
    return f'<ul class="doubts">{items}</ul>' if items else ""


def summary(timeline: Timeline, texts: Texts) -> str:
    """Return the share of each emotion and emotions over time as HTML, for each side of a call."""
    sides = [(channel, timeline.of_channel(channel)) for channel in timeline.channels[1:] and timeline.channels]
    parts = [
        (f" · {channel_name(channel, texts)}" if channel else "", side) for channel, side in sides or [("", timeline)]
    ]
    return "".join(
        f'<div class="timeline-summary"><section><h3>{texts("timeline.shares")}{html.escape(name)}</h3>'
        f"{shares(side, texts)}</section>"
        f"<section><h3>{texts('timeline.over_time')}{html.escape(name)}</h3>{over_time(side, texts)}</section></div>"
        for name, side in parts
        if side.segments
    )


def shares(timeline: Timeline, texts: Texts) -> str:
    """Return a bar for every emotion that was heard, as HTML, the most frequent on top."""
    falling = sorted(timeline.share.items(), key=lambda item: -item[1])
    rows = "".join(
        f'<li style="--colour:{COLOURS[label]};--share:{100 * share:.1f}%"><span>{EMOJI[label]} '
        f"{texts.emotion(label)}</span><i aria-hidden='true'></i><b>{texts.percent(share)}</b></li>"
        for label, share in falling
        if share >= LEAST_SHARE
    )
    return f'<ul class="timeline-shares">{rows}</ul>'


def over_time(timeline: Timeline, texts: Texts) -> str:
    """Return the emotions over time as a picture, a stacked area, with times and names below, as HTML."""
    source = b64encode(area(timeline).encode()).decode()
    halves = (0.0, timeline.duration_s / 2, timeline.duration_s)
    times = "".join(f"<span>{minutes(time_s)}</span>" for time_s in halves)
    names = "".join(
        f'<li style="--colour:{COLOURS[label]}"><i></i>{texts.emotion(label)}</li>' for label in timeline.labels
    )
    alt = html.escape(texts("timeline.over_time_alt", emotions=_lower(mostly(timeline, texts))))
    return (
        f'<div class="timeline-area"><img src="data:image/svg+xml;base64,{source}" alt="{alt}">'
        f'<p aria-hidden="true">{times}</p><ul aria-hidden="true">{names}</ul></div>'
    )


def minutes(time_s: float) -> str:
    """Return a time as minutes and seconds: 62 is "1:02", an hour "1:00:00"."""
    whole, seconds = divmod(int(time_s), 60)
    hours, rest = divmod(whole, 60)
    return f"{hours}:{rest:02d}:{seconds:02d}" if hours else f"{rest}:{seconds:02d}"


def area(timeline: Timeline) -> str:
    """Draw the probability of each emotion over time as an SVG of stacked areas; blank where there is no speech."""
    mean = probabilities_over_time(timeline)
    edges = np.concatenate([np.zeros((len(mean), 1)), mean.cumsum(axis=1)], axis=1)
    spoken = np.any(mean > 0, axis=1)
    starts = np.flatnonzero(np.diff(np.pad(spoken.astype(int), 1))).reshape(-1, 2)
    shapes = []
    for rank, label in enumerate(timeline.labels):
        path = ""
        for first, end in starts:
            x = np.concatenate([[first], np.arange(first, end) + 0.5, [end]])
            rows = np.clip(np.arange(first - 1, end + 1), first, end - 1)
            low, high = edges[rows, rank], edges[rows, rank + 1]
            points = [*zip(x, high, strict=True), *zip(x[::-1], low[::-1], strict=True)]
            path += "M" + "L".join(f"{at:g} {100 * (1 - value):.1f}" for at, value in points) + "z"
        shapes.append(f'<path d="{path}" fill="{COLOURS[label]}"/>')
    view = f'viewBox="0 0 {len(mean)} 100" preserveAspectRatio="none"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view}>{"".join(shapes)}</svg>'


def probabilities_over_time(timeline: Timeline) -> np.ndarray:
    """Return the mean probability of each label in equal stretches, (n_bins, n_labels); zeros where none speaks.

    Each is averaged with its neighbours, half as heavy.
    """
    n_bins = int(np.clip(timeline.duration_s / BIN_S, FEWEST_BINS, MOST_BINS))
    bins = np.linspace(0, timeline.duration_s, n_bins + 1)
    total = np.zeros((n_bins, len(timeline.labels)))
    for segment in timeline.segments:
        overlap = np.minimum(bins[1:], segment.end_s) - np.maximum(bins[:-1], segment.start_s)
        total += np.maximum(overlap, 0)[:, None] * [segment.probabilities[label] for label in timeline.labels]
    around = np.pad(total, ((1, 1), (0, 0)))
    smooth = np.where(total.sum(axis=1, keepdims=True) > 0, around[:-2] / 2 + total + around[2:] / 2, 0)
    return smooth / np.maximum(smooth.sum(axis=1, keepdims=True), 1e-12)


def downloads(recording: Recording, texts: Texts, key: str) -> None:
    """Show a button for each file format; a file is written when it is asked for."""
    assert recording.timeline is not None
    st.html(f'<h3 class="timeline-files">{texts("timeline.files")}</h3>')
    stem = Path(recording.name).stem or "timeline"
    with st.container(horizontal=True, key=f"{key}-files", gap="small"):
        for name in FORMATS:
            writer = WRITERS[name]
            st.download_button(
                TITLES[name],
                partial(write, recording.timeline, name),
                file_name=stem + writer.ending,
                mime=writer.media_type,
                key=f"{key}-{recording.id}-{name}",
                on_click="ignore",
            )


def _styles() -> None:
    st.html(STYLES)
