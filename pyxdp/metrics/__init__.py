"""What Prometheus reads: the dataplane's counters and an agent's state as text, and a small HTTP server for it.

``catalogue``   every family: name, kind, labels, help; ``docs/metrics.md`` and the dashboard are held against it
``sheet``       families being filled
``dataplane``   what the kernel says: packets, drops, maps, conntrack
``agent``       what the agent says: applies, failures, repairs, sources
``latency``     how long applies take, as a histogram
``collector``   :class:`Metrics`: all of it at once
``health``      whether the process is alive, and whether the node is protected
``server``      ``/metrics``, ``/healthz``, ``/readyz``
"""

from __future__ import annotations

from pyxdp.metrics.collector import Metrics
from pyxdp.metrics.health import Pulse, not_ready
from pyxdp.metrics.server import DEFAULT_LISTEN, MetricsServer, listen_address

__all__ = ["DEFAULT_LISTEN", "Metrics", "MetricsServer", "Pulse", "listen_address", "not_ready"]
