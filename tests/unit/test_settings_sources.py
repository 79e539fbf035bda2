"""Where settings come from, which source wins, and what is said of a source that cannot be read."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.domain.statuses import OicpStatus, Status
from oicp_adapter.settings import KNOWN, Settings, examine_settings, load_settings
from tests.unit.loading import CANARY, OPERATOR, environment_problems, from_file, problems_of


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


def test_the_environment_outranks_an_override_of_the_file_in_another_spelling(tmp_path: Path) -> None:
    settings = from_file(
        tmp_path, "[mapping]\nSuspendedEV = 'Reserved'\n", OICP_ADAPTER_MAPPING__SUSPENDED_EV="Unknown"
    )
    assert settings.mapping == {Status.SUSPENDED_EV: OicpStatus.UNKNOWN}


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


@pytest.mark.parametrize("content", [b"[store\n", b"\xff", b"a = 1\na = 2\n"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    config = tmp_path / "settings.toml"
    config.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load_settings(config, None, {})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(tmp_path / "absent.toml", None, {})
