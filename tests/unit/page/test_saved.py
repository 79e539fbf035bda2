import pytest

from oicp_adapter.page.saved import FOLLOWED, ids_of, ranges


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
