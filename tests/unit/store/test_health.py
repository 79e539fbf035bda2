import pytest

from oicp_adapter.store.health import has_wal_bug


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((4, 0, 0), False),
    ],
)
def test_versions_that_can_damage_a_file_in_wal_mode_are_known(version: tuple[int, ...], *, affected: bool):
    assert has_wal_bug(version) is affected
