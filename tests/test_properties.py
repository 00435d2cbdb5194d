"""Properties of the pure functions, on values that hypothesis chooses: the same in every run."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import parselmouth
import pytest
import soundfile as sf
import srt
import webvtt
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from parselmouth.praat import call

from ser import metrics
from ser.audio.loading import load_waveform
from ser.audio.pcm import wav_header
from ser.datasets.splits import check_split, inner_split, random_split, speaker_folds
from ser.features.preprocessing import TOP_DB, normalise, prepare, trim, windows
from ser.features.spectral import HOP_LENGTH, N_FFT
from ser.inference.live import STEP_S, Stream
from ser.tables import columns, flat, read_rows, to_parquet
from ser.timeline.formats import clock, write
from ser.types import EMOTIONS, REASONS, Clip, Failure, ParameterError, Prediction, Segment, SerError, Timeline, Word

pytestmark = pytest.mark.slow
settings.register_profile("ser", max_examples=20, deadline=None, derandomize=True, database=None)
settings.load_profile("ser")

RATE = 16_000
rates = st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000])
fractions = st.floats(0, 1)


# --- Scores ---


@st.composite
def answered(draw) -> tuple[np.ndarray, np.ndarray, int]:
    """True labels, predicted ones, and the number of labels."""
    n_labels, n_clips = draw(st.integers(2, 8)), draw(st.integers(1, 60))
    labels = arrays(int, n_clips, elements=st.integers(0, n_labels - 1))
    return draw(labels), draw(labels), n_labels


@st.composite
def confident(draw) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and which answers were right."""
    n_clips = draw(st.integers(1, 60))
    return draw(arrays(float, n_clips, elements=fractions)), draw(arrays(bool, n_clips))


@given(answered())
def test_scores_lie_between_0_and_1_and_1_is_all_right(given):
    truth, predicted, n_labels = given
    confusion = metrics.confusion_matrix(truth, predicted, n_labels)
    assert confusion.sum() == len(truth)
    perfect = metrics.confusion_matrix(truth, truth, n_labels)
    for score in (metrics.accuracy, metrics.uar, metrics.macro_f1):
        assert 0 <= score(confusion) <= 1 == score(perfect)
    assert metrics.accuracy(confusion) == pytest.approx(np.mean(truth == predicted))


@given(answered(), st.randoms(use_true_random=False))
def test_the_names_of_labels_change_no_score(given, chance):
    truth, predicted, n_labels = given
    other = np.array(chance.sample(range(n_labels), n_labels))
    before, after = (
        metrics.confusion_matrix(*pair, n_labels) for pair in ((truth, predicted), other[[truth, predicted]])
    )
    for score in (metrics.accuracy, metrics.uar, metrics.macro_f1):
        assert score(before) == pytest.approx(score(after))


@given(answered())
def test_merged_labels_lose_no_clip_and_never_lower_the_accuracy(given):
    truth, predicted, n_labels = given
    labels = EMOTIONS[:n_labels]
    before = metrics.confusion_matrix(truth, predicted, n_labels)
    after = metrics.merged(before, labels)
    assert after.sum() == before.sum() and len(after) == n_labels - 1
    assert metrics.accuracy(after) >= metrics.accuracy(before)


@given(confident())
def test_reliability_counts_every_clip(given):
    confidence, correct = given
    mean_confidence, accuracy, count = metrics.reliability(confidence, correct)
    assert count.sum() == len(correct) and (count > 0).all()
    assert np.sum(count * accuracy) == pytest.approx(correct.sum())
    assert (np.diff(mean_confidence) >= 0).all()
    assert 0 <= metrics.calibration_error(confidence, correct) <= 1


@given(confident(), fractions)
def test_a_threshold_gives_the_wanted_accuracy_or_refuses_all(given, wanted):
    confidence, correct = given
    coverage, accuracy = metrics.risk_coverage(confidence, correct)
    assert (np.diff(coverage) > 0).all() and coverage[-1] == 1 and accuracy[-1] == pytest.approx(correct.mean())
    accepted = confidence >= metrics.confidence_threshold(confidence, correct, wanted)
    assert not accepted.any() or correct[accepted].mean() >= wanted - 1e-12


@given(arrays(float, (5, 8), elements=st.floats(-700, 700)))
def test_softmax_gives_probabilities_in_the_order_of_the_scores(scores):
    probabilities = metrics.softmax(scores)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities >= 0).all()
    np.testing.assert_array_equal(np.sort(probabilities), np.take_along_axis(probabilities, np.argsort(scores), axis=1))


# --- PCM ---


@given(st.binary(max_size=400), rates, st.integers(1, 8))
def test_a_wav_holds_its_samples_bit_by_bit(data, rate, channels):
    pcm = data[: len(data) // (2 * channels) * 2 * channels]
    read, read_rate = sf.read(io.BytesIO(wav_header(rate, channels, len(pcm)) + pcm), dtype="int16", always_2d=True)
    assert read_rate == rate and read.shape[1] == channels and read.tobytes() == pcm


@given(arrays(np.int16, st.integers(1, 300)))
def test_loaded_samples_are_those_of_the_wav(samples):
    loaded = load_waveform(wav_header(RATE, 1, samples.nbytes) + samples.tobytes())
    np.testing.assert_array_equal(loaded.samples, samples / np.float32(2**15))


@given(st.integers(0, 40_000), st.lists(st.integers(1, 9_000), min_size=1, max_size=8), st.integers(1, 2))
def test_pieces_of_a_stream_make_no_difference(n_bytes, pieces, channels):
    pcm = bytes(range(256)) * (n_bytes // 256 + 1)
    stream, parts, start, due = Stream(8_000, channels), [*pieces, 40_000], 0, []
    for length in parts:
        due += list(stream.add(pcm[start : min(start + length, n_bytes)]))
        start += length
    whole = Stream(8_000, channels)
    assert due == list(whole.add(pcm[:n_bytes])) and stream.whole() == whole.whole()
    assert [t_s for t_s, _ in due] == [STEP_S * k for k in range(1, len(due) + 1)]
    assert sf.info(io.BytesIO(stream.whole()[1])).frames == n_bytes // (2 * channels)


# --- Preprocessing ---


@st.composite
def sounds(draw) -> np.ndarray:
    """Noise, silence and offsets of chosen lengths and levels, one behind the other."""
    chance = np.random.default_rng(draw(st.integers(0, 99)))
    parts = draw(st.lists(st.tuples(st.integers(1, 12_000), st.floats(-80, 0), fractions), min_size=1, max_size=5))
    noise = [10 ** (db / 20) * chance.uniform(-1, 1, n) * (share > 0.3) for n, db, share in parts]
    return np.concatenate(noise).astype(np.float32)


@given(sounds(), st.integers(1, 9_000))
def test_windows_cover_every_sample_in_order(samples, length):
    assume(length > 1)
    parts = windows(samples, length)
    assert all(len(part) == min(length, len(samples)) for part in parts)
    starts = [(part.__array_interface__["data"][0] - parts[0].__array_interface__["data"][0]) // 4 for part in parts]
    assert starts[0] == 0 and starts[-1] + len(parts[-1]) == len(samples)
    assert all(0 < step <= max(1, length // 2) for step in np.diff(starts))


@given(sounds(), st.integers(-12, 12))
def test_trim_ignores_the_level_and_leaves_out_only_silence(samples, exponent):
    start, end = trim(samples)
    assert 0 <= start < end <= len(samples)
    assert trim(samples * np.float32(2.0**exponent)) == (start, end)  # a gain that rounds nothing
    outside = np.concatenate([samples[: max(0, start - N_FFT)], samples[end + N_FFT :]])
    assert np.abs(outside).max(initial=0) <= np.abs(samples).max() * math.sqrt(N_FFT) * 10 ** (-TOP_DB / 20)


@given(sounds(), st.integers(0, 40_000))
def test_digital_silence_around_a_sound_is_trimmed(samples, n_zeros):
    assume(np.abs(samples).max() > 1e-3)
    start, end = trim(np.concatenate([np.zeros(n_zeros, np.float32), samples, np.zeros(n_zeros, np.float32)]))
    assert start > n_zeros - N_FFT - HOP_LENGTH and end < n_zeros + len(samples) + N_FFT + HOP_LENGTH


@given(sounds())
def test_normalised_samples_have_a_peak_of_1_or_are_silent(samples):
    assert np.abs(normalise(samples)).max() == pytest.approx(1.0 if samples.any() else 0.0)


@given(sounds(), st.floats(-0.5, 0.5), rates)
def test_prepared_sound_is_finite_and_lies_within_the_recording(samples, offset, rate):
    samples = (samples + offset).astype(np.float32)
    prepared = prepare(samples, rate)
    assert np.isfinite(prepared.samples).all() and 0 < len(prepared.samples) <= prepared.end - prepared.start
    assert 0 <= prepared.start < prepared.end <= len(samples)


# --- Timelines ---

# Words and names may be anything that an engine or a file system gives, but for line ends.
texts = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="\u2028\u2029"), min_size=1, max_size=9)


@st.composite
def probabilities(draw) -> dict[str, float]:
    weights = np.array(draw(st.lists(st.floats(0.01, 1), min_size=8, max_size=8)))
    return dict(zip(EMOTIONS, (weights / weights.sum()).tolist(), strict=True))


reasons = st.lists(st.sampled_from(sorted(REASONS)), max_size=2, unique=True).map(tuple)


@st.composite
def timelines(draw, spoken: bool | None = None) -> Timeline:
    """Timelines of segments in order, with words or without; times are those of samples at 16 kHz."""
    edges = sorted(draw(st.lists(st.integers(0, 4 * 3600 * RATE), max_size=8, unique=True)))
    times = [edge / RATE for edge in edges]
    spoken = draw(st.booleans()) if spoken is None else spoken
    segments = []
    for start_s, end_s in zip(times[::2], times[1::2], strict=False):
        shares = draw(probabilities())
        words = (Word(draw(texts), start_s, end_s),) if spoken else None
        segments.append(Segment(start_s, end_s, max(shares, key=shares.__getitem__), shares, draw(reasons), words))
    text = " ".join(segment.text for segment in segments) if spoken else None
    return Timeline("a.wav", max([1.0, *times]), tuple(segments), EMOTIONS, "voice", text=text)


@given(timelines())
def test_srt_is_read_back(timeline):
    cues = list(srt.parse(write(timeline, "srt")))
    assert [cue.index for cue in cues] == [*range(1, len(timeline.segments) + 1)]
    for cue, segment in zip(cues, timeline.segments, strict=True):
        assert cue.start.total_seconds() == pytest.approx(segment.start_s, abs=0.000501)
        assert cue.end.total_seconds() == pytest.approx(segment.end_s, abs=0.000501)
        caption, *text = cue.content.split("\n")
        assert segment.label in caption and text == ([segment.text] if segment.text else [])


@given(timelines())
def test_vtt_is_read_back(timeline):
    cues = list(webvtt.from_string(write(timeline, "vtt")))
    assert [(cue.start, cue.end) for cue in cues] == [(clock(s.start_s), clock(s.end_s)) for s in timeline.segments]
    for cue, segment in zip(cues, timeline.segments, strict=True):
        caption, *text = cue.raw_text.split("\n")
        assert segment.label in caption
        unescaped = [line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for line in text]
        assert unescaped == ([segment.text] if segment.text else [])


@given(timelines())
def test_textgrid_is_read_back_by_praat(tmp_path_factory, timeline):
    path = tmp_path_factory.getbasetemp() / "talk.TextGrid"
    path.write_text(write(timeline, "textgrid"), encoding="utf-8")
    grid = parselmouth.read(str(path))
    tiers = ["emotion", "confidence", "doubt", *(["words"] if timeline.text is not None else [])]
    assert [call(grid, "Get tier name", tier) for tier in range(1, len(tiers) + 1)] == tiers
    get = ("Get start time of interval", "Get end time of interval", "Get label of interval")
    for tier, named in ((1, lambda segment: segment.label), (len(tiers), lambda segment: segment.text)):
        count = call(grid, "Get number of intervals", tier)
        found = [tuple(call(grid, what, tier, number) for what in get) for number in range(1, count + 1)]
        assert found[0][0] == 0 and found[-1][1] == pytest.approx(timeline.duration_s)
        assert [end for _, end, _ in found[:-1]] == [start for start, _, _ in found[1:]]
        if tier == 1 or timeline.text is not None:
            expected = [(segment.start_s, named(segment)) for segment in timeline.segments]
            assert [(start, text) for start, _, text in found if text] == expected


@given(timelines())
def test_csv_is_read_back(timeline):
    rows = list(csv.DictReader(io.StringIO(write(timeline, "csv"))))
    for row, segment in zip(rows, timeline.segments, strict=True):
        assert (float(row["start_s"]), row["label"]) == (pytest.approx(segment.start_s), segment.label)
        assert sum(float(row[label]) for label in EMOTIONS) == pytest.approx(1)
        assert row["reasons"].split() == list(segment.reasons) and row.get("text", "") == segment.text


@given(timelines())
def test_shares_are_those_of_the_time_spoken(timeline):
    assert sum(timeline.share.values()) == pytest.approx(1 if timeline.segments else 0)
    assert timeline.speech_s <= timeline.duration_s + 1e-6


@given(st.floats(0, 4 * 3600))
def test_a_clock_is_right_to_a_millisecond(time_s):
    hours, minutes, seconds = clock(time_s).split(":")
    assert int(hours) * 3600 + int(minutes) * 60 + float(seconds) == pytest.approx(time_s, abs=0.000501)
    assert float(seconds) < 60 > int(minutes)


# --- Tables ---

names = st.text(max_size=12)  # surrogates included: a file's name need not be UTF-8


@st.composite
def results(draw) -> Prediction | Failure:
    if draw(st.booleans()):
        return Failure(draw(names), SerError(draw(texts)))
    shares = draw(probabilities())
    label = max(shares, key=shares.__getitem__)
    return Prediction(label, shares, draw(reasons), draw(st.floats(0.01, 120)), "voice", file=draw(names))


@given(st.lists(results(), max_size=5))
def test_parquet_is_read_back(tmp_path_factory, items):
    path = tmp_path_factory.getbasetemp() / "answers.parquet"
    path.write_bytes(to_parquet([item.to_dict() for item in items], EMOTIONS))
    for row, item in zip(read_rows(path), items, strict=True):
        if isinstance(item, Failure):
            assert row == {"error": str(item.error)}
        else:
            expected = (item.label, item.uncertain, list(item.reasons), None)
            assert tuple(row[key] for key in ("label", "uncertain", "reasons", "error")) == expected
            assert row["confidence"] == pytest.approx(item.confidence)


@given(results())
def test_a_row_has_known_columns_and_text_that_utf8_holds(item):
    row = flat(item.to_dict())
    assert set(row) <= set(columns(EMOTIONS))
    assert all(value.encode() is not None for value in row.values() if isinstance(value, str))


# --- Splits ---


@st.composite
def corpora(draw) -> list[Clip]:
    """Clips of one to fourteen speakers in two corpora, any number of each emotion."""
    speakers = draw(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 20)), min_size=1, max_size=14, unique=True)
    )
    clips = []
    for corpus, number in speakers:
        for emotion in draw(st.lists(st.sampled_from(EMOTIONS[:4]), min_size=1, max_size=4)):
            speaker = f"{corpus}/{number}"
            clips.append(Clip(f"{speaker}/{len(clips)}.wav", emotion, speaker, corpus))
    return clips


@given(corpora())
def test_folds_test_every_clip_once_and_never_leak(clips):
    assume(len({clip.speaker for clip in clips}) > 1)
    folds = speaker_folds(clips)
    assert sorted(index for fold in folds for index in fold.test) == [*range(len(clips))]
    for fold in folds:
        assert sorted((*fold.train, *fold.test)) == [*range(len(clips))]
        check_split(clips, fold)


@given(corpora(), st.integers(0, 9), st.floats(0.05, 0.95))
def test_a_random_split_keeps_every_clip_and_its_copies_on_one_side(clips, seed, share):
    pairs = [(first, first + 1) for first in range(0, len(clips) - 1, 5)]
    try:
        split = random_split(clips, seed, share, pairs)
    except ParameterError:
        return  # too few clips; `test_splits.py` says when
    assert sorted((*split.train, *split.test)) == [*range(len(clips))]
    check_split(clips, split, by_speaker=False, duplicates=pairs)
    assert split == random_split(clips, seed, share, pairs)


@given(corpora(), st.integers(0, 9))
def test_inner_speakers_are_held_out_whole(clips, seed):
    assume(len({clip.speaker for clip in clips}) > 1)
    train = range(len(clips))
    split = inner_split(clips, train, seed)
    check_split(clips, split)
    assert sorted((*split.train, *split.test)) == [*train]
