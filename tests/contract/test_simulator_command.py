import json
import signal
import ssl
import subprocess
import sys

import httpx
import pytest
import typer
from cryptography import x509
from typer.testing import CliRunner

from oicp_adapter.cli.hub import hub
from oicp_adapter.domain.errors import ConfigurationError

PROGRAM = "import typer; from oicp_adapter.cli.hub import hub; app = typer.Typer(); app.command()(hub); app()"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_the_command_says_where_it_listens_and_stops_cleanly_on_a_signal(tmp_path, number):
    arguments = ["--dir", str(tmp_path), "--operator", "DE*ABC", "--sub-operator", "DEABC=DE*XYZ", "--lenient"]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            assert said["pid"] == process.pid
            context = ssl.create_default_context(cafile=said["ca_file"])
            context.load_cert_chain(*said["operators"]["DE*ABC"].values())
            record = {"EvseID": "DE*XYZ*E1", "EvseStatus": "Available"}
            document = {
                "ActionType": "update",
                "OperatorEvseStatus": {"OperatorID": "DE*ABC", "EvseStatusRecord": [record]},
            }
            url = f"{said['url']}/evsepush/v21/operators/DE*ABC/status-records"
            with httpx.Client(verify=context, trust_env=False) as client:
                assert client.post(url, json=document).json()["Result"] is True
                assert client.get(f"{said['admin_url']}/healthz").status_code == 200
            process.send_signal(number)
            rest, words = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, rest) == (0, "")
    assert words.splitlines()[-1] == "hub: stopped"


def run(*arguments: str) -> Exception | None:
    app = typer.Typer()
    app.command()(hub)
    outcome = CliRunner().invoke(app, arguments)
    return outcome.exception if isinstance(outcome.exception, Exception) else None


def test_an_operator_id_outside_the_grammar_is_refused(tmp_path):
    failure = run("--dir", str(tmp_path), "--operator", "CH-REP", "--seconds", "0")
    assert isinstance(failure, ConfigurationError)
    assert "CH-REP" in str(failure)


def test_a_sub_operator_that_belongs_to_no_partner_is_refused(tmp_path):
    failure = run("--dir", str(tmp_path), "--sub-operator", "NL*XYZ=DE*XYZ", "--seconds", "0")
    assert isinstance(failure, ConfigurationError)
    assert "NL*XYZ" in str(failure)


def test_the_command_stops_by_itself_after_its_seconds(tmp_path):
    assert run("--dir", str(tmp_path), "--seconds", "0") is None


@pytest.mark.parametrize("option", ["--seconds", "--delay"])
@pytest.mark.parametrize("length", ["inf", "1e300", "nan", "-1"])
def test_no_time_is_longer_than_can_be_waited_for(tmp_path, option, length):
    app = typer.Typer()
    app.command()(hub)
    assert CliRunner().invoke(app, ["--dir", str(tmp_path), "--seconds", "0", option, length]).exit_code == 2


def test_the_hub_listens_where_it_is_told_under_the_name_it_is_told(tmp_path):
    app = typer.Typer()
    app.command()(hub)
    arguments = ["--dir", str(tmp_path), "--host", "127.0.0.2", "--hub-name", "hub", "--hub-name", "127.0.0.2"]
    told = json.loads(CliRunner().invoke(app, [*arguments, "--seconds", "0"]).stdout)
    assert told["url"].startswith("https://hub:")
    assert told["admin_url"].startswith("http://127.0.0.2:")
    certificate = x509.load_pem_x509_certificate((tmp_path / "hub.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["hub"]
