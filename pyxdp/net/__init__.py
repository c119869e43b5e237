"""Values of the network: addresses, prefixes, protocols, ports, packets, interfaces, hooks. Pure, no I/O."""

from __future__ import annotations

from pyxdp.net.hooks import HookSettings
from pyxdp.net.interface import Interface
from pyxdp.net.packet import Packet
from pyxdp.net.values import (
    Address,
    Network,
    PortRange,
    Protocol,
    address_family,
)

__all__ = ["Address", "HookSettings", "Interface", "Network", "Packet", "PortRange", "Protocol", "address_family"]
