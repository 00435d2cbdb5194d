"""Every format of a timeline, read back by a program or parser that others use."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import av
import numpy as np
import pandas as pd
import parselmouth
import pyarrow.parquet as pq
import pytest
import srt
import webvtt
from parselmouth.praat import call

from ser.timeline.formats import WRITERS, clock, write
from ser.timeline.segments import Segment, Timeline
from ser.types import EMOJI, EMOTIONS, Adaptation, ParameterError


def segment(start_s: float, end_s: float, label: str, confidence: float, *reasons: str) -> Segment:
    rest = (1 - confidence) / 7
    return Segment(start_s, end_s, label, {one: confidence if one == label else rest for one in EMOTIONS}, reasons)


# Two that touch, a pause, a doubtful one behind the first hour, silence to the end.
SEGMENTS = (
    segment(0.188, 3.0004375, "happy", 0.9123456789),
    segment(3.0004375, 4.75, "sad", 2 / 3, "close_call"),
    segment(3661.5, 3670.123, "surprised", 0.5, "clipped", "close_call"),
)
LONG = Timeline('talk, "first".wav', 3700.0, SEGMENTS, EMOTIONS, "voice")
SILENT = Timeline(None, 2.5, (), EMOTIONS, "voice")
FULL = Timeline("all.wav", 2.0, (segment(0.0, 2.0, "calm", 0.8),), EMOTIONS, "voice")
CAPTIONS = ["😄 happy 91%", "😢 sad? 67%", "😲 surprised? 50%"]


def test_json_is_the_form_of_all_interfaces():
    read = json.loads(write(LONG, "json"))
    assert read == LONG.to_dict()
    assert list(read) == ["file", "duration_s", "segments", "share", "model", "cut_off", "adapted", "track"]
    keys = ["start_s", "end_s", "label", "confidence", "probabilities", "uncertain", "reasons", "top"]
    keys += ["valence", "arousal", "channel"]
    assert all(list(found) == keys for found in read["segments"])
    assert [found["reasons"] for found in read["segments"]] == [[], ["close_call"], ["clipped", "close_call"]]
    assert read["segments"][1]["probabilities"]["sad"] == 0.666666667
    assert sum(read["share"].values()) == pytest.approx(1)


def test_csv_by_pandas_and_csv():
    text = write(LONG, "csv")
    read = pd.read_csv(io.StringIO(text))
    assert list(read["file"].unique()) == [LONG.file] and list(read["model"].unique()) == ["voice"]
    assert list(read["start_s"]) == [one.start_s for one in SEGMENTS]
    assert list(read["end_s"]) == [one.end_s for one in SEGMENTS]
    expected = [list(segment.probabilities.values()) for segment in SEGMENTS]
    np.testing.assert_allclose(read[list(EMOTIONS)], expected, rtol=1e-8)
    assert list(read["uncertain"]) == [False, True, True]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["reasons"] for row in rows] == ["", "close_call", "clipped close_call"]
    assert [row["top"].split() for row in rows] == [list(segment.top) for segment in SEGMENTS]
    assert {row["adapted_source"] for row in rows} == {""}


def test_csv_and_parquet_have_the_same_columns_and_say_what_the_answers_are_adapted_to():
    adapted = replace(LONG, adapted=Adaptation("calls", 20))
    read = pd.read_csv(io.StringIO(write(adapted, "csv")))
    assert list(read) == pq.read_table(io.BytesIO(write(adapted, "parquet"))).column_names
    assert set(read["adapted_source"]) == {"calls"} and set(read["adapted_clips"]) == {20}


def test_srt_by_srt():
    read = list(srt.parse(write(LONG, "srt")))
    assert [one.content for one in read] == CAPTIONS
    assert [one.index for one in read] == [1, 2, 3]
    times = [(one.start.total_seconds(), one.end.total_seconds()) for one in read]
    assert times == [(0.188, 3.0), (3.0, 4.75), (3661.5, 3670.123)]


def test_vtt_by_webvtt(tmp_path):
    path = tmp_path / "talk.vtt"
    path.write_text(write(LONG, "vtt"), encoding="utf-8")
    read = webvtt.read(path)
    assert [cue.text for cue in read] == CAPTIONS
    assert [(cue.start, cue.end) for cue in read][2] == ("01:01:01.500", "01:01:10.123")


@pytest.mark.parametrize(("format", "demuxer"), [("srt", "srt"), ("vtt", "webvtt")])
def test_subtitles_by_ffmpeg(format, demuxer):
    with av.open(io.BytesIO(write(LONG, format).encode())) as container:
        assert container.format.name == demuxer
        stream = container.streams.subtitles[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert [bytes(packet).decode() for packet in packets] == CAPTIONS
    starts = [float(packet.pts * stream.time_base) for packet in packets]
    lengths = [float(packet.duration * stream.time_base) for packet in packets]
    assert starts == pytest.approx([0.188, 3.0, 3661.5]) and lengths == pytest.approx([2.812, 1.75, 8.623])


def test_audacity_labels_are_three_columns():
    read = pd.read_csv(io.StringIO(write(LONG, "audacity")), sep="\t", header=None, names=["start", "end", "label"])
    assert list(read["start"]) == pytest.approx([one.start_s for one in SEGMENTS], abs=1e-6)
    assert list(read["end"]) == pytest.approx([one.end_s for one in SEGMENTS], abs=1e-6)
    assert list(read["label"]) == ["happy 91%", "sad? 67%", "surprised? 50%"]


def praat(timeline: Timeline, tmp_path) -> parselmouth.Data:
    """The timeline as Praat itself reads it."""
    path = tmp_path / "talk.TextGrid"
    path.write_text(write(timeline, "textgrid"), encoding="utf-8")
    return parselmouth.read(str(path))


def intervals(grid: parselmouth.Data, tier: int) -> list[tuple[float, float, str]]:
    numbers = range(1, call(grid, "Get number of intervals", tier) + 1)
    get = ("Get start time of interval", "Get end time of interval", "Get label of interval")
    return [tuple(call(grid, what, tier, number) for what in get) for number in numbers]


def test_textgrid_by_praat(tmp_path):
    grid = praat(LONG, tmp_path)
    assert call(grid, "Get end time") == LONG.duration_s
    assert [call(grid, "Get tier name", tier) for tier in (1, 2, 3)] == ["emotion", "confidence", "doubt"]
    found = intervals(grid, 1)
    assert [text for _, _, text in found] == ["", "happy", "sad", "", "surprised", ""]
    assert [start for start, _, _ in found] == [0, 0.188, 3.0004375, 4.75, 3661.5, 3670.123]
    assert [end for _, end, _ in found][:-1] == [start for start, _, _ in found][1:]
    assert [text for _, _, text in intervals(grid, 2)] == ["", "0.912", "0.667", "", "0.500", ""]
    assert [text for _, _, text in intervals(grid, 3)][4] == "clipped close_call"


def test_textgrid_without_and_with_nothing_but_speech(tmp_path):
    assert intervals(praat(SILENT, tmp_path), 1) == [(0, 2.5, "")]
    assert intervals(praat(FULL, tmp_path), 1) == [(0, 2, "calm")]


def test_without_speech_every_format_is_still_one():
    assert json.loads(write(SILENT, "json"))["segments"] == []
    assert json.loads(write(SILENT, "json"))["share"] == dict.fromkeys(EMOTIONS, 0.0)
    assert pd.read_csv(io.StringIO(write(SILENT, "csv"))).empty
    assert list(srt.parse(write(SILENT, "srt"))) == [] and write(SILENT, "audacity") == ""
    assert list(webvtt.from_string(write(SILENT, "vtt"))) == []


def test_every_emotion_has_its_caption():
    spoken = tuple(segment(float(i), i + 1.0, label, 0.9) for i, label in enumerate(EMOTIONS))
    read = srt.parse(write(Timeline("a.wav", 8.0, spoken, EMOTIONS, "voice"), "srt"))
    assert [one.content for one in read] == [f"{EMOJI[label]} {label} 90%" for label in EMOTIONS]


@pytest.mark.parametrize(
    ("time_s", "told"),
    [(0, "00:00:00.000"), (59.9996, "00:01:00.000"), (3599.9994, "00:59:59.999"), (14_400, "04:00:00.000")],
)
def test_clock_carries(time_s, told):
    assert clock(time_s) == told


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(
        ParameterError, match=r"Unknown format 'xls'; known: json, csv, srt, vtt, audacity, textgrid, parquet\."
    ):
        write(LONG, "xls")
    assert len({writer.ending for writer in WRITERS.values()}) == len(WRITERS)
