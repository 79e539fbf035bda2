"""Where the demo's fleet comes from."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from oicp_adapter.demo.places import ACCOUNTS
from oicp_adapter.demo.source import from_file, made_up
from oicp_adapter.demo.tables import SharedTables
from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.migrate import upgrade

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as made:
        upgrade(made)
        yield made


def settled(store, source):
    skipped = source.settle_in(store)
    with SharedTables(Path(store.path)) as tables:
        return skipped, [(row.evse_id, row.status) for row in tables.read(NOW).rows]


def csv_file(tmp_path, *lines, encoding="utf-8"):
    path = tmp_path / "fleet.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def test_a_made_up_fleet_has_its_size_and_its_two_accounts(store):
    source = made_up(40, Random(1))  # noqa: S311 - a fleet that can be repeated is wanted, not a secret
    skipped, rows = settled(store, source)

    assert source.accounts == ACCOUNTS
    assert not skipped
    assert len(rows) == 40


def test_a_file_brings_a_lane_for_each_operator_whose_id_is_one(store, tmp_path):
    path = csv_file(
        tmp_path,
        "evse_id,street,operator_id,status",
        "CH*REP*E1,Zeil 85,CH*REP,Available",
        "CHREPE2,Zeil 86,CH-REP,Occupied",
        "CH*CCC*E1,Zeil 87, CH*CCC ,Offline",
        encoding="utf-8-sig",
    )
    source = from_file(path)
    skipped, rows = settled(store, source)

    assert [account.operator_id for account in source.accounts] == ["CH*REP", "CH*CCC"]
    assert not skipped
    assert set(rows) == {("CH*REP*E1", "Available"), ("CHREPE2", "Occupied"), ("CH*CCC*E1", "Offline")}


def test_rows_that_are_not_loaded_are_named_with_their_reason(store, tmp_path):
    path = csv_file(
        tmp_path,
        "evse_id,operator_id,status",
        "CH*REP*E1,CH*REP,Available",
        "CH*REP*E1,CH*REP,Occupied",
        "CH*REP*E2,CH*REP,",
        ",CH*REP,Available",
        "CH*REP*E4,,Available",
        "CH*REP*E5",
    )
    skipped, rows = settled(store, from_file(path))

    assert rows == [("CH*REP*E1", "Available")]
    assert sorted(str(each) for each in skipped) == [
        "1 EVSEs have no status, as CH*REP*E2: write what the charger says, or Unknown",
        "1 rows have no evse_id, as line 5: fill it in",
        "1 rows repeat an EvseID of an earlier row, as CH*REP*E1: delete all but one of them",
        "2 EVSEs have no operator_id, as CH*REP*E4, CH*REP*E5: name the operator that the EvseID begins with",
    ]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["evse_id;operator_id;status", "CH*REP*E1;CH*REP;Available"], "the separator seems to be a semicolon"),
        (["evse_id,operator_id,status", "CHREPE1,CH-REP,Available"], "names no operator whose ID is one"),
        ([""], "has no column"),
    ],
)
def test_a_file_of_which_nothing_can_be_pushed_is_refused(tmp_path, lines, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        from_file(csv_file(tmp_path, *lines))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        from_file(tmp_path / "absent.csv")
    with pytest.raises(ConfigurationError, match="no CSV file in UTF-8"):
        from_file(csv_file(tmp_path, "evse_id,operator_id,status,straße", encoding="latin-1"))
