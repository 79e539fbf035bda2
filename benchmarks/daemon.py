"""Runs the real daemon as a process of its own."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.children import Child
from benchmarks.fleet import OPERATOR
from benchmarks.hub import Hub

REQUESTS_PER_MINUTE: Final = 2000
"""The hub's limit instead of the default of 1800, so that the pacing binds as late as it may."""

MAX_RECORDS: Final = 1000


class AdapterDaemon(Child):
    """`oicp-adapter run` with one lane."""

    def __init__(self, directory: Path, *, hub: Hub, store_url: str, sweep_every: float = 300.0) -> None:
        """Start, and return when the monitoring endpoint listens; *sweep_every* is in seconds."""
        config = directory / "settings.toml"
        client = hub.client(OPERATOR)
        config.write_text(
            f"""
[store]
url = {json.dumps(store_url)}
sweep_every = {sweep_every}
[hub]
url = {json.dumps(hub.url)}
ca_file = {json.dumps(hub.ca_file)}
[[operators]]
id = {json.dumps(OPERATOR)}
name = "ABC technologies"
certificate = {json.dumps(client["certificate"])}
private_key = {json.dumps(client["private_key"])}
[push]
max_records = {MAX_RECORDS}
requests_per_minute = {REQUESTS_PER_MINUTE}
[log]
format = "json"
level = {json.dumps("info" if sweep_every >= 300 else "debug")}
""",
            encoding="utf-8",
        )
        arguments = ["--config", str(config), "run", "--announce", "--monitoring-port", "0"]
        super().__init__(arguments, log=directory / "daemon.log", directory=directory)

    def told_at(self, event: str) -> Sequence[float]:
        """Return when it logged an event, each time, in seconds since 1970."""
        said = (json.loads(line) for line in self.log_text().splitlines() if f'"{event}"' in line)
        return [datetime.fromisoformat(one["timestamp"]).timestamp() for one in said if one.get("event") == event]
