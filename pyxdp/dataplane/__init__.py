"""Owns the pins, links and rules: reads them back, carries out plans, reports. Only this layer changes the kernel."""

from __future__ import annotations

from pyxdp.dataplane.dataplane import Dataplane
from pyxdp.dataplane.execution import Step
from pyxdp.dataplane.session import Report, Session
from pyxdp.dataplane.status import Attachment, EarlyDrop, EndpointStatus, RuleStatus, Status

__all__ = [
    "Attachment",
    "Dataplane",
    "EarlyDrop",
    "EndpointStatus",
    "Report",
    "RuleStatus",
    "Session",
    "Status",
    "Step",
]
