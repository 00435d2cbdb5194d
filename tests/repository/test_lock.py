"""Lock files fit what they are made of: the pinned versions, every library's hashes, and no index."""

from __future__ import annotations

import re

import pytest
from programs import content, locked

from scripts.lock import DEV, LOCKS


def pins(name: str) -> dict[str, str]:
    """Return the pinned versions of a file of requirements and of those that it includes, by normalised names."""
    lines = [line.split("#")[0].split(";")[0].strip() for line in content(name).splitlines()]
    found = {re.sub(r"[._-]+", "-", line.split("==")[0].lower()): line.split("==")[1] for line in lines if "==" in line}
    for line in lines:
        if line.startswith("-r "):
            found |= pins(line.removeprefix("-r "))
    return found


def test_the_lock_has_every_pinned_version():
    versions = locked(DEV)
    wanted = pins("requirements-dev.txt")
    assert {name: version for name, version in wanted.items() if versions.get(name) != {version}} == {}


@pytest.mark.parametrize("name", LOCKS)
def test_every_file_has_a_hash_and_no_index_is_named(name):
    text = content(name)
    entries = re.split(r"^(?=\S+==)", text, flags=re.MULTILINE)[1:]
    assert entries and all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text and "--index" not in text and "--find" not in text


def test_images_have_the_versions_that_were_tested():
    tested = locked(DEV)
    for name in LOCKS:
        assert {library for library, versions in locked(name).items() if not versions <= tested[library]} == set(), name
