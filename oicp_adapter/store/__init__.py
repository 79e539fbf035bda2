"""The shared store: schema, effective statuses, hints, ledger and the way of a change through them."""
