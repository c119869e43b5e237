"""Conversions between addresses, prefixes and their text."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyxdp.net.values import Address, Network

_DIGITS: Final = re.compile(r"[0-9]{1,9}")


def host_network(address: Address) -> Network:
    """Return the /32 or /128 that holds just this address."""
    return IPv4Network(address) if isinstance(address, IPv4Address) else IPv6Network(address)


def parse_address(written: str) -> Address:
    """Return the address.

    Raises:
        ValueError: it is none, or carries a mask or a zone.
    """
    if "%" in written:
        raise ValueError(written)
    return IPv6Address(written) if ":" in written else IPv4Address(written)


def parse_network(written: str) -> tuple[Network, bool]:
    """Return the prefix, host bits cleared, and whether there were none to clear. A bare address is a prefix of itself.

    Raises:
        ValueError: it is no prefix. Masks are lengths: ``10.0.0.0/255.0.0.0`` is none.
    """
    base, slash, length = written.partition("/")
    address = parse_address(base)
    if slash and not _DIGITS.fullmatch(length):
        raise ValueError(written)
    # The constructors take numbers a good deal faster than text, and network sets are long.
    bits = int(length) if slash else address.max_prefixlen
    if bits > address.max_prefixlen:
        raise ValueError(written)
    number = int(address)
    masked = number >> (address.max_prefixlen - bits) << (address.max_prefixlen - bits)
    network = IPv4Network((masked, bits)) if isinstance(address, IPv4Address) else IPv6Network((masked, bits))
    return network, masked == number
