"""An SBOM is taken only if it is valid, says all of the lock and of the wheel, and nothing of the machine."""

import copy
import hashlib
import json
from pathlib import Path

import pytest

pytest.importorskip("cyclonedx", reason="the extra `release` is not installed")

from release.lock import RUNTIME
from release.sbom import described, incomplete, locked, locked_hashes, malformed, with_hashes

NAME = "oicp_adapter-1.2.3-py3-none-any.whl"
HASH = hashlib.sha256(b"the wheel").hexdigest()


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(b"the wheel")
    return path


def sha256(content):
    return [{"alg": "SHA-256", "content": content}]


@pytest.fixture
def document():
    """As it is for the lock that is committed."""
    hashes = {name: min(known) for name, known in locked_hashes(RUNTIME).items()}
    components = [
        {
            "type": "library",
            "name": name,
            "version": version,
            "bom-ref": name,
            "purl": f"pkg:pypi/{name}@{version}",
            "hashes": sha256(hashes[name]),
        }
        for name, version in locked(RUNTIME).items()
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "root",
                "name": "oicp-adapter",
                "version": "1.2.3",
                "purl": "pkg:pypi/oicp-adapter@1.2.3",
                "hashes": sha256(HASH),
            }
        },
        "components": components,
        "dependencies": [{"ref": "root", "dependsOn": [components[0]["bom-ref"]]}],
    }


def complaints(document, wheel):
    return [*malformed(json.dumps(document)), *incomplete(document, wheel, RUNTIME)]


def test_one_that_says_all_is_taken(document, wheel):
    assert len(document["components"]) > 30
    assert complaints(document, wheel) == []


def test_what_the_tool_leaves_out_is_added(document, wheel):
    whole = copy.deepcopy(document)
    for each in (document["metadata"]["component"], *document["components"]):
        each.pop("hashes")
    document["metadata"]["component"].pop("purl")
    hashes = {each["name"]: each["hashes"][0]["content"] for each in whole["components"]}
    assert json.loads(with_hashes(json.dumps(document), wheel, {**hashes, "oicp-adapter": HASH})) == whole


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda all_of: all_of["components"].pop(), "the SBOM None"),
        (lambda all_of: all_of["components"][0].update(version="0"), "the SBOM 0"),
        (lambda all_of: all_of["components"][0].update(name="pip"), "pip: the lock says None"),
        (lambda all_of: all_of["components"][0].pop("purl"), "no package URL"),
        (lambda all_of: all_of["metadata"]["component"].pop("purl"), "no package URL"),
        (lambda all_of: all_of["components"][0].pop("hashes"), "not the one SHA-256"),
        (lambda all_of: all_of["components"][0].update(hashes=sha256(HASH)), "not the one SHA-256"),
        (lambda all_of: all_of["components"][0]["hashes"].extend(sha256(HASH)), "not the one SHA-256"),
        (lambda all_of: all_of["metadata"]["component"].pop("hashes"), "not the one SHA-256"),
        (lambda all_of: all_of["metadata"]["component"].update(hashes=sha256("0" * 64)), "not the one SHA-256"),
        (lambda all_of: all_of["components"][0]["hashes"][0].update(alg="SHA-1"), "not the one SHA-256"),
        (lambda all_of: all_of["components"][0].update(type="thing"), "not valid"),
        (lambda all_of: all_of["metadata"]["component"].update(version="1.2.4"), "not of oicp-adapter 1.2.3"),
        (lambda all_of: all_of.update(dependencies=[{"ref": "root"}]), "what the program itself depends on"),
        (lambda all_of: all_of["components"][0].update(description="file:///home/me"), "path of this machine"),
    ],
)
def test_one_that_says_less_or_something_else_is_refused(document, wheel, change, expected):
    changed = copy.deepcopy(document)
    change(changed)
    assert any(expected in each for each in complaints(changed, wheel))


def test_the_tool_is_told_the_version_of_the_wheel(tmp_path):
    assert '\nversion = "1.2.3"\n' in described(tmp_path, Path(NAME)).read_text(encoding="utf-8")
