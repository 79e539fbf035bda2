import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oicp_adapter.domain.errors import MalformedIdentifierError
from oicp_adapter.domain.identifiers import (
    KEY_LENGTH,
    evse_key,
    is_operator_id,
    operator_key,
    parse_evse_id,
    parse_operator_id,
)

# Restated from facts.md and the OpenAPI description, so that a slip in the module is seen.
EVSE_GRAMMAR = re.compile(
    r"(([A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9\*]{1,30})|(\+?[0-9]{1,3}\*[0-9]{3}\*[0-9\*]{1,32}))"
)
UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ALNUM = UPPER + "0123456789"
country, party = st.text(UPPER, min_size=2, max_size=2), st.text(ALNUM, min_size=3, max_size=3)
outlet = st.text(ALNUM, min_size=1, max_size=15)
star = st.sampled_from(["", "*"])


@st.composite
def iso_spellings(draw: st.DrawFn) -> tuple[str, str]:
    """Two spellings of one ISO charging spot: separators and case differ."""
    parts = draw(country), draw(party), draw(outlet)

    def spell() -> str:
        left, middle, right = (draw(st.sampled_from([part, part.lower()])) for part in parts)
        stars = [draw(star) for _ in right]
        return left + draw(star) + middle + draw(star) + "E" + "".join(map("".join, zip(right, stars, strict=True)))

    return spell(), spell()


@given(iso_spellings())
def test_all_spellings_of_one_charging_spot_are_equal_canonically(spellings: tuple[str, str]) -> None:
    one, other = map(parse_evse_id, spellings)
    assert one.canonical == other.canonical == evse_key(spellings[0])
    assert one.operator == other.operator


@given(iso_spellings())
def test_an_identifier_is_never_rewritten(spellings: tuple[str, str]) -> None:
    assert parse_evse_id(spellings[0]).text == spellings[0]


@given(country, party, outlet, outlet)
def test_different_outlets_stay_different(left: str, middle: str, one: str, other: str) -> None:
    same = one == other
    assert (
        parse_evse_id(f"{left}*{middle}*E{one}").canonical == parse_evse_id(f"{left}{middle}E{other}").canonical
    ) is same


@given(st.from_regex(EVSE_GRAMMAR, fullmatch=True))
def test_whatever_follows_the_published_grammar_is_parsed(text: str) -> None:
    parsed = parse_evse_id(text)
    assert parsed.text == text
    assert len(parsed.canonical) < KEY_LENGTH


@given(st.text())
@example("DE*ABC*E1\n")
@example("\N{ARABIC-INDIC DIGIT FOUR}9*810*000*438")
@example("DE*ABC*E\N{LATIN CAPITAL LETTER A WITH DIAERESIS}1")
@example("de*abc*e1")
@example("")
@example("E" * 10_000)
def test_what_follows_no_grammar_is_refused_with_its_beginning(text: str) -> None:
    if EVSE_GRAMMAR.fullmatch(text):
        parse_evse_id(text)
        return
    with pytest.raises(MalformedIdentifierError) as caught:
        parse_evse_id(text)
    assert caught.value.kind == "EvseID"
    assert caught.value.text == text
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("DE*ABC*E1", "DEABC"),
        ("DEAB7E8406487", "DEAB7"),
        ("deabcE1", "DEABC"),
        ("+49*810*000*438", "49810"),
        ("49*810*000*438", "49810"),
    ],
)
def test_the_operator_inside_an_evse_id_is_found(text: str, operator: str) -> None:
    assert parse_evse_id(text).operator == operator


def test_the_plus_of_the_din_form_distinguishes_nothing() -> None:
    assert parse_evse_id("+49*810*000*438").canonical == parse_evse_id("49*810*000*438").canonical


@pytest.mark.parametrize("text", ["DE*ABC", "DEABC", "de*abc", "CH*7R1", "+49*810", "49*810"])
def test_an_operator_id_of_either_form_is_parsed(text: str) -> None:
    assert parse_operator_id(text) == operator_key(text)
    assert is_operator_id(text)


@pytest.mark.parametrize("text", ["", "CH-REP", "DE*AB", "DE*ABCD", "49810", "DE*ABC ", "DE*ABC\n", "+DE*ABC"])
def test_what_is_no_operator_id_is_refused(text: str) -> None:
    assert not is_operator_id(text)
    with pytest.raises(MalformedIdentifierError, match="OperatorID"):
        parse_operator_id(text)


@given(st.text(max_size=200))
def test_a_key_ignores_separators_and_ascii_case_only(text: str) -> None:
    key = evse_key(text)
    assert key == evse_key(f"+{text}*")
    assert key == operator_key(text)
    assert len(key) <= KEY_LENGTH
    assert not set(key) & set("*+abcdefghijklmnopqrstuvwxyz")
    assert [char for char in key if not char.isascii()] == [
        c for c in re.sub(r"[*+]", "", text)[:64] if not c.isascii()
    ]
