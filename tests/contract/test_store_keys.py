"""What SQL computes equals what the domain computes."""

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Text, literal, select

from oicp_adapter.domain.identifiers import evse_key, operator_key
from oicp_adapter.domain.statuses import is_removed, normalise
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import EvseKey, OperatorKey, Word
from oicp_adapter.store.expressions import is_removed as is_removed_sql

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=100) | st.text(
    "DEabcABC*+-_ 019ßİ\u0131éÄ", max_size=100
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=1, max_size=30))
@example(texts=["de*abc*e1", "+49*810*000*438", "x" * 70, "ß" * 70, "*" * 70 + "a", "Re_mo-v ed", "İstanbul", "\u0131"])
def test_keys_and_words_are_the_same_in_sql(store: Store, texts: list[str]):
    with store.reading() as connection:
        for each in texts:
            value = literal(each, Text())
            row = connection.execute(
                select(EvseKey(value), OperatorKey(value), Word(value), is_removed_sql(value))
            ).one()
            assert tuple(row) == (evse_key(each), operator_key(each), normalise(each), is_removed(each))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=1, max_size=30, unique=True))
def test_keys_are_ordered_by_code_point_in_both_stores(store: Store, sql, texts: list[str]):
    sql("DELETE FROM evse_location")
    with store.writing() as connection:
        for each in texts:
            connection.exec_driver_sql(
                "INSERT INTO evse_location (evse_id) VALUES (%s)"
                if store.dialect == "postgresql"
                else "INSERT INTO evse_location (evse_id) VALUES (?)",
                (each,),
            )
        ordered = [row[0] for row in connection.exec_driver_sql("SELECT evse_id FROM evse_location ORDER BY evse_id")]
    assert ordered == sorted(texts)
