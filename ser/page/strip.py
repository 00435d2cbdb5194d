"""The strip of a visit: a chip for every recording, by which its answer is shown again; asks before a reload."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from ser.inference.recognizer import Recognizer
from ser.page import wording
from ser.page.components import UNNAMED
from ser.page.texts import Texts
from ser.page.visit import Recording, Visit
from ser.types import COLOURS, EMOJI, Prediction

CAPTION = 12  # characters of a file's name
ASSETS = Path(__file__).parent / "assets"
CSS = (ASSETS / "visit.css").read_text(encoding="utf-8")
HTML = """<div class="strip"><button class="edge" tabindex="-1" aria-hidden="true">‹</button>
<div role="toolbar" class="chips"></div><button class="edge" tabindex="-1" aria-hidden="true">›</button></div>"""

_component = st.components.v2.component(
    "ser_strip", html=HTML, css=CSS, js=(ASSETS / "strip.js").read_text(encoding="utf-8")
)


# --- An answer in short ---


@dataclass(frozen=True)
class Face:
    """The sign of an answer: an emoji in a ring, of two colours for two names, grey if it is hard to say."""

    sign: str
    colours: tuple[str, str]

    @classmethod
    def of(cls, prediction: Prediction) -> Face:
        certain = wording.certainty(prediction)
        if certain == "none":
            return cls.none()
        (first, _), (second, _) = wording.ranked(prediction)[:2]
        colours = COLOURS[first], COLOURS[second] if certain == "two" else COLOURS[first]
        return cls(EMOJI[first], (UNNAMED, UNNAMED) if certain == "hard" else colours)

    @classmethod
    def of_label(cls, label: str) -> Face:
        return cls(EMOJI[label], (COLOURS[label], COLOURS[label]))

    @classmethod
    def none(cls) -> Face:
        return cls("?", (UNNAMED, UNNAMED))

    def html(self) -> str:
        first, second = self.colours
        return f'<span class="visit-sign" style="--a:{first};--b:{second}" aria-hidden="true">{self.sign}</span>'


def title(recording: Recording, prediction: Prediction, texts: Texts) -> str:
    """Return an answer in a few words, as its headline; for a long recording "Mostly sad"."""
    if recording.timeline is not None and not wording.is_unnamed(prediction):
        return texts("visit.mostly", label=texts.emotion(prediction.label))
    return wording.headline(prediction, texts).title


def detail(recording: Recording, prediction: Prediction, texts: Texts) -> str:
    """Return what stands beside a title: the share of each label that it names, or those that are hard to tell."""
    certain = "" if recording.timeline is not None else wording.certainty(prediction)
    if certain == "hard":
        return wording.headline(prediction, texts).subtitle
    if certain == "two":
        return " / ".join(texts.percent(share) for _, share in wording.ranked(prediction)[:2])
    return share(prediction, texts)


def share(prediction: Prediction, texts: Texts) -> str:
    """Return the probability of the label, or its share of the speech; empty if no emotion is named."""
    return "" if wording.is_unnamed(prediction) else texts.percent(prediction.confidence)


def visitor_zone() -> tzinfo | None:
    """Return the time zone of the visitor's browser, None if it does not tell."""
    try:
        return ZoneInfo(st.context.timezone or "")
    except (KeyError, ValueError, OSError):  # a zone that is unknown here is a KeyError
        return None


def clock(time: datetime) -> str:
    """Return the time of day at the visitor's place."""
    return f"{time.astimezone(visitor_zone()):%H:%M}"


def caption(recording: Recording, texts: Texts) -> str:
    """Return what a chip shows: the name of a sample, of a file (shortened, without its ending), else the time."""
    name = Path(recording.name).stem
    if recording.kind == "sample":
        return texts(f"sample.{name}")
    if recording.kind != "file":
        return clock(recording.time)
    return name if len(name) <= CAPTION else f"{name[: CAPTION // 3]}…{name[-(CAPTION - CAPTION // 3 - 1) :]}"


def show_styles() -> None:
    """Load the styles of what is HTML; they take no place on the page."""
    st.html(f"<style>{CSS}</style>")


# --- The strip ---


def chips(visit: Visit, recognizer: Recognizer, texts: Texts) -> list[dict[str, Any]]:
    """Return the chips in order, as the strip's script takes them."""
    rows = []
    for recording in visit:
        prediction = visit.summary(recording, recognizer)
        words = ", ".join(filter(None, (title(recording, prediction, texts), detail(recording, prediction, texts))))
        length, time = texts.seconds(recording.duration_s), clock(recording.time)
        about = f"{recording.name} · {words} · {length} · {time}"
        face = asdict(Face.of(prediction))
        shown = recording.id == visit.shown
        rows.append({"id": recording.id, **face, "caption": caption(recording, texts), "about": about, "shown": shown})
    return rows


def show(visit: Visit, recognizer: Recognizer, texts: Texts) -> None:
    """Show the strip, 48 pixels high; a click on a chip sets `visit.shown`. Nothing without recordings."""
    if not len(visit):
        return

    def choose() -> None:
        visit.show(str(st.session_state.strip.get("chosen") or ""))

    data = {
        "label": texts("visit.strip"),
        "chips": chips(visit, recognizer, texts),
        "ask": visit.is_lost_on_reload,
    }
    _component(key="strip", data=data, on_chosen_change=choose)
