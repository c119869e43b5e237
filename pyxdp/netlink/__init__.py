"""The interfaces of the current network namespace, what runs at their XDP hook, and that this changes.

The one door to netlink.
"""

from __future__ import annotations

from pyxdp.netlink.devices import Device, XdpAttachment, devices, interfaces, is_empty_bond, uppers, xdp_program
from pyxdp.netlink.events import RuleChanges, Watcher

__all__ = [
    "Device",
    "RuleChanges",
    "Watcher",
    "XdpAttachment",
    "devices",
    "interfaces",
    "is_empty_bond",
    "uppers",
    "xdp_program",
]
