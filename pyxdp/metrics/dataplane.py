"""What the kernel says, as metrics. Pure: from a :class:`~pyxdp.dataplane.Status`."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from pyxdp.dataplane import WRITTEN
from pyxdp.metrics import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.dataplane import Attachment, EndpointStatus, RuleStatus, Status
    from pyxdp.metrics.sheet import Sheet

_NS: Final = 1_000_000_000
_MODES: Final = ("native", "generic", "none")
#: Reasons that are families of their own, and begin at 0.
_OWN: Final = {
    "UNTRACKED": catalogue.UNTRACKED,
    "STILL_TRACKED": catalogue.STILL_TRACKED,
    "LOG_SUPPRESSED": catalogue.LOG_SUPPRESSED,
}


def tell(sheet: Sheet, status: Status) -> None:
    """Fill in what a status says."""
    sheet.add(catalogue.APPLIED, status.applied)
    sheet.add(catalogue.GENERATION, status.generation)
    if status.applied:
        sheet.add(catalogue.SINCE, status.applied_ns / _NS)
        sheet.add(catalogue.EARLY_DROP, status.early_drop.on)
    for rule in status.rules:
        _tell_rule(sheet, rule)
    for endpoint in status.endpoints:
        _tell_endpoint(sheet, endpoint)
    _tell_room(sheet, status)


def _tell_rule(sheet: Sheet, rule: RuleStatus) -> None:
    if not rule.packets and rule.kind not in WRITTEN:
        return  # failsafes and defaults are many; they are told of once they have matched something
    labels = rule.tier, rule.kind, rule.policy, rule.direction, rule.action, rule.identity
    sheet.add(catalogue.RULE_PACKETS, rule.packets, *labels)
    sheet.add(catalogue.RULE_BYTES, rule.bytes, *labels)
    if rule.kind in WRITTEN:
        sheet.add(catalogue.RULE_POSITION, rule.rule, *labels)


def _tell_endpoint(sheet: Sheet, endpoint: EndpointStatus) -> None:
    if endpoint.ifindex:  # XDP runs on interfaces, not on a pattern of them
        _tell_mode(sheet, endpoint.attachment)
    for direction, reasons in endpoint.reasons.items():
        _tell_reasons(sheet, reasons, endpoint.attachment.interface, endpoint.attachment.host_endpoint, direction)


def _tell_mode(sheet: Sheet, attachment: Attachment) -> None:
    for mode in _MODES:
        labels = attachment.interface, attachment.host_endpoint, mode
        sheet.add(catalogue.XDP_MODE, attachment.mode == mode, *labels)


def _tell_reasons(sheet: Sheet, reasons: Mapping[str, int], *labels: str) -> None:
    for name, family in _OWN.items():
        sheet.add(family, reasons.get(name, 0), *labels)
    for name, packets in {"DROP_POLICY": 0, **reasons}.items():
        verdict, _, reason = name.partition("_")
        if verdict == "DROP":
            sheet.add(catalogue.DROPPED, packets, *labels, reason.lower())
        elif verdict == "PASS":
            sheet.add(catalogue.PASSED, packets, *labels, reason.lower())


def _tell_room(sheet: Sheet, status: Status) -> None:
    sheet.add_each(catalogue.MAP_USED, {name: use.used for name, use in status.maps.items()})
    sheet.add_each(catalogue.MAP_CAPACITY, {name: use.capacity for name, use in status.maps.items()})
    sheet.add_each(catalogue.MAP_MEMORY, status.memory)
    if status.conntrack:
        sheet.add(catalogue.CONNTRACK_ENTRIES, status.conntrack.entries)
        sheet.add(catalogue.CONNTRACK_LIMIT, status.conntrack.limit or inf)
