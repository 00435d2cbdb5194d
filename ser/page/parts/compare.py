"""The recordings of a visit beside each other: two on one scale, all in a table and over time, and as CSV."""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from typing import Any

import streamlit as st

from ser.inference.recognizer import Recognizer
from ser.page import wording
from ser.page.hearing import forget_long
from ser.page.strip import ASSETS, CSS, Face, clock, detail, share, show_styles, title
from ser.page.texts import Texts
from ser.page.visit import Recording, Visit
from ser.tables import columns, flat, to_csv
from ser.types import COLOURS, EMOJI, EMOTIONS, Prediction

FEWEST_COMPARED, FEWEST_LISTED = 2, 3  # recordings
SAME = 0.05  # difference of two probabilities up to which they count as nearly the same
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # beginnings of a formula
TIMES = ("time", "kind")  # columns of the CSV file before those of every table
TABLE = """<table class="visit-table" role="table"><thead role="rowgroup"><tr role="row"></tr></thead>
<tbody role="rowgroup"></tbody></table>"""
LEAST_DRAWN, LEAST_EMOJI = 0.005, 0.14  # of a column of the plot: the least part, and the least that holds its emoji

_table = st.components.v2.component(
    "ser_visit_table", html=TABLE, css=CSS, js=(ASSETS / "table.js").read_text(encoding="utf-8")
)


def show(visit: Visit, recognizer: Recognizer, texts: Texts) -> None:
    """Show all that can be done with the recordings of a visit: from two on a comparison, from three on a table."""
    show_styles()
    if len(visit) >= FEWEST_COMPARED:
        show_comparison(visit, recognizer, texts)
    if len(visit) >= FEWEST_LISTED:
        st.html(course(visit, recognizer, texts))
        show_table(visit, recognizer, texts)
    if len(visit):
        with st.container(horizontal=True, key="visit-actions"):
            if len(visit) >= FEWEST_LISTED:
                show_download(visit, recognizer, texts)
            show_clear(visit, texts)


# --- Two recordings ---


@st.fragment
def show_comparison(visit: Visit, recognizer: Recognizer, texts: Texts) -> None:
    """Show two recordings side by side, which the visitor chooses; by default the shown one beside the newest other."""
    ids = [recording.id for recording in visit]
    names = {id: _option(visit[id], visit.summary(visit[id], recognizer), texts) for id in ids}
    for key, default in zip(("compare-a", "compare-b"), _pair(visit), strict=True):
        if st.session_state.get(key) not in visit:
            st.session_state[key] = default
    with st.container(key="compare"):
        columns = st.columns(2)
        for number, (column, key) in enumerate(zip(columns, ("compare-a", "compare-b"), strict=True), 1):
            label = texts("visit.compared", number=number)
            column.selectbox(label, ids, format_func=names.__getitem__, key=key, filter_mode=None)
        first, second = (visit[st.session_state[key]] for key in ("compare-a", "compare-b"))
        st.html(comparison(visit, first, second, recognizer, texts))


def _pair(visit: Visit) -> tuple[str, str]:
    """Return the ids of the newest two, the shown one among them, in their order of time."""
    ids = [recording.id for recording in visit]
    shown = visit.shown if visit.shown in visit else ids[-1]
    other = next(id for id in reversed(ids) if id != shown)
    first, second = sorted((shown or "", other), key=ids.index)
    return first, second


def _option(recording: Recording, prediction: Prediction, texts: Texts) -> str:
    return f"{Face.of(prediction).sign} {recording.name} · {clock(recording.time)}"


def comparison(visit: Visit, first: Recording, second: Recording, recognizer: Recognizer, texts: Texts) -> str:
    """Return two recordings as an HTML table: a row for each emotion, with a bar for each recording on one scale."""
    pair = [(recording, visit.summary(recording, recognizer)) for recording in (first, second)]
    heads = "".join(
        f'<th scope="col" role="columnheader">{_head(*one, number, texts)}</th>' for number, one in enumerate(pair, 1)
    )
    shares = [prediction.probabilities for _, prediction in pair]
    labels = sorted(shares[0], key=lambda label: -max(each.get(label, 0.0) for each in shares))
    rows = "".join(_row(label, pair, texts) for label in labels)
    notes = [_difference(pair, texts)]
    if any(recording.timeline for recording, _ in pair):
        notes.append(texts("visit.shares"))
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        f'<table class="visit-compare" role="table" aria-label="{escape(texts("visit.comparison"))}">'
        f'<thead role="rowgroup"><tr role="row"><td role="cell"></td>{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table><div class="visit-how">{said}</div>'
    )


def _head(recording: Recording, prediction: Prediction, number: int, texts: Texts) -> str:
    face, words = Face.of(prediction).html(), escape(title(recording, prediction, texts))
    small = f"<small>{escape(recording.name)}</small><small>{_about(recording, texts)}</small>"
    mark = f'<span class="visit-number" aria-hidden="true">{number}</span>'
    return f"<div>{mark}{face}<span><b>{words}</b>{small}</span></div>"


def _about(recording: Recording, texts: Texts) -> str:
    return f"{clock(recording.time)} · {texts.seconds(recording.duration_s)}"


def _row(label: str, pair: list[tuple[Recording, Prediction]], texts: Texts) -> str:
    cells = []
    for number, (_, prediction) in enumerate(pair, 1):
        value = prediction.probabilities.get(label, 0.0)
        muted = " muted" if wording.is_unnamed(prediction) else ""
        cells.append(
            f'<td role="cell"><span class="visit-number" aria-hidden="true">{number}</span><i class="visit-bar{muted}" '
            f'style="--at:{value:.3f};--a:{COLOURS[label]}"></i><b>{texts.percent(value)}</b></td>'
        )
    name = f'<span aria-hidden="true">{EMOJI[label]}</span> {texts.emotion(label)}'
    return f'<tr role="row"><th scope="row" role="rowheader">{name}</th>{"".join(cells)}</tr>'


def _difference(pair: list[tuple[Recording, Prediction]], texts: Texts) -> str:
    """Say which emotion differs most; nothing is said of a recording in which none is named."""
    first, second = (prediction.probabilities for _, prediction in pair)
    if any(wording.is_unnamed(prediction) for _, prediction in pair):
        return texts("visit.one_nameless")
    label = max(first, key=lambda label: abs(first[label] - second.get(label, 0.0)))
    one, other = first[label], second.get(label, 0.0)
    if abs(one - other) <= SAME:
        return texts("visit.same")
    return texts("visit.difference", label=texts.emotion(label), first=texts.percent(one), second=texts.percent(other))


# --- All recordings ---


def course(visit: Visit, recognizer: Recognizer, texts: Texts) -> str:
    """Return the visit over time as HTML: a column for each recording, its emotions stacked, its time below."""
    summaries = [(recording, visit.summary(recording, recognizer)) for recording in visit]
    drawn = "".join(_column(recording, prediction, texts) for recording, prediction in summaries)
    legend = "".join(
        f'<li><i style="--a:{COLOURS[label]}"></i>{EMOJI[label]} {texts.emotion(label)}</li>'
        for label in summaries[0][1].probabilities
    )
    heading = escape(texts("visit.course"))
    return (
        f'<h3>{heading}</h3><div class="visit-course" tabindex="0" role="group" aria-label="{heading}">'
        f'<ol>{drawn}</ol></div><ul class="visit-legend" aria-hidden="true">{legend}</ul>'
    )


def _column(recording: Recording, prediction: Prediction, texts: Texts) -> str:
    """Return a column of the plot, its emotions from the bottom up; a question mark if none is named."""
    words = escape(f"{recording.name}: {title(recording, prediction, texts)} {share(prediction, texts)}".strip())
    time = clock(recording.time)
    if wording.is_unnamed(prediction):
        stack = '<span class="visit-stack none" aria-hidden="true">?</span>'
    else:
        parts = [
            f'<i style="--at:{value:.4f};--a:{COLOURS[label]}">{EMOJI[label] if value >= LEAST_EMOJI else ""}</i>'
            for label, value in prediction.probabilities.items()
            if value >= LEAST_DRAWN
        ]
        stack = f'<span class="visit-stack" aria-hidden="true">{"".join(parts)}</span>'
    return f'<li title="{words}"><span class="visit-unseen">{words}</span>{stack}<time>{time}</time></li>'


def table_rows(visit: Visit, recognizer: Recognizer, texts: Texts) -> list[dict[str, Any]]:
    """Return the rows of the table in order, as its script takes them."""
    rows = []
    for recording in visit:
        prediction = visit.summary(recording, recognizer)
        words = {"title": title(recording, prediction, texts), "share": detail(recording, prediction, texts)}
        file = {"name": recording.name, "about": _about(recording, texts), "note": recording.note}
        row = {"id": recording.id, **asdict(Face.of(prediction)), **words, **file}
        rows.append({**row, "shown": recording.id == visit.shown})
    return rows


def show_table(visit: Visit, recognizer: Recognizer, texts: Texts) -> None:
    """Show a row for each recording, with its note, and buttons to show and to delete it."""

    def sent(name: str) -> Any:
        return st.session_state["visit-table"].get(name)

    def note() -> None:
        for id, text in dict(sent("notes") or {}).items():
            visit.note(id, str(text))

    def delete() -> None:
        for id in list(sent("deleted") or []):
            visit.delete(str(id))

    names = ("table", "note", "show", "delete", "sure")
    words: dict[str, Any] = {name: texts(f"visit.{name}") for name in names}
    words["columns"] = [texts(f"visit.column.{name}") for name in ("answer", "recording", "note", "actions")]
    _table(
        key="visit-table",
        data={"texts": words, "rows": table_rows(visit, recognizer, texts)},
        on_shown_change=lambda: visit.show(str(sent("shown"))),
        on_deleted_change=delete,
        on_notes_change=note,
    )


def show_download(visit: Visit, recognizer: Recognizer, texts: Texts) -> None:
    """Show the button that downloads the visit as CSV.

    It is made in every run, in a few milliseconds: one that is made by a click on demand is lost if a run is under way.
    """
    st.download_button(
        texts("visit.csv"),
        visit_to_csv(visit, recognizer),
        "visit.csv",
        "text/csv",
        key="visit-csv",
        on_click="ignore",
    )


def visit_to_csv(visit: Visit, recognizer: Recognizer) -> bytes:
    """Return the visit as a CSV file: the columns of every table of answers, with time, kind and note.

    `kind` is "timeline" for a long recording, whose probabilities are shares of the speech, else that of the recording.
    """
    answers = [visit.summary(recording, recognizer) for recording in visit]
    present = {label for prediction in answers for label in prediction.probabilities}
    names = [*TIMES, *columns(label for label in EMOTIONS if label in present), "note"]
    rows = []
    for recording, prediction in zip(visit, answers, strict=True):
        kind = recording.kind if recording.timeline is None else "timeline"
        time = recording.time.isoformat(timespec="seconds")
        row = flat({**prediction.to_dict(), "note": recording.note})
        rows.append({"time": time, "kind": kind, **{name: _cell(value) for name, value in row.items()}})
    return to_csv(rows, names).encode("utf-8-sig")  # the mark tells Excel that it is UTF-8


def _cell(value: Any) -> Any:
    """Return a value of a CSV file; a text that a spreadsheet would take for a formula gets a quote before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def show_clear(visit: Visit, texts: Texts) -> None:
    """Show "Clear this visit", which asks once."""
    with st.popover(texts("visit.clear"), key="visit-clear"):
        st.write(texts("visit.clear.sure", count=len(visit)))
        st.button(texts("visit.clear.yes"), key="visit-clear-yes", type="primary", on_click=_clear, args=(visit,))


def _clear(visit: Visit) -> None:
    visit.clear()
    forget_long()
    st.session_state.explanations, st.session_state.refused = {}, []
