"""Every series that CONTRACT §5 names exists from the start, under its name and with its labels."""

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from oicp_adapter import __version__
from oicp_adapter.daemon.metrics import KNOWN_CODES, Metrics, WindowState
from oicp_adapter.domain.statuses import OicpStatus, TemporaryStatus
from oicp_adapter.sync.answers import Reason
from oicp_adapter.sync.model import Action, LaneState, WindowEdge

OPERATOR = {"operator"}
GAUGES = {
    "evses": {"operator", "status"},
    "pending_evses": OPERATOR,
    "oldest_pending_timestamp_seconds": OPERATOR,
    "quarantined_evses": OPERATOR,
    "held_withdrawals": OPERATOR,
    "lane_state": {"operator", "state"},
    "push_mode": {"operator", "mode"},
    "windows": {"operator", "kind", "state"},
    "last_successful_push_timestamp_seconds": OPERATOR,
    "last_full_load_timestamp_seconds": OPERATOR,
    "next_full_load_timestamp_seconds": OPERATOR,
    "last_store_read_timestamp_seconds": OPERATOR,
    "last_survey_timestamp_seconds": OPERATOR,
    "oldest_open_ended_window_timestamp_seconds": OPERATOR,
    "client_certificate_not_after_timestamp_seconds": OPERATOR,
    "client_certificate_last_reload_successful": OPERATOR,
    "config_last_reload_successful": set(),
    "config_last_reload_success_timestamp_seconds": set(),
}
COUNTERS = {
    "pushes_total": {"operator", "action"},
    "push_failures_total": {"operator", "action", "reason"},
    "status_codes_total": {"operator", "code"},
    "unmapped_statuses_total": OPERATOR,
}
HISTOGRAMS = {
    "status_propagation_seconds": OPERATOR,
    "push_duration_seconds": {"operator", "action"},
    "push_records": {"operator", "action"},
    "window_lag_seconds": {"operator", "edge"},
}
LABELS = {**GAUGES, **COUNTERS, **{f"{name}_count": labels for name, labels in HISTOGRAMS.items()}}
ACTIONS = {"fullLoad", "update", "insert", "delete"}
VALUES = {
    ("evses", "status"): set(OicpStatus),
    ("lane_state", "state"): {"active", "standby", "settling", "backing_off", "held"},
    ("push_mode", "mode"): {"live", "shadow", "off"},
    ("windows", "kind"): set(TemporaryStatus),
    ("windows", "state"): {"active", "upcoming"},
    ("pushes_total", "action"): ACTIONS,
    ("push_failures_total", "action"): ACTIONS,
    ("push_failures_total", "reason"): set(Reason),
    ("status_codes_total", "code"): set(KNOWN_CODES),
    ("push_duration_seconds_count", "action"): ACTIONS,
    ("push_records_count", "action"): ACTIONS,
    ("window_lag_seconds_count", "edge"): {"start", "end"},
}


def samples(metrics):
    text = generate_latest(metrics.registry).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name.removeprefix("oicp_adapter_"), []).append((sample.labels, sample.value))
    return found


@pytest.mark.parametrize("name", LABELS)
def test_a_series_of_the_contract_exists_from_the_start_with_its_labels(name):
    found = samples(Metrics(["DE*ABC", "DE*XYZ"]))[name]
    assert {frozenset(labels) for labels, _ in found} == {frozenset(LABELS[name])}
    assert {labels["operator"] for labels, _ in found if "operator" in labels} == (
        {"DE*ABC", "DE*XYZ"} if LABELS[name] else set()
    )
    assert {value for _, value in found} == {1.0 if name.endswith("_successful") else 0.0}


@pytest.mark.parametrize(("name", "label"), VALUES)
def test_every_known_label_value_exists_from_the_start(name, label):
    found = samples(Metrics(["DE*ABC"]))[name]
    assert {labels[label] for labels, _ in found} == VALUES[name, label]


def test_all_names_begin_with_the_prefix_and_none_is_a_timestamp_of_creation():
    for family in Metrics(["DE*ABC"]).registry.collect():
        assert family.name.startswith("oicp_adapter_")
        assert family.documentation.endswith(".")
    assert not any(name.endswith("_created") for name in samples(Metrics(["DE*ABC"])))


def operators(metrics):
    found = samples(metrics)
    return {name: {labels["operator"] for labels, _ in found.get(name, ()) if "operator" in labels} for name in LABELS}


def test_of_an_operator_that_is_forgotten_no_series_is_left_and_the_others_keep_their_counts():
    metrics = Metrics(["DE*ABC", "DE*XYZ"])
    both = operators(metrics)
    metrics.pushes.labels("DE*ABC", "update").inc(3)
    metrics.propagation.labels("DE*ABC").observe(0.5)
    metrics.forget(["DE*XYZ", "DE*QQQ"])
    assert operators(metrics) == {name: found - {"DE*XYZ"} for name, found in both.items()}
    metrics.serve(["DE*ABC", "DE*XYZ"])
    assert operators(metrics) == both
    of_lane = {"operator": "DE*ABC"}
    assert metrics.registry.get_sample_value("oicp_adapter_pushes_total", of_lane | {"action": "update"}) == 3
    assert metrics.registry.get_sample_value("oicp_adapter_status_propagation_seconds_sum", of_lane) == 0.5


def test_an_operator_that_is_served_again_keeps_what_its_series_say():
    metrics = Metrics(["DE*ABC"])
    metrics.certificate_reloaded.labels("DE*ABC").set(0)
    metrics.serve(["DE*ABC"])
    assert samples(metrics)["client_certificate_last_reload_successful"] == [({"operator": "DE*ABC"}, 0.0)]


def test_the_build_info_tells_the_version():
    assert samples(Metrics([]))["build_info"] == [({"version": __version__}, 1.0)]


def test_two_applications_in_one_process_do_not_see_each_other():
    one, other = Metrics(["DE*ABC"]), Metrics(["DE*ABC"])
    one.pending_evses.labels("DE*ABC").set(7)
    assert samples(other)["pending_evses"] == [({"operator": "DE*ABC"}, 0.0)]


def test_the_enums_behind_the_labels_are_those_of_the_contract():
    assert {state.value for state in WindowState} == {"active", "upcoming"}
    assert {edge.value for edge in WindowEdge} == {"start", "end"}
    assert {action.value for action in Action} == ACTIONS
    assert {state.value for state in LaneState} == VALUES["lane_state", "state"]
