"""Channels and sound tracks: the mean, one of them or each, of files and of arrays, and how exports name them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from cases import made
from command_line import run
from golden.make import RATE, voice
from service_client import new_client

import ser
from ser.audio.loading import channels_of_samples, load_channels, load_waveform, open_recording, waveform_of_samples
from ser.service.settings import Settings
from ser.timeline.formats import write
from ser.types import EMOTIONS, AudioError, ParameterError, Segment, Timeline

MODEL = "dense105"
LEFT, RIGHT = 0.5 * voice(1.0), 0.3 * voice(1.0, 210.0)
CALL = np.stack([LEFT, RIGHT], axis=1)


def encoded(samples: np.ndarray, format: str = "WAV", subtype: str | None = "FLOAT", rate: int = RATE) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def named(waveforms: list) -> list[tuple[str | None, np.ndarray]]:
    return [(waveform.channel, waveform.samples) for waveform in waveforms]


# --- Files and arrays ---


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        ("mix", {None: (LEFT + RIGHT) / 2}),
        ("left", {"left": LEFT}),
        ("right", {"right": RIGHT}),
        ("each", {"left": LEFT, "right": RIGHT}),
    ],
)
def test_channels_of_a_call(channels, expected):
    of_file = load_channels(encoded(CALL), channels=channels)
    of_array = channels_of_samples(CALL.astype(np.float32), RATE, RATE, channels=channels)
    for found in (of_file, of_array, channels_of_samples(CALL.T.astype(np.float32), RATE, RATE, channels=channels)):
        assert [waveform.channel for waveform in found] == list(expected)
        for waveform, samples in zip(found, expected.values(), strict=True):
            np.testing.assert_allclose(waveform.samples, samples, atol=1e-6)


def test_channels_are_numbered_where_there_are_more_than_two():
    four = np.stack([LEFT, RIGHT, 0.1 * LEFT, 0 * LEFT], axis=1)
    each = load_channels(encoded(four, "FLAC", "PCM_16"))
    assert [waveform.channel for waveform in each] == ["1", "2", "3", "4"]
    np.testing.assert_allclose(each[2].samples, four[:, 2], atol=1e-4)
    np.testing.assert_allclose(load_waveform(encoded(four), channels="right").samples, RIGHT, atol=1e-6)
    assert not each[3].samples.any()


@pytest.mark.parametrize("channels", ["left", "right", "each"])
def test_one_channel_is_mono_whatever_is_chosen(channels):
    (only,) = load_channels(encoded(LEFT), channels=channels)
    assert only.channel == "mono"
    np.testing.assert_allclose(only.samples, LEFT, atol=1e-6)


@pytest.mark.parametrize("channels", ["mix", "left", "each"])
def test_channels_do_not_depend_on_blocks_or_the_rate(channels):
    at_48k = encoded(np.repeat(CALL, 3, axis=0), rate=3 * RATE)
    expected = load_channels(at_48k, channels=channels)
    with open_recording(at_48k) as recording:
        blocks = list(recording.channel_blocks(RATE, 0.1, channels=channels))
    for waveform, pieces in zip(expected, zip(*blocks, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(pieces), waveform.samples)


def test_only_the_clipped_channel_is_called_so():
    loud = np.clip(8 * LEFT, -0.9, 0.9)
    left, right = load_channels(encoded(np.stack([loud, RIGHT], axis=1)))
    assert (left.clipped, right.clipped) == (True, False)
    assert load_waveform(encoded(np.stack([loud, RIGHT], axis=1))).clipped


def test_channels_that_cancel_are_heard_apart():
    left, right = load_channels(encoded(np.stack([LEFT, -LEFT], axis=1)))
    np.testing.assert_allclose(left.samples, -right.samples)
    assert np.abs(load_waveform(encoded(np.stack([LEFT, -LEFT], axis=1))).samples).max() > 0.1


def test_choices_that_are_refused():
    for function in (load_waveform, lambda data, **options: ser.load(MODEL).predict(data, **options), load_channels):
        with pytest.raises(ParameterError, match="Unknown choice of channels 'both'; known: mix, left, right, each"):
            function(encoded(CALL), channels="both")
    with pytest.raises(ParameterError, match="One waveform has one channel"):
        load_waveform(encoded(CALL), channels="each")
    assert waveform_of_samples(CALL, RATE, RATE, channels="left").channel == "left"


# --- Tracks ---

TWO_TRACKS = "mp4-two-tracks-first-silent.mp4"


def test_a_track_that_is_not_there():
    with pytest.raises(AudioError, match=r"this recording has 1 sound track, found track=2\. Choose one of them"):
        load_waveform(encoded(CALL), track=2)
    for track in (0, -1):
        with pytest.raises(AudioError, match=f"found track={track}"):
            load_waveform(encoded(CALL), track=track)
    assert load_waveform(encoded(CALL), track=1).track is None  # there is nothing to choose
    for track in ("1", 1.5, True):
        with pytest.raises(ParameterError, match=r"track is a whole number from 1, found"):
            load_waveform(encoded(CALL), track=track)


@pytest.mark.slow
def test_the_track_that_sounds_is_chosen_and_named():
    data = made(TWO_TRACKS)
    with open_recording(data) as recording:
        n_tracks, chosen = recording.n_tracks, recording.track
    assert n_tracks > 1 and load_waveform(data).track == chosen
    assert np.abs(load_waveform(data).samples).max() > 0.01
    for track in range(1, n_tracks + 1):
        assert load_waveform(data, track=track).track == track
    with pytest.raises(AudioError, match=f"has {n_tracks} sound tracks, found track={n_tracks + 1}"):
        load_waveform(data, track=n_tracks + 1)


# --- Interfaces ---


@pytest.fixture(scope="module")
def call(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("call") / "call.wav"
    path.write_bytes(encoded(CALL, subtype="PCM_16"))
    return path


def test_answers_name_their_channel(call):
    recognizer = ser.load(MODEL)
    left, right = recognizer.predict(call, channels="each")
    assert (left.channel, right.channel) == ("left", "right") and left.to_dict()["channel"] == "left"
    assert recognizer.predict(call, channels="right") == right
    samples = sf.read(call, dtype="int16")[0]
    assert [one.probabilities for one in recognizer.predict(samples, sample_rate=RATE, channels="each")] == [
        left.probabilities,
        right.probabilities,
    ]
    assert recognizer.predict(call).channel is None


@pytest.mark.slow
def test_command_line_and_service_give_the_same(call):
    expected = [answer.to_dict() for answer in ser.load(MODEL).predict(call, channels="each")]
    result = run("predict", call, "--model", MODEL, "--channels", "each", "--format", "json")
    found = json.loads(result.stdout)
    with new_client(Settings()) as client:
        sent = {"files": {"file": ("call.wav", call.read_bytes())}}
        served = client.post(f"/predict?channels=each&model={MODEL}", **sent).json()
        refused = client.post("/predict?channels=both", **sent)
    for each in (found, served):
        assert [one["channel"] for one in each] == ["left", "right"]
        assert [one["probabilities"] for one in each] == [one["probabilities"] for one in expected]
    assert refused.status_code == 422 and "channels" in refused.json()["message"]


# --- Exports ---


def segment(channel: str, start_s: float, end_s: float, label: str, *reasons: str) -> Segment:
    shares = {one: 0.86 if one == label else 0.02 for one in EMOTIONS}
    return Segment(start_s, end_s, label, shares, reasons, channel=channel)


TALK = Timeline(
    "call.wav",
    10.0,
    (
        segment("left", 0.5, 2.0, "happy"),
        segment("right", 1.5, 4.0, "sad", "close_call"),
        segment("left", 5.0, 6.0, "calm"),
    ),
    EMOTIONS,
    MODEL,
    channels=("left", "right"),
)


def test_each_side_has_tiers_in_a_textgrid():
    text = write(TALK, "textgrid")
    assert isinstance(text, str)
    tiers = {tier.split('name = "')[1].split('"')[0]: tier for tier in text.split("item [")[2:]}
    names = [f"{kind} {side}" for side in ("left", "right") for kind in ("emotion", "confidence", "doubt")]
    assert list(tiers) == names and f"size = {len(names)}" in text
    labels = {name: [line.split('"')[1] for line in tiers[name].splitlines() if "text =" in line] for name in names}
    assert labels["emotion left"] == ["", "happy", "", "calm", ""]
    assert labels["emotion right"] == ["", "sad", ""] and labels["doubt right"] == ["", "close_call", ""]


def test_captions_and_labels_begin_with_the_side():
    for format in ("srt", "vtt", "audacity"):
        text = write(TALK, format)
        assert isinstance(text, str)
        sides = (("left", "happy"), ("right", "sad?"), ("left", "calm"))
        captions = [text.index(f"{side}: {label}") for side, label in sides]
        assert captions == sorted(captions)


def test_tables_have_a_column_of_sides():
    text = write(TALK, "csv")
    assert isinstance(text, str)
    assert [row["channel"] for row in csv.DictReader(io.StringIO(text))] == ["left", "right", "left"]
    assert [one["channel"] for one in json.loads(write(TALK, "json"))["segments"]] == ["left", "right", "left"]
    assert ser.to_pandas(TALK)["channel"].tolist() == ["left", "right", "left"]


def test_a_side_by_itself():
    left = TALK.of_channel("left")
    assert [one.label for one in left.segments] == ["happy", "calm"] and left.channels == ("left",)
    assert left.speech_s == 2.5 and TALK.speech_s == 5.0
    assert not TALK.of_channel("middle").segments
