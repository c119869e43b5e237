"""Conversions between addresses and prefixes."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyxdp.net.values import Address, Network


def host_network(address: Address) -> Network:
    """Return the /32 or /128 that holds just this address."""
    return IPv4Network(address) if isinstance(address, IPv4Address) else IPv6Network(address)
