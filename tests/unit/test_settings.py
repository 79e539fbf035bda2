"""The settings: sources, precedence, refusals, secrets."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from oicp_adapter.domain.errors import ConfigurationError, MappingRefusedError
from oicp_adapter.domain.statuses import OicpStatus, Status
from oicp_adapter.settings import KNOWN, PushMode, Settings, StoreSettings, examine_settings, load_settings
from oicp_adapter.settings_values import RelationName

CANARY = "c4n4ry-s3cret"
OPERATOR = {"id": "DE*ABC", "certificate": "client.pem", "private_key": "client.key"}


def from_file(folder: Path, text: str, **environ: str) -> Settings:
    config = folder / "settings.toml"
    config.write_text(text, encoding="utf-8")
    return load_settings(config, None, environ)


def problems_of(folder: Path, text: str, **environ: str) -> list[str]:
    config = folder / "settings.toml"
    config.write_text(text, encoding="utf-8")
    settings, problems = examine_settings(config, None, environ)
    assert settings is None
    return [str(problem) for problem in problems]


def environment_problems(**environ: str) -> list[str]:
    settings, problems = examine_settings(None, None, environ)
    assert settings is None
    return [str(problem) for problem in problems]


def test_the_defaults_are_those_of_the_contract_and_never_production() -> None:
    settings = load_settings(None, None, {})
    assert settings.hub.url == "https://service-qa.hubject.com/api/oicp"
    assert settings.push.mode is PushMode.LIVE
    assert settings.push.reassert_every == timedelta(hours=6)
    assert (settings.monitoring.port, settings.control.port) == (9464, 8464)
    assert settings.operators == ()


def test_the_command_line_outranks_the_environment_which_outranks_the_file(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("[monitoring]\nport = 1\nhost = 'file'\n[push]\nlease = 3\n", encoding="utf-8")
    environ = {"OICP_ADAPTER_MONITORING__PORT": "2", "OICP_ADAPTER_MONITORING__HOST": "environment"}
    settings = load_settings(config, {"monitoring.port": 3}, environ)
    assert settings.monitoring.port == 3
    assert settings.monitoring.host == "environment"
    assert settings.push.lease == timedelta(seconds=3)


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("[log]\nlevel = 'debug'\n", encoding="utf-8")
    assert load_settings(None, None, {"OICP_ADAPTER_CONFIG": str(config)}).log.level == "debug"


def test_foreign_environment_variables_are_ignored() -> None:
    assert load_settings(None, None, {"PATH": "/bin", "OICP_ADAPTERX": "1"}) == Settings()


@pytest.mark.parametrize("section", [name for name in KNOWN if name not in ("operators", "mapping")])
def test_every_key_has_an_environment_variable(section: str) -> None:
    for key in KNOWN[section]:
        _, problems = examine_settings(None, None, {f"OICP_ADAPTER_{section}__{key}".upper(): "\x00"})
        assert not any("is no setting" in str(problem) for problem in problems)


def test_operators_come_as_json_from_the_environment() -> None:
    operator = load_settings(None, None, {"OICP_ADAPTER_OPERATORS": json.dumps([OPERATOR])}).operators[0]
    assert operator.operator_id == "DE*ABC"
    assert operator.certificate == Path("client.pem")


def test_operators_that_are_not_json_are_refused_without_showing_them() -> None:
    (problem,) = environment_problems(OICP_ADAPTER_OPERATORS=f"[{{{CANARY}")
    assert "OICP_ADAPTER_OPERATORS is not JSON" in problem
    assert CANARY not in problem


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


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("OICP_ADAPTER_STORE_URL", "did you mean OICP_ADAPTER_STORE__URL?"),
        ("OICP_ADAPTER_PUSH__MAX_RECORD", "did you mean OICP_ADAPTER_PUSH__MAX_RECORDS?"),
        ("OICP_ADAPTER_OPERATOR", "did you mean OICP_ADAPTER_OPERATORS?"),
        ("OICP_ADAPTER_OPERATORS__ID", "did you mean OICP_ADAPTER_OPERATORS?"),
        ("OICP_ADAPTER_MAPPING", "which is no setting"),
    ],
)
def test_an_unknown_environment_variable_is_told_its_nearest(name: str, hint: str) -> None:
    (problem,) = environment_problems(**{name: CANARY})
    assert name in problem
    assert hint in problem
    assert CANARY not in problem


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


def test_an_operator_without_its_key_is_told_what_is_missing() -> None:
    (problem,) = environment_problems(OICP_ADAPTER_OPERATORS='[{"id": "DE*ABC", "certificate": "c.pem"}]')
    assert problem == "operators[0].private_key is missing: expected the PEM file of its private key"


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


def test_overrides_of_the_mapping_are_words_in_any_spelling(tmp_path: Path) -> None:
    settings = from_file(tmp_path, "[mapping]\noffline = 'out_of_service'\n'Suspended EV' = 'Reserved'\n")
    assert settings.mapping == {Status.OFFLINE: OicpStatus.OUT_OF_SERVICE, Status.SUSPENDED_EV: OicpStatus.RESERVED}
    assert settings.status_mapping().oicp(Status.OFFLINE) is OicpStatus.OUT_OF_SERVICE


def test_the_environment_outranks_an_override_of_the_file_in_another_spelling(tmp_path: Path) -> None:
    settings = from_file(
        tmp_path, "[mapping]\nSuspendedEV = 'Reserved'\n", OICP_ADAPTER_MAPPING__SUSPENDED_EV="Unknown"
    )
    assert settings.mapping == {Status.SUSPENDED_EV: OicpStatus.UNKNOWN}


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


def test_an_override_that_would_send_drivers_to_a_dead_charger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingRefusedError, match="Faulted as Available"):
        from_file(tmp_path, "[mapping]\nFaulted = 'Available'\n")


def test_relative_paths_of_the_file_are_relative_to_its_folder(tmp_path: Path) -> None:
    settings = from_file(
        tmp_path,
        "[store]\nurl='sqlite:///data/store.db'\n[hub]\nca_file='ca.pem'\n"
        "[[operators]]\nid='DE*ABC'\ncertificate='certs/client.pem'\nprivate_key='/etc/client.key'\n",
    )
    assert settings.store.url == f"sqlite:///{tmp_path.resolve()}/data/store.db"
    assert settings.hub.ca_file == tmp_path.resolve() / "ca.pem"
    assert settings.operators[0].certificate == tmp_path.resolve() / "certs/client.pem"
    assert settings.operators[0].private_key == Path("/etc/client.key")


def test_relative_paths_elsewhere_are_relative_to_the_working_directory() -> None:
    settings = load_settings(None, {"hub.ca_file": "ca.pem"}, {"OICP_ADAPTER_STORE__URL": "sqlite:///store.db"})
    assert settings.hub.ca_file == Path("ca.pem")
    assert settings.store.url == "sqlite:///store.db"


def test_an_absolute_sqlite_url_of_the_file_stays_as_it_is(tmp_path: Path) -> None:
    assert from_file(tmp_path, "[store]\nurl='sqlite:////var/x.db'\n").store.url == "sqlite:////var/x.db"


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
    ("url", "shown", "password"),
    [
        ("postgresql://u:c4n4ry-s3cret@h:5432/db", "postgresql://u@h:5432/db", CANARY),
        ("postgresql://u:a%40b%2F@h/db?sslmode=require", "postgresql://u@h/db?sslmode=require", "a@b/"),
        ("postgresql+psycopg://u@h/db", "postgresql+psycopg://u@h/db", None),
        ("postgresql://u:x@h1:1,h2:2/db", "postgresql://u@h1:1,h2:2/db", "x"),
    ],
)
def test_the_password_leaves_the_store_url(url: str, shown: str, password: str | None) -> None:
    store = load_settings(None, {"store.url": url}, {}).store
    assert store.url == shown
    assert (store.password.get_secret_value() if store.password else None) == password


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


@pytest.mark.parametrize(
    ("text", "environ", "password"),
    [
        ("url='postgresql://u:file@h/d'", {}, "file"),
        ("url='postgresql://u:file@h/d'", {"PASSWORD": "env"}, "env"),
        ("password_file='secret'", {}, "from a file"),
        ("password_file='secret'", {"PASSWORD": "env"}, "env"),
        ("password='x'", {"URL": "postgresql://u:inside@h/d"}, "inside"),
        ("url='postgresql://u:file@h/d'", {"URL": "postgresql://u@h2/d"}, None),
        ("password='kept'", {"URL": "postgresql://u@h2/d"}, "kept"),
    ],
)
def test_the_password_of_the_higher_source_wins(
    tmp_path: Path, text: str, environ: dict[str, str], password: str | None
) -> None:
    (tmp_path / "secret").write_text("from a file\n", encoding="utf-8")
    store = from_file(
        tmp_path, f"[store]\n{text}\n", **{f"OICP_ADAPTER_STORE__{key}": text for key, text in environ.items()}
    ).store
    assert (store.password.get_secret_value() if store.password else None) == password


@pytest.mark.parametrize(
    "text",
    [
        f"password='{CANARY}'\npassword_file='x'",
        f"url='postgresql://u:{CANARY}@h/d'\npassword='x'",
        f"url='postgresql://u:{CANARY}@h/d'\npassword_file='/x'",
    ],
)
def test_two_passwords_in_one_source_contradict_each_other(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text("x", encoding="utf-8")
    problems = problems_of(tmp_path, f"[store]\n{text}\n")
    assert "both given" in problems[0]
    assert CANARY not in "".join(problems)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * 100_000])
def test_a_secret_file_without_a_password_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    (problem,) = problems_of(tmp_path, "[store]\npassword_file = 'secret'\n")
    assert "password_file" in problem


def test_the_password_of_a_private_key_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{CANARY}\n", encoding="utf-8")
    entry = {**OPERATOR, "private_key_password_file": str(tmp_path / "secret")}
    operator = load_settings(None, {"operators": [entry]}, {}).operators[0]
    assert operator.private_key_password is not None
    assert operator.private_key_password.get_secret_value() == CANARY


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


@pytest.mark.parametrize("content", [b"[store\n", b"\xff", b"a = 1\na = 2\n"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    config = tmp_path / "settings.toml"
    config.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load_settings(config, None, {})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(tmp_path / "absent.toml", None, {})


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
