"""Addresses, prefixes, protocols and ports as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Literal, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Family: TypeAlias = Literal[4, 6]

#: Protocol names as Calico's v3 API spells them (spec section 8.1), with their IANA numbers.
PROTOCOL_NUMBERS: Final = {"TCP": 6, "UDP": 17, "ICMP": 1, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}

#: Protocols whose packets carry ports where pyxdp reads them.
PORT_PROTOCOLS: Final = frozenset({6, 17, 132, 136})

ICMP: Final = 1
ICMPV6: Final = 58


def address_family(value: Address | Network) -> Family:
    """Return 4 or 6."""
    return 4 if isinstance(value, IPv4Address | IPv4Network) else 6


@dataclass(frozen=True, slots=True)
class Protocol:
    """An IP protocol as a rule names it.

    Attributes:
        number: 1 to 255.
        name: the name that was written, or empty when a number was. ``ICMP`` and ``ICMPv6`` written by name imply
            their IP version; by number they do not (spec section 8.1).
    """

    number: int
    name: str = ""

    @property
    def implied_family(self) -> Family | None:
        """The IP version that the name implies, if any."""
        if self.name == "ICMP":
            return 4
        return 6 if self.name == "ICMPv6" else None

    def __str__(self) -> str:
        return self.name or str(self.number)


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """Ports from ``first`` to ``last``, both included."""

    first: int
    last: int

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}:{self.last}"
