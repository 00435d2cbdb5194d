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
from ser.page.wording import headline, is_unnamed, named
from ser.types import COLOURS, EMOJI, Prediction

HERE = Path(__file__).parent
UNNAMED = "#8A8F98"
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
        labels = named(prediction)
        if not labels:
            return cls.none()
        return cls(EMOJI[labels[0]], (COLOURS[labels[0]], COLOURS[labels[:2][-1]]))

    @classmethod
    def of_label(cls, label: str) -> Face:
        return cls(EMOJI[label], (COLOURS[label], COLOURS[label]))

    @classmethod
    def none(cls) -> Face:
        return cls("?", (UNNAMED, UNNAMED))

    def html(self) -> str:
        first, second = self.colours
        return f'<span class="sign" style="--a:{first};--b:{second}" aria-hidden="true">{self.sign}</span>'


def title(recording: Recording, prediction: Prediction, texts: Texts) -> str:
    """Return an answer in a few words: "Sad", "Probably sad", "Sad or calm", "Hard to say", "Mostly sad", "Silence"."""
    if recording.timeline is not None and not is_unnamed(prediction):
        return texts("visit.mostly", label=texts.emotion(prediction.label))
    return headline(prediction, texts).title


def share(prediction: Prediction, texts: Texts) -> str:
    """Return the probability of the label, or its share of the speech; empty if no emotion is named."""
    return "" if is_unnamed(prediction) else texts.percent(prediction.confidence)


def detail(recording: Recording, prediction: Prediction, texts: Texts) -> str:
    """Return what stands beside a title: the share, or for "Hard to say" the labels that are likely together."""
    head = headline(prediction, texts)
    if recording.timeline is None and head.certainty == "hard":
        return head.subtitle
    return share(prediction, texts)


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
