"""The command line: results on stdout, everything else on stderr, exit code 2 for what was refused, no traceback."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile as sf
from golden.make import RATE, noise, voice
from typer.testing import CliRunner, Result

import ser
from ser.cli import main as cli
from ser.cli import output as printed
from ser.cli.interactive import GREETING
from ser.cli.main import app
from ser.evaluation.evaluate import evaluate
from ser.inference import artifact
from ser.inference.artifact import ARTIFACTS
from ser.inference.manifest import read_manifest
from ser.service.app import create_app
from ser.types import EMOTIONS, NOTICE, REASONS, SerError

ROOT = ARTIFACTS.parent
COMMANDS = (
    "predict",
    "record",
    "live",
    "timeline",
    "batch",
    "monitor",
    "samples",
    "history",
    "serve",
    "train",
    "evaluate",
    "leaderboard",
    "export",
    "download",
    "info",
)
WAV = io.BytesIO()
sf.write(WAV, voice(2.0), RATE, format="WAV")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """A wide terminal without colours, and no model named by the environment."""
    monkeypatch.setenv("COLUMNS", "400")  # for programs; paths of temporary folders are long
    monkeypatch.setattr(printed.out, "width", 400)  # what stood in COLUMNS at the import holds for good
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("SER_MODEL", raising=False)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two recordings, one of them below, a broken one and a file that is none."""
    (tmp_path / "below").mkdir()
    (tmp_path / "a.wav").write_bytes(WAV.getvalue())
    sf.write(tmp_path / "below" / "b.flac", voice(1.0, 220.0), RATE)
    (tmp_path / "broken.wav").write_bytes(b"only words")
    (tmp_path / "notes.txt").write_text("not a sound, not looked at")
    return tmp_path


def run(*words: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


def main(monkeypatch, capsys, *words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the whole program, in this process."""
    monkeypatch.setattr(sys, "argv", ["ser", *map(str, words)])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    said = capsys.readouterr()
    return int(exit.value.code or 0), said.out, said.err


def program(*words: str, stdin: bytes = b"", cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "ser", *words],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=False,
    )


# --- predict ---


def test_json_is_the_prediction(folder):
    result = run("predict", folder / "a.wav", "--format", "json")
    assert result.exit_code == 0 and result.stderr == ""
    assert json.loads(result.stdout) == [ser.load().predict(folder / "a.wav").to_dict()]


def test_csv_holds_the_same_numbers(folder):
    result = run("predict", folder / "a.wav", folder / "broken.wav", "-f", "csv")
    good, bad = csv.DictReader(io.StringIO(result.stdout))
    expected = ser.load().predict(folder / "a.wav").to_dict()
    assert {emotion: float(good[emotion]) for emotion in EMOTIONS} == expected["probabilities"]
    assert good["label"] == expected["label"] and float(good["confidence"]) == expected["confidence"]
    assert good["reasons"].split() == expected["reasons"] and good["error"] == ""
    assert bad["file"].endswith("broken.wav") and "this is text" in bad["error"] and bad["label"] == ""
    assert result.exit_code == 2


def test_table_is_for_people(folder):
    result = run("predict", folder / "a.wav")
    expected = ser.load().predict(folder / "a.wav")
    assert result.exit_code == 0
    for word in ("a.wav", expected.label, f"{expected.confidence:.0%}"):
        assert word in result.stdout
    for reason in expected.reasons:
        assert reason.replace("_", " ") in result.stdout


def test_a_failing_file_stays_in_the_list_and_the_others_are_answered(folder):
    names = [folder / "a.wav", folder / "broken.wav", folder / "gone.wav", folder / "below" / "b.flac"]
    for format in ("json", "csv", "table"):
        result = run("predict", *names, "-f", format)
        assert result.exit_code == 2 and "Traceback" not in result.output
        places = [result.stdout.index(name.name) for name in names]
        assert places == sorted(places)
    rows = json.loads(run("predict", *names, "-f", "json").stdout)
    assert [row["file"] for row in rows] == [str(name) for name in names]
    assert ["error" in row for row in rows] == [False, True, True, False]
    assert rows[1].keys() == {"file", "error"}
    assert "this is text, not sound. Accepted: WAV" in rows[1]["error"] and "no such file" in rows[2]["error"]


def test_a_folder_is_walked(folder):
    result = run("predict", folder, "-f", "json")
    rows = json.loads(result.stdout)
    assert [Path(row["file"]).relative_to(folder).as_posix() for row in rows] == ["a.wav", "below/b.flac", "broken.wav"]
    assert result.exit_code == 2
    (folder / "broken.wav").unlink()
    assert run("predict", folder).exit_code == 0


@pytest.mark.parametrize("closed", ["below", "."])
def test_a_folder_that_may_not_be_listed_hides_no_other(folder, closed, monkeypatch):
    """The system's answer is put in its mouth: it lets root list everything."""
    real = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        if path == folder / closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    result = run("predict", folder, "-f", "json")
    *rows, last = json.loads(result.stdout)
    answered = ["a.wav", "broken.wav"] if closed == "below" else []
    assert result.exit_code == 2 and [Path(row["file"]).name for row in rows] == answered
    assert last["error"] == f"{folder / closed}: Permission denied. Check its name and rights."


def test_a_folder_without_sound_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to hear")
    result = run("predict", tmp_path, "-f", "json")
    (row,) = json.loads(result.stdout)
    assert (
        row["file"] == str(tmp_path)
        and "this folder holds no recordings. It was searched for .3gp, .aac, .aif, " in row["error"]
        and result.exit_code == 2
    )


def test_standard_input(folder):
    (row,) = json.loads(run("predict", "-", "-f", "json", stdin=WAV.getvalue()).stdout)
    assert row == {**ser.load().predict(WAV.getvalue()).to_dict(), "file": "-"}
    empty = run("predict", "-", "-f", "json", stdin=b"")
    assert empty.exit_code == 2 and "empty (0 bytes)" in json.loads(empty.stdout)[0]["error"]


@pytest.mark.parametrize("name", ["x" * 300, "", "[red]bold[/red].wav", "a\nb.wav", "ä😀.wav"], ids=ascii)
def test_names_that_cannot_be_opened_are_errors_in_the_list(name, folder):
    for format in ("json", "csv", "table"):
        result = run("predict", name, folder / "a.wav", "-f", format)
        assert result.exit_code == 2 and "a.wav" in result.stdout
    rows = json.loads(run("predict", name, folder / "a.wav", "-f", "json").stdout)
    assert rows[0].keys() == {"file", "error"} and rows[0]["file"] == name and "label" in rows[1]


def test_brackets_in_a_name_are_no_markup(folder):
    shutil.copy(folder / "a.wav", folder / "[red]x.wav")
    assert "[red]x.wav" in run("predict", folder / "[red]x.wav").stdout


def test_model_by_name_folder_and_environment(folder, monkeypatch):
    for model in ("dense105", ARTIFACTS / "dense105"):
        (row,) = json.loads(run("predict", folder / "a.wav", "-m", model, "-f", "json").stdout)
        assert row["model"] == "dense105"
    monkeypatch.setenv("SER_MODEL", "gone")
    assert isinstance(run("predict", folder / "a.wav").exception, SerError)


def test_sex_and_intensity_where_the_model_says_them(folder):
    expected = ser.load("voice").predict(folder / "a.wav")
    sex, likely = max(expected.sex.items(), key=lambda item: item[1])
    asked = ["predict", folder / "a.wav", folder / "broken.wav", "-m", "voice"]
    good, bad = csv.DictReader(io.StringIO(run(*asked, "-f", "csv").stdout))
    assert {name: float(good[f"sex_{name}"]) for name in expected.sex} == expected.sex
    assert float(good["intensity"]) == expected.intensity
    assert bad["sex_male"] == bad["sex_female"] == bad["intensity"] == ""
    heading, answer, failed, why = run(*asked).stdout.strip().splitlines()
    assert failed.split()[-2:] == ["no", "answer"] and why.startswith("broken.wav: this is text, not sound")
    assert heading.split() == ["file", "sounds", "sure", "next", "sex", "intensity", "doubt"]
    assert f"{sex} {likely:.0%}" in answer and f" {expected.intensity:.0%} " in f"{answer} "


def test_neither_column_where_the_model_does_not_say(folder):
    asked = ["predict", folder / "a.wav", "-m", "dense105"]
    assert run(*asked).stdout.split("\n")[0].split() == ["file", "sounds", "sure", "next", "doubt"]
    (row,) = csv.DictReader(io.StringIO(run(*asked, "-f", "csv").stdout))
    assert row["sex_male"] == row["sex_female"] == row["intensity"] == ""


def test_silence_has_no_sex(tmp_path):
    sf.write(tmp_path / "silent.wav", 0 * voice(1.0), RATE)
    for format in ("json", "csv"):
        assert run("predict", tmp_path / "silent.wav", "-m", "voice", "-f", format).exit_code == 0
    heading, told = run("predict", tmp_path / "silent.wav", "-m", "voice").stdout.strip().split("\n")
    assert heading.split() == ["file", "sounds", "sure", "next", "doubt"] and told.split()[1:] == ["nothing", "silent"]


def test_every_door_says_the_same_of_a_doubt(capsys, monkeypatch):
    """One line a reason however narrow the terminal is, in the order of `REASONS`."""
    monkeypatch.setenv("COLUMNS", "20")
    printed.print_doubts({"cut_off", "too_short"})
    told = capsys.readouterr().err
    assert told == f"too short: {REASONS['too_short']}\ncut off: {REASONS['cut_off']}\n"


def test_every_door_says_what_the_estimate_is_not(folder):
    told = " ".join(run("--help").stdout.replace("│", " ").split())
    assert NOTICE in told and NOTICE in GREETING and NOTICE in create_app().description


def test_calibrated_to_a_voice(folder):
    own = [folder / "below" / "b.flac", folder / "a.wav"]
    (row,) = json.loads(run("predict", folder / "a.wav", "-m", "voice", "-f", "json", *voices(own)).stdout)
    plain = ser.load("voice")
    assert row == plain.calibrated(own).predict(folder / "a.wav").to_dict()
    assert row["probabilities"] != plain.predict(folder / "a.wav").probabilities


def voices(paths: list[Path]) -> list[object]:
    return [word for path in paths for word in ("--voice", path)]


@pytest.mark.parametrize(
    ("model", "own", "sentence"),
    [
        ("dense105", ["a.wav"], "dense105 cannot be calibrated to a voice"),
        ("voice", ["a.wav", "gone.wav"], "gone.wav: no such file"),
        ("voice", ["a.wav", "broken.wav"], "broken.wav: this is text, not sound"),
        ("voice", ["silent.wav"], "at least one recording of the voice that is not silent"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." not in value else "",
)
def test_voices_that_are_refused(monkeypatch, capsys, folder, model, own, sentence):
    sf.write(folder / "silent.wav", 0 * voice(1.0), RATE)
    asked = ["predict", folder / "a.wav", "--model", model, *voices([folder / name for name in own])]
    code, out, err = main(monkeypatch, capsys, *asked)
    assert code == 2 and out == "" and err.startswith("ser: ") and err.count("\n") == 1 and sentence in err


# --- What is refused ---


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["predict", "a.wav", "--model", "gone"], "No model 'gone'"),
        (["info", "gone"], "No model 'gone'"),
        (["download", "gone"], "Unknown corpus 'gone'; known: ravdess"),
        (["download", "emodb"], "There is no archive of emodb"),
        (["evaluate", "--corpus", "gone", "--data", "."], "Unknown corpus 'gone'"),
        (["evaluate", "--corpus", "ravdess", "--data", "nowhere"], "No ravdess recordings in nowhere"),
        (["train", "--corpus", "table=nowhere", "--config", "smoke", "--name", "a"], "No table recordings in nowhere"),
        (["train", "--corpus", "table=.", "--config", "gone"], "Unknown configuration 'gone'"),
        (["train", "--corpus", "table=.", "--name", "../up"], "A model's name is made of letters"),
        (["train", "--corpus", "ravdess=.", "--config", "dense105"], "dense105 exists already"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else "",
)
def test_refusals_are_one_sentence_on_stderr(monkeypatch, capsys, tmp_path, words, sentence):
    monkeypatch.chdir(tmp_path)
    code, out, err = main(monkeypatch, capsys, *words)
    assert code == 2 and out == ""
    assert err.startswith("ser: ") and err.count("\n") == 1 and sentence in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["predict"],
        ["predict", "a.wav", "--format", "xml"],
        ["evaluate", "--corpus", "ravdess"],
        ["evaluate", "--corpus", "ravdess", "--data", ".", "--protocol", "best"],
        ["evaluate", "--corpus", "ravdess", "--data", ".", "--labels", "nine"],
        ["train"],
        ["train", "--corpus", "ravdess"],
        ["train", "--corpus", "=x"],
        ["train", "--corpus", "table=.", "--labels", "nine"],
        ["listen"],
    ],
    ids=" ".join,
)
def test_wrong_words_are_exit_code_2_with_usage(words):
    result = run(*words)
    assert result.exit_code == 2 and "Usage" in result.stderr and result.stdout == ""


def test_main_hands_on_the_exit_code(monkeypatch, capsys, folder):
    assert main(monkeypatch, capsys, "predict", folder, "-f", "json")[0] == 2
    assert main(monkeypatch, capsys, "predict", folder / "a.wav", "-f", "json")[0] == 0


# --- The program itself ---


def test_program_answers_from_anywhere(folder):
    ran = program("predict", "a.wav", "-f", "json", cwd=folder)
    assert ran.returncode == 0 and ran.stderr == b""
    (row,) = json.loads(ran.stdout)
    expected = ser.load().predict(folder / "a.wav").to_dict()
    # The program computes on one thread, so sums may round otherwise than here.
    assert row["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
    assert (row["file"], row["label"], row["reasons"]) == ("a.wav", expected["label"], expected["reasons"])


def test_program_refuses_an_unknown_model_without_traceback():
    ran = program("predict", "a.wav", "--model", "gone")
    assert ran.returncode == 2 and ran.stdout == b""
    assert (
        ran.stderr.startswith(b"ser: No model 'gone'") and b"dense105" in ran.stderr and b"Traceback" not in ran.stderr
    )


def test_program_prints_what_the_terminal_cannot_show(folder):
    """An emoji where there is only ASCII, and a name that is no UTF-8."""
    name = os.fsdecode(b"caf\xe9.wav")
    shutil.copy(folder / "a.wav", folder / name)
    for encoding, format in (("ascii", "table"), ("utf-8:strict", "csv")):
        ran = program("predict", "-f", format, name, cwd=folder, PYTHONIOENCODING=encoding)
        assert ran.returncode == 0 and b"Traceback" not in ran.stderr and b"caf" in ran.stdout


# --- Help, version, info ---


def test_version():
    result = run("--version")
    assert result.exit_code == 0 and result.stdout.strip() == ser.__version__


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(command, option):
    result = run(command, option)
    assert result.exit_code == 0 and "Usage" in result.stdout and len(result.stdout) > 300


def test_help_lists_the_commands():
    result = run("--help")
    assert result.exit_code == 0 and all(command in result.stdout for command in COMMANDS)


def test_info():
    listed = run("info")
    assert listed.exit_code == 0 and "dense105: 8 emotions, UAR" in listed.stdout
    shown = run("info", "dense105")
    assert shown.exit_code == 0 and "Model card" in shown.stdout and "non-commercial" in shown.stdout
    found = json.loads(run("info", "dense105", "-f", "json").stdout)
    assert found["version"] == ser.__version__ and found["models"][0]["name"] == "dense105"


def test_info_of_a_model_without_scores(tmp_path, monkeypatch):
    monkeypatch.setattr(artifact, "ARTIFACTS", tmp_path)
    manifest = read_manifest(ARTIFACTS / "dense105")
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "manifest.json").write_text(
        json.dumps({**manifest, "name": "young", "labels": list(EMOTIONS[2:6]), "metrics": {}})
    )
    for words in ([], ["young"]):
        result = run("info", *words)
        assert result.exit_code == 0, result.exception
        assert "young: 4 emotions (without neutral, calm, disgust, surprised), not scored" in result.stdout


def test_info_of_a_damaged_model(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(artifact, "ARTIFACTS", tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "manifest.json").write_text("[]")
    code, _, err = main(monkeypatch, capsys, "info")
    assert code == 2 and err.startswith("ser: bad/manifest.json: expected schema")


# --- train ---


def table(folder: Path, *speakers: str) -> Path:
    """Two takes of three emotions by each speaker."""
    folder.mkdir()
    lines = ["path\temotion\tspeaker"]
    for k, speaker in enumerate(speakers):
        for emotion, pitch_hz in (("neutral", 120.0), ("calm", 160.0), ("happy", 240.0)):
            for seed in (1, 2):
                name = f"{speaker}-{emotion}-{seed}.wav"
                sf.write(folder / name, voice(0.6, pitch_hz * (1 + 0.05 * k), seed), RATE)
                lines.append(f"{name}\t{emotion}\t{speaker}")
    (folder / "table.tsv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def six(tmp_path_factory, eager) -> tuple[Result, Path]:
    """A training with noise reduction on six labels, to which one of the corpus' three does not belong; its model."""
    home = tmp_path_factory.mktemp("home")
    corpus = f"table={table(home / 'heard', 'ana', 'ben', 'cleo')}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifact, "ARTIFACTS", home / "artifacts")
        patch.setenv("SER_CACHE", str(home / "cache"))
        words = ("train", "--corpus", corpus, "--config", "smoke", "--name", "a", "--labels", "six", "--reduce-noise")
        return run(*words), home / "artifacts" / "a"


@pytest.mark.slow
def test_train_takes_labels_and_noise_reduction(six):
    result, model = six
    assert result.exit_code == 0, result.exception
    manifest = read_manifest(model)
    config = manifest["training"]["config"]
    assert (config["labels"], config["reduce_noise"]) == ("six", True) and manifest["reduce_noise"] is True
    assert manifest["labels"] == ["neutral", "happy"] and manifest["training"]["clips"] == 12
    assert manifest["training"]["corpora"]["table"]["excluded"] == {"calm": 6}
    assert f"{100 * manifest['metrics']['folds']['uar']:.1f} %" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["folds", "random", "all"])
def test_evaluate_leaves_out_what_the_model_does_not_learn(six, tmp_path, monkeypatch, protocol):
    """Folds and split are trained here: the speakers are new."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    other = table(tmp_path / "other", "dora", "emil", "fay")
    found = evaluate("table", other, six[1], protocol, progress=False)
    assert found["labels"] == ["neutral", "happy"] and found["excluded"] == {"calm": 6}
    assert found["clips"] == sum(map(sum, found["confusion"])) == (2 if protocol == "random" else 12)


# --- evaluate ---


@pytest.fixture(scope="module")
def few(ser_data, tmp_path_factory) -> Path:
    """The sixty clips of one actor."""
    few = tmp_path_factory.mktemp("few") / "ravdess"
    few.mkdir()
    for path in sorted(Path(ser_data, "ravdess", "Actor_05").iterdir()):
        (few / path.name).symlink_to(path)
    return few


@pytest.mark.data
@pytest.mark.parametrize(("protocol", "labels"), [("folds", "eight"), ("all", "four")])
def test_evaluate_json_is_the_report(few, protocol, labels):
    result = run(
        *("evaluate", "--corpus", "ravdess", "--data", few, "--protocol", protocol, "--labels", labels, "-f", "json")
    )
    assert result.exit_code == 0
    expected = evaluate("ravdess", few, None, protocol, labels, progress=False)
    assert json.loads(result.stdout) == json.loads(json.dumps(expected))
    assert ("was trained on these speakers" in result.stderr) is (protocol == "all")


@pytest.mark.data
def test_evaluate_table(few):
    result = run("evaluate", "--corpus", "ravdess", "--data", few)
    expected = evaluate("ravdess", few, progress=False)
    assert result.exit_code == 0
    for word in (f"{expected['uar']:.1%}", f"{expected['accuracy']:.1%}", "60 of 1 speakers", "unseen speakers"):
        assert word in result.stdout


@pytest.mark.data
def test_evaluate_table_of_a_label_without_answers(few, tmp_path):
    """The only disgusted clip cannot be read: the label has no recall, and the table says so."""
    folder = tmp_path / "ravdess"
    folder.mkdir()
    for path in few.iterdir():
        if path.stem[6:8] in ("03", "05"):
            (folder / path.name).symlink_to(path.resolve())
    (folder / "03-01-07-01-01-01-05.wav").write_bytes(noise(0.1).tobytes())
    result = run("evaluate", "--corpus", "ravdess", "--data", folder)
    assert result.exit_code == 0, result.exception
    assert "no clips" in result.stdout
