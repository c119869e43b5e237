"""Owns the pins, links and rules: reads them back, carries out plans, reports. Only this layer changes the kernel."""

from __future__ import annotations

from pyxdp.dataplane.conntrack import ConntrackUse
from pyxdp.dataplane.dataplane import Dataplane
from pyxdp.dataplane.drift import Drift
from pyxdp.dataplane.execution import Step
from pyxdp.dataplane.session import Report, Session
from pyxdp.dataplane.status import WRITTEN, Attachment, EarlyDrop, EndpointStatus, MapUse, RuleStatus, Status

__all__ = [
    "WRITTEN",
    "Attachment",
    "ConntrackUse",
    "Dataplane",
    "Drift",
    "EarlyDrop",
    "EndpointStatus",
    "MapUse",
    "Report",
    "RuleStatus",
    "Session",
    "Status",
    "Step",
]
