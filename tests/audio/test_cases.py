"""Recordings as people met them (`cases`): on every door each is answered or refused, and costs no other its answer."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pyarrow.parquet as pq
import pytest
from cases import CASES, Case, made
from command_line import run
from service_client import as_answer, new_client

import ser
from ser.audio.files import SOUND_ENDINGS
from ser.audio.loading import load_waveform
from ser.batch.run import batch
from ser.service.settings import Settings
from ser.service.uploads import MAX_FILES
from ser.types import AudioError, Prediction

pytestmark = pytest.mark.slow

MODEL = "dense105"
HEARD = {name: case for name, case in CASES.items() if not case.refusal}
INTACT = {name: case for name, case in HEARD.items() if not case.cut_off}
TOLERANCE_S = 0.05
# Kinds whose bytes do not tell that some are missing.
NO_SIZE = "written into a pipe, or by a recorder that died: no size says how much there should be"
LISTS = {"reasons", "quality", "top"}  # joined by spaces in a table
UNTOLD = {
    "joined.amr": "a cut between two parts leaves whole ones",
    **{name: NO_SIZE for name in INTACT if name.startswith("wav-pipe-")},
    **dict.fromkeys(("wav-size-0.wav", "wav-size-0-short.wav", "wav-size-minus-1.wav"), NO_SIZE),
    **dict.fromkeys(("aiff-pipe.aiff", "au-pipe.au", "w64-pipe.w64"), NO_SIZE),
    **dict.fromkeys(("xi-dpcm-8.xi", "xi-dpcm-16.xi"), "libsndfile writes a size of 0"),
    "wav-size-of-first-flush.wav": "what is cut off stands behind the size, and is not heard in the whole file either",
}
SHARES = 0.41, 0.66, 0.88  # of the bytes that are left


@pytest.fixture(scope="module", autouse=True)
def model() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_MODEL", MODEL)
        yield


@pytest.fixture(scope="module")
def recognizer(model) -> ser.Recognizer:
    return ser.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Write all cases into one folder."""
    folder = tmp_path_factory.mktemp("cases")
    for name in CASES:
        (folder / name).write_bytes(made(name))
    return folder


@pytest.fixture(scope="module")
def answers(folder, recognizer) -> dict[str, Prediction | str]:
    """Return the prediction for every case, or the sentence that refuses it."""
    return {name: _answer(recognizer, folder / name) for name in CASES}


def _answer(recognizer: ser.Recognizer, path: Path) -> Prediction | str:
    try:
        return replace(recognizer.predict(load_waveform(path)), file=path.name)
    except AudioError as error:
        return str(error)


def _row(answer: Prediction | str, file: str) -> dict[str, Any]:
    return {"file": file, "error": answer} if isinstance(answer, str) else {**answer.to_dict(), "file": file}


# --- What each gives ---


@pytest.mark.parametrize("name", HEARD)
def test_a_case_is_heard_to_its_end(name):
    case, data = CASES[name], made(name)
    waveform = load_waveform(data)
    assert waveform.cut_off == case.cut_off
    assert waveform.duration_s == pytest.approx(case.seconds, abs=TOLERANCE_S)
    ffmpeg_s = case.seconds if case.ffmpeg_s is None else case.ffmpeg_s
    assert decoded_by_ffmpeg(data) == pytest.approx(ffmpeg_s, abs=TOLERANCE_S)


def decoded_by_ffmpeg(data: bytes) -> float:
    """Return the seconds that FFmpeg decodes of the first sound track."""
    seconds = 0.0
    try:
        with av.open(io.BytesIO(data)) as box:
            for packet in box.demux(audio=0):
                try:
                    seconds += sum(frame.samples / frame.sample_rate for frame in packet.decode())
                except av.FFmpegError:  # as the program: the packet is left out
                    continue
    except av.FFmpegError:
        return 0.0
    return seconds


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.refusal])
def test_a_case_is_refused_with_a_sentence(name, folder):
    with pytest.raises(AudioError) as raised:
        load_waveform(folder / name)
    sentence = str(raised.value)
    assert sentence.startswith(f"{name}: ") and CASES[name].refusal in sentence and sentence.endswith(".")


@pytest.mark.parametrize("name", INTACT)
def test_what_is_missing_is_told(name):
    """A truncated recording is `cut_off`, or refused with a sentence."""
    data = made(name)
    told = [_is_told(data[: round(share * len(data))], INTACT[name]) for share in SHARES]
    assert all(told) or name in UNTOLD
    assert not (all(told) and name in UNTOLD)


def _is_told(data: bytes, case: Case) -> bool:
    try:
        waveform = load_waveform(data)
    except AudioError as error:
        assert str(error).endswith(".")
        return True
    assert waveform.duration_s < case.seconds + TOLERANCE_S
    return waveform.cut_off


# --- Interfaces ---


def test_predict_on_the_command_line(folder, answers):
    others = [name for name in CASES if Path(name).suffix not in SOUND_ENDINGS]
    result = run("predict", folder, *(folder / name for name in others), "--format", "json")
    assert result.exit_code == 2 and all(f" {Path(name).suffix}" in result.stderr for name in others)
    names = [*sorted(CASES.keys() - others), *others]
    assert json.loads(result.stdout) == [_row(answers[name], str(folder / name)) for name in names]


def test_batch(folder, answers, recognizer, tmp_path):
    report = batch(str(folder), tmp_path / "out", MODEL, jobs=1, adapt="none")
    rows = {Path(row["file"]).name: row for row in pq.read_table(tmp_path / "out").to_pylist()}
    assert rows.keys() == {name for name in CASES if Path(name).suffix in SOUND_ENDINGS}
    for name, row in rows.items():
        expected = _row(answers[name], str(folder / name))
        assert {key: row[key] for key in expected.keys() & row.keys() - LISTS} == {
            key: value for key, value in expected.items() if key in row and key not in LISTS
        }
    assert report["failed"] == sum(isinstance(answers[name], str) for name in rows)


def test_service(folder, answers):
    names = list(CASES)
    with new_client(Settings()) as client:
        for name in names:
            response = client.post("/predict", files={"file": (name, made(name))})
            served = response.json()
            _check_served({**served, "error": served.get("message")} if "message" in served else served, answers[name])
            assert response.status_code == (422 if isinstance(answers[name], str) else 200)
        for start in range(0, len(names), MAX_FILES):
            sent = names[start : start + MAX_FILES]
            response = client.post("/batch", files=[("files", (name, made(name))) for name in sent])
            assert response.status_code == 200
            for name, served in zip(sent, response.json(), strict=True):
                _check_served(served, answers[name])


def _check_served(served: dict[str, Any], answer: Prediction | str) -> None:
    if isinstance(answer, str):
        assert (served["error"], served["code"]) == (answer, "audio")
    else:
        assert served == as_answer(answer.to_dict())


@pytest.mark.parametrize("name", CASES)
def test_timeline(name, folder, recognizer):
    case = CASES[name]
    if case.refusal:
        with pytest.raises(AudioError, match=re.escape(case.refusal)):
            recognizer.timeline(folder / name)
        return
    timeline = recognizer.timeline(folder / name, jobs=1)
    seconds = case.seconds if case.timeline_s is None else case.timeline_s
    assert timeline.duration_s == pytest.approx(seconds, abs=0.1) and timeline.cut_off == case.cut_off
