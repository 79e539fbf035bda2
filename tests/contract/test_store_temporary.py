"""Numbers that no temporary status can have are unknown, not an error."""

import pytest

from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.temporary import end_temporary, extend_temporary, get_temporary, set_temporary


@pytest.mark.parametrize("key", [0, -1, 2**31, 2**63 - 1, 2**63, 10**20, -(10**20)])
def test_a_number_that_no_row_has_is_unknown(store, key: int):
    made = set_temporary(store, evse_id="DE*ABC*E1", kind=TemporaryStatus.BLOCKED)
    assert get_temporary(store, key) is None
    assert extend_temporary(store, key, valid_to=None) is None
    assert end_temporary(store, key, by="ann") is None
    assert get_temporary(store, made.window.id) == made
