from hypothesis import example, given
from hypothesis import strategies as st

from oicp_adapter.domain.errors import (
    AdapterError,
    CertificateError,
    ConfigurationError,
    ErrorReason,
    LaneHeldElsewhereError,
    MalformedIdentifierError,
    MappingRefusedError,
    StoreSchemaError,
    StoreUnavailableError,
    foreign_text,
)


@given(st.text(max_size=2000))
@example("\x1b[31m" * 100)
@example("\ud800" * 300)
@example("\U000e0001" * 200)
def test_foreign_text_is_short_printable_and_on_one_line(text: str) -> None:
    shown = foreign_text(text)
    assert shown.isprintable()
    assert len(shown) <= 230


def test_short_harmless_text_is_shown_as_it_is() -> None:
    assert foreign_text("Säule 7 ist außer Betrieb") == "Säule 7 ist außer Betrieb"


def test_cut_text_says_how_long_it_was() -> None:
    assert foreign_text("x" * 5000) == "x" * 200 + "… (5000 characters)"


def test_each_error_knows_its_exit_code_its_reason_and_whether_it_passes() -> None:
    errors: list[tuple[AdapterError, int, ErrorReason, bool]] = [
        (ConfigurationError("a", cure="b"), 78, ErrorReason.CONFIGURATION, False),
        (CertificateError("a", cure="b"), 78, ErrorReason.CERTIFICATE, False),
        (MappingRefusedError(status="Faulted"), 78, ErrorReason.CONFIGURATION, False),
        (MalformedIdentifierError(kind="EvseID", text="x"), 70, ErrorReason.MALFORMED_IDENTIFIER, False),
        (StoreUnavailableError("a", cure="b"), 69, ErrorReason.STORE_UNAVAILABLE, True),
        (StoreSchemaError("a", cure="b"), 69, ErrorReason.STORE_SCHEMA, False),
        (LaneHeldElsewhereError(what="lane DE*ABC", holder="host 1"), 75, ErrorReason.LANE_HELD_ELSEWHERE, False),
    ]
    for error, exit_code, reason, passes in errors:
        assert (error.exit_code, error.reason, error.passes) == (exit_code, reason, passes)


def test_the_text_names_what_is_wrong_and_the_cure() -> None:
    assert str(ConfigurationError("key file is readable by others", cure="chmod 600 it")) == (
        "key file is readable by others: chmod 600 it"
    )
