"""Offer an answer or a timeline as a file, the lines that give it again, and the link to a sample."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from ser.files import encodable
from ser.inference.artifact import known
from ser.inference.manifest import read_manifest
from ser.inference.recognizer import SPEAKER, Recognizer
from ser.page.parts.report import report
from ser.page.texts import Texts
from ser.page.visit import Recording
from ser.page.wording import is_unnamed
from ser.tables import columns, flat, to_csv
from ser.timeline.formats import WRITERS, write
from ser.types import SELF, Adaptation, ParameterError, Prediction, Segment, Timeline

# The formats of the page, in order; parquet is for programs.
FORMATS = ("csv", "json", "srt", "vtt", "textgrid", "audacity")
SAMPLE = "sample"  # the name in the page's address
ENDINGS = {"audio/wav": ".wav", "audio/ogg": ".ogg", "audio/mpeg": ".mp3", "audio/webm": ".webm", "audio/mp4": ".m4a"}

STYLE = "<style>.stCode button { min-width: 44px; min-height: 44px; }</style>"  # Streamlit's are too small for a thumb


@dataclass(frozen=True)
class Download:
    """A file to take along; `make` computes its content when it is asked for."""

    key: str
    label: str
    name: str
    mime: str
    make: Callable[[], bytes]


def take_along(recording: Recording, answer: Prediction | Timeline, recognizer: Recognizer, texts: Texts) -> None:
    """Show the downloads of an answer or a timeline, and the lines that give it again."""
    with st.container(horizontal=True, key="along"):
        for file in downloads(recording, answer, recognizer, texts):
            st.download_button(file.label, file.make, file.name, file.mime, key=f"along-{file.key}", on_click="ignore")
    if profile := profile_file(answer.adapted):
        st.html(f'<p class="how">{escape(texts("along.adapted", file=profile))}</p>')
    st.html(f'{STYLE}<p class="how">{escape(texts("along.python"))}</p>')
    st.code(python_lines(recording, answer), language=None, wrap_lines=True)  # colours of syntax lack contrast
    st.html(f'<p class="how">{escape(texts("along.curl"))}</p>')
    st.code(curl_line(recording, answer), language=None, wrap_lines=True)


# --- Files ---


def downloads(
    recording: Recording, answer: Prediction | Timeline, recognizer: Recognizer, texts: Texts
) -> Iterator[Download]:
    """Yield the files of an answer or a timeline: the report, its formats, and the sound if only the page has it."""
    stem = file_stem(recording.name)
    named = replace(answer, file=recording.name)
    manifest: Mapping[str, Any] = recognizer.artifact.manifest
    if answer.model != recognizer.name and answer.model in known():  # answered before another model was chosen
        manifest = read_manifest(known()[answer.model])
    page = partial(report, recording, answer, manifest, texts)
    yield Download("html", texts("along.report"), f"{stem}.html", "text/html", lambda: _bytes(page()))
    timeline = named if isinstance(named, Timeline) else as_timeline(named)
    for format in FORMATS:
        writer = WRITERS[format]
        make: Callable[[], str | bytes] = partial(write, timeline, format) if timeline else str
        if isinstance(named, Prediction) and format in ("csv", "json"):
            make = partial({"csv": _csv, "json": _json}[format], _row(recording, named))
        elif timeline is None:  # no emotion is named
            continue
        label = texts(f"along.{format}")
        yield Download(format, label, f"{stem}{writer.ending}", writer.media_type, partial(_content, make))
    if recording.sound and recording.kind in ("microphone", "live"):
        sound, ending = recording.sound, ENDINGS.get(recording.mime, ".wav")
        yield Download("sound", texts("along.sound"), f"{stem}{ending}", recording.mime, lambda: sound)


def as_timeline(prediction: Prediction) -> Timeline | None:
    """Return an answer as a timeline with one segment, the part that was judged; None if no emotion is named."""
    if is_unnamed(prediction):
        return None
    start_s, end_s = prediction.used_s
    segment = Segment(
        start_s,
        end_s,
        prediction.label,
        prediction.probabilities,
        prediction.reasons,
        channel=prediction.channel,
    )
    return Timeline(
        prediction.file,
        prediction.duration_s,
        (segment,),
        tuple(prediction.probabilities),
        prediction.model,
        cut_off="cut_off" in prediction.reasons,
        adapted=prediction.adapted,
        track=prediction.track,
    )


def _content(make: Callable[[], str | bytes]) -> bytes:
    content = make()
    return content if isinstance(content, bytes) else _bytes(content)


def _bytes(text: str) -> bytes:
    return encodable(text).encode()


def _row(recording: Recording, prediction: Prediction) -> dict[str, Any]:
    """Return the JSON form of an answer, with the text if it was transcribed."""
    return {**prediction.to_dict(), **({} if recording.text is None else {"text": recording.text})}


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, indent=1) + "\n"


def _csv(row: dict[str, Any]) -> str:
    return to_csv([flat(row)], [*columns(row["probabilities"]), *(["text"] if "text" in row else [])])


def file_stem(name: str) -> str:
    """Return the name of a recording without its ending, as a name that every system can store."""
    stem = re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "-", Path(name).stem).strip(" .-")
    return stem[:80] or "recording"


# --- Lines ---


def file_name(recording: Recording) -> str:
    """Return the name of the file in the lines: the visitor's own, else that of the sound that can be taken along."""
    if recording.kind in ("microphone", "live"):
        return f"{file_stem(recording.name)}{ENDINGS.get(recording.mime, '.wav')}"
    return recording.name


def profile_file(adapted: Adaptation | None) -> str | None:
    """Return the name under which the page gives the profile of an answer, None if it has none."""
    if adapted is None or adapted.source == SELF:
        return None
    return f"{'voice' if adapted.source == SPEAKER else adapted.source}.profile"


def python_lines(recording: Recording, answer: Prediction | Timeline) -> str:
    """Return two lines of Python that give the same answer."""
    profile = profile_file(answer.adapted)
    arguments = [repr(answer.model), *([f"profile={profile!r}"] if profile else [])]
    name = repr(file_name(recording))
    load = f"ser.load({', '.join(arguments)})"
    if isinstance(answer, Timeline):
        options = [name, *_timeline_options(answer)]
        return f"import ser\nprint({load}.timeline({', '.join(options)}).to_dict())"
    options = [name, *_track_option(answer.track)]
    options += [f"channels={answer.channel!r}"] if answer.channel in ("left", "right") else []
    return f"import ser\nprint({load}.predict({', '.join(options)}).to_dict())"


def curl_line(recording: Recording, answer: Prediction | Timeline) -> str:
    """Return the line that asks the service (`ser serve`) for the same answer."""
    query = {"model": answer.model}
    if isinstance(answer, Timeline):
        query |= {} if answer.adapted else {"adapt": "none"}
        query |= {"channels": "each"} if answer.channels else {}
    elif answer.channel in ("left", "right"):
        query |= {"channels": answer.channel}
    query |= {} if answer.track is None else {"track": str(answer.track)}
    route = "timeline" if isinstance(answer, Timeline) else "predict"
    address = f"http://localhost:8000/{route}?{'&'.join(f'{name}={value}' for name, value in query.items())}"
    return f"curl -F {shlex.quote(_form_file(file_name(recording)))} {shlex.quote(address)}"


def _form_file(name: str) -> str:
    """Return curl's form field of a file; a name with its separators is quoted."""
    if re.search(r'[;,"\\]', name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'file=@"{escaped}"'
    return f"file=@{name}"


def _timeline_options(answer: Timeline) -> list[str]:
    options = [] if answer.adapted else ["adapt='none'"]
    return options + (["channels='each'"] if answer.channels else []) + _track_option(answer.track)


def _track_option(track: int | None) -> list[str]:
    return [] if track is None else [f"track={track}"]


# --- A link to a sample ---


def sample_of(query: Mapping[str, str], samples: Mapping[str, Path], texts: Texts) -> Path | None:
    """Return the sample that the page's address names (`?sample=NAME`), None if it names none.

    Raises `ParameterError` for an unknown name, with a sentence that lists the known ones.
    """
    name = query.get(SAMPLE)
    if not name:
        return None
    if name not in samples:
        raise ParameterError(texts("along.no_sample", name=name[:80], known=", ".join(samples)))
    return samples[name]
