"""Batch runs that adapt: to the whole source, to each folder, to a profile, resumed and on a cluster."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from golden.make import RATE, chords, tone
from speech import SPOKEN

from ser.batch import executors
from ser.batch import run as batch_run
from ser.batch.adaptation import NAME, SAMPLES, WHOLE, read, sample, source_name
from ser.batch.checkpoint import checkpoint_folder
from ser.batch.run import batch
from ser.inference.recognizer import load
from ser.types import ArtifactError, ParameterError

pytestmark = pytest.mark.slow
EACH = len(SPOKEN)  # recordings of speech a folder


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> Path:
    """Two folders of speech through two lines, with music and text among it, and one with too few recordings."""
    root = tmp_path_factory.mktemp("calls")
    lines = {"north": np.ones(1), "south": np.ones(3) / 3}
    for name, line in lines.items():
        (root / name).mkdir()
        for take, samples in enumerate(SPOKEN):
            sf.write(root / name / f"{take}.wav", np.convolve(samples, line, "same"), RATE)
    (root / "few").mkdir()
    sf.write(root / "few" / "a.wav", SPOKEN[0], RATE)
    sf.write(root / "north" / "music.wav", chords(), RATE)
    (root / "south" / "text.wav").write_text("no sound")
    return root


def rows(out: Path) -> dict[str, dict]:
    return {row["file"]: row for row in pq.read_table(out).to_pylist()}


def expected(calls: Path, folders: list[str], model: str = "voice") -> dict[str, dict]:
    """The answers of a recogniser that is adapted to the recordings of some folders."""
    recognizer = load(model)
    files = sorted(path for folder in folders for path in (calls / folder).glob("[0-9a-m]*.wav"))
    adapted = recognizer.adapted(files)
    return {str(file): adapted.predict(file).to_dict() for file in files}


def check(table: dict[str, dict], answers: dict[str, dict], source: str) -> None:
    for file, answer in answers.items():
        found = {label: table[file][label] for label in answer["probabilities"]}
        assert found == pytest.approx(answer["probabilities"], abs=1e-6)
        assert (table[file]["adapted_source"], table[file]["adapted_clips"]) == (source, answer["adapted"]["clips"])


def test_a_run_adapts_to_the_whole_source(calls, tmp_path):
    counts = batch(str(calls), tmp_path / "r", "voice", jobs=1)
    assert (counts["files"], counts["failed"]) == (2 * EACH + 3, 1)
    check(rows(tmp_path / "r"), expected(calls, ["north", "south", "few"]), WHOLE)


@pytest.fixture(scope="module")
def by_folder(calls, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("by-folder") / "r"
    batch(str(calls), out, "voice", jobs=1, adapt="folder")
    return out


def test_a_run_adapts_to_each_folder(calls, by_folder):
    table = rows(by_folder)
    for folder in ("north", "south"):
        check(table, expected(calls, [folder]), folder)
    alone = table[str(calls / "few" / "a.wav")]
    assert alone["adapted_source"] is None and alone["adapted_clips"] is None
    plain = load("voice").predict(calls / "few" / "a.wav").to_dict()
    assert {label: alone[label] for label in plain["probabilities"]} == plain["probabilities"]


def test_a_run_need_not_adapt(calls, tmp_path):
    batch(str(calls), tmp_path / "r", "voice", jobs=1, adapt="none")
    assert not list(tmp_path.rglob(NAME))
    file = str(calls / "south" / "0.wav")
    plain, row = load("voice").predict(file).to_dict(), rows(tmp_path / "r")[file]
    assert {label: row[label] for label in plain["probabilities"]} == plain["probabilities"]
    assert row["adapted_source"] is None


def test_a_run_of_any_model_adapts(calls, tmp_path):
    batch(str(calls), tmp_path / "r", "dense105", jobs=1)
    check(rows(tmp_path / "r"), expected(calls, ["north", "south", "few"], "dense105"), WHOLE)


def test_a_profile_takes_the_place_of_the_sample(calls, tmp_path, monkeypatch):
    adapted = load("voice").adapted(sorted((calls / "south").glob("[0-9].wav")), name="south line")
    adapted.profile.save(tmp_path / "south.profile")
    batch(str(calls), tmp_path / "r", jobs=1, profile=tmp_path / "south.profile")
    monkeypatch.setenv("SER_PROFILE", str(tmp_path / "south.profile"))
    batch(str(calls), tmp_path / "again", jobs=1)
    file = str(calls / "north" / "1.wav")
    for name in ("r", "again"):
        row = rows(tmp_path / name)[file]
        answer = adapted.predict(file).to_dict()
        assert {label: row[label] for label in answer["probabilities"]} == answer["probabilities"]
        assert (row["adapted_source"], row["adapted_clips"]) == ("south line", EACH)
    monkeypatch.delenv("SER_PROFILE")
    with pytest.raises(ParameterError, match="holds a run of another profile"):
        batch(str(calls), tmp_path / "r", "voice", jobs=1)
    (tmp_path / "half").write_bytes((tmp_path / "south.profile").read_bytes()[:-9])
    with pytest.raises(ArtifactError, match="is not a profile"):
        batch(str(calls), tmp_path / "new", jobs=1, profile=tmp_path / "half")
    assert not (tmp_path / "new").exists()


def test_a_resumed_run_adapts_to_the_same(calls, by_folder, tmp_path, monkeypatch):
    """The stored means are taken; other files that lie there now change nothing."""

    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        batch(str(calls), tmp_path / "r", "voice", jobs=1, adapt="folder", progress=stop)
    with monkeypatch.context() as patch:
        patch.setattr(batch_run, "analyse_files", lambda *_: pytest.fail("analysed again"))
        batch(str(calls), tmp_path / "r", "voice", jobs=1, adapt="folder")
    assert rows(tmp_path / "r") == rows(by_folder)
    with pytest.raises(ParameterError, match="holds a run of --adapt folder"):
        batch(str(calls), tmp_path / "r", "voice", jobs=1, adapt="none")


@pytest.mark.service
def test_a_cluster_adapts_to_the_same(calls, by_folder, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        batch(str(calls), tmp_path / "r", "voice", adapt="folder", dask=cluster.scheduler_address)
    table, local = rows(tmp_path / "r"), rows(by_folder)
    assert table.keys() == local.keys()
    for file, row in table.items():
        assert [row[name] for name in ("label", "adapted_source", "adapted_clips", "error")] == [
            local[file][name] for name in ("label", "adapted_source", "adapted_clips", "error")
        ]
        if row["error"] is None:
            assert row["confidence"] == pytest.approx(local[file]["confidence"], abs=1e-6)


def test_an_unknown_way_is_refused(calls, tmp_path):
    with pytest.raises(ParameterError, match="Unknown --adapt 'room'; known: none, folder, source"):
        batch(str(calls), tmp_path / "r", "voice", jobs=1, adapt="room")  # type: ignore[arg-type]


def test_what_is_kept_holds_no_sound(calls, by_folder):
    path = checkpoint_folder(by_folder) / NAME
    sources = read(path)
    assert {source_name(source) for source in sources} == {"north", "south"}
    assert {mean.clips for mean in sources.values()} == {EACH}
    assert path.stat().st_size < 2 * 1000
    for line in path.read_text().splitlines():
        assert tuple(json.loads(json.loads(line)[1])["log_probabilities"]) == load("voice").labels


def test_what_another_version_kept_is_refused(calls, by_folder, tmp_path):
    """Its means are of features; the rest of the run would be of another kind than what is answered already."""
    for ending in ("", checkpoint_folder(Path("r")).suffix):
        shutil.copytree(f"{by_folder}{ending}", tmp_path / f"r{ending}")
    path = checkpoint_folder(tmp_path / "r") / NAME
    stored = path.read_text()
    damaged = (stored.replace("ser-profile/2", "ser-profile/1"), stored[:-9], "5", '["x", "{}"]', "\0", '["x"]')
    for content in (*(text.encode() for text in damaged), b"\xff"):
        path.write_bytes(content)
        with pytest.raises(ParameterError, match=r"sources\.jsonl is damaged, or of another version .* or --force to"):
            batch(str(calls), tmp_path / "r", "voice", jobs=1, adapt="folder")
    path.write_text(stored)
    assert batch(str(calls), tmp_path / "r", "voice", jobs=1, adapt="folder")["failed"] == 1


def test_folders_that_come_later_are_adapted_to(tmp_path):
    """What had too few recordings is heard again when it has more; what is stored stays."""
    out, calls = tmp_path / "r", tmp_path / "calls"

    def write(folder: str, clips: list[np.ndarray]) -> None:
        (calls / folder).mkdir(parents=True, exist_ok=True)
        first = len(list((calls / folder).iterdir()))
        for take, samples in enumerate(clips, start=first):
            sf.write(calls / folder / f"{take}.wav", samples, RATE)

    write("north", SPOKEN[:3])
    write("south", [tone(1.0, 400.0), tone(1.0, 500.0), SPOKEN[0]])
    batch(str(calls), out, "voice", jobs=1, adapt="folder")
    stored = checkpoint_folder(out) / NAME
    assert {source_name(key): means and means.clips for key, means in read(stored).items()} == {
        "north": 3,
        "south": None,
    }
    before = stored.read_text()
    batch(str(calls), out, "voice", jobs=1, adapt="folder")
    assert stored.read_text() == before
    write("north", SPOKEN[3:4])
    write("south", SPOKEN[1:3])
    write("west", SPOKEN[:3])
    batch(str(calls), out, "voice", jobs=1, adapt="folder")
    table = rows(out)
    adapted = {
        file.relative_to(calls).as_posix(): (table[str(file)]["adapted_source"], table[str(file)]["adapted_clips"])
        for file in calls.rglob("*.wav")
    }
    assert adapted["north/3.wav"] == ("north", 3) == adapted["north/0.wav"] and adapted["west/0.wav"] == ("west", 3)
    assert adapted["south/0.wav"] == (None, None) and adapted["south/4.wav"] == ("south", 3)


def test_a_source_that_grows_is_adapted_to_although_its_sample_was_interrupted(tmp_path, monkeypatch):
    out, calls = tmp_path / "r", tmp_path / "calls"
    calls.mkdir()
    for n in range(3):
        sf.write(calls / f"{n}.wav", np.zeros(RATE), RATE)
    batch(str(calls), out, "dense105", jobs=1)
    assert read(checkpoint_folder(out) / NAME) == {WHOLE: None}
    for take, samples in enumerate(SPOKEN):
        sf.write(calls / f"speech-{take}.wav", samples, RATE)

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(batch_run, "source_means", stop)
        with pytest.raises(KeyboardInterrupt):
            batch(str(calls), out, "dense105", jobs=1)
    batch(str(calls), out, "dense105", jobs=1)
    assert rows(out)[str(calls / "speech-0.wav")]["adapted_clips"] == EACH


def test_channels_count_as_one_recording(tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    for take, samples in enumerate(SPOKEN[:3]):
        sf.write(calls / f"{take}.wav", np.stack([samples, samples[::-1]], axis=1), RATE)
    batch(str(calls), tmp_path / "r", "dense105", jobs=1, channels="each")
    table = pq.read_table(tmp_path / "r").to_pylist()
    assert len(table) == 6 and {row["adapted_clips"] for row in table} == {3}


def test_without_semaphores_files_are_predicted_in_one_process(calls, tmp_path, monkeypatch):
    """As on a system without /dev/shm."""
    expected_rows = batch(str(calls), tmp_path / "r", "dense105", jobs=2, adapt="none")
    monkeypatch.setattr(executors, "_has_semaphores", lambda: False)
    assert batch(str(calls), tmp_path / "s", "dense105", jobs=2, adapt="none") == expected_rows | {
        "out": str(tmp_path / "s")
    }
    monkeypatch.undo()
    assert executors._has_semaphores()
    monkeypatch.setenv("JOBLIB_MULTIPROCESSING", "0")
    assert not executors._has_semaphores()


# --- Samples ---


def test_a_sample_takes_every_file_as_often():
    files, times = [f"calls/{number:03d}.wav" for number in range(200)], np.zeros(200)
    for seed in range(300):
        (chosen,) = sample(files, "folder", seed).values()
        assert len(set(chosen)) == SAMPLES["folder"]
        times[[int(file[6:9]) for file in chosen]] += 1
    assert times.min() > 10 and times.max() < 55  # 30 expected
    assert sample(files, "folder") == sample(files, "folder")


def test_small_sources_are_taken_whole():
    files = ["a/1.wav", "a/2.wav", "b/3.wav", "s3://calls/c/4.wav"]
    assert sample(files, "folder") == {"a": files[:2], "b": files[2:3], "s3:/calls/c": files[3:]}
    assert sample(files, "source") == {WHOLE: files}


@pytest.mark.parametrize(("source", "name"), [("a/b", "b"), ("", WHOLE), ("x/a\x1bb\udcff", "ab"), ("/", WHOLE)])
def test_a_source_is_called_by_its_folder(source, name):
    assert source_name(source) == name


def test_tones_are_no_source(tmp_path):
    for number in range(4):
        sf.write(tmp_path / f"{number}.wav", tone(1.0, 400.0 + 100 * number), RATE)
    batch(str(tmp_path), tmp_path / "r", "voice", jobs=1)
    assert {row["adapted_source"] for row in rows(tmp_path / "r").values()} == {None}
