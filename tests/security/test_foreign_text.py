"""What the hub answers and what stands in the store is somebody else's: it forges no line, and fills no memory."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest

from oicp_adapter.oicp.development_pki import Authority, KeyPair
from reliability.real.process import eventually

FORGED = "2026-01-01T00:00:00.000000Z [critical] forged"
HOSTILE = (
    f"\x1b[2J\x1b]0;owned\x07\n{FORGED}\r\n{FORGED}\u2028{FORGED}\x85\u202e\x00<script>alert(1)</script>[red]{{x}}%s"
)
FOR_SQL = HOSTILE.replace("\x00", "")
BODY = {"Result": False, "StatusCode": {"Code": "022", "Description": HOSTILE, "AdditionalInfo": HOSTILE * 50}}
NAMED = {"message": HOSTILE, "validationErrors": [{"fieldReference": HOSTILE, "errorMessage": HOSTILE}]}
RAW = HOSTILE.encode().replace(b"\r\n", b" ").replace(b"\n", b" ").replace(b"\x00", b"")
MOST_GROWTH = 30 * 1024
"""Kibibytes that hostile answers may add to the peak of the daemon's memory; the answers themselves have 100,000."""


def harmless(text):
    """Return the lines that a terminal or a reader of the log could take for something else."""
    return [line for line in text.split("\n") if line.startswith(FORGED) or not line.isprintable()]


def answers(answer):
    odd = b"Process-ID: " + RAW * 20 + b"\r\nRetry-After: " + RAW + b"\r\nDate: " + RAW + b"\r\n"
    html = f"<html>{HOSTILE}</html>".encode()
    return [
        answer(json.dumps(BODY).encode()),
        answer(json.dumps(BODY, ensure_ascii=False).encode("utf-8", "surrogatepass"), headers=odd),
        answer(json.dumps(NAMED).encode(), status=b"400 Bad", headers=odd),
        answer(json.dumps({HOSTILE: HOSTILE}).encode(), status=b"401 " + RAW),
        answer(html, status=b"403 Forbidden", headers=odd),
        answer(html, status=b"500 " + RAW, headers=odd),
        answer(html, status=b"429 Too Many", headers=odd),
        answer(json.dumps({"StatusCode": {"Code": FOR_SQL}}).encode()),
        answer(b'{"Result": true, "StatusCode": {"Code": "000\\n' + FORGED.encode() + b'"}}'),
        answer(b"\xff\xfe\x1b[31m\n" + FORGED.encode()),
        b"HTTP/1.1 " + RAW + b"\r\n\r\n",
    ]


def hurry(site):
    """End every wait of the lane: not when it tries again is looked at here."""
    site.sql("UPDATE oicp_lane SET wait_until = NULL, silent_until = NULL, failures = 0, refused_streak = 0")
    site.sql("UPDATE oicp_ledger SET retry_at = NULL, due_at = '2026-01-01 00:00:00.000000'")


@pytest.fixture
def rude(site, scripted, answer):
    """A hub whose first answers are hostile, and the site that pushes to it."""
    hub = scripted(*answers(answer))
    site.sections["hub"]["url"] = hub.url
    return hub


@pytest.mark.parametrize("log", ["json", "console"])
def test_answers_of_the_hub_forge_no_line(site, rude, call, commands, log):
    site.sections |= {"full_load": {"at": ""}, "log": {"format": log, "level": "debug"}}
    site.fleet(2)
    daemon = site.daemon()
    words = cycle(("Charging", "Faulted", "Available"))
    seen = []

    def has_answered(before):
        hurry(site)
        site.write("DE*ABC*E0", next(words))
        return len(rude.answers) < before

    while rude.answers:
        eventually(partial(has_answered, len(rude.answers)), every=0.2)
        if len(rude.answers) % 4 == 0:
            seen += [str(call(*line)) for line in commands(site.config())]
            seen += [daemon.get(path)[1] for path in ("/readyz", "/metrics")]
    assert daemon.stop() == 0
    assert harmless("\n".join([daemon.text(), *seen])) == []
    assert "forged" in daemon.text(), "it was told, and made harmless"
    if log == "json":
        lines = [line for line in daemon.text().splitlines() if not line.startswith("warning: ")]
        assert all(json.loads(line)["event"] for line in lines)


def test_what_stands_in_the_store_forges_no_line(site, call, commands, tmp_path):
    site.fleet(2)
    row = "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, :operator, :status)"
    for evse, operator, status in (
        (FOR_SQL, "DE*ABC", "Available"),
        ("DE*ABC*E7", "DE*ABC", FOR_SQL),
        ("DE*ABC*E8", FOR_SQL, "Available"),
        (f"DE*ABC*E9{FOR_SQL}", "DE*ABC", FOR_SQL),
        ("DE*ABC*E1 ", "DE*ABC", "Removed"),
    ):
        site.sql(row, evse=evse, operator=operator, status=status)
    for evse in ("DE*ABC*E1", FOR_SQL):
        site.sql(
            "INSERT INTO temporary_status (evse_id, status, valid_to, reason, reference, created_by, ended_by)"
            " VALUES (:evse, 'Blocked', '2036-01-01 00:00:00', :text, :text, :text, :text)",
            evse=evse,
            text=FOR_SQL,
        )
    daemon = site.daemon()
    eventually(lambda: site.at_hub() == {"DEABCE0": "Available", "DEABCE1": "Occupied", "DEABCE7": "Unknown"})
    eventually(lambda: daemon.log("sweep.done"))
    config = site.config()
    fleet = tmp_path / "fleet.csv"
    fleet.write_text(f'evse_id,operator_id,status\n"{FOR_SQL}",DE*ABC,Available\nDE*ABC*E5,DE*ABC,"{FOR_SQL}"\n')
    lines = [
        *commands(config),
        *[("--config", str(config), "explain", each) for each in (FOR_SQL, "DE*ABC*E7", "DE*ABC*E8", "DE*ABC*E1")],
        ("--config", str(config), "status", FOR_SQL),
        ("--config", str(config), "quarantine", "release", FOR_SQL, "DE*ABC*E7"),
        ("--config", str(config), "temporary", "set", FOR_SQL, "blocked", "--for", "1h"),
        ("--config", str(config), "temporary", "set", "DE*ABC*E0", "blocked", "--for", "1h", "--reason", FOR_SQL),
        ("--config", str(config), "db", "import", str(fleet)),
    ]
    for line in lines:
        said = call(*line)
        assert harmless(str(said)) == [], line
        assert said.code in {0, 2}, said
        if "--json" in line:
            json.loads(said.out)
    assert daemon.stop() == 0
    assert harmless(daemon.text()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", FOR_SQL),
        ("explain", FOR_SQL),
        ("temporary", "end", FOR_SQL),
        ("temporary", "set", "DE*ABC*E0", FOR_SQL),
        ("temporary", "set", "DE*ABC*E0", "blocked", "--for", FOR_SQL),
        ("db", "import", FOR_SQL),
        ("certs", "show", FOR_SQL),
        ("withdrawals", "approve", FOR_SQL),
        ("quarantine", "list", "--operator", FOR_SQL),
    ],
    ids=lambda words: "-".join(word for word in words if word.isprintable()),
)
def test_arguments_forge_no_line(site, call, arguments):
    site.fleet(1)
    said = call("--config", str(site.config()), *arguments)
    assert harmless(str(said)) == []


def test_names_in_a_certificate_forge_no_line(site, workshop, call, commands, tmp_path):
    now = datetime.now(UTC)
    named = "x\x1b[2J\n" + FORGED[:40]
    issued = Authority.load(workshop.pki.client_ca).issue_client(
        named, not_before=now - timedelta(hours=1), not_after=now + timedelta(days=60)
    )
    pair = issued.write(KeyPair(tmp_path / "odd.pem", tmp_path / "odd.key"))
    site.operators[0] |= {"certificate": pair.certificate, "private_key": pair.private_key}
    lines = [*commands(site.config()), ("certs", "show", str(pair.certificate))]
    for line in [*lines, ("certs", "show", str(pair.certificate), "--json")]:
        said = str(call(*line))
        assert [text for text in said.split("\n") if text.startswith("2026-") or not text.isprintable()] == [], line


def peak(daemon):
    """Return the peak of a process's memory in kibibytes."""
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def endless_head(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(50_000):
        connection.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")


def enormous(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
    for _ in range(50):
        connection.sendall(b"x" * 1_000_000)


def chunks_without_end(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(50_000):
        connection.sendall(b"3e8\r\n" + b"x" * 1000 + b"\r\n")


def test_answers_without_end_fill_no_memory(site, scripted):
    hub = scripted()
    site.sections["hub"]["url"] = hub.url
    site.sections["full_load"] = {"at": ""}
    site.fleet(2)
    daemon = site.daemon()
    eventually(lambda: daemon.log("push.acknowledged"))
    before = peak(daemon)
    for unknown, given in enumerate((endless_head, enormous, chunks_without_end), start=1):
        hub.answers.append(given)
        site.write("DE*ABC*E1", "Faulted" if given is enormous else "Charging")
        eventually(lambda: hurry(site) or not hub.answers, every=0.2)
        eventually(lambda least=unknown: hurry(site) or len(daemon.log("push.unknown")) >= least, every=0.2)
    assert peak(daemon) - before < MOST_GROWTH
    site.write("DE*ABC*E1", "Available")
    eventually(lambda: hurry(site) or b'"Available"' in hub.bodies[-1], every=0.2)
