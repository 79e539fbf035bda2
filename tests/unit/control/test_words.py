"""What the hub said is shown in plain words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.control.words import plain_words


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Data transaction error, it isn't there", "Data transaction error, it isn't there"),
        ("EVSE {evseId} is unknown", "EVSE {evseId} is unknown"),
        (
            "Validation failed, [{'fieldReference': 'evseId', 'errorMessage': \"mustn't be 'null'\"}]",
            "Validation failed, fieldReference: evseId, errorMessage: mustn't be null",
        ),
        ("[{'a': 'b'}, {'a': 'c'}]", "a: b; a: c"),
        ('HTTP 500 {"message":"no","code":7}', "HTTP 500 message: no,code: 7"),
        ("[{'fieldReference': 'evseId', 'errorMessage': 'must ma… (900 characters)", None),
    ],
)
def test_named_details_are_shown_without_brackets_and_quotes(said: str, shown: str | None) -> None:
    told = plain_words(said)
    assert shown is None or told == shown
    assert "'fieldReference'" not in told
    assert "[" not in told


@given(st.text())
def test_words_without_named_details_stay_as_they_are(text: str) -> None:
    assert plain_words(text.replace("{", "(")) == text.replace("{", "(")
