"""What is decided about steady EVSEs in a few words is what the whole decision says about them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus, Status, StatusMapping
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.observing import observations, read_found
from oicp_adapter.store.schema import evse_status, temporary_status
from oicp_adapter.store.steady import read_steady
from oicp_adapter.sync.assess import Circumstances, assess
from oicp_adapter.sync.model import STEADY, Entry, Policy, Presence
from oicp_adapter.sync.plan import is_suspect
from oicp_adapter.sync.steady import sort_steady

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
POLICY = Policy()
AROUND = st.sampled_from([-30000, -21601, -21600, -7200, -1, 0, 1, 600, 21600]).map(
    lambda seconds: NOW + timedelta(seconds=seconds)
)
INSTANTS = st.none() | AROUND
WORDS = st.sampled_from([*Status, "suspended_ev", "Removed", "nonsense", ""])
HINTED = st.none() | st.sampled_from([-5, -1, -0.5, 0, 1]).map(lambda seconds: NOW + timedelta(seconds=seconds))
ODD = {
    "acknowledged": st.none(),
    "presence": st.sampled_from(Presence),
    "evse_id": st.just(EvseId("De*Abc*E1")),
    "asserted_at": INSTANTS,
    "doubted_at": AROUND,
    "debt_at": AROUND,
    "pending_since": AROUND,
    "withdrawn_at": AROUND,
    "held_since": AROUND,
    "approved_at": AROUND,
    "retry_at": AROUND,
    "failures": st.integers(1, 3),
    "batch_cap": st.integers(1, 3),
    "refusal": st.just("everything_refused"),
    "flipped": st.just(value=True),
    "due_at": INSTANTS,
}


@st.composite
def ledger_rows(draw):
    """Draw a row that is steady but for at most two things."""
    facts = {
        "evse_id": EvseId("DE*ABC*E1"),
        "acknowledged": draw(st.sampled_from(OicpStatus)),
        "acknowledged_at": NOW - timedelta(hours=1),
        "asserted_at": NOW - timedelta(hours=1),
        "presence": Presence.PRESENT,
        "attempt": 7,
        "due_at": NOW + timedelta(hours=5),
    }
    for name in draw(st.lists(st.sampled_from(sorted(ODD)), max_size=2)):
        facts[name] = draw(ODD[name])
    return facts


WINDOWS = st.lists(st.tuples(AROUND, st.none() | st.sampled_from([1, 3600]), INSTANTS), max_size=1)
SPELLINGS = st.sampled_from([("DE*ABC*E1",), ("DE*ABC*E1",), ("De*Abc*E1",), ("DE*ABC*E1", "DEABCE1"), ()])
OPERATORS = st.sampled_from(["DE*ABC", "DE*ABC", "deabc", "DE*XYZ"])


STORES = st.fixed_dictionaries(
    {
        "row": ledger_rows(),
        "word": WORDS,
        "spellings": SPELLINGS,
        "operator": OPERATORS,
        "windows": WINDOWS,
        "changed_at": HINTED,
        "doubted_before": st.none() | AROUND,
        "keys": st.sampled_from([frozenset({"DEABC"}), frozenset({"DEABC"}), frozenset({"DEXYZ"})]),
    }
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=STORES)
def test_what_is_said_of_a_steady_evse_is_what_the_whole_decision_says(lane: LaneStore, drawn):
    key = CanonicalEvseId("DEABCE1")
    at = Circumstances(NOW, drawn["keys"], StatusMapping(), POLICY, drawn["doubted_before"])
    found = {key: drawn["changed_at"]}
    with lane.transaction() as books:
        books.forget([key])
        books.save([Entry(key, **drawn["row"])])
    with lane.writing() as connection:
        connection.execute(evse_status.delete())
        connection.execute(temporary_status.delete())
        for spelt in drawn["spellings"]:
            connection.execute(
                insert(evse_status).values(evse_id=spelt, operator_id=drawn["operator"], status=drawn["word"])
            )
        for start, length, ended in drawn["windows"]:
            end = None if length is None else start + timedelta(seconds=length)
            row = {"status": "Blocked", "valid_from": start, "valid_to": end, "ended_at": ended}
            connection.execute(insert(temporary_status).values(evse_id="deabce1", **row))
        steady = read_steady(
            connection,
            lane.scope,
            found,
            now=NOW,
            reassert_every=POLICY.reassert_every,
            doubted_before=drawn["doubted_before"],
        )
        (seen,) = observations(connection, lane.scope, [key], read_found(connection, [key], NOW), found)
    said = sort_steady(steady, at)
    whole = assess(seen, at)
    if said.work:
        event("work")
        assert whole.work is not None
        assert not is_suspect(whole.work)
        assert said.work == [whole.work._replace(entry=STEADY)]
        assert not whole.rejected
    elif said.quiet:
        event("quiet")
        assert whole.work is None
        assert replace(whole.entry, due_at=None) == replace(seen.entry, due_at=None)
        if whole.entry.due_at < seen.entry.due_at:
            # Late only by a setting that was longer when the row was written.
            assert whole.entry.due_at == seen.entry.asserted_at + POLICY.reassert_every
        assert not whole.rejected
        assert not whole.forget
    else:
        event("left to the whole decision" if steady else "not steady")


def test_most_evses_are_steady(lane: LaneStore, sql):
    sql("INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'Charging')")
    row = Entry(
        CanonicalEvseId("DEABCE1"),
        EvseId("DE*ABC*E1"),
        acknowledged=OicpStatus.AVAILABLE,
        asserted_at=NOW,
        presence=Presence.PRESENT,
        attempt=1,
        due_at=datetime(9000, 1, 1, tzinfo=UTC),
    )
    with lane.transaction() as books:
        books.save([row])
        again = books.now - NOW + timedelta(hours=1)
        seen = books.find(hinted=9, due=9, suspects=9).steady(reassert_every=again, doubted_before=None)
        said = sort_steady(seen, Circumstances(books.now, {"DEABC"}, StatusMapping(), POLICY))
    (work,) = said.work
    assert work.record == ("DEABCE1", "DE*ABC*E1", OicpStatus.OCCUPIED)
    assert work.urgent
