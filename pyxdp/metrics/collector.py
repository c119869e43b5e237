"""All metrics at once."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Final

import pyxdp
from pyxdp.abi import AbiVersion
from pyxdp.errors import PyxdpError
from pyxdp.metrics import agent, catalogue, dataplane
from pyxdp.metrics.latency import Buckets
from pyxdp.metrics.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.metrics_core import Metric

    from pyxdp.agent import AgentView
    from pyxdp.dataplane import Dataplane, Status

_log: Final = logging.getLogger(__name__)


class Metrics:
    """A collector as ``prometheus_client`` has them: every collection reads the kernel's counters anew.

    May be asked by several threads of the network namespace that the dataplane is in.

    Args:
        dataplane: whose counters are told.
        view: what the agent says now; ``None`` when there is no agent, or not yet.
    """

    def __init__(self, dataplane: Dataplane, view: Callable[[], AgentView | None] = lambda: None) -> None:
        self._dataplane = dataplane
        self._view = view
        self._latency = Buckets()
        self._lock = threading.Lock()
        self._trouble = ""

    def collect(self) -> Iterable[Metric]:
        """Return the families of :data:`pyxdp.metrics.catalogue.CATALOGUE` that have a value."""
        with self._lock:
            return list(self._sheet().families(catalogue.CATALOGUE))

    def view(self) -> AgentView | None:
        """What the agent says now."""
        return self._view()

    def _sheet(self) -> Sheet:
        sheet = Sheet()
        sheet.add(catalogue.BUILD, 1, pyxdp.__version__, str(int(AbiVersion.VERSION)), os.uname().release)
        status = self._status()
        sheet.add(catalogue.READABLE, status is not None)
        if status:
            dataplane.tell(sheet, status)
        view = self._view()
        if view:
            agent.tell(sheet, view, self._latency)
        return sheet

    def _status(self) -> Status | None:
        try:
            found = self._dataplane.status(drift=False)
        except PyxdpError as error:
            self._tell_trouble(str(error))
            return None
        self._tell_trouble("")
        return found

    def _tell_trouble(self, trouble: str) -> None:
        """Log what is new."""
        if trouble and trouble != self._trouble:
            _log.warning("metrics: the dataplane can not be read: %s", trouble)
        self._trouble = trouble
