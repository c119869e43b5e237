"""What an agent says of itself, as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.metrics import catalogue

if TYPE_CHECKING:
    from pyxdp.agent import AgentView
    from pyxdp.metrics.latency import Buckets
    from pyxdp.metrics.sheet import Sheet

_NS: Final = 1_000_000_000
#: What is told of from the beginning, so that the first one is an increase.
_KINDS: Final = ("full", "members", "nothing", "repair")
_DRIFTS: Final = ("link", "rules", "pin", "map")


def tell(sheet: Sheet, view: AgentView, latency: Buckets) -> None:
    """Fill in what a view says; takes the times that are new in it into ``latency``."""
    sheet.add(catalogue.STARTED, view.started_ns / _NS)
    sheet.add(catalogue.SYNCED, view.synced)
    sheet.add(catalogue.ENFORCING, view.enforcing)
    sheet.add(catalogue.DEGRADED, len(view.degraded))
    sheet.add(catalogue.PROBLEMS, len(view.problems))
    sheet.add_each(catalogue.APPLIES, dict.fromkeys(_KINDS, 0) | dict(view.applies))
    sheet.add_each(catalogue.FAILURES, view.failures)
    sheet.add_each(catalogue.REPAIRS, dict.fromkeys(_DRIFTS, 0) | dict(view.repairs))
    latency.take(view.seconds, view.changes)
    sheet.put(catalogue.APPLY_SECONDS, latency)
    sheet.add_each(catalogue.SOURCE_CONNECTED, {name: it.connected for name, it in view.sources.items()})
    sheet.add_each(catalogue.SOURCE_TEXTS, {name: it.texts for name, it in view.sources.items()})
