"""What a PromQL text names: metrics, their labels, and the labels' values."""

import re
from collections.abc import Iterator, Mapping

NAME = re.compile(r"(?<![\w:.])((?:[a-z_]+:)?oicp_adapter_[a-z0-9_]+(?::[a-z0-9_]+)?)(?![\w:/*…])")
"""A metric, or a recorded series: `level:metric:operations`."""

SELECTOR = re.compile(NAME.pattern + r"\s*\{([^{}]*)\}")
MATCHER = re.compile(r"""(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*,?\s*""")
LISTED = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
VALUES = re.compile(r"\blabel_values\([^,()]+,([^,()]+)\)")
BESIDES = {"instance", "job", "alertname", "severity"}
"""Labels that Prometheus adds, to a series or to an alert."""

FREE = BESIDES | {"operator", "version"}
"""Labels whose values nobody knows beforehand."""

Series = Mapping[str, Mapping[str, set[str]]]
"""Every value of each label of each name."""


def names(text: str) -> set[str]:
    return set(NAME.findall(text))


def labels_of(text: str, series: Series) -> set[str]:
    """Every label that something named in a query has."""
    return BESIDES.union(*(series.get(name, {}) for name in names(text)))


def strange(text: str, series: Series) -> Iterator[str]:
    """Each label of a query that what it asks for does not have, and each value that the label never has."""
    for name, inside in SELECTOR.findall(text):
        if MATCHER.sub("", inside).strip():
            yield f"{name}: {inside} is not read"
        for label, operation, value in MATCHER.findall(inside):
            if label not in {*series.get(name, {}), *BESIDES}:
                yield f"{name} has no label {label}"
            elif label not in FREE:
                for each in value.split("|") if "~" in operation else [re.escape(value)]:
                    if not any(re.fullmatch(each, known) for known in series[name][label]):
                        yield f"{name}: {label} is never {each}"
    for listed in (*LISTED.findall(text), *VALUES.findall(text)):
        wrong = set(re.findall(r"\w+", listed)) - labels_of(text, series)
        yield from (f"nothing has the label {label}" for label in sorted(wrong))
