"""No secret is in anything that leaves the process: logs, answers, tables, tracebacks, arguments, the store itself."""

import contextlib
import json
import signal
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Self

import pytest
from cryptography.hazmat.primitives import serialization

from oicp_adapter.simulator.faults import FaultKind, PoisonAnswer
from reliability.real.process import eventually

KEY_PASSWORD = "canary-key-5f1d"
STORE_PASSWORD = "canary-store-9c2e"
WRONG_PASSWORD = "canary-wrong-77ab"


@pytest.fixture
def locked(site, workshop):
    """A private key that wants a password, which the settings hold; yields what must not be seen of either."""
    pair = workshop.pki.clients["DE*ABC"]
    key = serialization.load_pem_private_key(pair.private_key.read_bytes(), password=None)
    sealed = serialization.BestAvailableEncryption(KEY_PASSWORD.encode())
    path = site.folder / "locked.key"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed))
    path.chmod(0o600)
    site.operators[0] |= {"private_key": path, "private_key_password": KEY_PASSWORD}
    return canaries(path, pair.private_key)


def canaries(*keys: Path) -> Sequence[str]:
    """Return every password of these tests, and every line of these keys' PEM."""
    lines = [line for key in keys for line in key.read_text().splitlines() if not line.startswith("-----")]
    return [KEY_PASSWORD, STORE_PASSWORD, WRONG_PASSWORD, "PRIVATE KEY-----", *lines]


def leaks(text: str, secrets: Sequence[str]) -> list[str]:
    return [secret for secret in secrets if secret in text]


FAULTS = [{"kind": kind} for kind in FaultKind if kind not in {FaultKind.POISON, FaultKind.OVERWRITE}]
FAULTS += [{"kind": "poison", "poison": each, "evse_id": "DE*ABC*EPOISON"} for each in PoisonAnswer]
FAULTS += [{"kind": "overwrite", "status": "Reserved", "evse_id": "DE*ABC*EPOISON"}]
IMPATIENT = (
    "UPDATE oicp_lane SET wait_until = NULL, silent_until = NULL, failures = 0, hold_reason = NULL, refused_streak = 0",
    "UPDATE oicp_ledger SET retry_at = NULL, due_at = '2026-01-01 00:00:00.000000' WHERE evse_id = 'DE*ABC*EPOISON'",
)
"""Ends every wait, since what is looked at here is what the daemon says and not when it tries again."""


@pytest.mark.timeout(180)
def test_no_fault_of_the_hub_makes_the_daemon_tell_a_secret(site, locked, call, commands):
    site.sections["full_load"] = {"at": ""}
    site.fleet(2)
    daemon = site.daemon()
    eventually(lambda: len(site.at_hub()) == 2)
    words = cycle(("Charging", "Available", "Faulted"))

    def struck(kind):
        return sum(entry.fault == kind for entry in site.entries())

    def strikes(kind, before):
        for statement in IMPATIENT:
            site.sql(statement)
        site.write("DE*ABC*EPOISON", next(words))
        return struck(kind) > before

    for fault in FAULTS:
        before = struck(fault["kind"])  # and not by the requests' numbers: one that is under way may be struck, too
        site.will(**fault, size=2_000_000, delay=0.05)
        eventually(partial(strikes, fault["kind"], before), every=0.2, told=daemon.text)
    seen = [daemon.get(path)[1] for path in ("/metrics", "/readyz", "/livez")]
    seen += [str(call(*line)) for line in commands(site.config())]
    assert daemon.stop() == 0
    assert leaks("\n".join([*seen, daemon.text(), *written(site.folder)]), locked) == []
    assert {line["reason"] for line in daemon.log("push.failing")} >= {"unauthorized", "timeout", "cut", "rate_limited"}


def written(folder: Path) -> Iterator[str]:
    """Yield what the daemon wrote into its store and beside it."""
    for path in folder.glob("store.db*"):
        yield path.read_bytes().decode("latin-1")
    for path in folder.glob("*.out"):
        yield path.read_text()


class HostileDatabase:
    """A PostgreSQL server that asks for the password in the clear, and quotes it when it refuses."""

    def __init__(self) -> None:
        self.passwords: list[bytes] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError, struct.error):
                connection.settimeout(5)
                self._refuse(connection)

    def _refuse(self, connection: socket.socket) -> None:
        size, code = struct.unpack("!ii", connection.recv(8, socket.MSG_WAITALL))
        while code in {80877103, 80877104}:  # TLS and GSSAPI are wanted: neither is to be had
            connection.sendall(b"N")
            size, code = struct.unpack("!ii", connection.recv(8, socket.MSG_WAITALL))
        connection.recv(size - 8, socket.MSG_WAITALL)
        connection.sendall(b"R" + struct.pack("!ii", 8, 3))
        _, size = struct.unpack("!ci", connection.recv(5, socket.MSG_WAITALL))
        password = connection.recv(size - 4, socket.MSG_WAITALL).rstrip(b"\0")
        self.passwords.append(password)
        said = b"SFATAL\0C28P01\0Mno \x1b[31m%b\nFATAL: forged\0\0" % password
        connection.sendall(b"E" + struct.pack("!i", 4 + len(said)) + said)


STORES = {
    "in the URL": {"url": f"postgresql://me:{STORE_PASSWORD}@127.0.0.1:PORT/fleet"},
    "in a file": {"url": "postgresql://me@127.0.0.1:PORT/fleet", "password_file": "password"},
    "in the settings": {"url": "postgresql://me@127.0.0.1:PORT/fleet", "password": STORE_PASSWORD},
}


@pytest.mark.parametrize("where", STORES)
def test_a_store_that_refuses_the_password_does_not_make_any_command_tell_it(site, call, commands, where):
    (site.folder / "password").write_text(STORE_PASSWORD)
    with HostileDatabase() as database:
        site.sections["store"] = {
            key: value.replace("PORT", str(database.port)) for key, value in STORES[where].items()
        }
        for line in commands(site.config()):
            without_debug = [word for word in line if word != "--debug"]
            said = call(*without_debug)
            assert leaks(str(said), [STORE_PASSWORD]) == [], line
            assert said.code in {69, 78}, said
            assert all(text.isprintable() for text in str(said).split("\n")), line
        daemon = site.start()
        assert daemon.ended() == 69
        assert leaks(daemon.text(), [STORE_PASSWORD]) == []
    assert set(database.passwords) == {STORE_PASSWORD.encode()}, "it was asked for, and told to the server alone"


def test_a_store_that_goes_away_does_not_make_the_daemon_tell_its_password(workshop, call):
    """PostgreSQL by a URL with a password, through a proxy that is cut while the daemon runs."""
    with workshop.site("postgresql") as site:
        site.sections["store"]["url"] = site.sections["store"]["url"].replace(
            "postgres@", f"postgres:{STORE_PASSWORD}@"
        )
        site.fleet(2)
        daemon = site.daemon()
        eventually(lambda: len(site.at_hub()) == 2)
        site.lines.close()
        eventually(lambda: daemon.log("lane.trouble"))
        eventually(lambda: daemon.get("/readyz")[0] == 503)
        seen = [daemon.get("/readyz")[1], daemon.get("/metrics")[1]]
        seen += [str(call("--config", str(site.config()), "--debug", command)) for command in ("status", "plan")]
        daemon.send(signal.SIGTERM)
        assert daemon.ended() == 0
        assert leaks("\n".join([*seen, daemon.text()]), [STORE_PASSWORD]) == []


def test_a_wrong_password_of_a_key_is_told_without_showing_any(site, locked, call, commands):
    site.operators[0]["private_key_password"] = WRONG_PASSWORD
    told = [call(*line) for line in commands(site.config())]
    assert any("does not open with the given password" in str(said) for said in told)
    assert leaks("\n".join(map(str, told)), locked) == []
    daemon = site.start()
    assert daemon.ended() == 78
    assert leaks(daemon.text(), locked) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORE__PASWORD", STORE_PASSWORD),
        ("STORE_PASSWORD", STORE_PASSWORD),
        ("STORE__URL", f"postgresql://me:{STORE_PASSWORD}@/x@y"),
        ("STORE__URL", f"postgresql://me:{STORE_PASSWORD}@host:port/fleet"),
        ("STORE__URL", f"postgresql://me@host/fleet?password={STORE_PASSWORD}"),
        ("STORE__URL", f"mysql://me:{STORE_PASSWORD}@host/fleet"),
        ("STORE__URL", STORE_PASSWORD),
        ("HUB__URL", f"https://me:{STORE_PASSWORD}@hub.example/api/oicp"),
        ("HUB__URL", f"https://hub.example/api/oicp?token={STORE_PASSWORD}"),
        ("OPERATORS", f'[{{"id": "DE*ABC", "private_key_password": "{KEY_PASSWORD}"'),
        ("OPERATORS", f'[{{"id": "DE*ABC", "private_key_password": ["{KEY_PASSWORD}"]}}]'),
        ("OPERATORS", f'{{"private_key_password": "{KEY_PASSWORD}"}}'),
        ("OPERATORS", f'["{KEY_PASSWORD}"]'),
        ("OPERATORS", json.dumps([{"id": "DE*ABC", "certificate": "c", "private_key": f"-----BEGIN {KEY_PASSWORD}"}])),
        ("OPERATORS", json.dumps([{"id": "DE*ABC", "private_key_passwort": KEY_PASSWORD}])),
    ],
)
@pytest.mark.parametrize("command", [("check", "--json"), ("run",), ("status",), ("db", "upgrade")])
def test_no_malformed_setting_is_told_with_the_secret_in_it(call, name, value, command):
    said = call("--debug", *command, environ={f"OICP_ADAPTER_{name}": value})
    assert said.code == 78, said
    assert leaks(str(said), canaries()) == []


@pytest.mark.parametrize(
    "line",
    [
        f'[store]\nurl = "postgresql://me:{STORE_PASSWORD}@h/d" x',
        f"[store]\npassword = {STORE_PASSWORD}",
        f'[store]\npassword = ["{STORE_PASSWORD}"]\nurl = "postgresql://me@h/d"',
        f'[store]\nurl = "postgresql://me:{STORE_PASSWORD}@h/d"\npassword = "{WRONG_PASSWORD}"',
        f'[[operators]]\nid = "DE*ABC"\nprivate_key_password = {{ x = "{KEY_PASSWORD}" }}',
        f'store = "postgresql://me:{STORE_PASSWORD}@h/d"',
    ],
)
def test_no_malformed_file_is_told_with_the_secret_in_it(call, tmp_path, line):
    path = tmp_path / "settings.toml"
    path.write_text(line)
    for command in (("check", "--json"), ("run",), ("status",)):
        said = call("--config", str(path), "--debug", *command)
        assert said.code == 78, said
        assert leaks(str(said), canaries()) == []
