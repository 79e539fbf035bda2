"""Bad input is named, stops nothing else, and never reaches the hub."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import exc

from oicp_adapter.checks.rows import row_findings
from oicp_adapter.domain.errors import MalformedIdentifierError, StoreError, foreign_text
from oicp_adapter.domain.identifiers import operator_key, parse_evse_id
from oicp_adapter.domain.statuses import StatusMapping, parse_status
from oicp_adapter.settings import OperatorSettings, Settings, StoreSettings
from oicp_adapter.store.evses import evse_overviews
from oicp_adapter.store.overview import lane_backlog, unmapped_words, unserved_operators
from oicp_adapter.store.scope import LaneScope

SCOPE = LaneScope("DEABC", frozenset({"DEABC"}))
MALFORMED = ("", " ", "DE*ABC", "DE*ABC*1", "DE*AB*E1", "DE*ABC*E" + "1" * 31, "DE*ABC*E1;", "DE*ABC*Eä1", "E" * 10_000)
UNKNOWN_WORDS = ("", " ", "Ready", "available!", "Verfügbar", "x" * 10_000, "'; DROP TABLE evse_status")
GARBLED_TIMES = ("2030-01-01", "2030-01-01T00:00:00", "2030-01-01 00:00:00+02:00", "soon", "", "2030-13-01 00:00:00")
WINDOW = "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to) VALUES ('DE*ABC*E0', 'Blocked', :a, :b)"
GOOD = {"DEABCE0": "Available", "DEABCE1": "Available"}


@pytest.fixture
def lane(bench):
    """A lane with two good EVSEs, which must be at the hub whatever else the store holds."""
    bench.fleet(2)
    return bench.lane()


def overview(bench):
    """What `status` reads, by EvseID as the row spells it."""
    return {each.evse_id: each for each in evse_overviews(bench.store, [SCOPE], StatusMapping(), None)}


def rejected(bench):
    return {row.evse_id: row for row in bench.sql("SELECT evse_id, reason, detail FROM oicp_rejection")}


def findings(bench, tmp_path):
    """What `check` says about the rows."""
    files = {"certificate": tmp_path / "c.pem", "private_key": tmp_path / "c.key"}
    known = Settings.model_construct(
        store=StoreSettings(), operators=(OperatorSettings.model_construct(id="DE*ABC", sub_operators=(), **files),)
    )
    return [finding for finding in row_findings(bench.store, known) if finding.level != "ok"]


def test_malformed_evse_ids_are_named_and_kept_in_the_house(bench, lane, tmp_path):
    for evse_id in MALFORMED:
        bench.write(evse_id, "Available")
    lane.quiet()
    assert dict(lane.at_hub()) == GOOD
    assert not {evse_id for sent in lane.wire.sent for evse_id in sent.statuses} & set(MALFORMED)
    named = rejected(bench)
    assert set(named) == set(MALFORMED)
    for row in named.values():
        assert row.reason == "malformed_evse_id"
        assert "EvseID: expected a form like" in row.detail
        assert len(row.detail) < 300
    assert bench.events("evses.rejected")[-1]["reasons"] == ["malformed_evse_id"]
    assert lane_backlog(bench.store, SCOPE).rejected == {"malformed_evse_id": len(MALFORMED)}
    assert {evse_id for evse_id, seen in overview(bench).items() if seen.state == "quarantined"} == set(MALFORMED)
    (found,) = [finding.what for finding in findings(bench, tmp_path) if "malformed" in finding.what]
    assert found.startswith(f"{len(MALFORMED)} EVSEs with a malformed EvseID")


def test_a_row_that_is_corrected_is_pushed_and_named_no_longer(bench, lane):
    bench.write("DE*ABC*1", "Available")
    lane.quiet()
    bench.sql("UPDATE evse_status SET evse_id = 'DE*ABC*E2' WHERE evse_id = 'DE*ABC*1'")
    lane.quiet()
    assert set(lane.at_hub()) == {*GOOD, "DEABCE2"}
    assert rejected(bench) == {}


def test_a_duplicate_is_named_and_the_other_spelling_is_pushed(bench, lane, tmp_path):
    bench.write("deabcE1", "Faulted")
    lane.quiet()
    assert dict(lane.at_hub()) == GOOD
    assert rejected(bench)["deabcE1"].reason == "duplicate"
    assert overview(bench)["deabcE1"].state == "quarantined"
    assert any("another row names" in finding.what for finding in findings(bench, tmp_path))


def test_unknown_words_are_unknown_counted_and_named(bench, lane, tmp_path):
    assert {parse_status(word) for word in UNKNOWN_WORDS} == {None}
    for number, word in enumerate(UNKNOWN_WORDS):
        bench.write(f"DE*ABC*E9{number}", word)
    lane.quiet()
    assert dict(lane.at_hub()) == {**GOOD, **{f"DEABCE9{number}": "Unknown" for number in range(len(UNKNOWN_WORDS))}}
    assert lane.metric("unmapped_statuses_total") >= len(UNKNOWN_WORDS)
    shown = sorted(foreign_text(word, 60) for word in UNKNOWN_WORDS)
    assert bench.events("status.unmapped")[-1]["words"] == shown
    assert {each.text for each in unmapped_words(bench.store)} == set(UNKNOWN_WORDS)
    named = [finding.what for finding in findings(bench, tmp_path) if "published as Unknown" in finding.what]
    assert len(named) == len(UNKNOWN_WORDS)


def test_an_unknown_word_yields_to_a_window(bench, lane):
    bench.write("DE*ABC*E2", "Ready")
    bench.window("DE*ABC*E2", "Blocked", bench.clock.now())
    lane.quiet()
    assert lane.at_hub()["DEABCE2"] == "Occupied"


def test_evses_of_operators_that_no_lane_serves_are_named(bench, lane, tmp_path):
    operators = ("DE*ZZZ", "CH-REP", "", "x" * 10_000)
    for number, operator in enumerate(operators):
        bench.write(f"DE*ZZZ*E{number}", "Available", operator)
    lane.quiet()
    assert dict(lane.at_hub()) == GOOD
    assert bench.hub.operators() == ["DE*ABC"]
    assert {each.text for each in unserved_operators(bench.store, {operator_key("DE*ABC")})} == set(operators)
    states = {seen.state for evse_id, seen in overview(bench).items() if evse_id.startswith("DE*ZZZ")}
    assert states == {"quarantined"}
    assert sum("pushed by no lane" in finding.what for finding in findings(bench, tmp_path)) == len(operators)


def test_an_evse_id_that_names_another_operator_than_its_row_is_named(bench, lane, tmp_path):
    bench.write("DE*ZZZ*E1", "Available", "DE*ABC")
    lane.quiet()
    assert bench.hub.find("DE*ZZZ*E1") is None
    row = rejected(bench)["DE*ZZZ*E1"]
    assert row.reason == "foreign_operator"
    assert "018" in row.detail
    assert any("another operator inside" in finding.what for finding in findings(bench, tmp_path))


def test_a_window_that_does_not_end_after_it_starts_is_refused_by_the_store(bench, lane):
    start = bench.clock.now()
    for end in (start, start - timedelta(microseconds=1), start - timedelta(days=9)):
        with pytest.raises((StoreError, exc.DBAPIError)):
            bench.window("DE*ABC*E0", "Maintenance", start, end)
    assert bench.sql("SELECT count(*) FROM temporary_status")[0][0] == 0
    lane.quiet()
    assert dict(lane.at_hub()) == GOOD


def test_garbled_times_are_refused_by_the_store(bench):
    for text in GARBLED_TIMES:
        if bench.store.dialect == "postgresql" and text.startswith("2030-01"):
            continue  # a good time to PostgreSQL, which keeps instants
        with pytest.raises((StoreError, exc.DBAPIError)):
            bench.sql(WINDOW, a=text, b=None)
    assert bench.sql("SELECT count(*) FROM temporary_status")[0][0] == 0


def test_a_kind_of_window_that_is_none_of_the_four_is_refused_by_the_store(bench):
    for kind in ("Broken", "", "Available"):
        with pytest.raises((StoreError, exc.DBAPIError)):
            bench.window("DE*ABC*E0", kind, bench.clock.now())


@pytest.mark.parametrize("instant", ["infinity", "-infinity", "294000-01-01 00:00:00+00"])
def test_times_that_python_cannot_hold_harm_nothing(bench, lane, instant):
    if bench.store.dialect == "sqlite":
        pytest.skip("SQLite holds no such time")
    start = "2020-01-01 00:00:00+00" if not instant.startswith("-") else instant
    bench.sql(WINDOW, a=start, b=None if instant.startswith("-") else instant)
    bench.sql("UPDATE evse_status SET changed_at = CAST(:at AS timestamptz)", at=instant)
    lane.quiet()
    assert dict(lane.at_hub()) == {**GOOD, "DEABCE0": "Occupied"}


def test_a_window_for_a_malformed_evse_harms_nothing(bench, lane):
    for evse_id in MALFORMED:
        bench.window(evse_id, "Maintenance", bench.clock.now())
    lane.quiet()
    assert dict(lane.at_hub()) == GOOD
    assert bench.hints() == 0


def test_a_table_of_garbage_delays_no_good_evse(bench, lane):
    for number in range(30):
        bench.write(f"garbage {number}", "Available")
        bench.write(f"DE*ABC*E{number + 2}", "Charging" if number % 2 else "no such word")
    lane.quiet()
    assert len(lane.at_hub()) == 32
    assert lane_backlog(bench.store, SCOPE).rejected == {"malformed_evse_id": 30}


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=80)
IDS = TEXTS | st.sampled_from(MALFORMED) | st.from_regex(r"[Dd][Ee]\*?ABC\*?E[0-9*]{1,4}", fullmatch=True)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.dictionaries(IDS, TEXTS | st.just("Available"), max_size=8))
def test_whatever_the_rows_hold_only_wellformed_ids_reach_the_hub(bench, rows):
    bench.sql("DELETE FROM evse_status")
    lane = bench.lane(max_withdrawn_share=1.0)
    for evse_id, status in rows.items():
        bench.write(evse_id, status)
    lane.quiet()
    good = set()
    for evse_id, status in rows.items():
        try:
            parsed = parse_evse_id(evse_id)
        except MalformedIdentifierError:
            continue
        if parsed.operator == "DEABC" and status.translate(str.maketrans("", "", "_- ")).lower() != "removed":
            good.add(parsed.canonical)
    assert set(lane.at_hub()) == good
