"""Workflows keep to their schemas, to minimal rights and pinned actions, and name files that exist."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from programs import ROOT, content, loaded, of_environment, passes

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps() -> Iterator[dict[str, Any]]:
    for path in WORKFLOWS:
        for job in loaded(path)["jobs"].values():
            yield from job.get("steps", [])


@pytest.mark.slow
@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / ".github" / "dependabot.yml"], ids=lambda path: path.stem)
def test_workflows_keep_to_their_schema(path):
    schema = "vendor.dependabot" if path.stem == "dependabot" else "vendor.github-workflows"
    passes(of_environment("check-jsonschema"), "--builtin-schema", schema, path)


def test_actions_are_pinned_to_a_commit_and_say_its_version():
    lines = "\n".join(content(str(path)) for path in WORKFLOWS).splitlines()
    lines = [line for line in lines if re.search(r"uses: (?!\./)", line)]
    assert lines and [line for line in lines if not re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []


def test_jobs_may_only_read_unless_they_release():
    assert all(loaded(path)["permissions"] == {"contents": "read"} for path in WORKFLOWS)
    jobs = [job for path in WORKFLOWS for job in loaded(path)["jobs"].items()]
    writing = {name for name, job in jobs if "write" in str(job.get("permissions"))}
    assert writing == {"release", "images"}


def test_commands_name_files_that_exist():
    commands = " ".join(step.get("run", "") for step in steps()).replace("file=@", "")
    paths = re.findall(r"(?<![\w/.\"$:])(?:deploy|samples|artifacts|\.ci)/[\w./-]+|[\w-]+\.(?:txt|md)\b", commands)
    assert {path for path in paths if not (ROOT / path).exists()} == {"notes.md"}  # which a step writes


@pytest.mark.service
def test_commands_are_shell():
    for step in steps():
        if script := re.sub(r"\$\{\{.*?\}\}", "x", step.get("run", "")):
            passes("bash", "-n", "-c", script)


@pytest.mark.service
def test_the_release_takes_its_notes_from_the_changelog(tmp_path):
    """Run the step's own line of awk on a changelog with two versions."""
    script = next(step["run"] for step in steps() if "awk" in step.get("run", ""))
    text = "# Changelog\n\n## [Unreleased]\n- c\n\n## [0.2.0]\n- b\n\n## [0.1.0]\n- a\n"
    (tmp_path / "CHANGELOG.md").write_text(text)
    environment = {**os.environ, "GITHUB_REF_NAME": "v0.2.0"}
    lines = [line for line in script.splitlines() if not line.startswith("gh ")]
    subprocess.run(["bash", "-e", "-c", "\n".join(lines)], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "notes.md").read_text(encoding="utf-8") == "## [0.2.0]\n- b\n\n"


def test_a_release_lists_what_is_in_its_images():
    jobs = loaded(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    listing = " ".join(step.get("run", "") for step in jobs["sbom"]["steps"])
    assert "cyclonedx-py environment" in listing and "deploy/$target.lock" in listing
    assert "sbom" in jobs["release"]["needs"] and "sbom/*.json" in jobs["release"]["steps"][-1]["run"]
    audit = loaded(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["audit"]
    assert audit["continue-on-error"] and "pip-audit" in audit["steps"][-1]["run"]
