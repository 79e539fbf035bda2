"""The settings as a whole: defaults, unknown and missing keys, contradictions, secrets."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from oicp_adapter.domain.errors import ConfigurationError, MappingRefusedError
from oicp_adapter.settings import PushMode, Settings, StoreSettings, load_settings
from tests.unit.loading import CANARY, OPERATOR, environment_problems, from_file, problems_of


def test_the_defaults_are_those_of_the_contract_and_never_production() -> None:
    settings = load_settings(None, None, {})
    assert settings.hub.url == "https://service-qa.hubject.com/api/oicp"
    assert settings.push.mode is PushMode.LIVE
    assert settings.push.reassert_every == timedelta(hours=6)
    assert (settings.monitoring.port, settings.control.port) == (9464, 8464)
    assert settings.operators == ()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[pus]\n", "did you mean push?"),
        ("[push]\nmax_record = 3\n", "did you mean max_records?"),
        ("[[operators]]\nid='DE*ABC'\ncertificate='c'\nprivatekey='k'\nprivate_key='k'\n", "did you mean private_key?"),
        ("[push]\nzzz = 3\n", "known are late_apply, lease"),
    ],
)
def test_an_unknown_key_of_the_file_is_told_its_nearest(tmp_path: Path, text: str, hint: str) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert "is no setting" in problem
    assert hint in problem


def test_all_problems_are_told_at_once_and_name_their_source(tmp_path: Path) -> None:
    text = "[hub]\nurl='http://x'\n[push]\nmax_records=0\nsettle=-1\n[full_load]\nat='25:00'\ntime_zone='Mars/One'\n"
    problems = problems_of(tmp_path, text, OICP_ADAPTER_PUSH__LEASE="soon")
    assert len(problems) == 6
    assert "push.lease (from the environment, OICP_ADAPTER_PUSH__LEASE) = soon is no number" in "\n".join(problems)
    with pytest.raises(ConfigurationError, match="6 settings are wrong") as caught:
        load_settings(tmp_path / "settings.toml", None, {"OICP_ADAPTER_PUSH__LEASE": "soon"})
    assert caught.value.exit_code == 78
    assert all(problem in str(caught.value) for problem in problems)


def test_one_problem_alone_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_file(tmp_path, "[push]\nmax_records = 0\n")
    assert str(caught.value) == (
        "push.max_records = 0 is not allowed: expected the number of records in one request, 1 to 10000"
    )


def test_an_operator_without_its_key_is_told_what_is_missing_and_from_where(tmp_path: Path) -> None:
    (problem,) = environment_problems(OICP_ADAPTER_OPERATORS='[{"id": "DE*ABC", "certificate": "c.pem"}]')
    assert problem == (
        "operators[0].private_key (from the environment, OICP_ADAPTER_OPERATORS) is missing: "
        "expected the PEM file of its private key"
    )
    (problem,) = problems_of(tmp_path, "[[operators]]\nid = 'DE*ABC'\ncertificate = 'c.pem'\n")
    assert problem == "operators[0].private_key is missing: expected the PEM file of its private key"


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ([OPERATOR, {**OPERATOR, "id": "ABC"}], "operators[1].id"),
        ([{**OPERATOR, "sub_operators": ["DE*XYZ", "XYZ"]}], "operators[0].sub_operators[1]"),
        ([{**OPERATOR, "key": "k"}], "operators[0].key"),
        ([{**OPERATOR, "certificate": ["c"]}], "operators[0].certificate"),
        ([17], "operators[0]"),
        ({}, "operators"),
    ],
)
def test_whatever_is_wrong_with_operators_of_the_environment_names_the_variable(wrong: object, place: str) -> None:
    (problem,) = environment_problems(OICP_ADAPTER_OPERATORS=json.dumps(wrong))
    assert problem.startswith(f"{place} (from the environment, OICP_ADAPTER_OPERATORS) ")


def test_operator_keys_hold_the_account_and_its_sub_operators_canonically() -> None:
    entry = {**OPERATOR, "id": "de*abc", "sub_operators": ["+49*810", "DEXYZ"]}
    operator = load_settings(None, {"operators": [entry]}, {}).operators[0]
    assert operator.id == "de*abc"
    assert operator.canonical == "DEABC"
    assert operator.operator_keys == {"DEABC", "49810", "DEXYZ"}


@pytest.mark.parametrize(
    "second",
    [
        {**OPERATOR, "id": "DEABC"},
        {**OPERATOR, "id": "DE*XYZ", "sub_operators": ["de*abc"]},
        {**OPERATOR, "id": "DE*XYZ", "sub_operators": ["DE*SUB"]},
    ],
)
def test_an_operator_in_two_lanes_is_refused_whatever_its_spelling(second: dict[str, object]) -> None:
    first = {**OPERATOR, "sub_operators": ["DESUB"]}
    (problem,) = environment_problems(OICP_ADAPTER_OPERATORS=json.dumps([first, second]))
    assert "in 2 lanes" in problem


def test_a_sub_operator_may_be_spelt_twice_in_its_own_lane() -> None:
    entry = {**OPERATOR, "sub_operators": ["DE*SUB", "DESUB", "DE*ABC"]}
    assert load_settings(None, {"operators": [entry]}, {}).operators[0].operator_keys == {"DEABC", "DESUB"}


def test_an_override_that_would_send_drivers_to_a_dead_charger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingRefusedError, match="Faulted as Available"):
        from_file(tmp_path, "[mapping]\nFaulted = 'Available'\n")


def test_no_secret_is_in_any_text_of_the_settings() -> None:
    settings = load_settings(
        None,
        {"store.url": f"postgresql://u:{CANARY}@h/d", "operators": [{**OPERATOR, "private_key_password": CANARY}]},
        {},
    )
    for text in (repr(settings), str(settings), repr(settings.model_dump()), settings.model_dump_json()):
        assert CANARY not in text


@pytest.mark.parametrize(
    "text",
    [
        f"[store]\npassword = ['{CANARY}']\n",
        f"[store]\npasword = '{CANARY}'\n",
        f"store = '{CANARY}'\n",
        f"operators = '{CANARY}'\n",
        f"[store]\npassword = '{CANARY}'\n[store]\n",
        f"[[operators]]\nid='DE*ABC'\ncertificate='c'\nprivate_key='''-----BEGIN {CANARY}'''\n",
        f"[[operators]]\nid='DE*ABC'\ncertificate='c'\nprivate_key='k'\nprivate_key_password={{a='{CANARY}'}}\n",
    ],
)
def test_no_secret_is_in_any_error(tmp_path: Path, text: str) -> None:
    assert CANARY not in "".join(problems_of(tmp_path, text))


def test_settings_built_by_hand_may_not_hide_a_password_in_the_url() -> None:
    with pytest.raises(ValidationError) as caught:
        StoreSettings(url=f"postgresql://u:{CANARY}@h/d")
    assert CANARY not in str(caught.value)


def test_the_policy_carries_the_settings_and_starts_a_request_within_half_a_lease() -> None:
    overrides = {"push.lease": 4, "push.max_records": 7, "hub.request_timeout": 9, "full_load.at": ""}
    policy = load_settings(None, overrides, {}).policy()
    assert policy.send_within == timedelta(seconds=2)
    assert policy.max_records == 7
    assert policy.request_timeout == timedelta(seconds=9)
    assert policy.full_load_at == ""


def test_the_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().push.max_records = 3  # type: ignore[misc] # that it is refused is the point
