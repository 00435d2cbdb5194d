"""The microphone: a real one through PortAudio, ALSA and PulseAudio, whose sound a player feeds."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from ctypes.util import find_library
from itertools import pairwise
from pathlib import Path

import numpy as np
import pexpect
import pytest
import soundfile as sf
from golden.make import RATE, noise, voice
from typer.testing import CliRunner

import ser
from ser.audio.loading import MAX_PREDICT_S, MAX_RATE, load_waveform
from ser.audio.microphone import PAUSE_S, Microphone, first, level, until_pause
from ser.audio.pcm import wav_header
from ser.cli import main as cli
from ser.cli.microphone import LONGEST_S, predictions, print_whole, record_wav
from ser.extras import advice
from ser.history import History
from ser.inference.artifact import ARTIFACTS
from ser.inference.live import Stream
from ser.types import ParameterError

ROOT = ARTIFACTS.parent
SPOKEN = ROOT / "samples" / "sharp.flac"
START_S = 60


def pcm(samples: np.ndarray) -> bytes:
    return (samples * (2**15 - 1)).astype("<i2").tobytes()


def pieces(sound: bytes, n_bytes: int) -> Iterator[bytes]:
    yield from (sound[start : start + n_bytes] for start in range(0, len(sound), n_bytes))


# --- What is done with blocks, from wherever they come ---


@pytest.mark.slow
@pytest.mark.parametrize("n_bytes", [320, 1600, 100_000])
def test_it_stops_a_second_after_speech(n_bytes):
    spoken, rate = sf.read(SPOKEN)
    sound = pcm(np.concatenate([noise(2.0, 0.001), spoken, noise(5.0, 0.001)]))
    heard_s = sum(map(len, until_pause(pieces(sound, n_bytes), rate))) / 2 / rate
    ended_s = 2.0 + 3.94  # of the words in the sample
    assert ended_s + PAUSE_S <= heard_s + 0.2 and heard_s <= ended_s + PAUSE_S + n_bytes / 2 / rate + 0.2


@pytest.mark.slow
@pytest.mark.parametrize("sound", [noise(3.0), 0 * noise(3.0), voice(3.0)], ids=["noise", "silence", "no words"])
def test_without_speech_there_is_no_pause(sound):
    assert b"".join(until_pause(pieces(pcm(sound), 1600), RATE)) == pcm(sound)


@pytest.mark.parametrize("n_bytes", [0, 1, 1600, 4000, 10_000])
def test_first_is_exact(n_bytes):
    sound = bytes(range(256)) * 30
    assert b"".join(first(pieces(sound, 1600), n_bytes)) == sound[:n_bytes]


def test_what_is_recorded_can_be_answered():
    assert LONGEST_S == MAX_PREDICT_S


class Fast:
    """The form of a `Microphone` of 192 kHz that gives silence as soon as it is asked."""

    name, rate, lost = "studio", MAX_RATE, False

    def blocks(self) -> Iterator[bytes]:
        while True:
            yield bytes(2 * self.rate)


@pytest.mark.slow
def test_no_more_is_recorded_than_can_be_answered():
    with pytest.raises(ParameterError, match=r"studio records at 192,000 Hz, of which 68 s .*, found 120"):
        record_wav(Fast(), LONGEST_S)
    for pause in (False, True):
        wav = record_wav(Fast(), LONGEST_S if pause else 68, pause=pause)
        assert load_waveform(wav).duration_s == 68


@pytest.mark.parametrize(("peak", "shown"), [(0.0, 0.0), (1e-4, 0.0), (10**-1.5, 0.5), (1.0, 1.0)])
def test_level_is_in_decibels(peak, shown):
    assert level(pcm(np.array([0.0, -peak, 0.0]))) == pytest.approx(shown, abs=1e-3)
    assert level(b"") == 0


@pytest.mark.slow
def test_live_answers_are_those_of_the_stretches_and_of_the_whole():
    """In quarters none is left out; where much comes at once only the latest is answered."""
    recognizer, sound = ser.load("dense105"), pcm(voice(4.6))
    heard = Stream(RATE, 1)
    found = list(predictions(recognizer, heard, pieces(sound, RATE // 10)))
    assert [t_s for t_s, _ in found] == [0.25 * k for k in range(1, 19)]
    for t_s, prediction in found[::5]:
        end = round(t_s * RATE) * 2
        stretch = sound[max(0, end - round(3.5 * RATE) * 2) : end]
        assert prediction == recognizer.predict(wav_header(RATE, 1, len(stretch)) + stretch)
    assert heard.whole() == (4.6, wav_header(RATE, 1, len(sound)) + sound)
    rare = [t_s for t_s, _ in predictions(recognizer, Stream(RATE, 1), pieces(sound, 4 * RATE), adapt=False)]
    assert rare == [2.0, 4.0, 4.5]


def test_the_last_answer_is_about_the_whole(capsys):
    recognizer, sound = ser.load("dense105"), pcm(voice(2.0))
    for format in ("table", "json"):
        heard = Stream(RATE, 1)
        list(heard.add(sound))
        print_whole(recognizer, heard, format)
    table, line = capsys.readouterr().out.strip().rsplit("\n", 1)
    expected = recognizer.predict(wav_header(RATE, 1, len(sound)) + sound)
    assert json.loads(line) == {"t_s": 2.0, **expected.to_dict()} and expected.label in table
    print_whole(recognizer, Stream(RATE, 1), "json")
    assert capsys.readouterr().out == ""


def test_after_two_minutes_there_is_no_answer_about_the_whole(capsys):
    heard = Stream(8000, 1)
    list(heard.add(bytes(8000 * 2 * 130)))
    print_whole(ser.load("dense105"), heard, "json")
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("No prediction of the whole: ") and "timeline" in said.err


# --- What is refused without a microphone ---


def refused(monkeypatch, capsys, *words: object) -> str:
    monkeypatch.setattr(sys, "argv", ["ser", *map(str, words)])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    said = capsys.readouterr()
    assert exit.value.code == 2 and said.out == "" and said.err.startswith("ser: ") and said.err.count("\n") == 1
    return said.err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["record", "live"])
def test_without_the_extra(monkeypatch, capsys, command):
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # Python's own way to say that it is not there
    sentence = f"the microphone needs sounddevice, which this installation lacks; {advice('record')}"
    assert sentence in refused(monkeypatch, capsys, command)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere sounddevice brings PortAudio")
@pytest.mark.parametrize("command", ["record", "live"])
def test_without_portaudio(command):
    code = "import ctypes.util as u; u.find_library = lambda name: None; from ser.cli.main import main; main()"
    words = [sys.executable, "-c", code, command]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=START_S)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert ran.stderr.startswith("ser: The microphone needs the library PortAudio: apt-get install libportaudio2")


def test_what_cannot_be_written_is_refused_before_recording(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # it does not come to that
    (tmp_path / "there.wav").write_bytes(b"mine")
    for name, sentence in (
        ("there.wav", "exists already; choose another --out, or --force"),
        ("gone/new.wav", "there is no folder"),
        ("new.mp3", "new.mp3: recordings are written as WAV; let the name end in .wav."),
    ):
        assert sentence in refused(monkeypatch, capsys, "record", "--out", tmp_path / name)
    (tmp_path / "kept.sqlite").write_text("no database " * 100)
    monkeypatch.setenv("SER_DATABASE_URL", f"sqlite:///{tmp_path}/kept.sqlite")
    assert "file is not a database" in refused(monkeypatch, capsys, "record", "--keep")
    assert "No model 'gone'" in refused(monkeypatch, capsys, "record", "--model", "gone")
    assert (tmp_path / "there.wav").read_bytes() == b"mine"


# --- A real microphone: what a player gives to PulseAudio's speaker is heard on it ---


def wait_for(found: Callable[[], object]) -> object:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"nothing within {START_S} s")


@contextmanager
def sound_server(folder: Path) -> Iterator[tuple[dict[str, str], subprocess.Popen]]:
    """A PulseAudio of its own and the environment that leads there; its speaker is the only microphone."""
    folder.chmod(0o700)
    address = folder / "native"
    # Nothing of it outside the folder.
    environment = {name: str(folder) for name in ("HOME", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH", "XDG_CONFIG_HOME")}
    environment = {**os.environ, **environment, "PULSE_SERVER": f"unix:{address}", "PYTHONPATH": str(ROOT)}
    modules = [
        f"module-native-protocol-unix auth-anonymous=1 socket={address}",
        f"module-null-sink sink_name=speaker rate={RATE} channels=1",
    ]
    options = ["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"]
    loaded = [word for module in modules for word in ("-L", module)]
    own = {**environment}
    own.pop("PULSE_SERVER")
    with subprocess.Popen(["pulseaudio", *options, *loaded], env=own, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(lambda: "speaker.monitor" in sources(environment))
            yield environment, server
        finally:
            server.terminate()


def sources(environment: dict[str, str]) -> str:
    command = ["pactl", "list", "short", "sources"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def tools(need) -> None:
    """What Debian calls pulseaudio, pulseaudio-utils, libportaudio2 and libasound2-plugins."""
    missing = [name for name in ("pulseaudio", "pactl", "paplay") if shutil.which(name) is None]
    if missing or find_library("portaudio") is None:
        need("service", f"PulseAudio and PortAudio are not installed (missing: {missing or 'libportaudio2'})")


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Path:
    """Part of the sample said many times, with a second and a half of silence after each."""
    spoken, _ = sf.read(SPOKEN, start=round(0.3 * RATE), stop=round(2.7 * RATE))
    path = tmp_path_factory.mktemp("played") / "long.wav"
    sf.write(path, np.tile(np.concatenate([spoken, np.zeros(round(1.5 * RATE))]), 150), RATE)
    return path


@pytest.fixture(scope="module")
def microphone(tools, played, tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment of a microphone that hears somebody speak."""
    command = ["paplay", "--device=speaker", "--latency-msec=50", str(played)]
    with (
        sound_server(tmp_path_factory.mktemp("sound")) as (environment, _),
        subprocess.Popen(command, env=environment) as player,
    ):
        yield environment
        player.terminate()


@pytest.fixture
def heard_here(microphone, monkeypatch) -> None:
    """The microphone in this process."""
    for name, value in microphone.items():
        monkeypatch.setenv(name, value)


def program(environment: dict[str, str], *words: object, **options: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ser", *map(str, words)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=START_S, **options
    )


def terminal(environment: dict[str, str], *words: object) -> pexpect.spawn:
    command = ["-m", "ser", *map(str, words)]
    return pexpect.spawn(
        sys.executable, command, env={**environment, "TERM": "xterm"}, timeout=START_S, encoding="utf-8"
    )


def ended(asked: pexpect.spawn) -> int | None:
    asked.expect(pexpect.EOF)
    asked.close()
    return asked.exitstatus


@pytest.mark.service
def test_record_answers_what_it_heard_and_keeps_it_where_asked(microphone, played, tmp_path):
    kept = f"sqlite:///{tmp_path}/kept.sqlite"
    place = tmp_path / "said.wav"
    words = ("record", "--seconds", "2.5", "--out", place, "--keep", "-f", "json")
    ran = program({**microphone, "SER_DATABASE_URL": kept}, *words)
    assert ran.returncode == 0 and "Recording 2.5 s with" in ran.stderr and f"Written to {place}" in ran.stderr
    (row,) = json.loads(ran.stdout)
    expected = ser.load().predict(place).to_dict()
    assert row["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
    assert (row["file"], row["label"], row["duration_s"]) == (str(place), expected["label"], pytest.approx(2.5))
    assert History(kept).newest()[0].answer == {**row, "file": "said.wav"}
    assert likeness(load_waveform(place).samples, load_waveform(played, max_s=900).samples[: 20 * RATE]) > 0.98


def likeness(part: np.ndarray, whole: np.ndarray) -> float:
    """The largest correlation of a part with any stretch of the whole, 1 for the same sound."""
    spectrum = np.fft.rfft(whole, 2 * len(whole)) * np.conj(np.fft.rfft(part, 2 * len(whole)))
    products = np.fft.irfft(spectrum)[: len(whole) - len(part)]
    start = int(products.argmax())
    return float(products[start] / np.linalg.norm(part) / np.linalg.norm(whole[start : start + len(part)]))


@pytest.mark.service
def test_the_examples_of_record(heard_here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"^ser (record.*)$", (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"), re.MULTILINE)
    for words in examples:
        result = CliRunner().invoke(cli.app, words.split())
        assert (result.exit_code, result.exception) == (0, None) and "neutral" in result.stdout
    assert len(examples) == 2 and [path.name for path in tmp_path.iterdir()] == ["said.wav"]


@pytest.mark.service
def test_record_writes_nothing_unasked(microphone):
    """A process that may not write a byte into any file records and answers."""
    import resource  # which Windows has not

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    ran = program(microphone, "record", "--seconds", "1", "-f", "csv", preexec_fn=limit)
    (row,) = csv.DictReader(io.StringIO(ran.stdout))
    assert (ran.returncode, row["file"], float(row["duration_s"])) == (0, "microphone", 1.0)


@pytest.mark.service
def test_record_shows_a_meter_on_a_terminal(microphone):
    asked = terminal(microphone, "record", "--seconds", "2")  # longer than the silence
    asked.expect("Recording 2 s")
    asked.expect("▮▮")
    asked.expect("microphone.*%")
    assert ended(asked) == 0


@pytest.mark.service
def test_live_prints_lines_until_interrupted(microphone):
    command = [sys.executable, "-m", "ser", "live", "--format", "json"]
    with subprocess.Popen(command, env=microphone, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        lines = [json.loads(process.stdout.readline()) for _ in range(8)]
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=START_S)
    lines += map(json.loads, rest.splitlines())
    *running, whole = lines
    steps = [later["t_s"] - earlier["t_s"] for earlier, later in pairwise(running)]
    assert process.returncode == 0 and said.decode().strip() == ""
    assert running[0]["t_s"] > 0 and min(steps) >= 0.25 and {step % 0.25 for step in steps} == {0}
    assert whole["t_s"] == pytest.approx(whole["duration_s"]) and whole["t_s"] >= running[-1]["t_s"]
    assert all(line["duration_s"] == pytest.approx(min(line["t_s"], 3.5)) for line in running)


@pytest.mark.service
def test_live_on_a_terminal(microphone):
    asked = terminal(microphone, "live")
    asked.expect("surprised")
    asked.expect(r"[12] s")
    asked.sendintr()
    asked.expect("microphone")
    assert ended(asked) == 0


@pytest.mark.service
def test_devices_by_name_and_number(heard_here):
    with pytest.raises(ParameterError, match=r"No microphone, or more than one, is 'none such'; choose .*: ") as caught:
        Microphone("none such")
    names = str(caught.value).removesuffix(".").rsplit(": ", 1)[1].split(", ")
    assert [Microphone(name).name for name in names] == names
    assert Microphone(str(names.index("pulse"))).name == Microphone("puls").name == "pulse"
    with pytest.raises(ParameterError, match="is '99'; choose one with --device"):
        Microphone("99")


@pytest.mark.service
def test_live_ends_with_the_answer_about_all_that_came(heard_here):
    recognizer, real = ser.load("dense105"), Microphone()
    heard, came = Stream(real.rate, 1), bytearray()

    def overheard() -> Iterator[bytes]:
        with closing(real.blocks()) as blocks:
            for block in first(blocks, 2 * real.rate * 2):
                came.extend(block)
                yield block

    assert 1 <= len(list(predictions(recognizer, heard, overheard()))) <= 8
    t_s, whole = heard.whole()
    assert t_s == 2.0 and recognizer.predict(whole) == recognizer.predict(wav_header(real.rate, 1, len(came)) + came)


@pytest.mark.service
@pytest.mark.skipif(Path("/dev/snd").exists(), reason="this machine has a sound card")
@pytest.mark.parametrize("command", ["record", "live"])
def test_without_a_microphone(tools, tmp_path, command):
    gone = {"PULSE_SERVER": f"unix:{tmp_path}/gone"}
    ran = program({**os.environ, "PYTHONPATH": str(ROOT), **gone}, command)
    sentence = "ser: No microphone was found. Connect one, or ask about a recording: ser predict FILE.\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", sentence)


@pytest.mark.service
def test_a_microphone_that_is_pulled_out(tools, tmp_path):
    command = [sys.executable, "-m", "ser", "live", "--format", "json"]
    with (
        sound_server(tmp_path) as (environment, server),
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
    ):
        process.stdout.readline()
        server.kill()
        rest, said = process.communicate(timeout=START_S)
    whole = json.loads(rest.splitlines()[-1])
    assert whole["t_s"] == whole["duration_s"] > 0
    assert process.returncode == 2 and b"Traceback" not in said
    assert said.decode().splitlines()[-1].startswith("ser: The microphone default has given nothing for 3 s.")


# --- The conversation ---


@pytest.mark.service
def test_a_conversation(microphone, tmp_path):
    (tmp_path / "my clip.wav").write_bytes(SPOKEN.read_bytes())
    asked = terminal({**microphone, "HOME": str(tmp_path), "COLUMNS": "150"})
    asked.expect("Enter records 3 s.*ser> ")
    asked.sendline("list")
    asked.expect("No predictions yet.*ser> ")
    asked.sendline("")
    asked.expect("Recording 3 s")
    asked.expect("microphone.*%.*ser> ")
    asked.sendline("'~/my clip.wav'")
    asked.expect("my clip.wav.*%.*ser> ")
    asked.sendline("gone.wav")
    asked.expect("no such file.*ser> ")
    asked.sendline("samples")
    asked.expect("The bus stops.*ser> ")
    asked.sendline("list")
    asked.expect("microphone.*my clip.wav.*ser> ")
    for _ in range(3):  # a stream left open by one would end the process in the next
        asked.sendline("")
        asked.expect("Recording 3 s")
        asked.sendintr()
        asked.expect("Stopped.*ser> ")
    asked.sendline("quit")
    assert ended(asked) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["my clip.wav"]


@pytest.mark.service
@pytest.mark.skipif(Path("/dev/snd").exists(), reason="this machine has a sound card")
def test_a_conversation_ends_with_the_input_and_survives_a_missing_microphone(tmp_path):
    gone = {"PULSE_SERVER": f"unix:{tmp_path}/gone"}
    asked = terminal({**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "150", **gone})
    asked.expect("ser> ")
    asked.sendline("")
    asked.expect("icrophone.*ser> ")  # neither a microphone nor, perhaps, PortAudio
    asked.sendeof()
    assert ended(asked) == 0
