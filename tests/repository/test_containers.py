"""The container file and the compose file pass their own tools and keep the rules that those do not check."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from programs import DEPLOY, content, loaded, locked, of_environment, passes, tool

COMPOSE = loaded(DEPLOY / "compose.yaml")["services"]
CONTAINERS = content("deploy/Dockerfile")
EXTRAS = tomllib.loads(content("pyproject.toml"))["project"]["optional-dependencies"]


@pytest.mark.service
def test_compose_accepts_its_file():
    passes(of_environment("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    program = tool("docker-compose", "docker")
    command = [program, "compose"] if Path(program).stem == "docker" else [program]
    config = yaml.safe_load(passes(*command, "--file", "compose.yaml", "config"))
    assert set(config["services"]) == {"service", "page", "prometheus", "grafana"}


def test_containers_are_unprivileged_and_pinned():
    for name, service in COMPOSE.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"] and service["tmpfs"]
        assert all(port.startswith(("127.0.0.1:", "${SER_BIND:-127.0.0.1}:")) for port in service["ports"])
        if "build" not in service:
            assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])


def test_what_compose_mounts_and_builds_exists():
    mounted = [volume.split(":")[0] for service in COMPOSE.values() for volume in service.get("volumes", [])]
    assert [path for path in mounted if path.startswith(".") and not (DEPLOY / path).exists()] == []
    stages = re.findall(r"^FROM \S+ AS (\S+)", CONTAINERS, re.MULTILINE)
    assert {service["build"]["target"] for service in COMPOSE.values() if "build" in service} <= set(stages)
    assert "service:8000" in content("deploy/prometheus/prometheus.yml") and "service" in COMPOSE


@pytest.mark.service
def test_hadolint_accepts_the_container_file():
    passes(of_environment("hadolint"), "Dockerfile")


def test_images_run_unprivileged():
    images = CONTAINERS.split("\nFROM ")[-2:]  # the stages before them are not shipped
    assert all(re.search(r"^USER [1-9]\d+:[1-9]\d+$", image, re.MULTILINE) for image in images)


def test_images_hold_no_training_library():
    """Images install what the lock files of `scripts.lock` name, and the package without what it asks for."""
    assert re.findall(r"--require-hashes -r (\w+\.lock)", CONTAINERS) == ["service.lock", "page.lock"]
    assert len(re.findall(r"install --no-cache-dir --no-deps \.$", CONTAINERS, re.MULTILINE)) == 2
    training = {re.split(r"[\[<>=!~; ]", wanted)[0] for wanted in EXTRAS["train"]} - {"tqdm"}
    for name in ("service", "page"):
        assert not training & set(locked(f"deploy/{name}.lock"))
