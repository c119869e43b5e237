"""A packet as policy sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyxdp.net.values import address_family

if TYPE_CHECKING:
    from pyxdp.net.values import Address, Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """The fields of a packet that policy can match.

    Attributes:
        protocol: IP protocol number of the transport header.
        source: source address.
        destination: destination address, of the same family.
        source_port: for TCP, UDP, SCTP and UDPLite; otherwise ``None``.
        destination_port: likewise.
        icmp_type: for ICMP and ICMPv6; otherwise ``None``.
        icmp_code: likewise.
        later_fragment: a fragment that is not the first; ports and ICMP fields are then ``None``.
    """

    protocol: int
    source: Address
    destination: Address
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    later_fragment: bool = False

    @property
    def family(self) -> Family:
        """4 or 6."""
        return address_family(self.source)
