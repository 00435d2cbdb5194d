"""Answers kept on this computer: in the history of the command line, only if the visitor wants and sits at it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import streamlit as st

from ser.extras import advice, needs
from ser.inference.recognizer import Recognizer
from ser.page.strip import Face, show_styles, visitor_zone
from ser.page.texts import Texts
from ser.page.visit import Visit
from ser.page.wording import UNNAMED
from ser.types import EMOJI, ParameterError

if TYPE_CHECKING:
    from ser.history import Entry, History

LOCAL = re.compile(r"(.+\.)?localhost|127\.[0-9.]+|::1")
PROXIED = ("X-Forwarded-For", "X-Real-Ip", "Forwarded", "Via")  # headers that a server in between adds
MISSING = "missing"  # the cause if SQLAlchemy is not installed
MOST_LISTED = 20


@dataclass
class Keeper:
    """Keeps the answers of a visit in the history while it is `on`; a fault switches it off and stays in `cause`.

    Off after a fault, since a locked database would hold up every later answer as well.
    """

    on: bool = False
    cause: str | None = None  # of the last fault, as in `HistoryError`

    def keep_new(self, visit: Visit, recognizer: Recognizer) -> None:
        """Keep the answers of the visit that are not kept yet; the visit stays as it is whatever goes wrong."""
        new = [recording for recording in visit if recording.id not in visit.kept]
        if not self.on or not new:
            return
        try:
            open_history().keep(visit.summary(recording, recognizer).to_dict() for recording in new)
        except ParameterError as error:
            self.fail(error)
        else:
            visit.kept.update(recording.id for recording in new)

    def fail(self, error: ParameterError) -> None:
        """Switch keeping off and note the cause."""
        self.on, self.cause = False, getattr(error, "cause", "other")

    def switch(self, on: bool) -> None:
        """Switch keeping on or off, which forgets the last fault."""
        self.on, self.cause = on, None


class MissingError(ParameterError):
    """SQLAlchemy is not installed."""

    cause = MISSING


def open_history() -> History:
    """Return the history of the command line; `ParameterError` if it has no place or lacks its libraries."""
    try:
        with needs("history", "history"):
            from ser.history import History  # here, since it needs SQLAlchemy, which is optional
    except ParameterError as error:
        raise MissingError(str(error)) from error
    return History()


def is_local(url: str | None, ip_address: str | None, headers: Mapping[str, str]) -> bool:
    """Return whether the visitor sits at the server: by the page's address and by the connection, which has no proxy.

    `ip_address` is Streamlit's, None on this computer. The address alone is the browser's word, and the history is not
    for strangers.
    """
    names = {name.lower() for name in headers}
    host = urlsplit(url or "").hostname or ""
    return bool(LOCAL.fullmatch(host)) and ip_address is None and not names & {name.lower() for name in PROXIED}


def is_offered() -> bool:
    """Return whether this visitor may keep answers on the computer that serves the page."""
    return is_local(st.context.url, st.context.ip_address, st.context.headers)


def keep_new(visit: Visit, recognizer: Recognizer) -> None:
    """Keep what is new if the visitor wants it; to be called in every run behind the intake and before the strip."""
    _keeper().keep_new(visit, recognizer)


def show(visit: Visit, texts: Texts) -> None:
    """Show the switch, what went wrong, and on demand the list of what is kept; only if `is_offered`."""
    show_styles()
    keeper = _keeper()
    st.session_state.keep = keeper.on  # also switched off by a fault
    st.toggle(texts("visit.keep"), key="keep", on_change=_switched)
    if keeper.cause:
        _show_fault(keeper.cause, texts)
    else:
        kept = texts("visit.keep.on", count=len(visit.kept), all=len(visit)) if keeper.on else texts("visit.keep.how")
        st.html(f'<p class="visit-how" role="status">{escape(kept)}</p>')
    listed = st.expander(texts("visit.kept"), key="kept", on_change="rerun")
    if listed.open:
        with listed:
            _show_kept(visit, texts)


def is_on() -> bool:
    """Return whether answers of this visit are kept."""
    return _keeper().on


def _keeper() -> Keeper:
    return st.session_state.setdefault("keeper", Keeper())


def _switched() -> None:
    _keeper().switch(st.session_state.keep)


def _show_fault(cause: str, texts: Texts) -> None:
    sentence = texts(f"visit.keep.{cause}", command=advice("history"))
    st.html(f'<p class="visit-fault" role="alert">{escape(sentence)}</p>')


def _show_kept(visit: Visit, texts: Texts) -> None:
    try:
        history = open_history()
        count, newest = history.count(), history.newest(MOST_LISTED)
    except ParameterError as error:
        _show_fault(getattr(error, "cause", "other"), texts)
        return
    if not count:
        st.html(f'<p class="visit-how">{escape(texts("visit.kept.none"))}</p>')
        return
    shown = texts("visit.kept.newest", most=MOST_LISTED, count=count) if count > MOST_LISTED else ""
    st.html(kept_list(newest, texts, shown))
    with st.popover(texts("visit.kept.delete"), key="kept-delete"):
        st.write(texts("visit.kept.sure", count=count))
        st.button(texts("visit.kept.yes"), key="kept-yes", type="primary", on_click=_delete_all, args=(visit,))


def _delete_all(visit: Visit) -> None:
    """Delete the whole history; keeping ends, since it would write the answers of this visit again."""
    keeper = _keeper()
    keeper.switch(False)
    try:
        open_history().clear()
    except ParameterError as error:
        keeper.fail(error)
    else:
        visit.kept.clear()


def kept_list(entries: list[Entry], texts: Texts, more: str = "") -> str:
    """Return kept answers as an HTML list, the newest first, each with its time, emotion and file."""
    zone = visitor_zone()
    items = []
    for entry in entries:
        reason = next((reason for reason in UNNAMED if reason in entry.answer["reasons"]), None)
        face = Face.none() if reason or entry.label not in EMOJI else Face.of_label(entry.label)
        label = texts(f"answer.{reason}") if reason else _label(entry.label, texts)
        share = "" if reason else f", {texts.percent(entry.confidence)}"
        when = f"{entry.time.astimezone(zone):%Y-%m-%d %H:%M}"
        name = escape(entry.file) or "–"
        items.append(
            f"<li>{face.html()}<span><b>{escape(label)}{share}</b><small>{name}</small></span>"
            f'<time datetime="{entry.time.isoformat()}">{when}</time></li>'
        )
    note = f'<p class="visit-how">{escape(more)}</p>' if more else ""
    return f'<ul class="visit-kept">{"".join(items)}</ul>{note}'


def _label(label: str, texts: Texts) -> str:
    """Return the name of an emotion; one of another vocabulary, by a model of the visitor's own, stays as it is."""
    return texts.emotion(label) if label in EMOJI else label
