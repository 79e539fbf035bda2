"""
Prints the rules of deploy/monitoring as the PrometheusRule of deploy/kubernetes, so that each rule has one home.

    .venv/bin/python .ci/prometheus_rule.py >deploy/kubernetes/monitoring/prometheus-rule.yaml
"""

from pathlib import Path
from typing import Any

import yaml

RULES = ("recording-rules.yml", "alerts.yml")
HEAD = (
    "# Made by .ci/prometheus_rule.py from deploy/monitoring, where the rules are changed; a test compares the two.\n"
)


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as a block, as it stood."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def prometheus_rule(folder: Path) -> dict[str, Any]:
    """Return the object that holds all groups of the rule files in a folder."""
    groups = [group for name in RULES for group in yaml.safe_load((folder / name).read_text("utf-8"))["groups"]]
    metadata = {"name": "oicp-adapter", "labels": {"app.kubernetes.io/name": "oicp-adapter"}}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata,
        "spec": {"groups": groups},
    }


if __name__ == "__main__":
    found = prometheus_rule(Path(__file__).parents[1] / "deploy" / "monitoring")
    print(HEAD + yaml.dump(found, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True), end="")
