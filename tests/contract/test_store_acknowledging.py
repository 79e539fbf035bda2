"""What one statement does to the rows of an acknowledged request is what the decision says of each of them."""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.sync.entries import acknowledged
from oicp_adapter.sync.exchange import Acknowledgement
from oicp_adapter.sync.model import Action, Entry, Intent, Presence, Record

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
STARTED = NOW - timedelta(seconds=2)
AROUND = st.sampled_from([-7200, -3, -2, -1.000001, -1, 0, 0.000001, 1, 600, 611, 3600, 21598, 30000]).map(
    lambda seconds: NOW + timedelta(seconds=seconds)
)
INSTANTS = st.none() | AROUND
KEYS = [CanonicalEvseId(f"DEABCE{number}") for number in range(4)]
WORDS = st.sampled_from(OicpStatus)


@st.composite
def entries(draw):
    facts = {
        name: draw(INSTANTS)
        for name in (
            "acknowledged_at", "acknowledged_since", "asserted_at", "doubted_at", "debt_at", "pending_since",
            "withdrawn_at", "held_since", "approved_at", "first_failed_at", "retry_at", "due_at",
        )
    }  # fmt: skip
    facts |= {"acknowledged": draw(st.none() | WORDS), "refused_status": draw(st.none() | WORDS)}
    facts |= {"presence": draw(st.sampled_from(Presence)), "flipped": draw(st.booleans())}
    facts |= {"failures": draw(st.integers(0, 3)), "failed_singly": draw(st.integers(0, 3))}
    facts |= {"batch_cap": draw(st.none() | st.integers(1, 9)), "attempt": draw(st.integers(0, 9))}
    facts |= dict.fromkeys(("approved_by", "refusal", "refusal_detail"), draw(st.none() | st.just("ann")))
    return facts


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.dictionaries(st.sampled_from(KEYS), entries(), max_size=4),
    sent=st.dictionaries(st.sampled_from(KEYS), st.tuples(WORDS, INSTANTS), min_size=1, max_size=4),
    debt=st.none() | st.sampled_from([1, 610]).map(lambda seconds: NOW + timedelta(seconds=seconds)),
)
def test_each_row_is_as_the_decision_says(lane: LaneStore, rows, sent, debt):
    before = {key: Entry(key, EvseId(f"de*abc*e{key[-1]}"), **facts) for key, facts in rows.items()}
    records = [Record(key, EvseId(f"DE*ABC*E{key[-1]}"), status) for key, (status, _) in sent.items()]
    done = Acknowledgement(
        intent=Intent(3, 17, Action.UPDATE, records, STARTED, NOW),
        valid_until={key: until for key, (_, until) in sent.items() if until is not None},
        now=NOW,
        debt_at=debt,
        furthest=NOW + timedelta(seconds=610),
        again_at=STARTED + timedelta(hours=6),
    )
    with lane.transaction() as books:
        books.forget(KEYS)
        books.save(list(before.values()))
        books.acknowledge(done)
    with lane.transaction() as books:
        after = books.entries(KEYS)
    blank = {record.canonical: Entry(record.canonical, record.evse_id) for record in records}
    decided = {record.canonical: acknowledged(done, record, (blank | before)[record.canonical]) for record in records}
    assert after == before | decided
