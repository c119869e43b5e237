"""A packet as an Ethernet frame, for running programs on it. Checksums are zero: no program of pyxdp looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS

if TYPE_CHECKING:
    from pyxdp.net.packet import Packet

ETHERNET_LENGTH: Final = 14

_MAC_ADDRESSES: Final = bytes.fromhex("020000000002020000000001")
_ETHERTYPES: Final = {4: 0x0800, 6: 0x86DD}
_IPV6_FRAGMENT: Final = 44
_TCP: Final = 6
_SCTP: Final = 132
#: Where a later fragment begins, in units of 8 bytes; any number will do that is not small.
_FRAGMENT_OFFSET: Final = 185
_PAYLOAD: Final = bytes(8)


def build_frame(packet: Packet) -> bytes:
    """Return a frame that carries the packet, without VLAN tag or IP options."""
    transport = _transport(packet) + _PAYLOAD
    network = _ipv4(packet, transport) if packet.family == 4 else _ipv6(packet, transport)  # noqa: PLR2004 - IP version
    return _MAC_ADDRESSES + _u16(_ETHERTYPES[packet.family]) + network


def _u16(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def _transport(packet: Packet) -> bytes:
    if packet.later_fragment:
        return bytes(8)
    if packet.protocol in (ICMP, ICMPV6):
        return bytes([packet.icmp_type or 0, packet.icmp_code or 0]) + bytes(6)
    if packet.protocol not in PORT_PROTOCOLS:
        return b""
    ports = _u16(packet.source_port or 0, packet.destination_port or 0)
    if packet.protocol == _TCP:
        return ports + bytes(8) + bytes([0x50, 0x02]) + bytes(6)
    return ports + bytes(8 if packet.protocol == _SCTP else 4)


def _ipv4(packet: Packet, transport: bytes) -> bytes:
    offset = _FRAGMENT_OFFSET if packet.later_fragment else 0
    header = bytes([0x45, 0]) + _u16(20 + len(transport), 1, offset) + bytes([64, packet.protocol]) + bytes(2)
    return header + packet.source.packed + packet.destination.packed + transport


def _ipv6(packet: Packet, transport: bytes) -> bytes:
    following = packet.protocol
    if packet.later_fragment:
        transport = bytes([packet.protocol, 0]) + _u16(_FRAGMENT_OFFSET << 3) + bytes(4) + transport
        following = _IPV6_FRAGMENT
    header = bytes([0x60, 0, 0, 0]) + _u16(len(transport)) + bytes([following, 64])
    return header + packet.source.packed + packet.destination.packed + transport
