"""What is found about an operator's certificate and key."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oicp_adapter.checks import Finding, Level
from oicp_adapter.checks.certificates import certificate_findings, key_kept_secret
from oicp_adapter.oicp.development_pki import create_development_pki
from oicp_adapter.settings import OperatorSettings

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    create_development_pki(folder, operators=["DE*ABC", "DE*XYZ"], valid_for=timedelta(days=90), now=NOW)
    return folder


def look(folder: Path, *, at: datetime = NOW, **changed: object) -> list[Finding]:
    fields: dict[str, object] = {
        "id": "DE*ABC",
        "certificate": folder / "client-DE-ABC.pem",
        "private_key": folder / "client-DE-ABC.key",
        **changed,
    }
    operator = OperatorSettings.model_validate(fields)
    return list(certificate_findings(operator, ca_file=folder / "hub-ca.pem", now=at))


def only(findings: list[Finding], level: Level) -> Finding:
    (finding,) = findings
    assert finding.level is level
    assert finding.subject == "DE*ABC"
    assert finding.exit_code == 78
    return finding


def test_a_good_pair_is_ok(folder: Path) -> None:
    assert "valid until 2026-08-30, 90 days" in only(look(folder), Level.OK).what


def test_an_expired_certificate_is_an_error(folder: Path) -> None:
    finding = only(look(folder, at=NOW + timedelta(days=90, seconds=1)), Level.ERROR)
    assert "expired on 2026-08-30 12:00 UTC" in finding.what


@pytest.mark.parametrize("days", [-1, 91])
def test_dates_of_one_of_several_operators_do_not_keep_the_daemon_from_starting(folder: Path, days: int) -> None:
    pair = {"certificate": folder / "client-DE-ABC.pem", "private_key": folder / "client-DE-ABC.key"}
    operator = OperatorSettings(id="DE*ABC", **pair)
    for alone in (True, False):
        at = NOW + timedelta(days=days)
        found = list(certificate_findings(operator, ca_file=folder / "hub-ca.pem", now=at, alone=alone))
        assert only(found, Level.ERROR).starts is not alone


@pytest.mark.parametrize(("left", "said"), [(0, "in less than a day"), (1, "in 1 day"), (2, "in 2 days")])
def test_the_days_that_are_left_are_counted_in_words(folder: Path, left: int, said: str) -> None:
    assert only(look(folder, at=NOW + timedelta(days=90 - left)), Level.WARNING).what.endswith(said)


def test_a_certificate_that_is_not_yet_valid_is_an_error(folder: Path) -> None:
    finding = only(look(folder, at=NOW - timedelta(days=1)), Level.ERROR)
    assert "not valid before 2026-06-01 11:00 UTC" in finding.what
    assert "clock" in finding.cure


@pytest.mark.parametrize(("left", "level"), [(30, Level.WARNING), (31, Level.OK), (0, Level.WARNING)])
def test_a_month_before_the_end_it_is_a_warning(folder: Path, left: int, level: Level) -> None:
    only(look(folder, at=NOW + timedelta(days=90 - left)), level)


def test_a_key_of_another_certificate_is_an_error(folder: Path) -> None:
    finding = only(look(folder, private_key=folder / "client-DE-XYZ.key"), Level.ERROR)
    assert "does not belong to certificate" in finding.what
    assert finding.cure


def test_a_missing_certificate_is_an_error(folder: Path) -> None:
    assert "does not exist" in only(look(folder, certificate=folder / "absent.pem"), Level.ERROR).what


def test_a_key_that_others_may_read_is_an_error_besides(folder: Path, tmp_path: Path) -> None:
    key = tmp_path / "open.key"
    key.write_bytes((folder / "client-DE-ABC.key").read_bytes())
    key.chmod(0o644)
    error, validity = look(folder, private_key=key)
    assert error.level is Level.ERROR
    assert "readable by its group and others" in error.what
    assert error.cure == f"chmod 600 {key}"
    assert validity.level is Level.OK


def test_another_operator_in_the_certificate_is_a_warning(folder: Path) -> None:
    _, finding = look(folder, id="DE*HUB")
    assert finding.level is Level.WARNING
    assert "names DE*ABC, settings say DE*HUB" in finding.what
    assert "017" in finding.cure


def test_another_spelling_of_the_operator_is_none(folder: Path) -> None:
    assert [finding.level for finding in look(folder, id="DEABC")] == [Level.OK]


def readers_of(key: Path) -> list[Finding]:
    operator = OperatorSettings(id="DE*ABC", certificate=key.with_suffix(".pem"), private_key=key)
    return list(key_kept_secret(operator))


@pytest.mark.parametrize(("mode", "readers"), [(0o600, None), (0o400, None), (0o640, "its group"), (0o604, "others")])
def test_a_key_that_others_may_read_is_an_error(tmp_path: Path, mode: int, readers: str | None) -> None:
    key = tmp_path / "of: one" / "client.key"
    key.parent.mkdir()
    key.touch()
    key.chmod(mode)
    found = readers_of(key)
    assert (found == []) == (readers is None)
    if readers is not None:
        finding = only(found, Level.ERROR)
        assert finding.what == f"private key {key} is readable by {readers} (mode {mode:04o})"
        assert finding.cure == f"chmod 600 {key}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files that belong to root")
@pytest.mark.parametrize(("mode", "readers"), [(0o440, None), (0o640, None), (0o444, "others"), (0o644, "others")])
def test_a_key_of_root_may_be_readable_by_the_group_it_is_lent_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, readers: str | None
) -> None:
    key = tmp_path / "client.key"
    key.touch()
    key.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    found = readers_of(key)
    assert (found == []) == (readers is None)
    if readers is not None:
        finding = only(found, Level.ERROR)
        assert finding.what.endswith(f"is readable by {readers} (mode {mode:04o})")
        assert finding.cure == f"chmod 640 {key}"
    os.chown(key, 10001, 10001)
    assert only(readers_of(key), Level.ERROR).cure == f"chmod 600 {key}"


def test_the_permissions_of_a_missing_key_are_no_finding_of_their_own(tmp_path: Path) -> None:
    assert readers_of(tmp_path / "missing.key") == []
