"""EVSEs are found by what people write of where they stand."""

import pytest

from oicp_adapter.store.places import PlaceFilter, find_places


@pytest.mark.parametrize("search", ["Österreichplatz", "reichPLATZ", "ÖSTERREICHplatz", "Straße_1"])
def test_a_place_is_found_by_its_very_words_whatever_letters_they_have(store, sql, add, search: str):
    add("DE*ABC*E1")
    add("DE*ABC*E2")
    sql("INSERT INTO evse_location VALUES ('DEABCE1', 'Österreichplatz 1', 'Straße_1', NULL)")
    sql("INSERT INTO evse_location VALUES ('DEABCE2', 'Platz der Republik', 'StraßeX1', NULL)")
    with store.reading() as connection:
        found = find_places(connection, PlaceFilter(search=search), limit=9)
    assert [each.evse_id for each in found] == ["DE*ABC*E1"]
