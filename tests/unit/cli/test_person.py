"""What the commands share that act for the person at the command line."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from oicp_adapter.cli.person import end_argument, kind_argument
from oicp_adapter.domain.statuses import TemporaryStatus

NOW = datetime(2026, 12, 3, 8, tzinfo=UTC)


@pytest.mark.parametrize("word", ["blocked", "BLOCKED", "Block-ed"])
def test_a_kind_is_meant_in_any_case_and_spelling(word: str) -> None:
    assert kind_argument(word) is TemporaryStatus.BLOCKED


def test_a_word_that_is_no_kind_is_told_those_that_are() -> None:
    with pytest.raises(typer.BadParameter, match="'blokked' is none of maintenance, commissioning, blocked, reserved"):
        kind_argument("blokked")


def test_an_end_is_a_duration_later_or_a_time_or_open() -> None:
    assert end_argument(NOW, "4h", None, None) == NOW + timedelta(hours=4)
    assert end_argument(NOW, None, "2026-12-04 09:00", "Europe/Berlin") == NOW + timedelta(days=1)
    assert end_argument(NOW, None, None, "Europe/Berlin") is None


def test_an_end_is_said_in_one_way() -> None:
    with pytest.raises(typer.BadParameter, match="exclude each other"):
        end_argument(NOW, "4h", "2026-12-04T09:00Z", None)
