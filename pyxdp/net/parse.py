"""Bytes of a frame as a packet: the inverse of :func:`pyxdp.net.frame.build_frame`, for frames of any maker.

It reads what the programs read at XDP (``kern/parse_*.h``), finds the same things wrong, and names them alike;
``docs/packets.md`` has the table. Numbers on the wire are big-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from pyxdp.net.packet import Packet
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxdp.net.values import Address


class Content(Enum):
    """What a frame holds. The values are names of ``enum pyxdp_reason`` without ``PYXDP_``; that of FLOW is empty."""

    FLOW = ""
    NOT_IP = "PASS_NOT_IP"
    VLAN = "PASS_VLAN"
    FRAGMENT = "PASS_FRAGMENT"
    SHORT_ETHERNET = "DROP_SHORT_ETHERNET"
    VLAN_DEPTH = "DROP_VLAN_DEPTH"
    SHORT_IP = "DROP_SHORT_IP"
    BAD_IP = "DROP_BAD_IP"
    EXTENSIONS = "DROP_EXTENSIONS"
    SHORT_L4 = "DROP_SHORT_L4"
    BAD_FRAGMENT = "DROP_BAD_FRAGMENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a frame turned out to be.

    Attributes:
        content: ``FLOW`` when policy has something to judge; otherwise why not, and the datapath's verdict with it.
        packet: what policy judges; ``None`` unless ``content`` is ``FLOW``.
        ethertype: behind the VLAN tags that were read.
        vlans: VLAN numbers of the tags that were read, outermost first; 0 is a priority tag.
    """

    content: Content
    packet: Packet | None = None
    ethertype: int = 0
    vlans: tuple[int, ...] = ()

    @property
    def dropped(self) -> bool:
        """Whether the datapath drops it unjudged, where a host endpoint governs."""
        return self.content.value.startswith("DROP_")


IPV4: Final = 0x0800
IPV6: Final = 0x86DD
_TAGS: Final = frozenset({0x8100, 0x88A8})
_MOST_TAGS: Final = 2
_MOST_EXTENSIONS: Final = 8
_ADDRESSES_LENGTH: Final = 12
_IPV4_LENGTH: Final = 20
_IPV6_LENGTH: Final = 40
_TCP: Final = 6
_FRAGMENT: Final = 44
_AUTHENTICATION: Final = 51
#: Hop-by-hop, routing, fragment, AH and destination options.
_EXTENSIONS: Final = frozenset({0, 43, _FRAGMENT, _AUTHENTICATION, 60})
#: Bytes of a transport header without options; UDP and UDPLite, ICMP and ICMPv6 alike.
_TRANSPORT_LENGTHS: Final = {_TCP: 20, 17: 8, 136: 8, 132: 12, ICMP: 8, ICMPV6: 8}


class _NoFlowError(Exception):
    """Parsing ends here."""

    def __init__(self, content: Content) -> None:
        super().__init__(content.value)
        self.content = content


def parse_frame(frame: bytes) -> Frame:
    """Read an Ethernet frame. Whatever the bytes are, the answer says what the datapath makes of them."""
    vlans: list[int] = []
    position = _ADDRESSES_LENGTH
    ethertype = _u16(frame, position)
    while ethertype in _TAGS:
        if len(frame) < position + 6:
            return Frame(content=Content.SHORT_ETHERNET, ethertype=ethertype, vlans=tuple(vlans))
        vlans.append(_u16(frame, position + 2) & 0xFFF)
        position += 4
        ethertype = _u16(frame, position)
        if vlans[-1]:
            return Frame(content=Content.VLAN, ethertype=ethertype, vlans=tuple(vlans))
        if len(vlans) == _MOST_TAGS and ethertype in _TAGS:
            return Frame(content=Content.VLAN_DEPTH, ethertype=ethertype, vlans=tuple(vlans))
    if len(frame) < position + 2:
        return Frame(content=Content.SHORT_ETHERNET)
    return parse_network(ethertype, frame[position + 2 :], vlans=tuple(vlans))


def parse_network(ethertype: int, payload: bytes, *, vlans: tuple[int, ...] = ()) -> Frame:
    """Read a frame from the network header on, as captures without Ethernet headers have it.

    Args:
        ethertype: what the network header is.
        payload: from its first byte on.
        vlans: as in :class:`Frame`.
    """
    reader = _READERS.get(ethertype)
    if reader is None:
        return Frame(content=Content.NOT_IP, ethertype=ethertype, vlans=vlans)
    try:
        packet = reader(payload)
    except _NoFlowError as end:
        return Frame(content=end.content, ethertype=ethertype, vlans=vlans)
    return Frame(content=Content.FLOW, packet=packet, ethertype=ethertype, vlans=vlans)


def _u16(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 2], "big")


def _require(*, holds: bool, otherwise: Content) -> None:
    if not holds:
        raise _NoFlowError(otherwise)


def _ipv4(data: bytes) -> Packet:
    _require(holds=len(data) >= _IPV4_LENGTH, otherwise=Content.SHORT_IP)
    version, header, total = data[0] >> 4, (data[0] & 0xF) * 4, _u16(data, 2)
    _require(holds=version == 4 and header >= _IPV4_LENGTH, otherwise=Content.BAD_IP)  # noqa: PLR2004 - IP version
    _require(holds=header <= total <= len(data), otherwise=Content.SHORT_IP)
    source, destination = IPv4Address(data[12:16]), IPv4Address(data[16:20])
    return _transport(data[9], source, destination, data[header:total], offset=_u16(data, 6) & 0x1FFF)


def _ipv6(data: bytes) -> Packet:
    _require(holds=len(data) >= _IPV6_LENGTH, otherwise=Content.SHORT_IP)
    _require(holds=data[0] >> 4 == 6, otherwise=Content.BAD_IP)  # noqa: PLR2004 - IP version
    end = _IPV6_LENGTH + _u16(data, 4)
    _require(holds=end <= len(data), otherwise=Content.SHORT_IP)
    source, destination = IPv6Address(data[8:24]), IPv6Address(data[24:40])
    protocol, position, offset = _behind_extensions(data, data[6], _IPV6_LENGTH)
    _require(holds=position <= end, otherwise=Content.EXTENSIONS)
    return _transport(protocol, source, destination, data[position:end], offset=offset)


def _behind_extensions(data: bytes, protocol: int, position: int) -> tuple[int, int, int]:
    """Return the transport protocol, where its header begins, and the fragment offset in units of 8 bytes."""
    offset = 0
    for _ in range(_MOST_EXTENSIONS):
        if protocol not in _EXTENSIONS:
            break
        _require(holds=len(data) >= position + 8, otherwise=Content.EXTENSIONS)
        if protocol == _FRAGMENT:
            offset, length = _u16(data, position + 2) >> 3, 8
        else:
            length = 8 + data[position + 1] * (4 if protocol == _AUTHENTICATION else 8)
        protocol, position = data[position], position + length
        if offset:
            break
    _require(holds=protocol not in _EXTENSIONS, otherwise=Content.FRAGMENT if offset else Content.EXTENSIONS)
    return protocol, position, offset


def _transport(protocol: int, source: Address, destination: Address, data: bytes, *, offset: int) -> Packet:
    if offset:
        _require(holds=protocol != _TCP or offset != 1, otherwise=Content.BAD_FRAGMENT)
        return Packet(protocol=protocol, source=source, destination=destination, later_fragment=True)
    _require(holds=len(data) >= _TRANSPORT_LENGTHS.get(protocol, 0), otherwise=Content.SHORT_L4)
    ports, icmp = protocol in PORT_PROTOCOLS, protocol in (ICMP, ICMPV6)
    return Packet(
        protocol=protocol,
        source=source,
        destination=destination,
        source_port=_u16(data, 0) if ports else None,
        destination_port=_u16(data, 2) if ports else None,
        icmp_type=data[0] if icmp else None,
        icmp_code=data[1] if icmp else None,
    )


_READERS: Final[dict[int, Callable[[bytes], Packet]]] = {IPV4: _ipv4, IPV6: _ipv6}
