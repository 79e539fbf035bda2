import pytest

from oicp_adapter.page import kept
from oicp_adapter.page.kept import Kept


def test_a_value_is_read_anew_only_when_it_is_old(monkeypatch: pytest.MonkeyPatch):
    now = 100.0
    monkeypatch.setattr(kept.time, "monotonic", lambda: now)
    value, reads = Kept(), []
    read = lambda: reads.append(1) or len(reads)  # noqa: E731 - a counter
    assert [value.get(read), value.get(read)] == [1, 1]
    now += kept.FOR + 1
    assert value.get(read) == 2
