"""Reads what the daemon's ledger says was acknowledged: for the view only, never for the comparison."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from oicp_adapter.demo.places import Account
from oicp_adapter.demo.progress import Acknowledged
from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.store.engine import Store
from oicp_adapter.store.schema import ledger


def read_ledger(store: Store, accounts: Sequence[Account]) -> Mapping[tuple[str, str], Acknowledged]:
    """
    Return what was acknowledged of each EVSE, by the OperatorID of its account and its canonical EvseID.

    Raises:
        StoreError: The ledger could not be read.
    """
    lanes = {operator_key(account.operator_id): account.operator_id for account in accounts}
    columns = select(ledger.c.lane, ledger.c.canonical, ledger.c.acknowledged, ledger.c.acknowledged_at)
    with store.reading() as connection:
        return {
            (lanes.get(operator_key(lane), lane), canonical): Acknowledged(status, at)
            for lane, canonical, status, at in connection.execute(columns)
        }
