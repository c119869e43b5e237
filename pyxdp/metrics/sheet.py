"""Families being filled, for one answer."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyxdp.metrics.catalogue import Family
    from pyxdp.metrics.latency import Buckets


class Sheet:
    """Values by family and labels."""

    def __init__(self) -> None:
        self._values: dict[Family, dict[tuple[str, ...], float]] = {}
        self._histograms: dict[Family, Buckets] = {}

    def add(self, family: Family, value: float, *labels: str) -> None:
        """Add a value; what has the same labels already is summed up."""
        values = self._values.setdefault(family, {})
        values[labels] = values.get(labels, 0) + value

    def add_each(self, family: Family, values: Mapping[str, float]) -> None:
        """Add the values of a family with one label, by that label."""
        for label, value in values.items():
            self.add(family, value, label)

    def put(self, family: Family, buckets: Buckets) -> None:
        """Set a histogram."""
        self._histograms[family] = buckets

    def families(self, order: Iterable[Family]) -> Iterable[Metric]:
        """What was filled, as the library has it.

        Args:
            order: families in which order; those without a value are left out.
        """
        for family in order:
            if family in self._values:
                yield _metric(family, self._values[family])
            elif family in self._histograms:
                yield _histogram(family, self._histograms[family])


def _metric(family: Family, values: Mapping[tuple[str, ...], float]) -> Metric:
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    made = kind(family.name, family.help, labels=family.labels)
    for labels, value in values.items():
        made.add_metric(labels, value)
    return made


def _histogram(family: Family, buckets: Buckets) -> Metric:
    made = HistogramMetricFamily(family.name, family.help)
    made.add_metric([], [(_bound(bound), count) for bound, count in buckets.cumulative()], buckets.sum)
    return made


def _bound(value: float) -> str:
    return "+Inf" if value == inf else str(value)
