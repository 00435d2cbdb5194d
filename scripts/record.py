"""Stores what every interface answers today, to compare it after a change that must change no answer:

python -m scripts.record CHECKOUT DATA OUT     runs the program of a checkout on samples and recordings, writes OUT/
python -m scripts.record --compare OUT OUT     prints what differs; numbers count as equal within 1e-6
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MODELS = ("voice", "dense105")
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
TOLERANCE = 1e-6

IN_PROCESS = """
import json, pathlib, sys
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest
from ser.service.app import create_app
out, clip = map(pathlib.Path, sys.argv[1:])
app = create_app()
(out / "openapi.json").write_text(json.dumps(app.openapi(), indent=1, sort_keys=True))
with TestClient(app) as client:
    with clip.open("rb") as file:
        answer = client.post("/predict", files={"file": ("clip.flac", file.read())}).json()
    (out / "service-predict.json").write_text(json.dumps(answer, indent=1))
    (out / "service-models.json").write_text(json.dumps(client.get("/models").json(), indent=1))
    names = sorted({line.split()[2] for line in client.get("/metrics").text.splitlines() if line.startswith("# TYPE")})
    (out / "metrics.txt").write_text("\\n".join(names))
page = AppTest.from_file("app.py", default_timeout=60).run()
shown = [str(part.proto) for part in page.main]
page.file_uploader(key="upload").set_value((clip.name, clip.read_bytes(), "audio/flac"))
page.run()
shown += [str(part.proto) for part in page.main]
(out / "page.txt").write_text("\\n".join(re_id for re_id in shown))
"""


def record(checkout: Path, data: Path, out: Path) -> None:
    """Run every command that is quick enough on the same recordings."""
    out.mkdir(parents=True)
    samples = sorted((checkout / "samples").glob("*.flac"))
    with tempfile.TemporaryDirectory(prefix="record-") as name:
        work = Path(name)
        clips = work / "clips"
        clips.mkdir()
        for path in [*samples, *sorted((data / "ravdess_original").glob("*.wav"))]:
            shutil.copy(path, clips)
        (clips / "broken.wav").write_bytes(b"RIFF, but no more")
        actors = work / "ravdess"
        for actor in ("01", "12"):
            shutil.copytree(data / "ravdess" / f"Actor_{actor}", actors / f"Actor_{actor}")
        talk = work / "talk.wav"
        _join(samples, talk)
        for command, file in _commands(clips, talk, actors, work):
            (out / file).write_text(_ser(checkout, command, work), encoding="utf-8")
        for model in MODELS:
            rows = _ser(
                checkout, ["batch", "clips", "--out", f"{model}.parquet", "--model", model, "--jobs", "1"], work
            )
            (out / f"batch-{model}.txt").write_text(rows)
            (out / f"batch-{model}.json").write_text(_table(work / f"{model}.parquet"))
        run = [sys.executable, "-c", IN_PROCESS, str(out), str(samples[0])]
        subprocess.run(run, cwd=checkout, check=True, env=_environment(checkout, work), capture_output=True)


def _commands(clips: Path, talk: Path, actors: Path, work: Path) -> list[tuple[list[str], str]]:
    found = [([], "help.txt")]
    for model in MODELS:
        for form in ("json", "csv", "table"):
            found.append((["predict", clips.name, "--model", model, "--format", form], f"predict-{model}.{form}"))
        for form in ("json", "csv", "srt", "vtt", "audacity", "textgrid", "table"):
            found.append((["timeline", talk.name, "--model", model, "--format", form], f"timeline-{model}.{form}"))
        for protocol in ("folds", "all"):
            words = ["evaluate", "--corpus", "ravdess", "--data", actors.name, "--model", model]
            found.append(([*words, "--protocol", protocol, "--format", "json"], f"evaluate-{model}-{protocol}.json"))
        found.append((["info", model], f"info-{model}.txt"))
    found += [(["info"], "info.txt"), (["info", "--format", "json"], "info.json")]
    found += [(["samples"], "samples.txt"), (["samples", "--format", "json"], "samples.json")]
    for command in ("predict", "timeline", "batch", "monitor", "record", "live", "serve", "train", "evaluate"):
        found.append(([command, "--help"], f"help-{command}.txt"))
    return found


def _ser(checkout: Path, words: list[str], work: Path) -> str:
    """What a command prints, and what it says on standard error, after a line between."""
    ran = subprocess.run(
        [sys.executable, "-m", "ser", *words], cwd=work, env=_environment(checkout, work), capture_output=True,
        text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return f"{ran.stdout}\n--- {ran.returncode}\n{ran.stderr}".replace(str(work), "WORK")


def _environment(checkout: Path, work: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(checkout), "COLUMNS": "120", "HOME": str(work), "SER_MODEL": "voice"}


def _join(samples: list[Path], talk: Path) -> None:
    import numpy as np
    import soundfile as sf

    pause = np.zeros(16_000)
    sf.write(talk, np.concatenate([part for path in samples for part in (sf.read(path)[0], pause)]), 16_000)


def _table(folder: Path) -> str:
    import pyarrow.parquet

    return json.dumps(pyarrow.parquet.read_table(folder).to_pylist(), indent=1)


# --- Comparison ---


def compare(before: Path, after: Path) -> int:
    """Print every difference; returns how many files differ."""
    differing = 0
    for name in sorted({path.name for folder in (before, after) for path in folder.iterdir()}):
        old, new = ((folder / name).read_text() if (folder / name).exists() else "" for folder in (before, after))
        lines = list(difflib.unified_diff(_rounded(old), _rounded(new), "before", "after", lineterm="", n=0))
        if lines and not _equal_numbers(old, new):
            differing += 1
            print(f"\n##### {name}: {sum(line[:1] in '+-' for line in lines) - 2} lines", *lines[2:42], sep="\n")
        else:
            print(f"same: {name}")
    return differing


def _rounded(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.rstrip().endswith("/s]")]  # but progress bars
    return [NUMBER.sub(lambda found: f"{float(found[0]):.6f}", line) for line in lines]


def _equal_numbers(old: str, new: str) -> bool:
    old, new = ("\n".join(_rounded(text)) for text in (old, new))
    numbers: list[list[Any]] = [[float(found) for found in NUMBER.findall(text)] for text in (old, new)]
    if NUMBER.sub("#", old) != NUMBER.sub("#", new):
        return False
    return all(abs(a - b) <= TOLERANCE for a, b in zip(*numbers, strict=True))


if __name__ == "__main__":
    if sys.argv[1] == "--compare":
        raise SystemExit(compare(Path(sys.argv[2]), Path(sys.argv[3])) > 0)
    record(*(Path(name).resolve() for name in sys.argv[1:4]))
