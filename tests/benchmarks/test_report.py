from benchmarks.figures import Row
from benchmarks.report import markdown

ROWS = [
    Row("SQLite", 1000, "speed", "10", beside="20", goal="at least 15", met=False),
    Row("SQLite", 2000, "speed", "18", goal="at least 15", met=True),
    Row("SQLite", 2000, "memory", "3"),
    Row("PostgreSQL", 1000, "speed", "11"),
]


def test_each_store_has_a_table_with_a_column_for_each_size() -> None:
    sqlite, postgresql = markdown(ROWS).split("### ")[1:]
    assert "| what | 1,000 EVSEs | 2,000 EVSEs | goal |" in sqlite
    assert "| memory |  | 3 |  |" in sqlite
    assert "2,000" not in postgresql


def test_a_missed_goal_is_shown_in_the_cell_that_missed_it() -> None:
    assert "| speed | 10 (20), **missed** | 18, met | at least 15 |" in markdown(ROWS)
