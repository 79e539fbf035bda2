"""What a process holds does not grow with its fleet: a full load is streamed, and so is everything over all rows."""

from pathlib import Path

SMALL, LARGE = 5_000, 50_000
"""EVSEs. The smaller fleet fills a page of every stream already."""

LEEWAY = 10.0
"""Megabytes. The records of the larger full load would take some 20, as objects, and their body another 3."""


def peak(process) -> float:
    """Return the most memory that a process has held, in megabytes."""
    (line,) = [each for each in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "VmHWM" in each]
    return int(line.split()[1]) / 1024


def loaded(site, eventually, operator: str, size: int) -> float:
    """Let a daemon load a fleet of so many EVSEs and compare it once; return the most memory that it held."""
    site.sql(
        "INSERT INTO evse_status (evse_id, operator_id, status)"
        " WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < :size)"
        " SELECT :operator || '*E' || n, :operator, 'Available' FROM n",
        size=size,
        operator=operator,
    )
    daemon = site.daemon()
    eventually(lambda: len(site.hub.hub.statuses(operator)) == size)
    eventually(lambda: daemon.log("sweep.done"))
    assert daemon.metric("pushes_total", action="fullLoad", operator=operator) == 1
    held = peak(daemon)
    assert daemon.stop() == 0
    return held


def test_ten_times_the_fleet_takes_no_more_memory(two_lanes, eventually):
    site, (first, second) = two_lanes, two_lanes.operators
    site.sections["hub"]["request_timeout"] = 60.0
    site.operators[:] = [first]
    small = loaded(site, eventually, first["id"], SMALL)
    site.operators[:] = [second]
    large = loaded(site, eventually, second["id"], LARGE)
    assert large < small + LEEWAY, f"{small:.0f} MB with {SMALL} EVSEs, {large:.0f} MB with {LARGE}"
