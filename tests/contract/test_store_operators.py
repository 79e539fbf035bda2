"""The operator that an EvseID names is the same for SQL and for Python, and so is what is malformed."""

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from oicp_adapter.domain.errors import MalformedIdentifierError
from oicp_adapter.domain.identifiers import operator_of, parse_evse_id
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import EvseOperator
from oicp_adapter.store.schema import evse_status

PIECES = st.sampled_from(
    ["DE", "de", "ABC", "a1c", "*", "**", "+", "E", "e", "49", "+49", "810", "1", "0", "Ä", "\n", " "]
)
SHAPES = st.one_of(
    st.from_regex(r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9*]{1,31}", fullmatch=True),
    st.from_regex(r"\+?[0-9]{1,4}\*[0-9]{2,3}\*[0-9*]{1,33}", fullmatch=True),
    st.lists(PIECES, min_size=1, max_size=9).map("".join),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12),
)


def parsed(text):
    try:
        return parse_evse_id(text).operator
    except MalformedIdentifierError:
        return None


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(evse_ids=st.lists(SHAPES, min_size=1, max_size=8, unique=True))
@example(evse_ids=["DE*ABC*E1\n", "+49*810*000*438", "49*810*1", "DEABCE" + "1" * 30, "DEABCE" + "1" * 31])
def test_sql_and_python_agree_on_every_evse_id(store: Store, evse_ids):
    with store.writing() as connection:
        connection.execute(evse_status.delete())
        rows = [{"evse_id": each, "operator_id": "DE*ABC", "status": "Available"} for each in evse_ids]
        connection.execute(insert(evse_status), rows)
        found = dict(connection.execute(select(evse_status.c.evse_id, EvseOperator(evse_status.c.evse_id))).all())
    assert found == {each: parsed(each) for each in evse_ids}
    assert found == {each: operator_of(each) for each in evse_ids}
