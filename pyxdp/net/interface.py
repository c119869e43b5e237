"""What policy needs to know of a network interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyxdp.net.values import Address


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of the host's network namespace.

    Attributes:
        name: as the kernel has it, at most 15 bytes.
        index: ifindex.
        addresses: every local IPv4 and IPv6 address on it.
        up: IFF_RUNNING.
        kind: the kernel's link kind (``veth``, ``vlan``), or empty for a plain device.
        parent: ifindex of the device that a VLAN sub-interface is part of; 0 for everything else, and when that device
            is in another network namespace.
        master: ifindex of the bridge, bond or VRF that it is a port of, or 0.
    """

    name: str
    index: int
    addresses: tuple[Address, ...] = ()
    up: bool = True
    kind: str = ""
    parent: int = 0
    master: int = 0
