"""The player of the page: a waveform that plays and seeks, with emotions as ribbons under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from ser.page.texts import Texts
from ser.page.visit import Recording
from ser.page.wording import PROBABLY_FROM, is_sure
from ser.types import COLOURS, Segment

ASSETS = Path(__file__).parent / "assets"
CHANNEL_NAMES = ("left", "right", "mono")  # those with a word of their own

Stretch = tuple[float, float]  # start and end in seconds

# `data-part` names what player.js fills.
HTML = """
<div class="ser-player">
  <div class="player-main">
    <button type="button" class="player-toggle" data-part="toggle" aria-label="Play">
      <svg viewBox="0 0 24 24" aria-hidden="true"><path data-part="icon"></path></svg>
    </button>
    <div class="player-track" data-part="track">
      <div class="player-wave" data-part="wave" aria-hidden="true">
        <div class="player-marks" data-part="marks"></div>
        <svg class="player-all" data-part="all" preserveAspectRatio="none"></svg>
        <svg class="player-played" data-part="played" preserveAspectRatio="none"></svg>
      </div>
      <div class="player-ribbons" data-part="ribbons" aria-hidden="true"></div>
      <i class="player-head" aria-hidden="true"></i>
    </div>
    <div class="player-labels" data-part="labels"></div>
    <p class="player-foot">
      <span data-part="time"></span>
      <span class="player-legend" data-part="legend" hidden>
        <span><i class="unsure"></i><span data-part="hatched"></span></span>
        <span><i></i><span data-part="grey"></span></span>
      </span>
    </p>
  </div>
  <div class="player-list" data-part="list" hidden>
    <div class="player-pages">
      <button type="button" data-part="earlier">
        <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M15 6l-6 6 6 6"></path></svg>
      </button>
      <p data-part="minute" aria-live="polite"></p>
      <button type="button" data-part="later">
        <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M9 6l6 6-6 6"></path></svg>
      </button>
    </div>
    <ol class="player-rows" data-part="rows"></ol>
  </div>
</div>
"""

_component = st.components.v2.component(
    "ser_player",
    html=HTML,
    css=(ASSETS / "player.css").read_text(encoding="utf-8"),
    js=(ASSETS / "player.js").read_text(encoding="utf-8"),
    isolate_styles=False,  # its style sheet hides the audio element beside it
)


@dataclass(frozen=True)
class Play:
    """A stretch to be played, once for each `id`."""

    id: str
    start_s: float
    end_s: float


def player(
    recording: Recording,
    texts: Texts,
    *,
    key: str,
    used_s: Stretch | None = None,
    colour: str | None = None,
    segments: Sequence[Segment] = (),
    channels: Sequence[str] = (),
    stretches: Sequence[Stretch] = (),
    play: Play | None = None,
    listed: bool = False,
) -> None:
    """Show a recording's waveform, which plays as long as its sound is kept.

    `used_s` is the part that was judged; the rest is grey. `colour` is that of the bars. `segments` are drawn as a
    ribbon, or as one for each of `channels`; a click plays one. `stretches` are marked in the waveform, and `listed`
    adds the segments as rows, a minute at a time. `play` starts a stretch. Streamlit's own audio element serves the
    sound; it stands hidden in the same container.
    """
    with st.container(key=f"player-{key}", gap=None):
        if recording.sound is not None:
            st.audio(recording.sound, format=recording.mime)
        _component(
            key=f"{key}-waveform",
            data={
                "recording": recording.id,
                "duration_s": recording.duration_s,
                "peaks": np.round(100 * np.clip(recording.peaks, 0, 1)).astype(int).tolist(),
                "has_sound": recording.sound is not None,
                "used_s": used_s,
                "colour": colour,
                "segments": [_segment(segment, texts) for segment in segments],
                "channels": [{"name": name, "label": channel_name(name, texts)} for name in channels],
                "stretches": list(stretches),
                "play": play and {"id": play.id, "start_s": play.start_s, "end_s": play.end_s},
                "listed": listed,
                "words": {name: texts(f"player.{name}") for name in WORDS},
            },
        )


WORDS = ("play", "pause", "position", "waveform", "earlier", "later", "none", "hatched", "grey")


def _segment(segment: Segment, texts: Texts) -> dict[str, Any]:
    return {
        "start_s": round(segment.start_s, 3),
        "end_s": round(segment.end_s, 3),
        "colour": COLOURS[segment.label],
        "unsure": segment.uncertain and not is_likely(segment),
        "label": segment_label(segment, texts),
        "channel": segment.channel,
        "text": segment.text,
    }


def is_likely(segment: Segment) -> bool:
    """Return whether the label of a segment is probable, though it may not be sure."""
    is_probable = not segment.uncertain or segment.confidence >= PROBABLY_FROM
    return "unlike_training" not in segment.reasons and is_probable


def segment_label(segment: Segment, texts: Texts) -> str:
    """Return the emotion of a segment and how sure it is: "sad", "sad, probably" or "sad, unsure"."""
    label = texts.emotion(segment.label)
    if is_sure(segment):
        return label
    return texts("player.probably" if is_likely(segment) else "player.unsure", label=label)


def channel_name(name: str, texts: Texts) -> str:
    """Return the word for a channel; channels beyond the second have a number."""
    return texts(f"player.{name}") if name in CHANNEL_NAMES else texts("player.channel", number=name)
