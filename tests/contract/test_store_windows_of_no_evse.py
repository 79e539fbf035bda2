"""Windows whose EVSE has no row are counted by the key, in both stores."""

from oicp_adapter.store.overview import windows_of_no_evse


def test_windows_of_no_evse_are_counted_with_examples(store, sql, add):
    add("DE*ABC*E1")
    for evse_id in ("deabce1", "DE*NOP*E2", "DE*NOP*E1", "DE*NOP*E3"):
        sql("INSERT INTO temporary_status (evse_id, status) VALUES (:evse, 'Blocked')", {"evse": evse_id})
    sql(
        "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to)"
        " VALUES ('DE*NOP*E4', 'Blocked', '2025-01-01 00:00:00', '2025-01-02 00:00:00')"
    )
    assert windows_of_no_evse(store, examples=2) == (3, ["DE*NOP*E2", "DE*NOP*E1"])
    assert windows_of_no_evse(store, examples=9)[0] == 3


def test_a_store_without_windows_has_none_of_no_evse(store):
    assert windows_of_no_evse(store, examples=3) == (0, [])


def test_a_large_fleet_that_was_never_analysed_is_not_compared_row_by_row(store, sql):
    numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)"
    fill = "INSERT INTO evse_status (evse_id, operator_id, status)"
    rows = "SELECT 'DE*ABC*E' || n, 'DE*ABC', 'x' FROM n"
    sql(f"{numbers} {fill} {rows}" if store.dialect == "postgresql" else f"{fill} {numbers} {rows}")
    sql("INSERT INTO temporary_status (evse_id, status) SELECT evse_id || '0', 'Blocked' FROM evse_status")
    assert windows_of_no_evse(store, examples=1)[0] == 18_000  # by pairs it would be 400 million comparisons
