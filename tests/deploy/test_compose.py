"""deploy/compose.yaml is what the specification allows, and its commands, run as processes, reach the hub."""

import copy
import json
import re
import shutil
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from oicp_adapter.daemon.crew import STOP_MARGIN
from oicp_adapter.settings import HubSettings
from reliability.real.process import eventually
from tests.deploy.conftest import PATIENCE, ROOT, Programs, accept, read_json, unknown_variables

FILE = ROOT / "deploy" / "compose.yaml"
OURS = "oicp-adapter:local"
DATA = "/var/lib/oicp-adapter"
PROMTOOL = shutil.which("promtool")

WHOLE = yaml.safe_load(FILE.read_text())
SERVICES: Mapping[str, Any] = WHOLE["services"]
ADAPTERS = [name for name, service in SERVICES.items() if service["image"] == OURS]


@pytest.fixture(scope="module")
def schema() -> Any:
    return jsonschema.Draft201909Validator(read_json("compose-spec.json"))


@pytest.fixture
def specified() -> Any:
    """What the schema can judge: the specification got `name` a month after it."""
    return {key: copy.deepcopy(value) for key, value in WHOLE.items() if key != "name"}


def test_the_file_is_as_the_specification_says(schema, specified):
    schema.validate(specified)


@pytest.mark.parametrize(
    "path",
    [
        ("services", "daemon", "comand", ["run"]),
        ("services", "daemon", "read_only", "very"),
        ("services", "daemon", "depends_on", "hub", "condition", "service_happy"),
        ("services", "control", "ports", 5.5),
        ("services", "hub", "healthcheck", "tries", 3),
        ("services", "postgresql", "environment", "POSTGRES_DB", {}),
        ("networks", "store", "internal", {}),
        ("volumes", "pki", "size", 3),
        ("service", {}),
    ],
    ids=lambda path: ".".join(map(str, path[:-1])),
)
def test_an_unknown_field_or_a_wrong_type_is_refused(schema, specified, path):
    *places, last, value = path
    place = specified
    for key in places:
        place = place[key]
    place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(specified)


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_program_takes_every_command_line_and_every_variable(name):
    accept(SERVICES[name]["command"])
    assert unknown_variables(SERVICES[name]["environment"]) == []
    health = SERVICES[name]["healthcheck"]
    if not health.get("disable"):
        assert health["test"][:2] == ["CMD", "oicp-adapter"]
        accept(health["test"][2:])


def test_a_command_or_a_variable_that_nobody_knows_is_refused():
    for wrong in (["rum"], ["hub", "--hots=0.0.0.0"], ["hub", "--port=many"], ["db", "upgrad"], ["certs", "dev"]):
        with pytest.raises(Exception, match=r"No such|Input should be|Missing"):
            accept(wrong)
    assert unknown_variables({"OICP_ADAPTER_STORE__ULR": "x", "HOME": "/"})


@pytest.mark.parametrize("name", SERVICES)
class TestServices:
    def test_what_it_waits_for_exists_and_can_become_so(self, name):
        for other, wanted in SERVICES[name].get("depends_on", {}).items():
            health = SERVICES[other].get("healthcheck", {})
            if wanted["condition"] == "service_healthy":
                assert health.get("test")
            else:
                assert wanted["condition"] == "service_completed_successfully"
                assert health == {"disable": True}, "a command that ends"

    def test_it_writes_to_named_volumes_only_and_listens_on_this_machine_only(self, name):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["image"] == OURS or re.search(r":v?\d", service["image"])
        for volume in service.get("volumes", ()):
            source, _, rest = volume.partition(":")
            if source.startswith("."):
                assert (FILE.parent / source).is_file()
                assert rest.endswith(":ro")
            else:
                assert source in WHOLE["volumes"]
        assert set(service.get("networks", ())) <= set(WHOLE["networks"])
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert not service.get("ports") or "outside" in service["networks"]

    def test_it_holds_no_secret(self, name):
        for variable, value in SERVICES[name].get("environment", {}).items():
            assert not re.search(r"PASSWORD|TOKEN|SECRET(?!URITY)", variable)
            assert not re.search(r"//[^/@]*:[^/@]*@", value)


def mounted(name: str) -> Mapping[str, Path]:
    """Return the files that a service gets, by the path at which it sees them."""
    volumes = [volume.split(":") for volume in SERVICES[name]["volumes"] if volume.startswith(".")]
    return {place: FILE.parent / source for source, place, _ in volumes}


def test_prometheus_has_the_rules_and_scrapes_the_daemon_by_its_name(tmp_path):
    files = {Path(place).name: source for place, source in mounted("prometheus").items()}
    config = yaml.safe_load(files["prometheus.yml"].read_text())
    assert {*config["rule_files"], "prometheus.yml"} == set(files)
    plain = yaml.safe_load((ROOT / "deploy" / "monitoring" / "prometheus.yml").read_text())
    plain["scrape_configs"][0]["static_configs"][0]["targets"] = ["daemon:9464"]
    assert config == plain
    assert "metrics" in set(SERVICES["daemon"]["networks"]) & set(SERVICES["prometheus"]["networks"])
    if PROMTOOL is not None:
        for name, source in files.items():
            shutil.copy(source, tmp_path / name)
        line = [PROMTOOL, "check", "config", tmp_path / "prometheus.yml"]
        assert subprocess.run(line, check=False, timeout=60, capture_output=True).returncode == 0


def test_a_stop_may_take_as_long_as_the_daemon_does_at_most():
    longest = HubSettings.model_fields["request_timeout"].default.total_seconds()
    assert float(SERVICES["daemon"]["stop_grace_period"].removesuffix("s")) >= longest + STOP_MARGIN + 5


def test_grafana_finds_prometheus_and_the_dashboard():
    source = yaml.safe_load((FILE.parent / "compose" / "grafana-datasource.yml").read_text())["datasources"][0]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    provider = yaml.safe_load((FILE.parent / "compose" / "grafana-dashboards.yml").read_text())["providers"][0]
    place = f"{provider['options']['path']}/dashboard.json"
    assert mounted("grafana")[place] == FILE.parent / "monitoring" / "dashboard.json"
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == place


class Stack:
    """The adapter's services as processes of this machine, in the order and by the conditions of the file."""

    def __init__(self, programs: Programs, database: str, ports: Mapping[str, int]) -> None:
        self.programs, self.database, self.ports = programs, database, ports
        self.running: dict[str, Any] = {}
        self.data = programs.folder / "data"
        self.data.mkdir()
        self.data.chmod(0o777)

    def here(self, text: str) -> str:
        """Return a text of the file with the names, ports and paths that hold outside of containers."""
        text = text.replace("postgresql://oicp_adapter@postgresql/cpo", self.database).replace("//hub:", "//localhost:")
        text = text.replace("0.0.0.0", "127.0.0.1").replace(DATA, str(self.data))  # noqa: S104 - of the file
        for port, free in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(free), text)
        return text.replace("/fleet.csv", str(FILE.parent / "compose" / "fleet.csv"))

    def environment(self, name: str) -> dict[str, str]:
        own = {key: self.here(value) for key, value in SERVICES[name]["environment"].items()}
        if not own:
            return own
        monitoring, control = str(self.ports["9464"]), str(self.ports["8464"])
        return {**own, "OICP_ADAPTER_MONITORING__PORT": monitoring, "OICP_ADAPTER_CONTROL__PORT": control}

    def bring_up(self) -> None:
        """Start each service once what it waits for is as it must be."""
        waiting = list(ADAPTERS)
        while waiting:
            free = [name for name in waiting if not set(waiting) & set(SERVICES[name].get("depends_on", ()))]
            for name in free:
                for other, wanted in SERVICES[name].get("depends_on", {}).items():
                    if other in self.running:
                        self.await_condition(other, wanted["condition"])
                command = [self.here(word) for word in SERVICES[name]["command"]]
                self.running[name] = self.programs.start(command, self.environment(name))
                waiting.remove(name)

    def await_condition(self, name: str, condition: str) -> None:
        child = self.running[name]
        if condition == "service_completed_successfully":
            assert child.wait(PATIENCE) == 0, self.programs.said(child)
            if name == "certificates":
                self.data.chmod(0o555)  # the others have the volume read-only
            return
        eventually(lambda: self.is_healthy(name))

    def is_healthy(self, name: str) -> bool:
        child = self.running[name]
        assert child.poll() is None, self.programs.said(child)
        command = [self.here(word) for word in SERVICES[name]["healthcheck"]["test"][2:]]
        return self.programs.run(command, self.environment(name)).returncode == 0

    def end(self, name: str) -> None:
        child = self.running[name]
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0, self.programs.said(child)


def test_its_commands_run_as_processes_and_the_fleet_reaches_the_hub(programs, empty_database, free_ports):
    names = ("8443", "8444", "8464", "9464")
    stack = Stack(programs, empty_database, dict(zip(names, free_ports(len(names)), strict=True)))
    stack.bring_up()

    def at_hub() -> Sequence[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.ports['8444']}/state", timeout=10) as answer:
            return re.findall(r"DE\*ABC\*E\d", json.dumps(json.load(answer)))

    assert set(eventually(at_hub)) == {"DE*ABC*E1", "DE*ABC*E2", "DE*ABC*E3"}
    trusted = ssl.create_default_context(cafile=stack.data / "pki" / "hub-ca.pem")
    programs.answers(stack.running["control"], f"https://localhost:{stack.ports['8464']}/livez", trusted)
    assert stack.is_healthy("control")
    stack.end("hub")
    assert stack.is_healthy("daemon"), "the hub's outage is none of the daemon's"
    stack.end("control")
    stack.end("daemon")
