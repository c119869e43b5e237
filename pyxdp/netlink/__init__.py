"""The interfaces of the current network namespace, and what runs at their XDP hook. The one door to netlink."""

from __future__ import annotations

from pyxdp.netlink.devices import Device, XdpAttachment, devices, interfaces, xdp_program

__all__ = ["Device", "XdpAttachment", "devices", "interfaces", "xdp_program"]
