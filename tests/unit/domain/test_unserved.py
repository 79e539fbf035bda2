"""Why no lane pushes the rows of an operator, and the cure that works."""

import pytest

from oicp_adapter.domain.unserved import unserved


@pytest.mark.parametrize("operator_id", ["DE*XYZ", "DEXYZ", "+49*810"])
def test_an_operator_that_is_one_can_be_added(operator_id: str) -> None:
    said = unserved(operator_id)
    assert said.why == f"no account serves operator {operator_id}"
    assert "[[operators]]" in said.cure


@pytest.mark.parametrize("operator_id", ["CH-REP", "CH*SWISSCHARGE", "DE-ABC", "x" * 10_000])
def test_what_is_no_operator_id_must_be_corrected_for_adding_it_would_be_refused(operator_id: str) -> None:
    said = unserved(operator_id)
    assert "in operator_id is no OperatorID" in said.why
    assert said.cure.startswith("correct the row")
    assert "[[operators]]" not in str(said)
    assert len(str(said)) < 300


@pytest.mark.parametrize("operator_id", ["", "  "])
def test_an_empty_operator_is_called_empty(operator_id: str) -> None:
    said = unserved(operator_id)
    assert said.why == "operator_id is empty"
    assert said.cure.startswith("correct the row")


def test_foreign_text_is_made_harmless() -> None:
    assert str(unserved("CH\x1b[2J")).isprintable()
