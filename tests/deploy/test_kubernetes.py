"""What deploy/kubernetes builds is what the schemas, the strictest profile and the program allow."""

import copy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from oicp_adapter.daemon.crew import STOP_MARGIN
from oicp_adapter.settings import HubSettings, MonitoringSettings, examine_settings
from tests.deploy.conftest import ROOT, USER, accept, environment_of, read_json, unknown_variables
from tests.deploy.kustomize import (
    BUILDS,
    KUBECTL,
    KUBERNETES,
    Object,
    built,
    containers,
    daemon,
    inside,
    kustomize,
    one,
    own,
    pods,
)

OLDEST = "1.29"
"""The first Kubernetes in which a sidecar needs no feature gate."""

OPERATOR = {"ServiceMonitor": "servicemonitor.json", "PrometheusRule": "prometheusrule.json"}
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="no kubectl, which builds kustomizations, is installed")


def objects() -> Sequence[Any]:
    """Return every object that is built, once where several builds have the same."""
    found: list[tuple[str, Object]] = []
    for name in BUILDS if KUBECTL is not None else ():
        found += [(name, each) for each in built(name) if each not in [known for _, known in found]]
    return [pytest.param(each, id=f"{name}:{each['kind']}/{each['metadata']['name']}") for name, each in found]


@cache
def validator(schema: str) -> Any:
    jsonschema.Draft202012Validator.check_schema(read_json(schema))
    return jsonschema.Draft202012Validator(read_json(schema))


def validate(each: Object, version: str | None = None) -> None:
    if each["kind"] in OPERATOR:
        validator(OPERATOR[each["kind"]]).validate(each)
        return
    kubernetes_validate.validate(each, version or kubernetes_validate.latest_version(), strict=True)


REFUSED = (jsonschema.ValidationError, kubernetes_validate.ValidationError)


class TestSchemas:
    @pytest.mark.parametrize("each", objects())
    def test_every_object_is_as_its_schema_says(self, each):
        validate(each)
        validate(each, OLDEST)

    @pytest.mark.parametrize("each", objects())
    def test_an_object_with_a_field_that_nobody_knows_is_refused(self, each):
        for path in ((), ("metadata",), ("spec",)):
            broken = copy.deepcopy(each)
            place = broken
            for key in path:
                place = place.get(key, {})
            place["fieldThatNobodyKnows"] = "x"
            if place is broken or path[0] in broken:
                with pytest.raises(REFUSED, match="fieldThatNobodyKnows"):
                    validate(broken)

    WRONG: Mapping[str, Sequence[tuple[Any, ...]]] = {
        "Namespace": [("metadata", "labels", 5)],
        "ServiceAccount": [("automountServiceAccountToken", "no")],
        "ConfigMap": [("data", "oicp-adapter.toml", {})],
        "Service": [("spec", "ports", 0, "port", "many"), ("spec", "publishNotReadyAddresses", 1)],
        "NetworkPolicy": [("spec", "policyTypes", "Egress"), ("spec", "egress", 0, "ports", 0, "protocol", 6)],
        "PodDisruptionBudget": [("spec", "selector", "all"), ("spec", "unhealthyPodEvictionPolicy", 1)],
        "Job": [("spec", "backoffLimit", "3"), ("spec", "template", "spec", "containers", 0, "args", "db upgrade")],
        "Deployment": [
            ("spec", "replicas", "two"),
            ("spec", "template", "spec", "securityContext", "runAsUser", "10001"),
            ("spec", "template", "spec", "containers", 0, "resources", []),
            ("spec", "template", "spec", "volumes", 0, "configMap", "oicp-adapter-settings"),
        ],
        "ServiceMonitor": [("spec", "endpoints", 0, "interval", "a while"), ("spec", "selector", "all")],
        "PrometheusRule": [("spec", "groups", 0, "rules", 0, "expr", []), ("spec", "groups", 0, "interval", 15)],
    }

    @pytest.mark.parametrize("each", objects())
    def test_an_object_with_a_value_of_a_wrong_type_is_refused(self, each):
        for *path, last, value in self.WRONG[each["kind"]]:
            if each["kind"] == "NetworkPolicy" and "egress" in path and "egress" not in each["spec"]:
                continue
            broken = copy.deepcopy(each)
            place = broken
            for key in path:
                place = place[key]
            if isinstance(place, Mapping) and last not in place and isinstance(value, int):
                continue  # another object of the kind has it
            place[last] = value
            with pytest.raises(REFUSED):
                validate(broken)

    @pytest.mark.parametrize("name", [*BUILDS, "base", "control", "monitoring"])
    def test_a_kustomization_with_a_field_that_nobody_knows_is_refused(self, name, tmp_path):
        folder = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
        file = folder / name / "kustomization.yaml"
        file.write_text(file.read_text() + "fieldThatNobodyKnows: x\n")
        user = folder / ("overlays/replicas" if name in {"control", "monitoring"} else name)
        done = kustomize(user)
        assert done.returncode != 0
        assert "fieldThatNobodyKnows" in done.stderr


@pytest.mark.parametrize("name", BUILDS)
class TestPods:
    def test_every_pod_is_within_the_restricted_profile(self, name):
        for _, pod in pods(name):
            spec = pod["spec"]
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == USER
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
            assert {next(iter(set(volume) - {"name"})) for volume in spec["volumes"]} <= {"configMap", "secret"}
            assert spec["automountServiceAccountToken"] is False
        for container in containers(name):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not any("hostPort" in port for port in container.get("ports", ()))
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert set(container["resources"]["limits"]) == {"memory"}

    def test_the_program_takes_every_command_line_and_every_variable(self, name):
        assert own(name)
        for container in own(name):
            accept(container["args"])
            assert "command" not in container, "the image's entry point is the program"
            assert unknown_variables(environment_of(container)) == []

    def test_what_is_mounted_is_there_and_every_label_that_is_selected_by_exists(self, name):
        labels = [pod["metadata"]["labels"] for _, pod in pods(name)]
        for _, pod in pods(name):
            volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
            mounts = [mount for container in inside(pod) for mount in container["volumeMounts"]]
            assert {mount["name"] for mount in mounts} == volumes
            assert not any("subPath" in mount for mount in mounts), "such a mount never sees a renewed certificate"
            (settings,) = [volume["configMap"] for volume in pod["spec"]["volumes"] if "configMap" in volume]
            assert settings["name"] == one(name, "ConfigMap", "oicp-adapter-settings")["metadata"]["name"]
        for each in built(name):
            if each["kind"] in {"Service", "Deployment", "PodDisruptionBudget"}:
                selector = each["spec"]["selector"]
                wanted = selector.get("matchLabels", selector).items()
                assert any(wanted <= found.items() for found in labels), each["metadata"]["name"]

    def test_no_secret_is_part_of_what_is_built(self, name):
        assert not [each for each in built(name) if each["kind"] == "Secret"]
        text = yaml.safe_dump(list(built(name)))
        assert "BEGIN" not in text
        for url in [word for word in text.split() if "postgresql://" in word]:
            assert ":" not in url.split("//")[1].split("@")[0]


@pytest.mark.parametrize("name", BUILDS[1:])
class TestDaemon:
    def test_its_probes_ask_what_the_daemon_answers_and_liveness_nothing_remote(self, name):
        settings = tomllib.loads(one(name, "ConfigMap", "oicp-adapter-settings")["data"]["oicp-adapter.toml"])
        found = daemon(name)
        (port,) = found["ports"]
        listens = settings["monitoring"].get("port", MonitoringSettings().port)
        assert (port["name"], port["containerPort"]) == ("metrics", listens)
        assert (
            found["startupProbe"]["httpGet"]
            == found["livenessProbe"]["httpGet"]
            == {"path": "/livez", "port": "metrics"}
        )
        if name == "overlays/sidecar":
            assert "readinessProbe" not in found, "it would take the backend out of its Services"
        else:
            assert found["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}

    def test_it_may_take_as_long_to_stop_as_it_does_at_most(self, name):
        settings = tomllib.loads(one(name, "ConfigMap", "oicp-adapter-settings")["data"]["oicp-adapter.toml"])
        default = HubSettings.model_fields["request_timeout"].default.total_seconds()
        longest = settings["hub"].get("request_timeout", default) + STOP_MARGIN + 5
        (pod,) = [pod for _, pod in pods(name) if pod["metadata"]["labels"]["oicp-adapter/process"] == "daemon"]
        backend = 30 if name == "overlays/sidecar" else 0
        assert pod["spec"]["terminationGracePeriodSeconds"] > backend + longest

    def test_both_ways_run_the_same_container(self, name):
        differing = {"readinessProbe", "restartPolicy"}
        known, other = ({k: v for k, v in daemon(each).items() if k not in differing} for each in (name, BUILDS[1]))
        assert known == other
        assert daemon(BUILDS[2])["restartPolicy"] == "Always"

    def test_prometheus_finds_the_daemon_and_may_reach_it(self, name):
        monitor = one(name, "ServiceMonitor", "oicp-adapter")
        service = one(name, "Service", "oicp-adapter-metrics")
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        (endpoint,) = monitor["spec"]["endpoints"]
        (port,) = service["spec"]["ports"]
        assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
        assert port["targetPort"] == daemon(name)["ports"][0]["name"]
        (ingress,) = one(name, "NetworkPolicy", "oicp-adapter-daemon")["spec"]["ingress"]
        assert [each["port"] for each in ingress["ports"]] == [port["targetPort"]]

    def test_each_process_reaches_what_it_needs_and_nothing_else(self, name):
        for process, ports in {
            "daemon": [53, 53, 5432, 443],
            "control": [53, 53, 5432],
            "migration": [53, 53, 5432],
        }.items():
            policy = one(name, "NetworkPolicy", f"oicp-adapter-{process}")["spec"]
            assert policy["policyTypes"] == ["Ingress", "Egress"]
            assert policy["podSelector"]["matchLabels"] == {"oicp-adapter/process": process}
            assert [port["port"] for rule in policy["egress"] for port in rule["ports"]] == ports
            assert all(rule["to"] for rule in policy["egress"])


def test_one_of_two_replicas_may_be_taken_away_and_one_stays():
    found = {
        (each["kind"], each["metadata"]["name"]): each["spec"] for each in built("overlays/replicas") if "spec" in each
    }
    deployment, budget = found["Deployment", "oicp-adapter"], found["PodDisruptionBudget", "oicp-adapter"]
    assert deployment["replicas"] == 2
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()


def test_the_rules_are_those_of_deploy_monitoring():
    made = subprocess.run(
        [sys.executable, ".ci/prometheus_rule.py"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert (KUBERNETES / "monitoring" / "prometheus-rule.yaml").read_text() == made.stdout
    homes = [
        yaml.safe_load((ROOT / "deploy" / "monitoring" / name).read_text())
        for name in ("recording-rules.yml", "alerts.yml")
    ]
    assert one(BUILDS[1], "PrometheusRule", "oicp-adapter")["spec"]["groups"] == [
        g for home in homes for g in home["groups"]
    ]


def test_the_settings_are_read_and_one_that_nobody_knows_is_refused(tmp_path):
    text = one("overlays/replicas", "ConfigMap", "oicp-adapter-settings")["data"]["oicp-adapter.toml"]
    file = tmp_path / "oicp-adapter.toml"
    for found, hint in ((text, "cannot be read"), (text.replace("sweep", "swep") + "[hub2]\n", "hub2 is no setting")):
        file.write_text(found)
        _, problems = examine_settings(file, None, {})
        assert any(hint in str(problem) for problem in problems)
        assert len(problems) == 1 + (found != text), "the password's file is not here"


def test_the_control_server_s_liveness_asks_nothing_remote_and_its_readiness_the_store():
    (pod,) = [found for called, found in pods("overlays/replicas") if called == "oicp-adapter-control"]
    (server,) = pod["spec"]["containers"]
    asked = {name: server[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    live, ready = {"path": "/livez", "port": "control"}, {"path": "/readyz", "port": "control"}
    assert asked == {"startupProbe": live, "livenessProbe": live, "readinessProbe": ready}


def test_the_probes_say_what_they_are_for():
    for file in ("overlays/replicas/deployment.yaml", "overlays/sidecar/backend.yaml", "control/deployment.yaml"):
        lines = (KUBERNETES / file).read_text().splitlines()
        first = next(number for number, line in enumerate(lines) if line.strip() == "startupProbe:")
        assert lines[first - 1].lstrip().startswith("# ")
