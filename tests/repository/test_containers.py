"""What it runs in: the container file and the compose file by their own tools, and what both must hold."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from programs import DEPLOY, ROOT, content, loaded, of_environment, passes, tool

sys.path.insert(0, str(DEPLOY))
import check

COMPOSE = loaded(DEPLOY / "compose.yaml")["services"]
CONTAINERS = content("deploy/Dockerfile")


@pytest.mark.service
def test_the_compose_file_is_one():
    passes(of_environment("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    program = tool("docker-compose", "docker")
    command = [program, "compose"] if Path(program).stem == "docker" else [program]
    config = yaml.safe_load(passes(*command, "--file", "compose.yaml", "config"))
    assert set(config["services"]) == {"service", "page", "prometheus", "grafana"}


def test_containers_are_confined_and_pinned():
    for name, service in COMPOSE.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"] and service["tmpfs"]
        assert all(port.startswith(("127.0.0.1:", "${SER_BIND:-127.0.0.1}:")) for port in service["ports"])
        if "build" not in service:
            assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])


def test_what_compose_mounts_and_builds_is_there():
    mounted = [volume.split(":")[0] for service in COMPOSE.values() for volume in service.get("volumes", [])]
    assert [path for path in mounted if path.startswith(".") and not (DEPLOY / path).exists()] == []
    stages = re.findall(r"^FROM \S+ AS (\S+)", CONTAINERS, re.MULTILINE)
    assert {service["build"]["target"] for service in COMPOSE.values() if "build" in service} <= set(stages)
    assert "service:8000" in content("deploy/prometheus/prometheus.yml") and "service" in COMPOSE


@pytest.mark.service
def test_the_linter_finds_no_fault_with_the_container_file():
    passes(of_environment("hadolint"), "Dockerfile")


def test_the_container_file_copies_what_is_there_and_runs_as_nobody():
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERS, re.MULTILINE) for name in line.split()
    ]
    assert copied and [name for name in copied if not (ROOT / name).exists()] == []
    lines = content("deploy/Dockerfile.dockerignore").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert {name.split("/")[0] for name in copied} == kept
    assert re.findall(r"^FROM (\S*[:/]\S*) ", CONTAINERS, re.MULTILINE) == ["python:3.13.7-slim-bookworm"]
    images = CONTAINERS.split("\nFROM ")[-2:]  # what is before them stays behind
    for image in images:
        assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", image, re.MULTILINE)
        assert image.count("\nHEALTHCHECK ") == 1 and image.count("\nENTRYPOINT [") == 1


def test_images_hold_no_library_of_the_training():
    """They install extras, in the versions of requirements.txt; the extras name none of it."""
    extras = re.findall(r"--constraint requirements.txt '\.\[(\w+)\]'", CONTAINERS)
    named = tomllib.loads(content("pyproject.toml"))["project"]["optional-dependencies"]
    names = {re.split(r"[<>=!~; ]", wanted)[0] for extra in extras for wanted in named[extra]}
    pins = content("requirements.txt").split("# Training")[0].splitlines()
    assert sorted(extras) == ["api", "page"] and names <= {line.split("==")[0] for line in pins if "==" in line}


def test_the_check_knows_every_instruction_of_the_container_file():
    known = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", *check.SAID}
    assert {name for name, _ in check.instructions()} <= known
    assert len(check.instructions()) == sum(bool(re.match("[A-Z]+ ", line)) for line in CONTAINERS.splitlines())


def test_the_check_leaves_out_what_the_engine_would():
    """Of the models everything that only training and scoring need, and what is half written."""
    folder = ROOT / "artifacts" / "voice"
    left = {path.name for path in folder.iterdir()} - check.ignored(
        str(folder), [path.name for path in folder.iterdir()]
    )
    assert left == {"MODEL_CARD.md", "golden.npz", "manifest.json", "novelty.npz"} | {
        path.name for path in folder.glob("*.onnx")
    }
    assert check.ignored(str(ROOT / "artifacts"), [".half", "voice"]) == {".half"}
    assert check.ignored(str(ROOT / "ser"), ["__pycache__", "api.py"]) == {"__pycache__"}
