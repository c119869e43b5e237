"""The same packet in other frames: priority tags, IPv4 options, IPv6 extension headers. No verdict changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.net.frame import ETHERNET_LENGTH, build_frame
from tests.verdicts.dice import once_in

if TYPE_CHECKING:
    from random import Random

    from pyxdp.net import Packet

_ADDRESSES: Final = 12
_IPV4_HEADER: Final = 20
_IPV6_HEADER: Final = 40
_NO_OPERATION: Final = b"\x01"
_AUTHENTICATION: Final = 51
#: Hop-by-hop options come first or not at all.
_HOP_BY_HOP: Final = 0
#: Destination options, routing, authentication.
_EXTENSIONS: Final = (60, 43, _AUTHENTICATION)
_TAGS: Final = (0x8100, 0x88A8)


def dressed_frame(random: Random, packet: Packet) -> bytes:
    """Return a frame that carries the packet in some unusual way."""
    frame = build_frame(packet)
    head, body = frame[:ETHERNET_LENGTH], frame[ETHERNET_LENGTH:]
    body = _with_options(random, body) if packet.family == 4 else _with_extensions(random, body)
    tags = b"".join(_priority_tag(random) for _ in range(random.choice((0, 0, 1, 2))))
    return head[:_ADDRESSES] + tags + head[_ADDRESSES:] + body


def _priority_tag(random: Random) -> bytes:
    """A tag of no VLAN; the type of the next header stands behind it."""
    return random.choice(_TAGS).to_bytes(2, "big") + bytes([random.randrange(8) << 5, 0])


def _with_options(random: Random, body: bytes) -> bytes:
    words = random.randrange(11)
    total = int.from_bytes(body[2:4], "big") + 4 * words
    header = bytes([0x45 + words, body[1]]) + total.to_bytes(2, "big") + body[4:_IPV4_HEADER]
    return header + _NO_OPERATION * (4 * words) + body[_IPV4_HEADER:]


def _with_extensions(random: Random, body: bytes) -> bytes:
    kinds = [random.choice(_EXTENSIONS) for _ in range(random.randrange(5))]
    if once_in(random, 3):
        kinds.insert(0, _HOP_BY_HOP)
    following, chain = body[6], b""
    for kind in reversed(kinds):
        units = random.randrange(3)
        length = (units + 2) * 4 if kind == _AUTHENTICATION else (units + 1) * 8
        chain = bytes([following, units]) + bytes(length - 2) + chain
        following = kind
    payload = int.from_bytes(body[4:6], "big") + len(chain)
    header = body[:4] + payload.to_bytes(2, "big") + bytes([following]) + body[7:_IPV6_HEADER]
    return header + chain + body[_IPV6_HEADER:]
