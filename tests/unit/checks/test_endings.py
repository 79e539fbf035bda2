"""What is found about the certificate of `serve` and about the authorities that are trusted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oicp_adapter.checks import Check, Finding, Level, run_checks
from oicp_adapter.checks.endings import control_certificate_lasts, trusted_authorities_last
from oicp_adapter.oicp.development_pki import Authority, KeyPair
from oicp_adapter.settings import ControlSettings, load_settings

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def authority(days: int, name: str = "Hub CA") -> Authority:
    return Authority.create(name, not_before=NOW - 90 * DAY, not_after=NOW + days * DAY)


def control_in(folder: Path, days: int) -> ControlSettings:
    pair = KeyPair(folder / "control.pem", folder / "control.key")
    issued = authority(-1).issue_hub(["localhost"], not_before=NOW - 90 * DAY, not_after=NOW + days * DAY)
    issued.write(pair)
    return ControlSettings(certificate=pair.certificate, private_key=pair.private_key)


@pytest.mark.parametrize(
    ("days", "level", "said"),
    [(-1, Level.ERROR, "expired on 2026-05-31"), (3, Level.WARNING, "expires on 2026-06-04"), (30, Level.WARNING, "")],
)
def test_a_control_certificate_that_ends_is_told(tmp_path: Path, days: int, level: Level, said: str) -> None:
    (found,) = control_certificate_lasts(control_in(tmp_path, days), NOW)
    assert (found.check, found.level, found.subject) == (Check.CONTROL_CERTIFICATE, level, "control")
    assert said in found.what
    assert "restart `serve`" in found.cure
    assert found.starts == (level is Level.ERROR), "the daemon does not need it"


def test_a_control_certificate_that_lasts_and_none_at_all_are_no_findings(tmp_path: Path) -> None:
    assert list(control_certificate_lasts(control_in(tmp_path, 31), NOW)) == []
    assert list(control_certificate_lasts(ControlSettings(), NOW)) == []


def test_a_control_certificate_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    control = control_in(tmp_path, 90)
    (tmp_path / "control.pem").unlink()
    (found,) = control_certificate_lasts(control, NOW)
    assert (found.level, found.cure) == (Level.WARNING, "correct the path in the settings")
    assert "does not exist" in found.what


def authorities_in(folder: Path, *days: int) -> list[Finding]:
    file = folder / "ca.pem"
    content = b""
    for number, each in enumerate(days):
        authority(each, f"CA {number}").issued.write(KeyPair(file, folder / "ca.key"))
        content += file.read_bytes()
    file.write_bytes(content)
    return list(trusted_authorities_last(file, NOW))


def test_authorities_that_last_and_the_system_s_are_no_findings(tmp_path: Path) -> None:
    assert authorities_in(tmp_path, 31, 400) == []
    assert list(trusted_authorities_last(None, NOW)) == []
    assert list(trusted_authorities_last(tmp_path / "missing.pem", NOW)) == []


def test_authorities_that_have_ended_and_that_will_are_told_apart(tmp_path: Path) -> None:
    ended, soon = authorities_in(tmp_path, -1, 30, 400, -2, -3, -4)
    assert (ended.check, ended.level, ended.subject) == (Check.AUTHORITIES, Level.WARNING, "hub")
    assert "4 of 6 in hub.ca_file" in ended.what
    assert "have expired: CN=CA 0" in ended.what
    assert ended.what.endswith("and 1 more")
    assert "1 of 6" in soon.what
    assert "CN=CA 1" in soon.what


def test_both_are_among_the_checks(tmp_path: Path) -> None:
    control = control_in(tmp_path, 3)
    authorities_in(tmp_path, 3)
    overrides = {
        "store.url": f"sqlite:///{tmp_path}/store.db",
        "hub.ca_file": tmp_path / "ca.pem",
        "control.certificate": control.certificate,
        "control.private_key": control.private_key,
    }
    found = {each.check for each in run_checks(load_settings(None, overrides, {}), online=False, now=NOW)}
    assert {Check.CONTROL_CERTIFICATE, Check.AUTHORITIES} <= found
