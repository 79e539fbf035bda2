"""The effective status in SQL is the effective status in Python, for every EVSE."""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from oicp_adapter.domain.resolution import resolve
from oicp_adapter.domain.statuses import TRANSLATIONS, OicpStatus, Status, StatusMapping
from oicp_adapter.store.effective import effective_fleet, effective_rows
from oicp_adapter.store.engine import Store
from oicp_adapter.store.observing import read_found
from oicp_adapter.store.schema import evse_status, temporary_status

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
OUT_OF_SERVICE = [status for status, row in TRANSLATIONS.items() if row.oicp is OicpStatus.OUT_OF_SERVICE]
WORDS = st.sampled_from(
    [*Status, "suspended_ev", "OUT OF-ORDER", "", "Removed", "nonsense", "ReMoVed ", "çharging"]
) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
INSTANTS = st.sampled_from([-7200, -1, 0, 1, 3600]).map(
    lambda seconds: NOW + timedelta(seconds=seconds)
) | st.sampled_from([NOW + timedelta(microseconds=1), NOW - timedelta(microseconds=1)])
KINDS = st.sampled_from(["Maintenance", "COMMISSIONING", "blocked", "Reserved"])


@st.composite
def windows(draw):
    start = draw(INSTANTS)
    length = draw(st.none() | st.sampled_from([1e-6, 1, 3600, 7200]))
    return {
        "status": draw(KINDS),
        "valid_from": start,
        "valid_to": None if length is None else start + timedelta(seconds=length),
        "ended_at": draw(st.none() | INSTANTS),
    }


EVSES = st.lists(st.tuples(WORDS, st.lists(windows(), max_size=4)), min_size=1, max_size=8)
OVERRIDES = st.dictionaries(st.sampled_from(Status), st.sampled_from(OicpStatus), max_size=6).map(
    lambda chosen: {k: v for k, v in chosen.items() if k not in OUT_OF_SERVICE or v is not OicpStatus.AVAILABLE}
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(evses=EVSES, overrides=OVERRIDES)
def test_sql_and_python_agree_on_every_evse(store: Store, evses, overrides):
    mapping = StatusMapping(overrides)
    with store.writing() as connection:
        connection.execute(evse_status.delete())
        connection.execute(temporary_status.delete())
        for number, (word, periods) in enumerate(evses):
            spelt = f"DE*ABC*E{number}" if number % 2 else f"de*abc*e{number}"
            connection.execute(insert(evse_status).values(evse_id=spelt, operator_id="DE*ABC", status=word))
            for period in periods:
                connection.execute(insert(temporary_status).values(evse_id=f"DEABCE{number}", **period))
        in_sql = {row.key: (row.oicp, row.valid_until) for row in connection.execute(effective_rows(mapping, NOW))}
        at_once = {row.key: (row.oicp, row.valid_until) for row in connection.execute(effective_fleet(mapping, NOW))}
        found = read_found(connection, list(in_sql), NOW)
    in_python = {}
    for number, (word, _) in enumerate(evses):
        resolution = resolve(word, found[f"DEABCE{number}"].windows, NOW, mapping)
        in_python[f"DEABCE{number}"] = (resolution.oicp, resolution.valid_until)
    assert in_sql == in_python
    assert at_once == in_python


def test_a_window_of_an_unknown_kind_counts_for_neither(sqlite_store: Store):
    with sqlite_store.writing() as connection:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        connection.execute(insert(evse_status).values(evse_id="DE*ABC*E1", operator_id="DE*ABC", status="Available"))
        connection.execute(
            insert(temporary_status).values(evse_id="DE*ABC*E1", status="Party", valid_from=NOW, valid_to=None)
        )
        (row,) = connection.execute(effective_rows(StatusMapping(), NOW))
        found = read_found(connection, ["DEABCE1"], NOW)
    assert (row.oicp, row.valid_until) == ("Available", None)
    assert found["DEABCE1"].windows == []
