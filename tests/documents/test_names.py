"""Settings, environment variables and events of the log that the documents name are those of the code."""

import ast
import re
from pathlib import Path

import pytest

import oicp_adapter
from oicp_adapter.checks.finding import Check
from oicp_adapter.settings import KNOWN, examine_settings
from oicp_adapter.sync.answers import Effect
from tests.documents.conftest import PAGES, blocks, name, prose, quoted

VARIABLE = re.compile(r"\bOICP_ADAPTER_[A-Z_]*[A-Z]\b")
DOTTED = re.compile(r"([a-z_]+)\.([a-z_]+)")
IN_SECTION = re.compile(r"`([a-z_]+)(?: = [^`]*)?` (?:in|of|under) `\[\[?([a-z_]+)\]\]?`")
SECTION = re.compile(r"\[\[?([a-z_]+)\]\]?")
LOGS = {"debug", "info", "warning", "error", "critical", "exception", "_tell_once"}


def variables():
    keys = {f"{section}__{key}" for section, known in KNOWN.items() if section != "operators" for key in known}
    return {f"OICP_ADAPTER_{key}".upper() for key in (*keys, "config", "operators")}


def events():
    """Each event that the package writes into its log; one is put together with what the hub did."""
    for path in Path(oicp_adapter.__file__).parent.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        for call in ast.walk(ast.parse(source)) if "log" in source else ():
            if isinstance(call, ast.Call) and call.args:
                called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
                if called in LOGS | {"log"}:
                    yield from texts(call.args[0])


def texts(argument):
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield argument.value
    elif isinstance(argument, ast.JoinedStr):
        for effect in Effect:
            yield "".join(part.value if isinstance(part, ast.Constant) else effect for part in argument.values)


EVENTS = {event for event in events() if DOTTED.fullmatch(event)}
CHECKS = {each.value for each in Check}


def is_known(section, key):
    return key in KNOWN.get(section, ()) or f"{section}.{key}" in EVENTS | CHECKS


def unknown(page, text):
    for quote in re.findall(r"`([^`]+)`", text):
        bare = quote.split(" = ")[0]
        found = DOTTED.fullmatch(bare)
        begins = {event.partition(".")[0] for event in EVENTS} | set(KNOWN)
        if found and found[1] in begins and not is_known(*found.groups()) and found[2] not in {"py", "md", "toml"}:
            yield quote
        section = SECTION.fullmatch(quote)
        if section and section[1] not in KNOWN:
            yield quote
    for key, section in IN_SECTION.findall(text):
        if section not in KNOWN or (KNOWN[section] and key not in KNOWN[section]):
            yield f"{section}.{key}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_setting_and_event_that_is_named_is_there(page):
    assert not list(unknown(page, prose(page)))


@pytest.mark.parametrize(
    "text", ["`push.settel`", '`full_load.zone = "UTC"`', "`[stores]`", "`modus` in `[push]`", "`push.acknowlegded`"]
)
def test_a_wrong_name_would_be_found(text):
    assert list(unknown(None, text))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_environment_variable_that_is_named_is_there(page):
    text = page.read_text(encoding="utf-8")
    named = {each for each in VARIABLE.findall(text) if not each.startswith("OICP_ADAPTER_MAPPING__")}
    assert named <= variables()


@pytest.mark.parametrize("page", [page for page in PAGES if list(blocks(page, "toml"))], ids=name)
def test_every_block_of_settings_has_only_keys_that_there_are(page, tmp_path):
    for number, block in enumerate(blocks(page, "toml")):
        config = tmp_path / f"{number}.toml"
        config.write_text(block, encoding="utf-8")
        _, problems = examine_settings(config, None, {})
        shown = [str(problem) for problem in problems]
        assert not [problem for problem in shown if "is no setting" in problem or "is not TOML" in problem], block


def test_there_are_names_to_look_at():
    assert len(EVENTS) > 30
    assert sum(bool(DOTTED.fullmatch(text)) for page in PAGES for text in quoted(page)) > 100
