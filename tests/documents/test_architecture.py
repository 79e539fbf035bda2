"""The pictures of the architecture show what there is."""

import re
import tomllib
from pathlib import Path

import oicp_adapter
from docs.generate import architecture
from oicp_adapter.store.schema import evse_status
from tests.documents.conftest import ROOT, blocks

PAGE = ROOT / "docs" / "architecture.md"
PYPROJECT = ROOT / "pyproject.toml"
RUNS, PUSH, LAYERS = blocks(PAGE, "mermaid")


def drawn(picture):
    """The rows of the picture of the layers."""
    rows = [re.findall(r'(\w+)\["(\w+)"\]:(\d+)', line) for line in picture.splitlines()]
    return [row for row in rows if row]


def test_the_layers_drawn_are_those_that_import_linter_holds():
    contracts = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (contract,) = [each for each in contracts if each["type"] == "layers"]
    held = [[module.strip() for module in layer.split("|")] for layer in contract["layers"]]
    assert [[f"oicp_adapter.{shown}" for _, shown, _ in row] for row in drawn(LAYERS)] == held


def test_every_row_of_the_layers_is_as_wide_as_the_picture():
    columns = int(re.search(r"columns (\d+)", LAYERS)[1])
    assert {sum(int(width) for _, _, width in row) for row in drawn(LAYERS)} == {columns}


def test_every_module_of_the_package_stands_in_a_layer():
    package = Path(oicp_adapter.__file__).parent
    modules = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    shown = {name for row in architecture.layers(PYPROJECT) for name in row}
    assert modules - {"__init__", "__main__"} == shown


def test_other_contracts_make_another_picture(tmp_path):
    changed = tmp_path / "pyproject.toml"
    changed.write_text(PYPROJECT.read_text(encoding="utf-8").replace('"oicp_adapter.demo",', "", 1), encoding="utf-8")
    assert architecture.picture(changed) not in PAGE.read_text(encoding="utf-8")
    assert architecture.picture(PYPROJECT) in PAGE.read_text(encoding="utf-8")


def test_the_tables_drawn_are_there():
    tables = set(re.findall(r"\b(?:oicp_[a-z]+|evse_[a-z]+|temporary_[a-z]+)\b", RUNS))
    assert len(tables) >= 6
    assert tables <= set(evse_status.metadata.tables)


def test_the_steps_of_a_push_in_words_are_those_of_the_picture():
    text = PAGE.read_text(encoding="utf-8")
    for step in ("look", "transaction 1", "send", "transaction 2"):
        assert f"{step}:" in PUSH
        assert re.search(rf"^\d\. `?{step}\b", text, re.IGNORECASE | re.MULTILINE)
