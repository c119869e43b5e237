"""pyxdp.net.parse reads what the program at XDP reads, byte for byte, and finds the same things wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyxdp.abi import Reason
from pyxdp.net.parse import Content, parse_frame
from tests.kern import frames

if TYPE_CHECKING:
    from tests.kern.conftest import Bench

_WITHOUT_FLOW: Final = {Reason[content.value] for content in Content if content is not Content.FLOW}
_KINDS: Final = st.lists(
    st.sampled_from((frames.HOP_BY_HOP, frames.ROUTING, frames.FRAGMENT, frames.AH, frames.DESTINATION)), max_size=10
).map(tuple)
_TRANSPORTS: Final = st.sampled_from(
    (
        (frames.TCP, frames.tcp(7)),
        (frames.UDP, frames.udp(7)),
        (frames.SCTP, frames.sctp(7)),
        (frames.ICMP, frames.icmp(8)),
        (frames.ESP, b""),
    )
)
_TAGS: Final = st.lists(
    st.tuples(st.sampled_from((frames.C_TAG, frames.S_TAG)), st.sampled_from((0, 0, 0x2000, 5))), max_size=3
)


@st.composite
def damaged_frames(draw: st.DrawFn) -> bytes:
    """A right frame of any shape, then a few bytes changed and the end cut off, or neither."""
    protocol, transport = draw(_TRANSPORTS)
    kinds, offset = draw(_KINDS), draw(st.sampled_from((0, 0, 0, 1, 2, 100)))
    if draw(st.booleans()):
        ethertype = frames.IPV4
        network = frames.ipv4(protocol, transport, options=bytes(4 * len(kinds)), offset=offset)
    else:
        ethertype = frames.IPV6
        following, payload = frames.chain(kinds, protocol, transport, units=draw(st.integers(0, 2)))
        if offset:
            following, payload = frames.FRAGMENT, frames.fragment(following, payload, offset=offset)
        network = frames.ipv6(following, payload)
    frame = bytearray(frames.ethernet(ethertype, network, *draw(_TAGS)) + bytes(draw(st.integers(0, 8))))
    for _ in range(draw(st.integers(0, 2))):
        frame[draw(st.integers(12, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(14, len(frame)))] if draw(st.booleans()) else frame)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=damaged_frames())
def test_finds_what_the_program_finds(bench: Bench, frame: bytes) -> None:
    (reason,) = bench.xdp(frame).reasons
    content = parse_frame(frame).content
    if content is Content.FLOW:
        assert reason not in _WITHOUT_FLOW or reason is Reason.PASS_FRAGMENT
    else:
        assert reason is Reason[content.value]
