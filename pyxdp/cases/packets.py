"""Reading the packet of a case. What is not written is filled in; what makes no sense is a problem."""

from __future__ import annotations

import re
from enum import Enum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyxdp.evaluator import Conntrack, Context, Direction, Path
from pyxdp.manifest.nodes import Scalar, shorten
from pyxdp.manifest.readers import integer, one_of, text
from pyxdp.manifest.values import address, protocol
from pyxdp.net import Packet, address_family
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS, PROTOCOL_NUMBERS
from pyxdp.trial.frames import LONGEST

if TYPE_CHECKING:
    from pyxdp.manifest.place import Fields, Place
    from pyxdp.model import HostEndpoint
    from pyxdp.net import Address
    from pyxdp.net.values import Family

#: Addresses of documentation (RFC 5737, RFC 3849): a peer, the host, and somebody whom the host forwards to.
PEER: Final = {4: ip_address("198.51.100.7"), 6: ip_address("2001:db8:9::7")}
HOST: Final = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::1")}
BEHIND: Final = {4: ip_address("203.0.113.7"), 6: ip_address("2001:db8:f::7")}
#: Ports that few policies name.
SOURCE_PORT: Final = 40_000
DESTINATION_PORT: Final = 50_000

_ECHO_REQUEST: Final = {ICMP: 8, ICMPV6: 128}
_PORT: Final = integer(0, 65_535)
_BYTE: Final = integer(0, 255)
_STATE: Final = one_of(*Conntrack)
_BLANKS: Final = re.compile(r"[\s:]")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_SPELLINGS: Final = {name.lower(): name for name in PROTOCOL_NUMBERS}


class _Fragment(Enum):
    LATER = "later"


class Side(NamedTuple):
    """Where a packet goes: what addresses it has by default depends on it."""

    endpoint: HostEndpoint | None
    direction: Direction
    path: Path


def read_packet(place: Place, side: Side) -> tuple[Packet, Context] | None:
    """Read ``packet``."""
    with place.fields() as fields:
        found = fields.require("protocol", _protocol, None, meaning="a name such as TCP, or a number from 1 to 255")
        source = _address(fields, "src")
        destination = _address(fields, "dst")
        original = _address(fields, "originalDst")
        written = [it for it in (source, destination, original) if it is not None]
        state = fields.read("ctstate", _STATE, Conntrack.NEW)
        later = fields.read("fragment", one_of(*_Fragment), None) is not None
        values = _transport(fields, found or 0, later=later)
        port = _port_of(fields, "originalDport", found or 0, later=later)
    if found is None or not _agree(place, written, found):
        return None
    family = address_family(written[0]) if written else 6 if found == ICMPV6 else 4
    default_source, default_destination = _addresses(side, family)
    packet = Packet(
        protocol=found,
        source=source or default_source,
        destination=destination or default_destination,
        later_fragment=later,
        **values,
    )
    context = Context(path=side.path, conntrack=state, original_destination=original, original_destination_port=port)
    return packet, context


def read_frame(place: Place) -> bytes | None:
    """Read ``frame``: bytes in hexadecimal; blanks and colons between them mean nothing."""
    node = place.node
    written = node.text if isinstance(node, Scalar) else text(place)
    if written is None:
        return None
    digits = _BLANKS.sub("", written)
    if not _HEX.fullmatch(digits):
        place.problem(f"must be whole bytes in hexadecimal, not `{shorten(written)}`")
        return None
    frame = bytes.fromhex(digits)
    if len(frame) > LONGEST:
        place.problem(f"has {len(frame):,} bytes; the longest IP packet makes a frame of {LONGEST:,}")
        return None
    return frame


def _protocol(place: Place) -> int | None:
    """Read a protocol; unlike in policy its name may be written in any case."""
    node = place.node
    if isinstance(node, Scalar) and node.text.lower() in _SPELLINGS:
        return PROTOCOL_NUMBERS[_SPELLINGS[node.text.lower()]]
    found = protocol(place)
    return found.number if found else None


def _address(fields: Fields, name: str) -> Address | None:
    place = fields.place(name)
    return address(place) if place else None


def _transport(fields: Fields, number: int, *, later: bool) -> dict[str, Any]:
    """Read ports, or type and code."""
    source = _port_of(fields, "sport", number, later=later)
    destination = _port_of(fields, "dport", number, later=later)
    kind, code = _icmp(fields, number, later=later)
    if later:
        return {}
    if number in PORT_PROTOCOLS:
        return {
            "source_port": SOURCE_PORT if source is None else source,
            "destination_port": DESTINATION_PORT if destination is None else destination,
        }
    return {"icmp_type": kind, "icmp_code": code} if number in _ECHO_REQUEST else {}


def _port_of(fields: Fields, name: str, number: int, *, later: bool) -> int | None:
    place = fields.place(name)
    if place is not None and number and (later or number not in PORT_PROTOCOLS):
        place.problem("a later fragment has no ports" if later else f"packets of protocol {number} have no ports")
    return fields.read(name, _PORT, None)


def _icmp(fields: Fields, number: int, *, later: bool) -> tuple[int | None, int | None]:
    place = fields.place("icmp")
    if place is None:
        return _ECHO_REQUEST.get(number), 0
    if number and (later or number not in _ECHO_REQUEST):
        place.problem("a later fragment has no type" if later else f"packets of protocol {number} have no ICMP type")
    with place.fields() as icmp:
        return icmp.require("type", _BYTE, 0, meaning="0 to 255"), icmp.read("code", _BYTE, 0)


def _agree(place: Place, addresses: list[Address], number: int) -> bool:
    """Whether all addresses are of one family, and of that of the protocol."""
    families = {address_family(it) for it in addresses}
    if len(families) > 1:
        place.problem("mixes IPv4 and IPv6 addresses")
        return False
    wanted: dict[int, Family] = {ICMP: 4, ICMPV6: 6}
    if number in wanted and families - {wanted[number]}:
        place.problem(f"protocol {number} is of IPv{wanted[number]}, the addresses are not")
        return False
    return True


def _addresses(side: Side, family: Family) -> tuple[Address, Address]:
    """Return source and destination of a packet that names none."""
    expected = side.endpoint.expectedIPs if side.endpoint else ()
    host = next((it for it in expected if address_family(it) == family), HOST[family])
    if side.path is Path.FORWARD:
        return PEER[family], BEHIND[family]
    return (PEER[family], host) if side.direction is Direction.INGRESS else (host, PEER[family])
