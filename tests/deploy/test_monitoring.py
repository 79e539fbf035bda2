"""Rules, alerts, dashboard and runbooks name only what the daemon exports, and a real Prometheus takes them."""

import json
import re
import shutil
import signal
import socket
import subprocess
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from oicp_adapter.daemon.metrics import Metrics
from reliability.real.machine import OPERATOR
from reliability.real.process import DIRECT, PATIENCE, Process, eventually
from reliability.real.site import Site
from reliability.real.workshop import opened_workshop
from tests.deploy.promql import Series, labels_of, names, strange

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
TESTS = sorted(MONITORING.glob("tests/*.yml"))
RULES = ("recording-rules.yml", "alerts.yml")
PAGES = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"), ROOT / "README.md"]


def read(name: str | Path) -> Any:
    return yaml.safe_load((MONITORING / name).read_text())


def rules(kind: str) -> list[Mapping[str, Any]]:
    return [rule for name in RULES for group in read(name)["groups"] for rule in group["rules"] if kind in rule]


ALERTS = rules("alert")


@pytest.fixture(scope="module")
def series() -> Series:
    """
    Every name that a query can use, with the values of each label.

    Samples of the daemon, families for their help, and recorded series, which keep what their level names.
    """
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for family in text_string_to_metric_families(generate_latest(Metrics(["DE*ABC"]).registry).decode()):
        for sample in family.samples:
            for labels in (found[family.name], found[sample.name]):
                for label, value in sample.labels.items():
                    labels[label].add(value)
    for rule in rules("record"):
        for label in rule["record"].partition(":")[0].split("_"):
            found[rule["record"]][label].update(*(found[name][label] for name in names(rule["expr"])))
    return {name: dict(labels) for name, labels in found.items()}


@pytest.fixture(scope="module")
def exported(series) -> set[str]:
    return set(series)


def dashboard() -> Mapping[str, Any]:
    shown: Mapping[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
    return shown


def targets() -> Iterator[Mapping[str, Any]]:
    for panel in dashboard()["panels"]:
        yield from panel.get("targets", [])


def test_no_rule_names_a_metric_that_the_code_does_not_export(exported):
    for rule in (*rules("record"), *ALERTS):
        assert names(rule["expr"])
        assert names(rule["expr"]) <= exported, rule


def test_no_panel_names_a_metric_that_the_code_does_not_export(exported):
    queries = [target["expr"] for target in targets()] + variables()
    assert len(queries) > 15
    for query in queries:
        assert names(query)
        assert names(query) <= exported, query


def variables() -> list[str]:
    """What the dashboard fills its lists to choose from with."""
    found = [item["definition"] for item in dashboard()["templating"]["list"] if "definition" in item]
    assert found == [item["query"]["query"] for item in dashboard()["templating"]["list"] if "definition" in item]
    return found


@pytest.mark.parametrize("rule", [*rules("record"), *ALERTS], ids=lambda rule: rule.get("record") or rule["alert"])
def test_no_rule_names_a_label_or_a_value_that_the_code_does_not_export(rule, series):
    assert list(strange(rule["expr"], series)) == []
    told = " ".join(rule.get("annotations", {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", told)) <= labels_of(rule["expr"], series)


def test_no_panel_names_a_label_or_a_value_that_the_code_does_not_export(series):
    for query in variables():
        assert list(strange(query, series)) == []
    for target in targets():
        assert list(strange(target["expr"], series)) == []
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels_of(target["expr"], series), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_label_or_a_value_that_the_code_does_not_export(page, series):
    text = page.read_text()
    code = [*re.findall(r"^ *```.*?^ *```", text, re.DOTALL | re.MULTILINE), *re.findall(r"`[^`]+`", text)]
    assert [wrong for each in code if names(each) for wrong in strange(each, series)] == []


@pytest.mark.parametrize("tests", TESTS, ids=lambda path: path.name)
def test_no_test_of_an_alert_has_series_that_the_code_does_not_export(tests, series):
    for test in read(tests)["tests"]:
        for each in test["input_series"]:
            assert names(each["series"]) <= set(series)
            assert list(strange(each["series"], series)) == []


@pytest.mark.parametrize(
    "query",
    [
        'oicp_adapter_push_failures_total{reason="address_refused"}',
        'oicp_adapter_push_failures_total{operator="X", reason=~"timeout|address_refused"}',
        'oicp_adapter_push_failures_total{status="OutOfService"}',
        'oicp_adapter_status_propagation_seconds_bucket{le="61.0"}',
        'operator_status:oicp_adapter_evses:max{status!="Outofservice"}',
        "max by (oprator) (oicp_adapter_lane_state)",
        "oicp_adapter_lane_state unless on (operator, reason) oicp_adapter_evses",
        "sum without (action, reeson) (oicp_adapter_push_failures_total)",
        "label_values(oicp_adapter_lane_state, oprator)",
        "oicp_adapter_lane_state{state=held}",
    ],
)
def test_a_wrong_label_or_value_would_be_found(query, series):
    assert names(query) <= set(series)
    assert len(list(strange(query, series))) == 1


def test_every_panel_says_what_it_shows():
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])
    assert all(panel["title"] and panel["description"].endswith(".") for panel in panels)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_metric_that_the_code_does_not_export(page, exported):
    assert names(page.read_text()) <= exported


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_somebody_who_is_woken_wants_to_know(rule):
    assert rule["labels"]["severity"] in {"critical", "warning"}
    told = rule["annotations"]
    assert told["summary"]
    assert told["description"].strip().endswith(".")
    page = (ROOT / told["runbook_url"]).read_text()
    assert rule["alert"] in page.splitlines()[0], "the page is about this alert"
    for part in ("\n**Drivers** ", "\n## Look\n", "\n## Do\n"):
        assert part in page


def test_every_runbook_belongs_to_an_alert():
    linked = {ROOT / rule["annotations"]["runbook_url"] for rule in ALERTS}
    assert linked == set((ROOT / "docs" / "runbooks").glob("OicpAdapter*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_an_alert_that_there_is_not(page):
    assert set(re.findall(r"OicpAdapter[A-Z]\w+", page.read_text())) <= {
        *(rule["alert"] for rule in ALERTS),
        *(file.stem for file in (ROOT / "docs" / "runbooks").glob("OicpAdapter*.md")),
    }


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_is_seen_to_fire_and_to_stay_silent(rule):
    asked = [
        case
        for path in TESTS
        for test in read(path)["tests"]
        for case in test["promql_expr_test"]
        if f'"{rule["alert"]}"' in case["expr"]
    ]
    fired = [case for case in asked if case["exp_samples"]]
    others = [case for case in asked if not case["exp_samples"]]
    lanes = [case for case in fired if "DE*ABC" in str(case["exp_samples"]) or "DE*XYZ" in str(case["exp_samples"])]
    assert fired
    assert others or lanes, "beside lanes for which it fires there are lanes for which it does not"


PROMTOOL = shutil.which("promtool")
PROMETHEUS = shutil.which("prometheus")


def promtool(*arguments: str, within: float = 60.0, **options: Any) -> str:
    done = subprocess.run(
        [str(PROMTOOL), *arguments], capture_output=True, text=True, check=False, timeout=within, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool (package prometheus) is installed")
class TestWithPromtool:
    def test_the_rules_are_well_formed(self):
        assert f"{len(rules('record'))} rules found" in promtool("check", "rules", *map(str, [MONITORING / RULES[0]]))
        assert f"{len(ALERTS)} rules found" in promtool("check", "rules", str(MONITORING / RULES[1]))

    def test_the_configuration_is_well_formed(self):
        assert "SUCCESS" in promtool("check", "config", str(MONITORING / "prometheus.yml"))

    @pytest.mark.parametrize("tests", TESTS, ids=lambda path: path.name)
    def test_each_alert_fires_and_stays_silent(self, tests):
        assert promtool("test", "rules", str(tests)).count("SUCCESS") == 1

    def test_two_environments_in_one_prometheus_are_configured_as_the_page_says(self, tmp_path):
        (shown,) = re.findall(r"^```yaml\n(.+?)^```$", (MONITORING / "README.md").read_text(), re.MULTILINE | re.DOTALL)
        (tmp_path / "prometheus.yml").write_text(shown)
        assert "SUCCESS" in promtool("check", "config", str(tmp_path / "prometheus.yml"))

    def test_what_is_exported_keeps_the_conventions(self):
        promtool("check", "metrics", input=generate_latest(Metrics(["DE*ABC"]).registry).decode())


@pytest.mark.skipif(PROMETHEUS is None, reason="no Prometheus is installed")
def test_a_real_prometheus_scrapes_the_daemon_and_evaluates_every_rule(tmp_path):
    (shop := tmp_path / "workshop").mkdir()
    with opened_workshop(shop) as workshop, workshop.site("sqlite") as site:
        daemon = site.settled()
        sound = site.sections["push"]
        for name in RULES:
            text = (MONITORING / name).read_text()
            (tmp_path / name).write_text(
                re.sub(r"for: \d+\w", "for: 0s", re.sub(r"interval: \d+s", "interval: 1s", text))
            )
        config = read("prometheus.yml")
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        target = urllib.parse.urlsplit(daemon.url).netloc
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        with prometheus(tmp_path) as ask:
            site.sections["push"] = {**sound, "mode": "loud"}
            reload(site, daemon)
            told = f"The settings of {target} were changed to ones that do not hold"
            # Before the first scrape it looks as if there were no daemon.
            eventually(lambda: firing(ask) == {"OicpAdapterConfigNotReloaded": told})
            evaluated = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
            assert len(evaluated) == len(rules("record")) + len(ALERTS)
            assert {rule["health"] for rule in evaluated} == {"ok"}
            for query in panel_queries():
                assert ask(f"query?query={urllib.parse.quote(query)}")["resultType"] == "vector", query
            eventually(lambda: fleets(ask) == {OPERATOR: "5"})
            site.sections["push"] = sound
            reload(site, daemon)
            eventually(lambda: firing(ask) == {})
        assert daemon.stop() == 0


def reload(site: Site, daemon: Process) -> None:
    """Let the daemon read the settings of its site again."""
    site.config()
    daemon.send(signal.SIGHUP)


def fleets(ask: Any) -> Mapping[str, str]:
    """How many EVSEs each operator has, as Prometheus saw it."""
    found = ask("query?query=operator:oicp_adapter_evses:sum")["result"]
    return {each["metric"]["operator"]: each["value"][1] for each in found}


def panel_queries() -> Iterator[str]:
    """Every query of the dashboard, as Grafana sends it."""
    for target in targets():
        yield target["expr"].replace("$operator", "DE.ABC").replace("$__rate_interval", "1m")


def firing(ask: Any) -> Mapping[str, str]:
    alerts = [each for each in ask("alerts")["alerts"] if each["state"] == "firing"]
    return {each["labels"]["alertname"]: each["annotations"]["summary"] for each in alerts}


@contextmanager
def prometheus(folder: Path) -> Iterator[Any]:
    """Run Prometheus with the settings in a folder; yields what asks its API."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    line = [str(PROMETHEUS), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "prometheus.log").open("wb") as log:
        child = subprocess.Popen([*line, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)

    def ask(what: str) -> Any:
        with DIRECT.open(f"http://127.0.0.1:{port}/api/v1/{what}", timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    try:
        eventually(lambda: answers(ask))
        yield ask
    finally:
        child.terminate()
        child.wait(PATIENCE)


def answers(ask: Any) -> bool:
    try:
        return ask("rules") is not None
    except OSError:
        return False
