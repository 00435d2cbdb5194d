"""The strip of a visit: a chip for every recording, by which its answer is shown again; asks before a reload."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from ser.inference.recognizer import Recognizer
from ser.page.texts import Texts
from ser.page.visit import Recording, Visit
from ser.types import COLOURS, EMOJI, Prediction

HERE = Path(__file__).parent
UNNAMED = "#8A8F98"
# Reasons for which no emotion is named, the gravest first; each is a title.
NAMELESS = ("silent", "too_short", "unlike_training")
HTML = """<div class="strip"><button class="edge" tabindex="-1" aria-hidden="true">‹</button>
<div role="toolbar" class="chips"></div><button class="edge" tabindex="-1" aria-hidden="true">›</button></div>"""


# --- An answer in short ---


@dataclass(frozen=True)
class Face:
    """The sign of an answer: an emoji in a ring, of two colours if it is unsure; a question mark without emotion."""

    sign: str
    colours: tuple[str, str]

    @classmethod
    def of(cls, prediction: Prediction) -> Face:
        if nameless(prediction):
            return cls.none()
        first, second = (*prediction.top, None)[:2] if prediction.uncertain else (prediction.label, prediction.label)
        return cls(EMOJI[prediction.label], (COLOURS[first or prediction.label], COLOURS.get(second or "", UNNAMED)))

    @classmethod
    def of_label(cls, label: str) -> Face:
        return cls(EMOJI[label], (COLOURS[label], COLOURS[label]))

    @classmethod
    def none(cls) -> Face:
        return cls("?", (UNNAMED, UNNAMED))

    def html(self) -> str:
        first, second = self.colours
        return f'<span class="sign" style="--a:{first};--b:{second}" aria-hidden="true">{self.sign}</span>'


def nameless(prediction: Prediction) -> str | None:
    """Return the gravest reason for which no emotion is named, None if one is."""
    return next((reason for reason in NAMELESS if reason in prediction.reasons), None)


def title(recording: Recording, prediction: Prediction, texts: Texts) -> str:
    """Return an answer in a few words: "Sad", "Probably sad", "Sad or calm", "Hard to say", "Mostly sad", "Silence"."""
    label = texts.emotion(prediction.label)
    if reason := nameless(prediction):
        return texts(f"answer.{reason}")
    if recording.timeline is not None:
        return texts("visit.mostly", label=label)
    if not prediction.uncertain:
        return _capital(label)
    first, *others = map(texts.emotion, prediction.top)
    if not others:
        return texts("answer.probably", label=first)
    return texts("answer.hard") if others[1:] else _capital(texts("answer.two", first=first, second=others[0]))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def share(prediction: Prediction, texts: Texts) -> str:
    """Return the probability of the label, or its share of the speech; empty if no emotion is named."""
    return "" if nameless(prediction) else texts.percent(prediction.confidence)


def detail(recording: Recording, prediction: Prediction, texts: Texts) -> str:
    """Return what stands beside a title: the share, or for "Hard to say" the labels that are likely together."""
    hard = recording.timeline is None and prediction.uncertain and len(prediction.top) > 2
    if nameless(prediction) or not hard:
        return share(prediction, texts)
    return texts.either(map(texts.emotion, prediction.top))


def visitor_zone() -> tzinfo | None:
    """Return the time zone of the visitor's browser, None if it does not tell."""
    try:
        return ZoneInfo(st.context.timezone or "")
    except (KeyError, ValueError, OSError):  # a zone that is unknown here is a KeyError
        return None


def clock(time: datetime) -> str:
    """Return the time of day at the visitor's place."""
    return f"{time.astimezone(visitor_zone()):%H:%M}"


@cache
def css() -> str:
    """Return the styles of this visit's parts."""
    return (HERE / "visit.css").read_text(encoding="utf-8")


def show_styles() -> None:
    """Load the styles of what is HTML; they take no place on the page."""
    st.html(f"<style>{css()}</style>")


# --- The strip ---


def chips(visit: Visit, recognizer: Recognizer, texts: Texts) -> list[dict[str, Any]]:
    """Return the chips in order, as the strip's script takes them."""
    rows = []
    for recording in visit:
        prediction = visit.summary(recording, recognizer)
        words = ", ".join(filter(None, (title(recording, prediction, texts), detail(recording, prediction, texts))))
        about = f"{recording.name} · {words} · {texts.seconds(recording.duration_s)}"
        face = asdict(Face.of(prediction))
        shown = recording.id == visit.shown
        rows.append({"id": recording.id, **face, "time": clock(recording.time), "about": about, "shown": shown})
    return rows


@cache
def _component() -> Any:
    script = (HERE / "strip.js").read_text(encoding="utf-8")
    return st.components.v2.component("ser_strip", html=HTML, css=css(), js=script)


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
    _component()(key="strip", data=data, on_chosen_change=choose)
