"""The Streamlit page: classifies recordings. Start it with `streamlit run app.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from html import escape
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import ser
from ser.inference.memory import freeze_loaded, tune_malloc
from ser.metrics import HUMAN
from ser.page import components, intake, strip, wording
from ser.page.answer import show_answer, show_example
from ser.page.hearing import Sound, hear, hear_long, listen_again
from ser.page.live import live
from ser.page.messages import translate
from ser.page.parts import compare, keep
from ser.page.parts.along import sample_of, take_along
from ser.page.parts.model_choice import choose_model
from ser.page.parts.mood import mood_map
from ser.page.parts.my_voice import me_too, offer, show_sources
from ser.page.parts.spoken import show_words
from ser.page.parts.why import explain, explanations, known_marks
from ser.page.recorder import record
from ser.page.serving import middleware
from ser.page.sources import Sources
from ser.page.texts import LANGUAGES, Texts, language_of
from ser.page.timeline import show_timeline
from ser.page.visit import Visit
from ser.types import ParameterError, Prediction, SerError, Timeline

HERE = Path(__file__).parent
SAMPLES = {path.stem: path for path in sorted((HERE / "samples").glob("*.flac"))}
MAX_MB = 120
PANELS = {"record": ":material/mic:", "add": ":material/upload_file:", "samples": ":material/graphic_eq:"}


@st.cache_resource(show_spinner=False)
def recognizer(name: str | None) -> ser.Recognizer:
    tune_malloc()
    model = ser.load(name)
    freeze_loaded()
    return model


def main() -> None:
    st.set_page_config("How does this voice sound?", page_icon="🎙️", layout="centered")
    st.html(HERE / "static" / "page.css")
    state = st.session_state
    texts = Texts(state.get("language") or language_of(st.context.locale))
    visit, sources = state.setdefault("visit", Visit()), state.setdefault("sources", Sources())
    with st.container(key="top-small" if len(visit) else "top"):
        header(texts, is_small=len(visit) > 0)
    try:
        model = recognizer(state.get("model"))
    except SerError as error:
        st.html(components.notice(texts("top.no_model"), translate(str(error), texts)))
        return
    if len(visit):
        st.empty()  # in the place of the page without an answer, which goes as a whole: nothing is left to jump
    with st.container(key="page" if len(visit) else "start"):
        body(visit, model, sources, texts)


def body(visit: Visit, model: ser.Recognizer, sources: Sources, texts: Texts) -> None:
    line = st.container(horizontal=True, key="line")
    sounds = [*linked(texts), *inputs(visit, line, texts)]
    working = st.empty()
    if sounds:
        with working:
            hear(model, visit, sounds, texts)
    chosen = sources.chosen(model)
    keep.keep_new(visit, chosen)
    with line:
        strip.show(visit, chosen, texts)
    with st.container(key="progress"):
        hear_long(visit, chosen, texts)
    with st.container(key="result"):
        show_result(visit, model, chosen, sources, texts)
    parts(visit, model, chosen, sources, texts)
    footer(model, texts)


# --- Top ---


def header(texts: Texts, *, is_small: bool) -> None:
    private = "top.private_kept" if keep.is_on() else "top.private"
    lead = "" if is_small else f"<p>{texts('top.lead')}</p>"
    st.html(
        f'<header class="top{" small" if is_small else ""}"><p class="brand"><span class="mark" aria-hidden="true">'
        "<i></i><i></i><i></i><i></i></span>ser"
        f"<span>{texts('top.name')}</span></p><h1>{texts('top.title')}</h1>{lead}"
        f'<p class="quiet">{texts(private)}</p></header>'
    )


# --- Input ---


def inputs(visit: Visit, line: DeltaGenerator, texts: Texts) -> list[Sound]:
    """Show the inputs, as one card before the first answer and as one line after it; return what is new."""
    if not len(visit):
        with st.container(border=True, key="input"):
            left, right = st.columns(2, gap="medium", vertical_alignment="center")
            with left:
                recorded = list(recordings(visit, texts))
            with right:
                uploaded = list(uploads(texts))
            return [*recorded, *uploaded, *samples(visit, texts)]
    with line:
        for panel, icon in PANELS.items():
            st.button(texts(f"input.{panel}"), icon=icon, on_click=toggle_panel, args=(panel,), key=f"open-{panel}")
    shown, place = st.session_state.get("panel"), st.empty()
    if not shown:
        return []
    with place.container(border=True, key="sheet"):
        if shown == "record":
            return list(recordings(visit, texts))
        return list(uploads(texts) if shown == "add" else samples(visit, texts))


def linked(texts: Texts) -> Iterator[Sound]:
    """Yield the sample that the page's address names, once a visit."""
    if st.session_state.setdefault("linked", False):
        return
    st.session_state.linked = True
    try:
        if path := sample_of(st.query_params, SAMPLES, texts):
            yield Sound(intake.named(path.read_bytes(), path.name), "sample")
    except ParameterError as error:
        st.session_state.refused = [str(error)]


def toggle_panel(panel: str) -> None:
    st.session_state.panel = None if st.session_state.get("panel") == panel else panel


def recordings(visit: Visit, texts: Texts) -> Iterator[Sound]:
    name = texts("input.recording", number=sum(each.kind == "microphone" for each in visit) + 1)
    if data := record(texts):
        yield Sound(intake.named(data, name), "microphone")
    with st.expander(texts("input.others"), on_change="rerun", key="others", type="compact") as others:
        if others.open:
            yield from other_recorders(visit, name, texts)


def other_recorders(visit: Visit, name: str, texts: Texts) -> Iterator[Sound]:
    """Show the two recorders that work in other ways, for browsers in which the first does not."""
    from audio_recorder_streamlit import audio_recorder  # here: its component is registered while a page runs

    st.html(f'<p class="how">{texts("input.others_pause")}</p>')
    paused = audio_recorder(text="", pause_threshold=1.5, icon_size="2x", key="pause")
    stopped = st.audio_input(texts("input.others_stop"), sample_rate=16000, key="stop")
    files = [intake.named(data, name) for data in (paused, stopped and stopped.getvalue()) if data]
    yield from (Sound(file, "microphone") for file in files if intake.upload_id(file) not in visit.uploads)


def uploads(texts: Texts) -> Iterator[Sound]:
    key = f"upload-{st.session_state.setdefault('uploads', 0)}"  # a new one after each upload, which keeps no file
    files = st.file_uploader(texts("input.upload"), accept_multiple_files=True, max_upload_size=MAX_MB, key=key)
    st.html(f'<p class="how">{texts("input.formats", mb=MAX_MB)}</p>')
    yield from (Sound(file, "file") for file in files)


def samples(visit: Visit, texts: Texts) -> Iterator[Sound]:
    st.html(f'<p class="how"><b>{texts("input.samples")}</b> {texts("input.synthetic")}</p>')
    with st.container(horizontal=True, key="samples"):
        for stem, path in SAMPLES.items():
            if st.button(texts(f"sample.{stem}"), key=stem):
                st.session_state.panel = None
                if known := next((each for each in visit if (each.kind, each.name) == ("sample", path.name)), None):
                    visit.show(known.id)
                    st.rerun()
                yield Sound(intake.named(path.read_bytes(), path.name), "sample")


# --- Answer ---


def show_result(visit: Visit, model: ser.Recognizer, chosen: ser.Recognizer, sources: Sources, texts: Texts) -> None:
    refused = [translate(sentence, texts) for sentence in st.session_state.get("refused", [])]
    if refused:
        several = texts("input.refused_several", count=len(refused))
        title = texts("input.refused") if len(refused) == 1 else several
        st.html(components.notice(title, *refused, texts("input.kept")))
    if sources.recognizers:
        known = {name: wording.source({"voice": "speaker"}.get(name, name), texts) for name in sources.recognizers}
        names = {name: wording.as_markdown(text) for name, text in known.items()}
        st.session_state.use = sources.in_use
        st.pills(
            texts("source.adapted_to"),
            list(names),
            format_func=names.__getitem__,
            key="use",
            on_change=lambda: sources.use(st.session_state.use),
        )
    offer(sources, visit, model, texts)
    recording = visit.current
    if recording is None:
        show_example(texts)
        return
    if recording.timeline is not None:
        with st.container(border=True, key="answer"):
            again = None if st.session_state.get("listening") else partial(listen_again, recording, chosen)
            show_timeline(recording, chosen, texts, listen_again=again)
        return
    prediction = visit.summary(recording, chosen)
    stretches = known_marks(recording, chosen, prediction.label, explanations())
    show_answer(recording, prediction, chosen, texts, stretches)


# --- On demand ---


def parts(visit: Visit, model: ser.Recognizer, chosen: ser.Recognizer, sources: Sources, texts: Texts) -> None:
    """Show the parts that open on demand, each with one job."""
    if recording := visit.current:
        answer = recording.timeline or visit.summary(recording, chosen)
        is_named = isinstance(answer, Timeline) or not wording.is_unnamed(answer)
        if isinstance(answer, Prediction) and is_named and visit.labels == "eight":
            part("why", texts, lambda: explain(recording, answer, chosen, texts))
        part("words", texts, lambda: show_words(visit, recording, texts))
        if is_named:
            part("mood", texts, lambda: mood_map(answer, texts))
        part("visit", texts, lambda: this_visit(visit, chosen, texts))
        whole = recording.timeline or visit.answer(recording, chosen)  # all labels, as every interface gives them
        part("along", texts, lambda: take_along(recording, whole, chosen, texts))
    part("source", texts, lambda: voice_and_source(visit, model, sources, texts))
    part("live", texts, lambda: show_live(visit, chosen, texts))
    part("model", texts, lambda: choose_model(visit, model, recognizer, texts))


def part(key: str, texts: Texts, show: Callable[[], None]) -> None:
    with st.expander(texts(f"{key}.title"), on_change="rerun", key=f"part-{key}") as panel:
        if panel.open:
            show()


def this_visit(visit: Visit, chosen: ser.Recognizer, texts: Texts) -> None:
    compare.show(visit, chosen, texts)
    if keep.is_offered():
        keep.show(visit, texts)


def show_live(visit: Visit, chosen: ser.Recognizer, texts: Texts) -> None:
    number = sum(each.kind == "live" for each in visit) + 1
    if wav := live(texts, chosen):
        hear(chosen, visit, [Sound(intake.named(wav, texts("live.session", number=number)), "live")], texts)


def voice_and_source(visit: Visit, model: ser.Recognizer, sources: Sources, texts: Texts) -> None:
    if visit.current:
        me_too(sources, visit.current, model, texts)
    show_sources(sources, visit, model, texts, record)


# --- Foot ---


def footer(model: ser.Recognizer, texts: Texts) -> None:
    score = wording.score(model.artifact.manifest["metrics"], len(model.labels), HUMAN, texts)
    version = texts("foot.version", version=ser.__version__, model=model.name)
    st.html(
        f"<footer><p><b>{texts('foot.is')}</b> {texts('foot.is.text')} {score}</p>"
        f"<p><b>{texts('foot.not')}</b> {texts('foot.not.text')}</p><p class='version'>{escape(version)}</p></footer>"
    )
    st.session_state.setdefault("language", texts.language)
    st.segmented_control(
        texts("foot.language"),
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        required=True,
        key="language",
        label_visibility="collapsed",
    )


if __name__ == "__main__":
    main()
else:  # imported by `streamlit run`, which serves an application that it finds
    app = st.App(__file__, middleware=middleware(HERE / "static" / "page.css", "app/static/figtree.woff2"))
