"""
Counts many observations at once: a push of thousands of records is as many observations of one histogram.

The library's own histogram takes them one by one, at several microseconds each, which bounds what a lane can carry.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Series:
    """The observations with one combination of labels; safe for use by several threads."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, *values: float) -> None:
        """Count values."""
        with self._lock:
            self._sum += sum(values)
            for value in values:
                self._counts[bisect_left(self._bounds, value)] += 1

    def read(self) -> tuple[Sequence[tuple[str, float]], float]:
        """Return the cumulative count of each bucket, by its upper bound, and the sum."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        buckets, so_far = [], 0
        for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
            so_far += count
            edge = floatToGoString(bound)  # type: ignore[no-untyped-call]  # the library leaves it unannotated
            buckets.append((edge, float(so_far)))
        return buckets, total


class BulkHistogram(Collector):
    """A histogram with labels, as the library exports its own."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], *, buckets: Iterable[float], registry: CollectorRegistry
    ) -> None:
        """Register it; a series exists from its first `labels` on."""
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._bounds = tuple(map(float, buckets))
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """Return the series with these values, in the order of the labels' names; it is made when it is new."""
        return self._series.setdefault(tuple(map(str, values)), Series(self._bounds))

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """Forget the series that have these labels, as the library's own metrics do."""
        for values in list(self._series):
            if labels.items() <= dict(zip(self._labels, values, strict=True)).items():
                self._series.pop(values, None)

    def describe(self) -> Iterator[Metric]:
        """Name the metric without reading it."""
        yield HistogramMetricFamily(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        """Return what the registry exports."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for labels, series in list(self._series.items()):
            buckets, total = series.read()
            family.add_metric(labels, buckets=buckets, sum_value=total)
        yield family
