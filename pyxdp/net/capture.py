"""Files of captured packets: classic pcap in either byte order with micro- or nanoseconds, and pcapng.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. What a block type or link type means that is not needed
here is skipped, as they ask readers to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pyxdp.errors import CaptureError
from pyxdp.net.parse import IPV4, IPV6, Content, Frame, parse_frame, parse_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

_ByteOrder: TypeAlias = Literal["big", "little"]

_CLASSIC: Final[dict[bytes, _ByteOrder]] = {
    b"\xa1\xb2\xc3\xd4": "big",
    b"\xa1\xb2\x3c\x4d": "big",
    b"\xd4\xc3\xb2\xa1": "little",
    b"\x4d\x3c\xb2\xa1": "little",
}
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_SECTION_ORDER: Final[dict[bytes, _ByteOrder]] = {b"\x1a\x2b\x3c\x4d": "big", b"\x4d\x3c\x2b\x1a": "little"}
_INTERFACE: Final = 1
_SIMPLE_PACKET: Final = 3
_ENHANCED_PACKET: Final = 6
#: No capture has a larger packet or block; more is a damaged file.
_LIMIT: Final = 1 << 26


@dataclass(frozen=True, slots=True)
class Captured:
    """One packet of a capture.

    Attributes:
        number: in the file, from 1.
        frame: what it is.
        outgoing: whether the capturing host sent it; ``None`` where the file does not say.
    """

    number: int
    frame: Frame
    outgoing: bool | None = None


def read_capture(stream: BinaryIO) -> Iterator[Captured]:
    """Read the packets of a capture, in order.

    A packet that was captured in part is read as far as it goes; what its headers promise beyond that counts as there.

    Raises:
        CaptureError: no capture, a damaged one, or of a link type that is not known.
    """
    magic = stream.read(4)
    if magic in _CLASSIC:
        records = _classic(stream, _CLASSIC[magic])
    elif magic == _SECTION:
        records = _pcapng(stream)
    else:
        raise CaptureError("neither a pcap nor a pcapng file")
    for number, (link, data, length) in enumerate(records, start=1):
        if link not in _LINKS:
            raise CaptureError(f"packet {number}: link type {link} is not known")
        padded = data + bytes(max(0, min(length, _LIMIT) - len(data)))
        frame, outgoing = _LINKS[link](padded)
        yield Captured(number, frame, outgoing)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size) if size <= _LIMIT else b""
    if len(data) < size:
        raise CaptureError("the file ends in the middle of a packet, or is damaged")
    return data


def _classic(stream: BinaryIO, order: _ByteOrder) -> Iterator[tuple[int, bytes, int]]:
    """Go through the records; the link type is the lower 16 bits of the last word of the file's header."""
    link = _number(_exactly(stream, 20)[16:20], order) & 0xFFFF
    while header := stream.read(16):
        header += _exactly(stream, 16 - len(header))
        captured, length = _number(header[8:12], order), _number(header[12:16], order)
        yield link, _exactly(stream, captured), length


def _pcapng(stream: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    order: _ByteOrder = "little"
    links: list[int] = []
    kind = _SECTION
    while kind:
        size = _exactly(stream, 4)
        if kind == _SECTION:
            mark = _exactly(stream, 4)
            if mark not in _SECTION_ORDER:
                raise CaptureError("a pcapng section of neither byte order")
            order, links = _SECTION_ORDER[mark], []
            _block(stream, _number(size, order) - 16)
        else:
            body = _block(stream, _number(size, order) - 12)
            yield from _packets_of(_number(kind, order), body, links, order)
        kind = stream.read(4)


def _block(stream: BinaryIO, size: int) -> bytes:
    """Read the rest of a block and skip the repetition of its length."""
    if size < 0:
        raise CaptureError("a pcapng block shorter than its header")
    body = _exactly(stream, size)
    _exactly(stream, 4)
    return body


def _packets_of(kind: int, body: bytes, links: list[int], order: _ByteOrder) -> Iterator[tuple[int, bytes, int]]:
    if kind == _INTERFACE:
        links.append(_number(body[0:2], order))
    elif kind == _ENHANCED_PACKET:
        captured, length = _number(body[12:16], order), _number(body[16:20], order)
        yield _link(links, _number(body[0:4], order)), body[20 : 20 + captured], length
    elif kind == _SIMPLE_PACKET:
        length = _number(body[0:4], order)
        yield _link(links, 0), body[4 : 4 + length], length


def _link(links: list[int], number: int) -> int:
    if number >= len(links):
        raise CaptureError(f"a packet of interface {number}, which the file does not describe")
    return links[number]


def _number(data: bytes, order: _ByteOrder) -> int:
    return int.from_bytes(data, order)


def _ethernet(data: bytes) -> tuple[Frame, bool | None]:
    return parse_frame(data), None


def _raw_ip(data: bytes) -> tuple[Frame, bool | None]:
    """IPv4 or IPv6 without anything before it."""
    if not data:
        return Frame(content=Content.SHORT_IP), None
    return parse_network(IPV6 if data[0] >> 4 == 6 else IPV4, data), None  # noqa: PLR2004 - IP version


def _cooked(data: bytes) -> tuple[Frame, bool | None]:
    """Linux "any" device: packet type, then addresses, then the ethertype at 14."""
    return _behind(data, 16, data[14:16]), data[0:2] == b"\x00\x04"


def _cooked_2(data: bytes) -> tuple[Frame, bool | None]:
    """The same, version 2: ethertype first, packet type at 10."""
    return _behind(data, 20, data[0:2]), data[10:11] == b"\x04"


def _behind(data: bytes, header: int, ethertype: bytes) -> Frame:
    if len(data) < header:
        return Frame(content=Content.SHORT_ETHERNET)
    return parse_network(_number(ethertype, "big"), data[header:])


#: Link types, from the registry at the tcpdump project.
_LINKS: Final[dict[int, Callable[[bytes], tuple[Frame, bool | None]]]] = {
    1: _ethernet,
    12: _raw_ip,
    14: _raw_ip,
    101: _raw_ip,
    113: _cooked,
    228: _raw_ip,
    229: _raw_ip,
    276: _cooked_2,
}
