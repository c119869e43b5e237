"""What of a frame gets to which hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.net.parse import Content, parse_frame

if TYPE_CHECKING:
    from pyxdp.net import Packet

#: Bytes of an Ethernet header; no driver hands less to a program, nor does a test run.
SHORTEST: Final = 14
#: Bytes that a test run takes in one page, beside what the kernel keeps there for itself.
LONGEST: Final = 3_500

_ADDRESSES: Final = 12
_TAG: Final = 4
#: Bytes of the IP headers; netfilter sees nothing that lacks one.
_HEADERS: Final = {0x0800: 20, 0x86DD: 40}


class Arrival(NamedTuple):
    """A frame, and how far the kernel carries it.

    Attributes:
        bare: without priority tags, as the tables see it; the frame itself where there are none.
        packet: what is in it, if it can be read.
        reason: why it can not be read: a name of ``enum pyxdp_reason``; otherwise empty.
        in_tables: it is IP for this very interface, so that it gets to the tables.
        whole: it is well formed and no later fragment. Connection tracking lets those wait until the datagram is put
            together, and judges that.
    """

    bare: bytes
    packet: Packet | None
    reason: str
    in_tables: bool
    whole: bool


def arrival(frame: bytes) -> Arrival:
    """Look at a frame."""
    found = parse_frame(frame)
    tags = len(found.vlans) * _TAG
    bare = frame[:_ADDRESSES] + frame[_ADDRESSES + tags :] if tags else frame
    is_here = found.content is not Content.VLAN and found.ethertype in _HEADERS
    in_tables = is_here and len(bare) >= SHORTEST + _HEADERS[found.ethertype]
    whole = found.packet is not None and not found.packet.later_fragment
    return Arrival(bare, found.packet, found.content.value, in_tables, whole)
