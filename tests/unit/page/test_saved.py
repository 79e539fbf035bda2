import pytest

from oicp_adapter.page.saved import FOLLOWED, _Fate, id_of, ids_of, ranges, total


@pytest.mark.parametrize(
    ("keys", "text"), [([1, 2, 3, 5], "1-3,5"), ([9], "9"), ([5, 4, 4], "4-5"), ([], ""), (range(1, 5001), "1-5000")]
)
def test_ids_are_written_shortly_and_read_back(keys, text):
    assert ranges(keys) == text
    assert ids_of(text) == sorted(set(keys))


@pytest.mark.parametrize("text", ["", "x", "-", "1-x", "٣", "9" * 30, "3-1"])
def test_what_is_no_range_is_left_out(text):
    assert ids_of(text) == []


def test_a_range_that_somebody_made_up_costs_no_more_than_the_largest_request():
    assert len(ids_of("1-999999999999")) == FOLLOWED
    assert len(ids_of(",".join(["1-999999"] * 500))) == FOLLOWED


def test_what_the_hub_refused_is_no_waiting():
    fates = [_Fate(row=None, settled=False, refused=True, took=None)]
    assert total(fates).text["acknowledged"] == "Hubject has refused 1 of 1: the rows say why"
    fates += [_Fate(row=None, settled=True, refused=False, took=None)]
    assert total(fates).text["rest"] == "1 more needs nothing from Hubject now"
    assert total([*fates, fates[-1]]).text["rest"] == "2 more need nothing from Hubject now"
    fates += [_Fate(row=None, settled=False, refused=False, took=None)]
    assert total(fates).text["acknowledged"] == "Waiting for Hubject: 0 of 2 acknowledged"
    assert total(fates).text["rest"].startswith("Hubject has refused 1")


def test_overlapping_ranges_are_read_no_further_than_the_largest_request():
    assert ids_of(",".join(f"{first}-{first + 5000}" for first in range(1, 5001))) == list(range(1, 5001))
    assert ids_of(",".join(["1-4999"] * 5000)) == list(range(1, 5000))
    assert ids_of("1-4998,1-4998,1-9000") == list(range(1, 4999))


@pytest.mark.parametrize(
    ("text", "key"), [("17", 17), ("9" * 18, 10**18 - 1), ("9" * 19, None), ("-1", None), ("", None), ("٣", None)]
)
def test_an_id_that_no_store_can_be_asked_for_is_none(text, key):
    assert id_of(text) == key
