"""The core: one recording, one answer, through every way in, in every state of the recording."""

from __future__ import annotations

import io
import json
import os
import platform
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, chords, noise, tone, voice

import ser
from ser.audio.loading import load_waveform
from ser.features.recipes import RECIPES
from ser.inference.artifact import ARTIFACTS, find, open_graph, run_graph, verify
from ser.inference.recognizer import SHORT_FACTOR
from ser.training.configs import Config
from ser.training.cross_validation import TrainingSet, clip_log_probabilities
from ser.training.feature_table import FeatureTable
from ser.types import EMOTIONS, REASONS, ArtifactError, AudioError, Clip, ParameterError, Waveform

ROOT = ARTIFACTS.parent
SAMPLES = sorted(path for path in (ROOT / "samples").glob("*.flac") if path.stem != "music")
NOT_SPEECH = sorted((ROOT / "tests" / "clips").glob("*.flac"))
KEYS = [
    "file",
    "label",
    "confidence",
    "probabilities",
    "uncertain",
    "reasons",
    "top",
    "valence",
    "arousal",
    "sex",
    "intensity",
    "duration_s",
    "model",
    "adapted",
    "channel",
    "track",
    "quality",
    "used_s",
    "sound_s",
    "sure_from",
]
HEAVY = ("tensorflow", "keras", "librosa", "numba", "sklearn")


@pytest.fixture(scope="module")
def recognizer() -> ser.Recognizer:
    return ser.load("dense105")


@pytest.fixture(scope="module")
def real(ser_data) -> list[Path]:
    """Real speech of all actors and emotions, the loud and the quiet."""
    return sorted(ser_data.joinpath("ravdess").rglob("*.flac"))[::29]


def wav(samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16", format: str = "WAV") -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def vector(prediction: ser.Prediction) -> np.ndarray:
    return np.array(list(prediction.probabilities.values()))


def reasons(recognizer: ser.Recognizer, samples: np.ndarray) -> tuple[str, ...]:
    return recognizer.predict(Waveform(samples.astype(np.float32), RATE)).reasons


# --- The ways in ---


@pytest.mark.slow
def test_path_bytes_files_and_waveform_are_one(recognizer, tmp_path):
    data = wav(voice(2.0))
    path = tmp_path / "a voice.wav"
    path.write_bytes(data)
    upload = io.BytesIO(data)
    upload.name = "/home/someone/upload.wav"
    with path.open("rb") as file, path.open("rb", buffering=0) as raw:
        pairs = [
            (str(path), str(path)),
            (path, str(path)),
            (data, None),
            (bytearray(data), None),
            (memoryview(data), None),
            (io.BytesIO(data), None),
            (upload, "upload.wav"),
            (file, "a voice.wav"),
            (raw, "a voice.wav"),
            (load_waveform(data), None),
        ]
        expected = recognizer.predict(data).to_dict()
        for source, name in pairs:
            assert recognizer.predict(source).to_dict() == {**expected, "file": name}
        assert not file.closed and not upload.closed


@pytest.mark.slow
def test_two_lines_are_enough(tmp_path, monkeypatch):
    monkeypatch.delenv("SER_MODEL", raising=False)
    (tmp_path / "clip.wav").write_bytes(wav(voice(2.0)))
    assert ser.load().predict(tmp_path / "clip.wav").label in EMOTIONS


@pytest.mark.slow
def test_answers_do_not_depend_on_what_came_before(recognizer):
    sounds = [wav(sound) for sound in (voice(1.0), noise(), np.zeros(8000), voice(5.0, 200.0), tone())]
    first = [recognizer.predict(sound) for sound in sounds]
    assert [recognizer.predict(sound) for sound in reversed(sounds)] == first[::-1]
    assert [ser.load("dense105").predict(sound) for sound in sounds] == first


@pytest.mark.slow
def test_threads_share_one_recognizer(recognizer):
    sounds = [wav(voice(0.5 + k % 5, 100.0 + 20 * k, k)) for k in range(8)]
    expected = [recognizer.predict(sound) for sound in sounds]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            assert list(pool.map(recognizer.predict, sounds)) == expected


def test_a_waveform_at_another_rate_is_refused(recognizer):
    with pytest.raises(ParameterError, match="dense105 takes a Waveform at 16000 Hz, found one at 48000 Hz"):
        recognizer.predict(Waveform(voice(), 48_000))


@pytest.mark.parametrize("source", [None, 5, io.StringIO("text"), [0.0, 1.0]], ids=lambda source: type(source).__name__)
def test_other_kinds_of_source_are_refused(recognizer, source):
    with pytest.raises(ParameterError, match="must be a path, bytes or a file"):
        recognizer.predict(source)


# --- The answer ---


def test_to_dict_is_the_contract(recognizer):
    prediction = recognizer.predict(wav(voice(2.0)))
    found = prediction.to_dict()
    assert list(found) == KEYS and json.loads(json.dumps(found)) == found
    assert list(found["probabilities"]) == list(recognizer.labels) == list(EMOTIONS)
    assert found["confidence"] == max(found["probabilities"].values()) == found["probabilities"][found["label"]]
    assert found["uncertain"] is bool(found["reasons"]) and found["model"] == "dense105"
    assert found["sex"] is None and found["intensity"] is None
    assert found["duration_s"] == pytest.approx(2.0)
    assert "Recognizer('dense105': neutral, calm" in repr(recognizer)


@pytest.mark.slow
@pytest.mark.parametrize("duration_s", [0.05, 0.4, 1.0, 3.5, 3.6, 8.0])
def test_probabilities_are_fractions_that_sum_to_1(recognizer, duration_s):
    prediction = recognizer.predict(Waveform(voice(duration_s), RATE))
    assert vector(prediction).sum() == pytest.approx(1, abs=1e-12)
    assert (vector(prediction) >= 0).all() and prediction.confidence >= 1 / 8
    assert prediction.used_s[0] < prediction.used_s[1] <= prediction.duration_s == pytest.approx(duration_s)


def test_used_part_leaves_out_the_silent_ends(recognizer):
    pause = np.zeros(RATE)
    start, end = recognizer.predict(wav(np.concatenate([pause, voice(2.0), pause]))).used_s
    assert start == pytest.approx(1.0, abs=0.15) and end == pytest.approx(3.0, abs=0.15)


@pytest.mark.data
def test_silent_ends_do_not_change_the_answer(recognizer, real):
    """Added by whole hops, so that the frames fall on the same places."""
    for path in real[:20]:
        sound = load_waveform(path)
        framed = Waveform(np.pad(sound.samples, (20 * 512, 31 * 512)), RATE)
        found, plain = recognizer.predict(framed), recognizer.predict(sound)
        np.testing.assert_allclose(vector(found), vector(plain), atol=1e-5, err_msg=path.name)
        assert found.used_s[0] - plain.used_s[0] == pytest.approx(20 * 512 / RATE)


@pytest.mark.slow
def test_long_speech_is_the_mean_over_windows_as_in_training(recognizer):
    """The same log-probabilities that cross-validation gets from the same rows and graph."""
    artifact = verify(ARTIFACTS / "dense105")
    graph = open_graph(artifact, "model.onnx")
    sounds = [Waveform(voice(s, 150.0), RATE) for s in (9.0, 2.0, 4.0)]
    rows = [RECIPES[recognizer.artifact.branches[0].recipe].of(sound) for sound in sounds]
    assert [len(part) for part in rows] == [5, 1, 2]

    class Graph:
        def log_probabilities(self, features: np.ndarray) -> np.ndarray:
            return run_graph(graph, features)

    origin = np.repeat([0, 1, 2], [5, 1, 2])
    clips = [Clip(f"{k}.wav", "sad", f"a/{k}", "a") for k in range(3)]
    study = TrainingSet(clips, Config(), FeatureTable(np.concatenate(rows), origin, 0 * origin), (), Path())
    scores = clip_log_probabilities(study, Graph(), (2, 0, 1)) / artifact.manifest["temperature"]
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    found = [vector(recognizer.predict(sound)) for sound in (sounds[2], sounds[0], sounds[1])]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sound", [voice(2.0), voice(9.0, 150.0), 0 * voice(1.0), noise()], ids=["short", "long", "silent", "noise"]
)
def test_features_and_probabilities_are_the_two_halves_of_an_answer(recognizer, sound):
    """So that what is asked again and again is computed once."""
    data = wav(sound)
    heard, prediction, analysis = recognizer.inputs(data), recognizer.predict(data), recognizer.analyse(data)
    np.testing.assert_array_equal(recognizer.probabilities(analysis), vector(prediction))
    assert recognizer.answer(analysis) == prediction
    assert [second / RATE for second in heard.used] == list(prediction.used_s)
    assert heard.waveform.duration_s == prediction.duration_s
    recipe = recognizer.artifact.branches[0].recipe
    windows = {} if "silent" in prediction.reasons else {recipe: (5 if len(sound) > 5 * RATE else 1, 105)}
    assert {name: rows.shape for name, rows in heard.rows.items()} == windows


def test_a_model_without_heads_is_calibrated_too(recognizer):
    sounds = [wav(voice(2.0, 100.0 + 40 * k, k)) for k in range(3)]
    before = recognizer.predict(sounds[0])
    calibrated = recognizer.calibrated(sounds, ["happy"] * 3)
    found = calibrated.predict(sounds[0])
    assert found.adapted == ("speaker", 3) and found.probabilities["happy"] != before.probabilities["happy"]
    assert calibrated.calibrated_to([recognizer.analyse(sound) for sound in sounds]).adaptation == found.adapted
    assert recognizer.predict(sounds[0]) == before and before.sex is None and before.intensity is None


# --- Doubt ---


def test_silence(recognizer):
    for samples in (np.zeros(RATE), np.full(1, 0.0), 1e-4 * tone(), np.zeros(50 * RATE)):
        prediction = recognizer.predict(Waveform(samples.astype(np.float32), RATE))
        assert prediction.reasons == ("silent",) and prediction.uncertain
        assert prediction.probabilities == dict.fromkeys(EMOTIONS, 0.125)
    assert recognizer.predict(wav(np.zeros(RATE))).reasons == ("silent",)


def test_quiet_speech_is_not_silent(recognizer):
    assert "silent" not in reasons(recognizer, 0.003 * voice(2.0))


@pytest.mark.parametrize("seconds", [0.02, 0.2, 0.35, 0.4, 0.45])
def test_too_short(recognizer, seconds):
    pause = np.zeros(RATE)
    assert "too_short" in reasons(
        recognizer, np.concatenate([pause, voice(1.0)[2000:][: round(seconds * RATE)], pause])
    )
    assert "too_short" not in reasons(recognizer, np.concatenate([pause, voice(1.0), pause]))


def test_short_sound_is_not_called_music(recognizer):
    pause = np.zeros(RATE)
    for sound in (np.ones(1), tone(0.3, 440.0), chords()[: RATE // 4], noise(0.4), 0.01 * voice(1.0)[2000:8400]):
        assert "too_short" in (found := reasons(recognizer, np.concatenate([pause, sound, pause])))
        assert "unlike_training" not in found


def test_short_sound_is_unlike_speech_only_if_it_lies_further_from_it(recognizer):
    limit = recognizer.artifact.manifest["novelty"]["threshold"]
    for seconds, factor in ((0.8, SHORT_FACTOR), (2.0, 1.0)):
        for sound in (tone(2.0, 440.0), noise(2.0), voice(2.0)):
            answer = recognizer.predict(wav(sound[: round(seconds * RATE)]))
            assert ("unlike_training" in answer.reasons) == (answer.distance > factor * limit)
        assert "unlike_training" in reasons(recognizer, tone(seconds, 440.0))


@pytest.mark.parametrize("level", [1e5, 1e12, 1e20, 3e37])
def test_floats_of_any_level_are_answered(recognizer, level):
    sound = voice(2.0) / np.abs(voice(2.0)).max()
    found, usual = (recognizer.predict(each.astype(np.float32), sample_rate=RATE) for each in (level * sound, sound))
    assert found.probabilities == pytest.approx(usual.probabilities, abs=1e-4)


def test_sound_is_measured_without_pauses_and_frames(recognizer):
    pause, word = np.zeros(RATE), tone(0.25, 300.0)
    twice = recognizer.predict(wav(np.concatenate([pause, word, pause, word, pause])))
    assert twice.sound_s == pytest.approx(0.5, abs=0.06) and twice.used_s[1] - twice.used_s[0] > 1.4
    assert recognizer.predict(wav(word)).sound_s == pytest.approx(0.25, abs=0.03)
    assert recognizer.predict(wav(np.zeros(RATE))).sound_s == 0


@pytest.mark.parametrize("pop_s", [0.005, 0.03])
@pytest.mark.parametrize("level", [0.5, 0.1, 0.03, 0.01])
def test_a_pop_at_the_start_changes_nothing(recognizer, level, pop_s):
    pop, sound = np.zeros(RATE), level * voice(3.0) / np.abs(voice(3.0)).max()
    plain = recognizer.predict(wav(np.concatenate([pop, sound])))
    pop[200 : 200 + round(pop_s * RATE)] = np.sign(np.sin(np.arange(round(pop_s * RATE)) / 6))
    popped = recognizer.predict(wav(np.concatenate([pop, sound])))
    assert not {"too_short", "clipped"} & set(popped.reasons)
    assert popped.label == plain.label and set(popped.reasons) <= {*plain.reasons, "close_call"}


def test_clipped(recognizer):
    loud = np.clip(12 * voice(2.0), -1, 1)
    for data in (wav(loud), wav(0.5 * loud), wav(loud, subtype="FLOAT"), wav(loud, format="FLAC")):
        assert "clipped" in recognizer.predict(data).reasons
    assert "clipped" not in recognizer.predict(wav(voice(2.0))).reasons


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0.5, 0.8, 0.97])
def test_cut_off(recognizer, kept):
    for format, subtype in (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")):
        data = wav(voice(3.0), format=format, subtype=subtype)
        assert "cut_off" not in recognizer.predict(data).reasons
        prediction = recognizer.predict(data[: round(kept * len(data))])
        assert "cut_off" in prediction.reasons and 0.5 <= prediction.duration_s < 3.0


def test_cut_off_silence_says_both(recognizer):
    data = wav(np.zeros(2 * RATE))
    assert recognizer.predict(data[:40_000]).reasons == ("silent", "cut_off")


UNLIKE = {
    "white noise": noise(2.0),
    "quiet noise": noise(2.0, 0.01),
    "tone": tone(2.0, 440.0),
    "high tone": tone(2.0, 3000.0),
    "chords": chords(),
    "hum": tone(2.0, 50.0) + 0.3 * tone(2.0, 100.0),
}


@pytest.mark.parametrize("sound", UNLIKE)
def test_what_is_not_speech(recognizer, sound):
    assert "unlike_training" in reasons(recognizer, UNLIKE[sound])


@pytest.mark.parametrize("path", NOT_SPEECH, ids=lambda path: path.stem)
def test_committed_clips_of_what_is_not_speech(recognizer, path):
    assert "unlike_training" in recognizer.predict(path).reasons


def test_committed_clips_are_there():
    assert {"music", "noise", "tone"} <= {path.stem for path in NOT_SPEECH} and len(SAMPLES) >= 3


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_answered(recognizer, path):
    prediction = recognizer.predict(path)
    assert not {"silent", "too_short", "clipped", "cut_off"} & set(prediction.reasons)


def test_reasons_come_in_one_order_and_have_sentences(recognizer):
    data = wav(np.clip(12 * voice(2.0), -1, 1))
    found = recognizer.predict(data[: len(data) // 2]).reasons
    assert list(found) == [reason for reason in REASONS if reason in found] and {"clipped", "cut_off"} <= set(found)


@pytest.mark.data
def test_close_call_is_the_stored_threshold(recognizer, real):
    threshold = recognizer.artifact.manifest["thresholds"]["confidence"]
    answers = [recognizer.predict(path) for path in real]
    for answer in answers:
        assert answer.sure_from == threshold
        assert ("close_call" in answer.reasons) is (answer.confidence < threshold)
    assert 0 < sum("close_call" in answer.reasons for answer in answers) < len(answers)


@pytest.mark.data
def test_real_speech_is_rarely_taken_for_something_else(recognizer, real):
    found = [recognizer.predict(path).reasons for path in real]
    assert sum("unlike_training" in each for each in found) <= 0.05 * len(found)
    assert not any({"silent", "clipped", "cut_off"} & set(each) for each in found)


# --- Gain ---


def assert_gain_as_float(recognizer, path: Path) -> None:
    waveform = load_waveform(path)
    plain = vector(recognizer.predict(waveform))
    for gain_db in (-12, 12):
        louder = Waveform(waveform.samples * np.float32(10 ** (gain_db / 20)), RATE)
        np.testing.assert_allclose(vector(recognizer.predict(louder)), plain, atol=1e-4, err_msg=path.name)


def gain_as_files(recognizer, path: Path) -> list[float]:
    """Largest difference in a probability for each gain; both ends of 12 dB neither clip nor vanish in 16 bits."""
    samples = load_waveform(path).samples
    samples = 0.2 * samples / np.abs(samples).max()
    plain = recognizer.predict(wav(samples))
    turned = [recognizer.predict(wav(10 ** (gain_db / 20) * samples)) for gain_db in (-12, -6, 6, 12)]
    assert {prediction.label for prediction in turned} == {plain.label}, path.name
    return [float(np.abs(vector(prediction) - vector(plain)).max()) for prediction in turned]


@pytest.mark.slow
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_gain_on_samples(recognizer, path):
    assert_gain_as_float(recognizer, path)
    assert max(gain_as_files(recognizer, path)) <= 0.01


@pytest.mark.data
def test_gain_as_float_on_real_speech(recognizer, real):
    for path in real:
        assert_gain_as_float(recognizer, path)


@pytest.mark.data
def test_gain_as_16_bit_files_on_real_speech(recognizer, real):
    differences = {path.name: max(gain_as_files(recognizer, path)) for path in real}
    assert {name: value for name, value in differences.items() if value > 0.01} == {}


# --- Which model ---


@pytest.mark.slow
def test_model_by_argument_environment_and_default(monkeypatch, tmp_path):
    monkeypatch.setenv("SER_MODEL", "gone")
    with pytest.raises(ArtifactError, match=r"No model 'gone'.*known: .*dense105"):
        ser.load()
    assert ser.load("dense105").name == "dense105"  # the argument wins
    monkeypatch.setenv("SER_MODEL", str(ARTIFACTS / "dense105"))
    assert ser.load().name == "dense105"
    monkeypatch.delenv("SER_MODEL")
    assert ser.load().labels == EMOTIONS
    with pytest.raises(ArtifactError, match="neither a folder with"):
        ser.load(tmp_path)


# --- Bad input ---


def header(rate: int = RATE, channels: int = 1, n_bytes: int = 32_000, format: int = 1, bits: int = 16) -> bytes:
    """A WAV header that may say anything."""
    frame = channels * bits // 8
    rates = struct.pack("<HHIIHH", format, channels, rate, (rate * frame) % 2**32, frame % 2**16, bits)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + rates + b"data" + struct.pack("<I", n_bytes)
    return b"RIFF" + struct.pack("<I", 36 + n_bytes) + chunks


def hour_of_silence() -> bytes:
    file = io.BytesIO()
    with sf.SoundFile(file, "w", 8000, 1, "PCM_16", format="FLAC") as flac:
        for _ in range(60):
            flac.write(np.zeros(60 * 8000, np.int16))
    assert len(file.getvalue()) < 2**19
    return file.getvalue()


REFUSED = {
    "empty": (lambda: b"", r"empty \(0 bytes\)\. Accepted: WAV"),
    "text": (lambda: b"You never listen to a single word that I say! " * 50, "this is text, not sound"),
    "half a header": (lambda: header()[:20], "WAV"),
    "header only": (header, "WAV.*0.0"),
    "zero length": (lambda: header(n_bytes=0), "holds no samples"),
    "one NaN": (lambda: wav(np.r_[voice(1.0), np.nan], subtype="FLOAT"), "finite"),
    "infinite": (lambda: wav(np.full(RATE, np.inf), subtype="DOUBLE"), "finite"),
    "1 Hz": (lambda: header(1) + bytes(32_000), "1 Hz; accepted are 8,000 to 192,000 Hz"),
    "2 GHz": (lambda: header(2_000_000_000) + bytes(32_000), "2,000,000,000 Hz; accepted are 8,000"),
    "1,024 channels": (lambda: header(channels=1024) + bytes(32_000), "1,024 channels; accepted are 1 to 8"),
    "an hour of silence": (hour_of_silence, "120 s.*timeline"),
    "cut off too early": (lambda: wav(voice(2.0))[:5000], "WAV.*0.1.* s could be decoded and at least 0.5 s"),
    "random bytes": (lambda: noise().tobytes(), "not a known recording"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("make", "match"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_an_audio_error(recognizer, tmp_path, make, match):
    data = make()
    path = tmp_path / "recording.wav"
    path.write_bytes(data)
    for source in (data, path, io.BytesIO(data)):
        with pytest.raises(AudioError, match=match) as raised:
            recognizer.predict(source)
        assert str(raised.value).startswith("recording.wav: " if source is path else "The recording: ")


def test_places_that_are_no_recording(recognizer, tmp_path):
    with pytest.raises(AudioError, match=r"this is a folder\. Give one recording"):
        recognizer.predict(tmp_path)
    with pytest.raises(AudioError, match=r"gone\.wav: no such file"):
        recognizer.predict(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match="null: not a regular file"):
        recognizer.predict("/dev/null")


@pytest.mark.slow
def test_mp3_broken_half_way(recognizer):
    data = bytearray(wav(voice(4.0), format="MP3", subtype="MPEG_LAYER_III"))
    middle = len(data) // 2
    data[middle : middle + 3000] = noise().tobytes()[:3000]
    prediction = recognizer.predict(bytes(data[: middle + 3000]))
    assert "cut_off" in prediction.reasons and 0.5 <= prediction.duration_s < 4


# --- A process that only answers ---

ANSWER = """
import json, os, sys
written, unpickled = [], []
def note(event, args):
    if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.append(str(args[0]))
    if event == "pickle.find_class":
        unpickled.append(str(args))
sys.addaudithook(note)
import ser
data = sys.stdin.buffer.read()
recognizer = ser.load(sys.argv[2])
label = recognizer.predict(data).label
with open(sys.argv[1], "rb") as file:
    assert recognizer.predict(file).label == recognizer.predict(sys.argv[1]).label == label
status = open("/proc/self/status").read()
print(json.dumps({
    "label": label,
    "modules": sorted({name.split(".")[0] for name in sys.modules}),
    "peak_mb": int(status.split("VmHWM:")[1].split()[0]) / 1024,
    "written": written,
    "unpickled": unpickled,
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("model", "most_mb"), [("dense105", 200), ("voice", 250)])
def test_a_fresh_process_is_light_and_leaves_nothing_behind(tmp_path, model, most_mb):
    data = wav(np.repeat(voice(3.5), 3), 48_000)
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    elsewhere.mkdir()
    here.mkdir()
    (elsewhere / "clip.wav").write_bytes(data)
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "SER_CACHE"), str(here))
    plain = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    ran = subprocess.run(
        [sys.executable, "-c", ANSWER, str(elsewhere / "clip.wav"), str(find(model).resolve())],
        input=data,
        stdout=subprocess.PIPE,
        cwd=here,
        env={**plain, **places, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
    )
    found = json.loads(ran.stdout)
    assert found["label"] == ser.load(model).predict(data).label
    assert not set(HEAVY) & set(found["modules"])
    assert found["peak_mb"] < most_mb
    assert found["written"] == [] and found["unpickled"] == []
    assert list(here.iterdir()) == [] and [path.name for path in elsewhere.iterdir()] == ["clip.wav"]


PAGE_FAULTS = """
import resource, sys
import ser
from ser.inference.memory import tune_malloc
tune_malloc()
recognizer, sound = ser.load(sys.argv[2]), open(sys.argv[1], "rb").read()
for _ in range(10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    recognizer.predict(sound)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other ways")
@pytest.mark.parametrize("model", ["voice", "dense105"])
def test_a_program_keeps_memory_from_answer_to_answer(model):
    sample = str(ARTIFACTS.parent / "samples" / "even.flac")
    command = [sys.executable, "-c", PAGE_FAULTS, sample, model]
    faults = subprocess.run(command, capture_output=True, check=True, text=True, cwd=ARTIFACTS.parent).stdout
    assert int(faults) < 100  # 1,700 and 500 without `ser.inference.memory`
