"""A pattern describes EVSEs whatever their spelling, and a star is no wildcard."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.patterns import EvsePattern

TEXT = st.text("ABCabc01*+", max_size=12)


@pytest.mark.parametrize(
    ("pattern", "evse_id", "matches"),
    [
        ("DE*ABC*E1%", "deabce12", True),
        ("de*abc*e1%", "DE*ABC*E1", True),
        ("DEABCE1_", "DE*ABC*E1*2", True),
        ("DEABCE1_", "DE*ABC*E1", False),
        ("DE*ABC*E1", "DEABCE1", True),
        ("DE*ABC*E1*", "DE*ABC*E12", False),
        ("%", "anything\nat all", True),
        ("DE.ABC%", "DEXABCE1", False),
        ("+49*810*%", "49*810*000*438", True),
    ],
)
def test_a_pattern_describes_evses_in_any_spelling(pattern, evse_id, matches):
    assert EvsePattern(pattern).matches(evse_id) is matches


@given(TEXT, TEXT)
def test_a_pattern_without_wildcards_describes_the_spellings_of_one_evse(text, other):
    pattern = EvsePattern(text)
    assert not pattern.has_wildcard
    assert pattern.matches(text)
    assert pattern.matches(other) is (evse_key(text) == evse_key(other))


@given(TEXT, TEXT, TEXT)
def test_a_percent_sign_stands_for_whatever_is_between(start, middle, end):
    pattern = EvsePattern(f"{start}%{end}")
    assert pattern.has_wildcard
    assert pattern.matches(start + middle + end)


def test_patterns_compare_by_what_was_written():
    assert EvsePattern("DE%") == EvsePattern("DE%")
    assert EvsePattern("DE%") != EvsePattern("de%")
    assert re.search("DE%", repr(EvsePattern("DE%")))
