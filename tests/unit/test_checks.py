"""What is found before the daemon starts, put together."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oicp_adapter.checks import Check, Finding, Level, run_checks
from oicp_adapter.cli.check import consequence, exit_code
from oicp_adapter.oicp.development_pki import create_development_pki
from oicp_adapter.settings import Settings, load_settings
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.migrate import upgrade

EXAMPLE = Path(__file__).parents[2] / "docs" / "oicp-adapter.example.toml"
ERROR = Level.ERROR


def settings_in(folder: Path, **changed: object) -> Settings:
    create_development_pki(folder, operators=["DE*ABC"], valid_for=timedelta(days=90), now=datetime.now(UTC))
    operator = {
        "id": "DE*ABC",
        "certificate": folder / "client-DE-ABC.pem",
        "private_key": folder / "client-DE-ABC.key",
    }
    overrides = {
        "store.url": f"sqlite:///{folder}/store.db",
        "hub.ca_file": folder / "hub-ca.pem",
        "operators": [operator],
        **changed,
    }
    return load_settings(None, overrides, {})


def migrated(settings: Settings) -> Settings:
    with open_store(settings.store.url) as store:
        upgrade(store)
    return settings


def errors(findings: list[Finding]) -> list[tuple[str, int]]:
    return [(finding.subject, finding.exit_code) for finding in findings if finding.level is ERROR]


def test_all_is_well_with_certificates_and_a_migrated_store(tmp_path: Path) -> None:
    findings = list(run_checks(migrated(settings_in(tmp_path)), online=False))
    assert errors(findings) == []
    assert {finding.subject for finding in findings} == {"hub", "DE*ABC", "store", "fleet"}


def test_a_control_server_that_would_give_tokens_away_is_a_warning(tmp_path: Path) -> None:
    public = {"control.host": "192.0.2.1"}
    (found,) = [each for each in run_checks(settings_in(tmp_path, **public), online=False) if each.subject == "control"]
    assert found.level is Level.WARNING
    assert "without TLS" in found.what
    for safe in ({"control.behind_proxy": True}, {"control.host": "::1"}, {"control.host": "localhost"}):
        findings = run_checks(settings_in(tmp_path, **(public | safe)), online=False)
        assert "control" not in {each.subject for each in findings}


def test_a_store_without_its_file_is_an_error_and_is_not_created(tmp_path: Path) -> None:
    findings = list(run_checks(settings_in(tmp_path), online=False))
    assert errors(findings) == [("store", 69)]
    assert "oicp-adapter db upgrade" in findings[-1].cure
    assert not (tmp_path / "store.db").exists()


def test_a_store_without_its_folder_is_not_cured_by_an_upgrade(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, **{"store.url": f"sqlite:///{tmp_path}/no/store.db"})
    finding = list(run_checks(settings, online=False))[-1]
    assert (finding.level, finding.cure) == (ERROR, "make the folder, or correct store.url")


def test_a_store_that_is_not_migrated_is_an_error(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (tmp_path / "store.db").touch()
    (error,) = [finding for finding in run_checks(settings, online=False) if finding.level is ERROR]
    assert "has no tables of the adapter" in error.what
    assert "db upgrade" in error.cure


def test_a_store_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (tmp_path / "store.db").write_text("nothing of the kind " * 1000, encoding="utf-8")
    findings = list(run_checks(settings, online=False))
    assert errors(findings) == [("store", 69)]
    assert f"{tmp_path}/store.db is no SQLite database" in findings[-1].what
    assert "db upgrade" not in findings[-1].cure


def test_an_unreachable_postgresql_is_an_error_without_its_password(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, **{"store.url": "postgresql://u:c4n4ry@127.0.0.1:1/db"})
    findings = list(run_checks(settings, online=False))
    assert errors(findings) == [("store", 69)]
    assert "c4n4ry" not in repr(findings)


def test_no_operator_is_an_error(tmp_path: Path) -> None:
    findings = list(run_checks(settings_in(tmp_path, operators=[]), online=False))
    assert ("settings", 78) in errors(findings)


def test_a_hub_url_without_its_path_is_a_warning(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, **{"hub.url": "https://localhost:1"})
    finding = next(run_checks(settings, online=False))
    assert finding.level is Level.WARNING
    assert "/api/oicp" in finding.cure


def test_the_handshake_is_tried_only_online_and_only_with_a_good_certificate(tmp_path: Path) -> None:
    settings = migrated(settings_in(tmp_path, **{"hub.url": "https://localhost:1/api/oicp"}))
    assert errors(list(run_checks(settings, online=True))) == [("DE*ABC", 69)]
    later = datetime.now(UTC) + timedelta(days=100)
    assert errors(list(run_checks(settings, online=True, now=later))) == [("DE*ABC", 78)]


def test_a_key_that_others_may_read_does_not_hide_what_the_hub_says(tmp_path: Path) -> None:
    settings = migrated(settings_in(tmp_path, **{"hub.url": "https://localhost:1/api/oicp"}))
    (tmp_path / "client-DE-ABC.key").chmod(0o644)
    assert errors(list(run_checks(settings, online=True))) == [("DE*ABC", 78), ("DE*ABC", 69)]


def test_the_fleet_is_read_only_when_wanted(tmp_path: Path) -> None:
    findings = run_checks(migrated(settings_in(tmp_path)), online=False, fleet=False)
    assert "fleet" not in {finding.subject for finding in findings}


@pytest.mark.parametrize(
    ("codes", "expected"), [([], 0), ([69], 69), ([78], 78), ([69, 78, 69], 78)], ids=["none", "69", "78", "both"]
)
def test_what_must_be_corrected_here_outranks_what_is_unavailable(codes: list[int], expected: int) -> None:
    findings = [Finding(Check.STORE, ERROR, "x", "y", exit_code=code) for code in codes]
    assert exit_code([*findings, Finding(Check.STORE, Level.WARNING, "x", "y")]) == expected


@pytest.mark.parametrize(
    ("starting", "pushing", "said"),
    [
        (1, 0, "1 error keeps the daemon from starting"),
        (2, 0, "2 errors keep the daemon from starting"),
        (0, 1, "1 error keeps the daemon from pushing; it would start, and try again by itself"),
        (0, 2, "2 errors keep the daemon from pushing; it would start, and try again by itself"),
        (2, 1, "2 errors keep the daemon from starting, and 1 error keeps it from pushing"),
    ],
)
def test_what_keeps_the_daemon_from_starting_is_told_from_what_keeps_it_from_pushing(
    starting: int, pushing: int, said: str
) -> None:
    findings = [Finding(Check.STORE, ERROR, "store", "x")] * starting + [
        Finding(Check.NAME, ERROR, "DE*ABC", "x", starts=True)
    ] * pushing
    assert consequence([*findings, Finding(Check.STORE, Level.WARNING, "x", "y")]) == said


def test_an_expired_certificate_of_the_control_server_keeps_only_its_clients_away() -> None:
    found = Finding(Check.CONTROL_CERTIFICATE, ERROR, "control", "x", starts=True)
    assert consequence([found]) == "1 error keeps clients from `serve`"
    starting = Finding(Check.STORE, ERROR, "store", "x")
    assert consequence([starting, found]) == (
        "1 error keeps the daemon from starting, and 1 error keeps clients from `serve`"
    )


def test_an_unreachable_hub_does_not_keep_the_daemon_from_starting(tmp_path: Path) -> None:
    settings = migrated(settings_in(tmp_path, **{"hub.url": "https://localhost:1/api/oicp"}))
    assert "from pushing; it would start" in consequence(list(run_checks(settings, online=True)))


def test_the_example_settings_load_and_name_every_section_and_their_defaults() -> None:
    settings = load_settings(EXAMPLE, None, {})
    assert settings.operators[0].certificate == EXAMPLE.parent / "certs" / "client.pem"
    assert settings.model_copy(update={"operators": ()}) == Settings()
