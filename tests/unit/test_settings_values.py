"""What each type of setting accepts, and what a wrong value is told."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.domain.statuses import OicpStatus, Status
from oicp_adapter.settings import examine_settings, load_settings
from oicp_adapter.settings_values import RelationName
from tests.unit.loading import CANARY, OPERATOR, environment_problems, from_file, problems_of


@pytest.mark.parametrize(
    "line",
    [
        "push.requests_per_minute = 1",
        "push.requests_per_minute = 2001",
        "push.requests_per_minute = true",
        "push.max_records = 10001",
        "push.max_withdrawn_share = 1.1",
        "push.max_withdrawn_share = nan",
        "push.settle = 0",
        "push.settle = 1e-9",
        "push.settle = inf",
        f"push.settle = {'9' * 400}",
        "push.settle = nan",
        "push.late_apply = 1e300",
        "push.mode = 'dead'",
        "full_load.at = '3:00'",
        "full_load.at = 03:00:00",
        "full_load.at = '\u0660\u0663:\u0660\u0660'",
        "full_load.time_zone = ''",
        "full_load.time_zone = '../UTC'",
        "full_load.time_zone = 'Europe'",
        "full_load.time_zone = 'right/UTC'",
        "hub.url = 'https://'",
        "hub.url = 'https://user@host/api/oicp'",
        "hub.url = 'https://host:99999/api/oicp'",
        "monitoring.port = 65536",
        "monitoring.host = ''",
        "log.format = 'xml'",
        "store = 3",
        "operators = 'DE*ABC'",
        "operators = ['DE*ABC']",
        "mapping = 3",
    ],
)
def test_a_value_out_of_bounds_is_refused(tmp_path: Path, line: str) -> None:
    (problem,) = problems_of(tmp_path, line)
    assert line.split(maxsplit=1)[0].rpartition(".")[2] in problem
    assert "expected" in problem


@given(seconds=st.floats(min_value=1e-3, max_value=86400 * 366))
def test_positive_seconds_are_a_timedelta_from_a_number_and_from_text(seconds: float) -> None:
    settings = load_settings(None, {"push.settle": seconds}, {"OICP_ADAPTER_PUSH__LEASE": repr(seconds)})
    assert settings.push.settle == settings.push.lease == timedelta(seconds=seconds)


@pytest.mark.parametrize("wrong", ["DE*AB", "", "DE*ABCD", "CH-REP", "+4٩*810"])
def test_an_operator_id_outside_the_grammar_is_refused(wrong: str) -> None:
    (problem,) = environment_problems(OICP_ADAPTER_OPERATORS=json.dumps([{**OPERATOR, "id": wrong}]))
    assert "operators[0].id" in problem
    assert "ISO nor the DIN form" in problem


def test_overrides_of_the_mapping_are_words_in_any_spelling(tmp_path: Path) -> None:
    settings = from_file(tmp_path, "[mapping]\noffline = 'out_of_service'\n'Suspended EV' = 'Reserved'\n")
    assert settings.mapping == {Status.OFFLINE: OicpStatus.OUT_OF_SERVICE, Status.SUSPENDED_EV: OicpStatus.RESERVED}
    assert settings.status_mapping().oicp(Status.OFFLINE) is OicpStatus.OUT_OF_SERVICE


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Ofline = 'Unknown'", "Ofline is no status; did you mean Offline?"),
        ("Offline = 'OutOfServce'", "Offline = OutOfServce is no OICP status; did you mean OutOfService?"),
        ("Offline = 'Unknown'\noffline = 'Occupied'", "Offline stands there twice"),
    ],
)
def test_a_wrong_override_is_told_what_is_meant(tmp_path: Path, line: str, said: str) -> None:
    (problem,) = problems_of(tmp_path, f"[mapping]\n{line}\n")
    assert said in problem


def test_an_empty_ca_file_means_the_trust_store_of_the_system() -> None:
    assert load_settings(None, None, {"OICP_ADAPTER_HUB__CA_FILE": ""}).hub.ca_file is None


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("evse", RelationName("evse")),
        ("Charging.EVSE_2$", RelationName("evse_2$", "charging")),
        ('charging."EVSE view"', RelationName("EVSE view", "charging")),
        ('"a.b"."c""d."', RelationName('c"d.', "a.b")),
        ("ÄRA.Über", RelationName("Über", "Ära")),
        ('"%s:{0}\\"', RelationName("%s:{0}\\")),
    ],
)
def test_a_relation_is_spelt_as_in_sql(spelt: str, name: RelationName) -> None:
    settings = load_settings(None, {"store.status_relation": spelt, "store.temporary_relation": ""}, {})
    assert (settings.store.status_relation, settings.store.temporary_relation) == (name, None)


@pytest.mark.parametrize(
    "wrong",
    [
        *("a.b.c", "EVSE view", "evse-status", '"', '""', 'a."', '"a"b', "a..b", ".a", "a.", "1a", " a", "a\n", "a;b"),
        *('"a\0b"', '"\ud800"', '"__[POSTCOMPILE_a]"', 7, ["a"], {"name": "a"}),
    ],
)
def test_what_is_no_name_of_a_relation_is_refused_with_an_example(wrong: object) -> None:
    settings, (problem,) = examine_settings(None, {"store.temporary_relation": wrong}, {})
    assert settings is None
    assert str(problem).startswith("store.temporary_relation")
    assert "spelt as in SQL" in str(problem)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:p/{CANARY}@h/db",
        f"postgresql://u:p?{CANARY}@h/db",
        f"postgresql://u:p#{CANARY}@h/db",
        f"postgresql://u:1/x?{CANARY}@h/db",
        f"postgresql://u:p@{CANARY}@h/db",
        f"postgresql://u@h/db?password={CANARY}",
        f"postgresql://u@h/db?sslpassword={CANARY}",
        f"postgresql://u:{CANARY}@h:port/db",
        f"postgresql://u:{CANARY}@[h/db",
        f"postgresql://u:{CANARY}@h",
        f"mysql://u:{CANARY}@h/db",
        f"{CANARY}",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
    ],
)
def test_a_store_url_that_cannot_be_used_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    (problem,) = problems_of(tmp_path, f'[store]\nurl = "{url}"\n')
    assert "store.url" in problem
    assert CANARY not in problem
