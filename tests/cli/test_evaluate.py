"""The command `evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import run
from golden.make import noise

from ser.evaluation.evaluate import evaluate


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
def test_evaluate_table_of_adapted_answers(few):
    result = run("evaluate", "--corpus", "ravdess", "--data", few, "--adapt", 10, "--model", "dense105")
    expected = evaluate("ravdess", few, "dense105", adapt=10, progress=False)
    for clips, key, name in ((10, "adapted", "of the corpus"), (5, "calibrated", "of the speaker")):
        line = f"UAR with {clips} clips  {expected[key]['with']:.1%}  ({name}, without labels; 20 draws)"
        assert " ".join(line.split()) in " ".join(result.stdout.split())


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
