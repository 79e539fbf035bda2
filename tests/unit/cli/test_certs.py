"""`certs dev` and `certs show`."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from oicp_adapter.cli.main import app


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["certs", *arguments])


def test_development_certificates_are_made_and_say_whose_they_are(tmp_path: Path) -> None:
    made = call("dev", str(tmp_path), "--operator", "DE*ABC", "--operator", "+49*810", "--json")
    assert made.exit_code == 0
    operators = json.loads(made.stdout)["operators"]
    assert list(operators) == ["DE*ABC", "+49*810"]
    shown = call("show", "--json", operators["+49*810"]["certificate"])
    (description,) = json.loads(shown.stdout)
    assert description["common_name"] == "+49*810"
    assert description["days_left"] == 89
    assert [link["subject"] for link in description["chain"]] == [description["subject"], description["issuer"]]
    assert description["chain"][0]["not_after"] == description["not_after"]


def test_a_person_gets_tables(tmp_path: Path) -> None:
    made = call("dev", str(tmp_path))
    assert "DE*ABC" in made.stdout
    assert "development only" in made.stderr
    shown = call("show", str(tmp_path / "client-DE-ABC.pem"), str(tmp_path / "hub.pem"))
    assert "CN=DE*ABC" in shown.stdout
    assert "localhost, 127.0.0.1" in shown.stdout
    assert "CN=OICP adapter development client CA,O=Development only until 20" in shown.stdout


def test_an_operator_outside_the_grammar_is_refused(tmp_path: Path) -> None:
    result = call("dev", str(tmp_path), "--operator", "CH-REP")
    assert result.exit_code == 2
    assert "is no OperatorID" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing", encoding="utf-8")
    result = call("show", str(tmp_path / "x.pem"))
    assert result.exit_code == 78
    assert "x.pem" in result.stderr
