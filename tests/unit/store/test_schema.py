from dataclasses import fields

import pytest

from oicp_adapter.store.schema import full_load, intent_row, lane_row, ledger, metadata
from oicp_adapter.sync.model import Entry, Intent, Position


@pytest.mark.parametrize(("table", "model"), [(ledger, Entry), (lane_row, Position), (intent_row, Intent)])
def test_the_books_have_a_column_for_every_field(table, model):
    names = [field.name for field in fields(model)]
    assert [column.name for column in table.c if column.name != "lane"] == names


def test_the_adapters_own_tables_are_told_by_their_names():
    shared = {"evse_status", "temporary_status", "evse_location"}
    assert {name for name in metadata.tables if not name.startswith("oicp_")} == shared
    assert [column.name for column in full_load.primary_key] == ["lane", "canonical"]
