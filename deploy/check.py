"""Takes the steps of the container file without a container engine, then runs what they made, read-only.

    sudo python deploy/check.py

Each stage is a layer over this machine's own files, with the Python that runs this program in place of the image's;
nothing outside of the layers changes. What they made runs as the user whom the container file names, without a network
beyond its own. For Linux with overlayfs and iproute2; mounting is for root.
"""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "deploy" / "Dockerfile"
FORBIDDEN = ("tensorflow", "keras", "librosa", "numba", "sklearn")
SAID = ("USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")
CHROOT = "/usr/sbin/chroot"
CLONE_NEWNET = 0x40000000  # of Linux' sched.h
START_S = 120
STOP_S = 30


@dataclass
class Stage:
    """Where the files of a stage are, and what is set for its programs."""

    layers: list[Path]
    root: Path
    env: dict[str, str]
    workdir: str = "/"
    said: dict[str, str] = field(default_factory=dict)

    def command(self, name: str) -> list[str]:
        """Of HEALTHCHECK, ENTRYPOINT or CMD, which are written as JSON."""
        return json.loads(self.said[name][self.said[name].index("[") :])

    def start(
        self, command: list[str], user: str, env: dict[str, str] | None = None, **output: Any
    ) -> subprocess.Popen[str]:
        """Run a command inside, with the stage's environment and what `env` adds to it."""
        inside = [CHROOT, f"--userspec={user}", "--groups=", str(self.root), "/usr/bin/env", "-C", self.workdir]
        return subprocess.Popen([*inside, *command], env=(env or {}) | self.env, text=True, **output)

    def ask(self, command: list[str], user: str) -> tuple[int, str]:
        """Exit code and output of a command inside."""
        running = self.start(command, user, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = running.communicate(timeout=START_S)
        return running.returncode, output


# --- Building ---


def instructions() -> list[tuple[str, str]]:
    """Name and argument of each instruction of the container file."""
    text = FILE.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def build(work: Path) -> dict[str, Stage]:
    """Every stage, by its name."""
    stages: dict[str, Stage] = {}
    current = ""
    for name, rest in instructions():
        print(f"{name} {rest}"[:118], file=sys.stderr)
        if name == "FROM":
            parent, _, current = rest.split()
            stages[current] = _begin(work / current, stages.get(parent))
        else:
            _take(stages, stages[current], name, rest)
    return stages


def _begin(folder: Path, parent: Stage | None) -> Stage:
    upper, work, root = (folder / name for name in ("upper", "work", "root"))
    for path in (upper, work, root):
        path.mkdir(parents=True)
    layers = parent.layers if parent else [Path("/")]
    options = f"lowerdir={':'.join(map(str, layers))},upperdir={upper},workdir={work}"
    _sh("mount", "-t", "overlay", "overlay", "-o", options, str(root))
    for name in ("proc", "dev"):
        _sh("mount", "--rbind", f"/{name}", str(root / name))
    if parent:
        return Stage([upper, *layers], root, dict(parent.env), parent.workdir, dict(parent.said))
    for path in [*Path(sys.base_prefix).parents, Path(sys.base_prefix)]:  # it may lie in somebody's home
        _sh("chmod", "o+x", str(root / path.relative_to("/")))
    return Stage([upper, *layers], root, {"PATH": f"{sys.base_prefix}/bin:/usr/bin:/bin"})


def _take(stages: dict[str, Stage], stage: Stage, name: str, rest: str) -> None:
    """One instruction."""
    if name == "ENV":
        stage.env |= {key: value.replace("$PATH", stage.env["PATH"]) for key, value in _pairs(rest)}
    elif name == "WORKDIR":
        stage.workdir = rest
        (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif name == "COPY":
        _copy(stages, stage, shlex.split(rest))
    elif name == "RUN":
        code = stage.start(["sh", "-c", rest], "0:0", _index(), stdout=subprocess.DEVNULL).wait()
        assert code == 0, f"RUN {rest} ends with {code}"
    else:
        assert name in SAID, f"no instruction that this program knows: {name}"
        stage.said[name] = rest


def _pairs(rest: str) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (part.partition("=") for part in shlex.split(rest))]


def _index() -> dict[str, str]:
    """How this machine reaches its packages; the image's build has the engine's network instead."""
    return {key: value for key, value in os.environ.items() if key.startswith("PIP_") or key.lower().endswith("_proxy")}


def _copy(stages: dict[str, Stage], stage: Stage, words: list[str]) -> None:
    source, ignore = ROOT, ignored
    if words[0].startswith("--from="):
        source, ignore = stages[words.pop(0).removeprefix("--from=")].root, None
    *names, to = words
    target = stage.root / f"{stage.workdir if not to.startswith('/') else ''}/{to}".lstrip("/")
    for path in (source / name.lstrip("/") for name in names):
        if path.is_dir():
            shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True, ignore=ignore)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def ignored(folder: str, names: list[str]) -> set[str]:
    """What the container file's list of ignored files keeps out."""
    patterns = FILE.with_name("Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    out = [pattern for pattern in patterns[2:] if pattern and not pattern.startswith("!")]
    paths = {name: (Path(folder) / name).relative_to(ROOT) for name in names}
    return {name for name, path in paths.items() if any(path.match(pattern) for pattern in out)}


def _sh(*command: str) -> None:
    subprocess.run(command, check=True)


# --- Running ---


def checked(name: str, stage: Stage) -> str:
    """What an image does: nothing of it can be written, it is healthy, answers, and stops when told to."""
    _sh("mount", "-o", "remount,ro", str(stage.root))
    _sh("mount", "-t", "tmpfs", "tmpfs", str(stage.root / "tmp"))
    site = next((stage.root / "opt/venv/lib").glob("python*/site-packages"))
    assert not [library for library in FORBIDDEN if (site / library).exists()], "it holds libraries of the training"
    user = stage.said["USER"]
    code, told = stage.ask(["touch", "x"], user)
    assert code != 0 and "Read-only file system" in told, f"it can be written: {told}"
    with tempfile.TemporaryFile("w+") as log:
        running = stage.start(stage.command("ENTRYPOINT") + stage.command("CMD"), user, stdout=log, stderr=log)
        try:
            seconds = _healthy(stage, user, running)
            found = ANSWERS[name](stage, user)
        except BaseException:
            log.seek(0)
            print(log.read(), file=sys.stderr)
            raise
        finally:
            running.terminate()
            running.wait(STOP_S)
    megabytes = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    return f"{name}: user {user}, healthy after {seconds:.0f} s, {found}; libraries {megabytes:.0f} MB"


def _healthy(stage: Stage, user: str, running: subprocess.Popen[str]) -> float:
    began = time.monotonic()
    while stage.ask(stage.command("HEALTHCHECK"), user)[0] != 0:
        assert running.poll() is None, "it ended"
        assert time.monotonic() < began + START_S, "it does not become healthy"
        time.sleep(1)
    return time.monotonic() - began


def _service(*_: object) -> str:
    sound = (ROOT / "samples" / "sharp.flac").read_bytes()
    request = urllib.request.Request("http://127.0.0.1:8000/predict", sound, {"Content-Type": "audio/flac"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    with urllib.request.urlopen("http://127.0.0.1:8000/metrics", timeout=30) as response:
        assert f'ser_answers_total{{label="{answer["label"]}"' in response.read().decode()
    return f"{answer['model']} answers {answer['label']} {answer['confidence']:.3f}"


# Streamlit runs a page for a visitor only; here its own test client is one, who clicks on a sample.
VISIT = """
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("/app/app.py", default_timeout=60).run()
page.button(key="sharp").click().run()
assert not page.exception, page.exception
assert "sharp.flac" in "".join(element.value for element in [*page.get("html"), *page.markdown])
"""


def _page(stage: Stage, user: str) -> str:
    with urllib.request.urlopen("http://127.0.0.1:8501/", timeout=30) as response:
        assert b"streamlit" in response.read().lower()
    code, told = stage.ask(["python", "-c", VISIT], user)
    assert code == 0, told
    return "answers a sample"


ANSWERS = {"service": _service, "page": _page}


def cut_off() -> None:
    """From here on this program, and what it starts, have a network of their own that leads nowhere."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    _sh("ip", "link", "set", "lo", "up")


def main() -> None:
    if os.environ.get("SER_UNSHARED") != "yes":  # mounts of its own, which end with it
        os.environ["SER_UNSHARED"] = "yes"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory(prefix="ser-check-") as folder:
        _sh("mount", "-t", "tmpfs", "tmpfs", folder)
        try:
            stages = build(Path(folder))
            cut_off()
            for name in ANSWERS:
                print(checked(name, stages[name]))
        finally:
            _sh("umount", "--recursive", folder)


if __name__ == "__main__":
    main()
