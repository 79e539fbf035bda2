"""What the outward contract fixes stands in the reference, as far as it can be read from there."""

import re
import tomllib

import pytest

from docs.generate import commands
from oicp_adapter.domain.exit_codes import ExitCode
from tests.documents.conftest import ROOT

CONTRACT = ROOT.parent / "shared" / "CONTRACT.md"

pytestmark = pytest.mark.skipif(
    not CONTRACT.exists(), reason="the contract lies beside the project only where it is made"
)


@pytest.fixture(scope="module")
def contract():
    parts = re.split(r"^## (\d)\. .*$", CONTRACT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def reference(name):
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def test_every_command_and_option_of_the_contract_is_there(contract):
    known = {" ".join(each.path): {opt for p in each.parameters for opt in p.opts} for each in commands.tree()}
    cells = re.findall(r"^\| (`.*?`) \|", contract["1"].replace("\\|", "/"), re.MULTILINE)
    assert len(cells) > 10
    for call in re.findall(r"`([^`]+)`", " ".join(cells)):
        first, *rest = call.split(" ")
        below = rest[0].split("/") if rest and re.fullmatch(r"[a-z/]+", rest[0]) else [""]
        for name in below:
            path = f"{first} {name}".strip()
            assert path in known
            assert set(re.findall(r"--[a-z-]+", call)) <= known[path], call
            assert f"## `oicp-adapter {path}`" in reference("commands.md")


def test_every_exit_code_of_the_contract_is_there(contract):
    sentence = contract["1"].split("Exit codes:")[1].split(".")[0]
    fixed = {int(number) for number in re.findall(r"(?:^|, |,\n)\s*(\d+) ", sentence)}
    assert fixed == {0, 2, 69, 70, 75, 78}
    assert fixed <= {code.value for code in ExitCode}
    for number in fixed:
        assert f"| `{number}` |" in reference("exit-codes.md")


def test_every_setting_of_the_contract_is_there_with_its_default(contract):
    (block,) = re.findall(r"```toml\n(.*?)```", contract["2"], re.DOTALL)
    rows = {line.split("`")[1]: line for line in reference("settings.md").splitlines() if line.startswith("| `")}
    for section, table in tomllib.loads(block).items():
        for key, value in (table[0] if isinstance(table, list) else table).items():
            row = rows[f"{section}.{key}"]
            example = section == "operators" or key.endswith("_file")
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            assert example or f"| `{shown}` |" in row, row


def test_every_metric_and_label_of_the_contract_is_there(contract):
    text = contract["5"].split("Prefix")[1].split("Every label value")[0]
    rows = {line.split("`")[1]: line for line in reference("metrics.md").splitlines() if line.startswith("| `oicp")}
    names = re.findall(r"`([a-z_]+?)(?:\{([a-z,]+)\})?`", text)
    seen = 0
    for name, labels in names:
        if name in {"oicp_adapter_", "operator"}:
            continue
        row = rows[f"oicp_adapter_{name}"]
        assert all(f"`{label}`" in row for label in labels.split(",") if label)
        seen += 1
    assert seen >= 20


def test_every_path_of_the_contract_is_there(contract):
    page = reference("endpoints.md")
    paths = re.findall(r"`(?:GET |POST )?(/[a-z0-9/{}A-Z.-]+)`", contract["5"] + contract["6"])
    assert len(paths) >= 6
    for path in paths:
        assert re.search(rf"{re.escape(path)}`", page), path
