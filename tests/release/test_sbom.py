"""An SBOM is taken only if it is valid, says all of the lock and of the wheel, and nothing of the machine."""

import copy
import json
from pathlib import Path

import pytest

pytest.importorskip("cyclonedx", reason="the extra `release` is not installed")

from release.lock import RUNTIME
from release.sbom import described, incomplete, locked, malformed

WHEEL = Path("oicp_adapter-1.2.3-py3-none-any.whl")


@pytest.fixture
def document():
    """As it is for the lock that is committed."""
    components = [
        {"type": "library", "name": name, "version": version, "bom-ref": name, "purl": f"pkg:pypi/{name}@{version}"}
        for name, version in locked(RUNTIME).items()
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {
            "component": {"type": "application", "bom-ref": "root", "name": "oicp-adapter", "version": "1.2.3"}
        },
        "components": components,
        "dependencies": [{"ref": "root", "dependsOn": [components[0]["bom-ref"]]}],
    }


def complaints(document):
    return [*malformed(json.dumps(document)), *incomplete(document, WHEEL, RUNTIME)]


def test_one_that_says_all_is_taken(document):
    assert len(document["components"]) > 30
    assert complaints(document) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda all_of: all_of["components"].pop(), "the SBOM None"),
        (lambda all_of: all_of["components"][0].update(version="0"), "the SBOM 0"),
        (lambda all_of: all_of["components"][0].update(name="pip"), "pip: the lock says None"),
        (lambda all_of: all_of["components"][0].pop("purl"), "no package URL"),
        (lambda all_of: all_of["components"][0].update(type="thing"), "not valid"),
        (lambda all_of: all_of["metadata"]["component"].update(version="1.2.4"), "not of oicp-adapter 1.2.3"),
        (lambda all_of: all_of.update(dependencies=[{"ref": "root"}]), "what the program itself depends on"),
        (lambda all_of: all_of["components"][0].update(description="file:///home/me"), "path of this machine"),
    ],
)
def test_one_that_says_less_or_something_else_is_refused(document, change, expected):
    changed = copy.deepcopy(document)
    change(changed)
    assert any(expected in each for each in complaints(changed))


def test_the_tool_is_told_the_version_of_the_wheel(tmp_path):
    assert '\nversion = "1.2.3"\n' in described(tmp_path, WHEEL).read_text(encoding="utf-8")
