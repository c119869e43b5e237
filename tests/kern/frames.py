"""Frames byte by byte, right ones and broken ones. Every length and version can be given wrong. Checksums are zero."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

ARP: Final = 0x0806
IPV4: Final = 0x0800
IPV6: Final = 0x86DD
C_TAG: Final = 0x8100
S_TAG: Final = 0x88A8

HOP_BY_HOP: Final = 0
ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ROUTING: Final = 43
FRAGMENT: Final = 44
ESP: Final = 50
AH: Final = 51
ICMPV6: Final = 58
NO_NEXT: Final = 59
DESTINATION: Final = 60
MOBILITY: Final = 135
SCTP: Final = 132
UDPLITE: Final = 136

REMOTE: Final = {4: "198.51.100.7", 6: "2001:db8:9::7"}
HOST: Final = {4: "192.0.2.1", 6: "2001:db8::1"}

_MAC_ADDRESSES: Final = bytes.fromhex("020000000002020000000001")


def u16(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def ethernet(ethertype: int, payload: bytes, *tags: tuple[int, int]) -> bytes:
    """A frame; each tag is its ethertype and its tag control information (priority and VLAN)."""
    return _MAC_ADDRESSES + b"".join(u16(*tag) for tag in tags) + u16(ethertype) + payload


def ipv4(  # noqa: PLR0913 - what can be wrong in a header
    protocol: int,
    payload: bytes,
    *,
    options: bytes = b"",
    version: int = 4,
    ihl: int | None = None,
    total: int | None = None,
    offset: int = 0,
    more: bool = False,
    source: str = REMOTE[4],
    destination: str = HOST[4],
) -> bytes:
    """A packet. ``offset`` is that of a fragment, in units of 8 bytes; ``more`` the flag that others follow."""
    words = 5 + len(options) // 4 if ihl is None else ihl
    length = 20 + len(options) + len(payload) if total is None else total
    header = bytes([version << 4 | words, 0]) + u16(length, 1, offset | more << 13) + bytes([64, protocol, 0, 0])
    return header + ip_address(source).packed + ip_address(destination).packed + options + payload


def ipv6(  # noqa: PLR0913 - what can be wrong in a header
    following: int,
    payload: bytes,
    *,
    version: int = 6,
    length: int | None = None,
    source: str = REMOTE[6],
    destination: str = HOST[6],
) -> bytes:
    """A packet whose first following header is ``following``."""
    header = bytes([version << 4, 0, 0, 0]) + u16(len(payload) if length is None else length) + bytes([following, 64])
    return header + ip_address(source).packed + ip_address(destination).packed + payload


def chain(kinds: tuple[int, ...], transport: int, payload: bytes, *, units: int = 0) -> tuple[int, bytes]:
    """Extension headers of these kinds before a transport header; the number of the first, and everything.

    Args:
        kinds: in order.
        transport: what the last one names as next.
        payload: what follows.
        units: length field of each; AH counts in units of 4 bytes, and begins with 8 as the others do.
    """
    following = (*kinds, transport)[1:]
    for kind, after in zip(reversed(kinds), reversed(following), strict=True):
        payload = fragment(after, payload) if kind == FRAGMENT else _extension(kind, after, units) + payload
    return (*kinds, transport)[0], payload


def _extension(kind: int, following: int, units: int) -> bytes:
    return bytes([following, units]) + bytes(6 + units * (4 if kind == AH else 8))


def fragment(following: int, payload: bytes, *, offset: int = 0, more: bool = False) -> bytes:
    """An IPv6 fragment header and what follows; ``offset`` in units of 8 bytes."""
    return bytes([following, 0]) + u16(offset << 3 | more) + bytes(4) + payload


def tcp(port: int, *, source: int = 40000) -> bytes:
    return u16(source, port) + bytes(8) + bytes([0x50, 0x02]) + bytes(6)


def udp(port: int, *, source: int = 40000) -> bytes:
    return u16(source, port, 8, 0)


def sctp(port: int, *, source: int = 40000) -> bytes:
    return u16(source, port) + bytes(8)


def icmp(kind: int, code: int = 0) -> bytes:
    return bytes([kind, code]) + bytes(6)
