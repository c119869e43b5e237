"""Packets out of boxes, such as one would meet."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from pyxdp.abi import Service
from pyxdp.compiler.service import KEY_BITS, LAST_PORT, SPACES
from pyxdp.lint.boxes import Box, holds, meet
from pyxdp.lint.regions import PORTS
from pyxdp.net import Packet
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS, PROTOCOL_NUMBERS
from pyxdp.resolver import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.compiler.intervals import Intervals
    from pyxdp.net import Address
    from pyxdp.net.values import Family

_PROTOCOLS: Final = {service: protocol for protocol, service in SPACES.items()}
_NAMES: Final = {number: name for name, number in PROTOCOL_NUMBERS.items()}

#: Addresses for documentation (RFC 5737, RFC 3849).
_HOST: Final[dict[Family, Address]] = {4: IPv4Address("192.0.2.10"), 6: IPv6Address("2001:db8::10")}
_REMOTE: Final[dict[Family, Address]] = {4: IPv4Address("198.51.100.7"), 6: IPv6Address("2001:db8:1::7")}
_CLIENT_PORTS: Final = (49152, 40000, 1024)
_SERVER_PORTS: Final = (443, 80, 8080, 5000)
_SERVER: Final = {6: _SERVER_PORTS, 17: (5000, 53), 132: _SERVER_PORTS, 136: _SERVER_PORTS}
_ECHO: Final = {ICMP: (8 << 8, 0), ICMPV6: (128 << 8, 129 << 8)}
_GRE: Final = 47
#: What each IP version's packets rather are, by service: the other one's ICMP comes last.
_PREFERENCE: Final = {
    4: (Service.TCP, Service.UDP, Service.ICMP, Service.SCTP, Service.UDPLITE, Service.OTHER, Service.ICMPV6),
    6: (Service.TCP, Service.UDP, Service.ICMPV6, Service.SCTP, Service.UDPLITE, Service.OTHER, Service.ICMP),
}


def sample(boxes: Iterable[Box], direction: Direction, addresses: Iterable[Address] = ()) -> Packet:
    """Return a packet that is in one of the boxes.

    Args:
        boxes: at least one; the first ones and IPv4 are preferred.
        direction: says which side is the host.
        addresses: of the host, preferred to addresses for documentation.
    """
    box = min(boxes, key=lambda one: (one.family, _rank(one)))
    local = [*(it for it in addresses if it.version == box.family), _HOST[box.family]]
    remote = [_REMOTE[box.family]]
    inbound = direction is Direction.INGRESS
    source = _address(box.family, box.source, remote if inbound else local)
    destination = _address(box.family, box.destination, local if inbound else remote)
    return _packet(box, source, destination)


def point(packet: Packet) -> Box:
    """Return the box that holds just this packet, which is no later fragment."""
    space = SPACES.get(packet.protocol, Service.OTHER) << KEY_BITS
    if packet.protocol in PORT_PROTOCOLS:
        detail = packet.destination_port or 0
    elif packet.protocol in (ICMP, ICMPV6):
        detail = (packet.icmp_type or 0) << 8 | (packet.icmp_code or 0)
    else:
        detail = packet.protocol
    source, destination, key, port = (
        int(packet.source),
        int(packet.destination),
        space + detail,
        packet.source_port or 0,
    )
    return Box(packet.family, ((source, source),), ((destination, destination),), ((key, key),), ((port, port),))


def packet_text(packet: Packet) -> str:
    """Return a packet for people: ``TCP 198.51.100.7:49152 -> 192.0.2.10:443``."""
    name = _NAMES.get(packet.protocol, f"protocol {packet.protocol}")
    if packet.icmp_type is not None:
        name += f" type {packet.icmp_type} code {packet.icmp_code}"
    source = end_text(packet.source, packet.source_port)
    return f"{name} {source} -> {end_text(packet.destination, packet.destination_port)}"


def end_text(address: Address, port: int | None) -> str:
    """Return an address with the port, if there is one."""
    if port is None:
        return str(address)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"  # noqa: PLR2004 - the IP version


def _rank(box: Box) -> int:
    return next(rank for rank, service in enumerate(_PREFERENCE[box.family]) if _space(box, service))


def _space(box: Box, service: Service) -> Intervals:
    first = service << KEY_BITS
    return meet(box.services, ((first, first + LAST_PORT),))


def _packet(box: Box, source: Address, destination: Address) -> Packet:
    service = _PREFERENCE[box.family][_rank(box)]
    first = service << KEY_BITS
    details = tuple((low - first, high - first) for low, high in _space(box, service))
    if service == Service.OTHER:
        return Packet(protocol=_number(details, (_GRE,)), source=source, destination=destination)
    protocol = _PROTOCOLS[service]
    if protocol in PORT_PROTOCOLS:
        # What comes from a port that matters goes to one that does not.
        wanted = (*(() if box.source_ports == PORTS else _CLIENT_PORTS), *_SERVER[protocol])
        return Packet(
            protocol=protocol,
            source=source,
            destination=destination,
            source_port=_number(box.source_ports, _CLIENT_PORTS),
            destination_port=_number(details, wanted),
        )
    kind, code = divmod(_number(details, _ECHO[protocol]), 256)
    return Packet(protocol=protocol, source=source, destination=destination, icmp_type=kind, icmp_code=code)


def _address(family: Family, choices: Intervals, wanted: Iterable[Address]) -> Address:
    for address in wanted:
        if holds(choices, int(address)):
            return address
    low, high = next((it for it in choices if it[0]), choices[0])
    number = low + 1 if high > low + 1 else low  # not the name of a network
    return IPv4Address(number) if family == 4 else IPv6Address(number)  # noqa: PLR2004 - the IP version


def _number(choices: Intervals, wanted: Iterable[int]) -> int:
    return next((number for number in wanted if holds(choices, number)), choices[0][0])
