"""The reference is what the code makes of it, and nothing can be left undescribed."""

import tomllib
from enum import StrEnum

import pytest
import typer
from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import Field

from docs import generate
from docs.generate import commands, meanings, metrics, reasons, settings
from docs.generate.markdown import UndescribedError
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.settings import KNOWN, SECTIONS, MonitoringSettings, Section, load_settings
from oicp_adapter.settings_values import Port
from tests.documents.conftest import ROOT

REFERENCE = ROOT / "docs" / "reference"
EXAMPLE = ROOT / "docs" / "oicp-adapter.example.toml"


def reference(name):
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def renewed():
    return generate.renewed()


@pytest.mark.parametrize("name", [*generate.PAGES, *generate.PARTS])
def test_a_generated_document_is_what_the_code_says(renewed, name):
    assert (ROOT / name).read_text(encoding="utf-8") == renewed[ROOT / name], "run `python -m docs.generate`"


def test_the_reference_has_no_other_pages():
    assert {f"docs/reference/{path.name}" for path in REFERENCE.iterdir()} == set(generate.PAGES)


def test_a_part_needs_its_two_comments():
    with pytest.raises(ValueError, match="generated: routes"):
        generate.replaced("# Routes\n", "routes", "| a |")
    marked = "<!-- generated: routes -->\nold\n<!-- end of generated: routes -->\n"
    assert "old" not in generate.replaced(marked, "routes", "| a |")


def test_every_setting_stands_in_the_reference():
    page = reference("settings.md")
    for section, keys in KNOWN.items():
        assert f"[{section}]" in page
        for key in keys:
            assert f"| `{section}.{key}` |" in page


def test_another_default_bound_or_meaning_is_another_page():
    class Changed(MonitoringSettings):
        """Where metrics and health are served."""

        port: Port = Field(9465, description="the port to listen on, 0 to 65535, 0 for a free one")

    page = settings.page_of(settings.sections() | {"monitoring": Changed}, settings.top_level())
    assert page != reference("settings.md")
    assert page.replace("9465", "9464") == reference("settings.md")


def test_a_setting_without_a_description_is_refused():
    class Silent(Section):
        """Says nothing of what it holds."""

        port: Port = Field(9464)

    with pytest.raises(UndescribedError, match=r"setting silent\.port has no description"):
        settings.page_of({"silent": Silent}, {})


def test_a_section_or_type_that_says_nothing_is_refused():
    class Odd(Section):
        """Holds what nobody has put into words."""

        numbers: set[int] = Field(set(), description="some numbers")

    with pytest.raises(UndescribedError, match="the type"):
        settings.page_of({"odd": Odd}, {})
    Odd.__doc__ = None
    with pytest.raises(UndescribedError, match=r"section \[odd\]"):
        settings.page_of({"odd": Odd}, {})


class Half(StrEnum):
    """Describes one of its members."""

    ONE = "one"
    """The first."""

    OTHER = "other"


def test_a_member_of_an_enumeration_without_a_text_below_it_is_refused():
    with pytest.raises(UndescribedError, match=r"Half\.OTHER"):
        meanings.meanings(Half)


def test_an_option_or_command_without_help_is_refused():
    def command(parameters, text="Does something."):
        yield commands.Command(("some",), text, parameters, group=False)

    app = typer.Typer(add_completion=False)

    @app.command()
    def some(silent: str = "", said: str = typer.Option("", help="Said.")) -> None:
        """Do something."""

    silent, said = typer.main.get_command(app).params
    assert "| `--said SAID` | Said. |" in commands.page_of(command([said]))
    with pytest.raises(UndescribedError, match="--silent of command oicp-adapter some"):
        commands.page_of(command([silent]))


def test_a_metric_without_help_or_with_an_unknown_label_is_refused():
    silent = CollectorRegistry()
    Gauge("oicp_adapter_silent", "", registry=silent)
    with pytest.raises(UndescribedError, match="metric oicp_adapter_silent"):
        metrics.page_of(silent)
    odd = CollectorRegistry()
    Counter("oicp_adapter_odd", "Odd ones.", ("colour",), registry=odd).labels("red")
    with pytest.raises(UndescribedError, match="label colour"):
        metrics.page_of(odd)


def test_an_event_of_the_log_whose_reason_nobody_described_is_refused(monkeypatch):
    monkeypatch.delitem(reasons.LOGGED, "survey.failed")
    with pytest.raises(UndescribedError, match=r"log event survey\.failed"):
        reasons.page()


def test_every_exported_metric_label_and_known_value_stands_in_the_reference():
    page, others = reference("metrics.md"), reference("reasons.md")
    for family in Metrics([metrics.OPERATOR]).registry.collect():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{metrics.name_of(family)}` |"))
        for sample in family.samples:
            for label, value in sample.labels.items():
                if label == "le":
                    continue
                assert f"`{label}`" in row
                if label not in {"operator", "version"}:
                    assert f"| `{value}` |" in page + others, (family.name, label, value)


def test_the_example_of_the_settings_has_every_key_with_its_default(tmp_path):
    text = EXAMPLE.read_text(encoding="utf-8")
    for section, keys in KNOWN.items():
        for key in keys:
            if f"{key}_file" not in keys:  # a secret stands in a file of its own
                assert f"\n{key} = " in text or f"\n# {key} = " in text, f"{section}.{key}"
    set_there = {name: table for name, table in tomllib.loads(text).items() if name in SECTIONS and name != "operators"}
    assert len(set_there) == len(SECTIONS) - 1
    empty = tmp_path / "empty.toml"
    empty.touch()
    defaults, loaded = load_settings(empty, None, {}), load_settings(EXAMPLE, None, {})
    for section, table in set_there.items():
        for key in table:
            assert getattr(getattr(loaded, section), key) == getattr(getattr(defaults, section), key), (section, key)
