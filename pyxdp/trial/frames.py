"""What of a frame gets to which hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.net.parse import IPV4, IPV6, Content, parse_frame

if TYPE_CHECKING:
    from pyxdp.net import Packet
    from pyxdp.net.parse import Frame

#: Bytes of an Ethernet header; no driver hands less to a program, nor does a test run.
SHORTEST: Final = 14
#: Stands for what is shorter: it is cut off too, in a tag.
_CUT_OFF: Final = bytes(12) + bytes.fromhex("8100")
#: Bytes that a test run takes in one page, beside what the kernel keeps there for itself.
ONE_PAGE: Final = 3_500
#: Bytes of a frame with two tags and the longest IP packet.
LONGEST: Final = SHORTEST + 2 * 4 + 40 + 65_535

_ADDRESSES: Final = 12
_TAG: Final = 4
#: Where the IP header says how long the packet is, and what of it that leaves out.
_LENGTH_FIELDS: Final = {IPV4: (2, 0), IPV6: (4, 40)}
#: What the host's IP layer throws away by itself.
_NOT_TAKEN_BY_IP: Final = frozenset({Content.VLAN, Content.SHORT_IP, Content.BAD_IP})
_LATER_FRAGMENTS: Final = frozenset({Content.FRAGMENT, Content.BAD_FRAGMENT})


class Arrival(NamedTuple):
    """A frame, and how far the kernel carries it.

    Attributes:
        bare: as the tables see it, without priority tags and padding; the frame itself where there are none.
        packet: what is in it, if it can be read.
        reason: why it can not be read: a name of ``enum pyxdp_reason``; otherwise empty.
        in_tables: it is IP, for this very interface, and the host's IP layer takes it.
        whole: it is in the tables, and no later fragment: connection tracking lets those wait until the datagram is put
            together, and then that is judged. What is behind raw sees nothing else.
    """

    bare: bytes
    packet: Packet | None
    reason: str
    in_tables: bool
    whole: bool


def fitting(frame: bytes) -> bytes:
    """Return a frame that a test run takes, and of which the programs say the same: they look at headers only.

    What is too long loses payload, and its IP header says so.
    """
    if len(frame) < SHORTEST:
        return _CUT_OFF
    if len(frame) <= ONE_PAGE:
        return frame
    field, start = _length_of(frame, parse_frame(frame))
    length = int.from_bytes(frame[field], "big")
    if not ONE_PAGE < start + length <= len(frame):
        return frame[:ONE_PAGE]
    return frame[: field.start] + (ONE_PAGE - start).to_bytes(2, "big") + frame[field.stop : ONE_PAGE]


def arrival(frame: bytes) -> Arrival:
    """Look at a frame."""
    found = parse_frame(frame)
    in_tables = found.ethertype in _LENGTH_FIELDS and found.content not in _NOT_TAKEN_BY_IP
    later = found.packet.later_fragment if found.packet else found.content in _LATER_FRAGMENTS
    bare = _bared(frame, found) if in_tables else frame
    return Arrival(bare, found.packet, found.content.value, in_tables, in_tables and not later)


def _bared(frame: bytes, found: Frame) -> bytes:
    field, start = _length_of(frame, found)
    frame = frame[: start + int.from_bytes(frame[field], "big")]
    tags = len(found.vlans) * _TAG
    return frame[:_ADDRESSES] + frame[_ADDRESSES + tags :] if tags else frame


def _length_of(frame: bytes, found: Frame) -> tuple[slice, int]:
    """Return where the IP header says how long the packet is, and from where on that counts."""
    network = SHORTEST + len(found.vlans) * _TAG
    position, beside = _LENGTH_FIELDS.get(found.ethertype, (len(frame), 0))
    return slice(network + position, network + position + 2), network + beside
