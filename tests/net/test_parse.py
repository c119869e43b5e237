"""Reading frames: the inverse of building them, and an answer for any bytes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxdp.abi import Reason
from pyxdp.net import Packet
from pyxdp.net.frame import build_frame
from pyxdp.net.parse import IPV4, Content, parse_frame, parse_network
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS
from tests.kern import frames

_EXTENSION_HEADERS: Final = (0, 43, 44, 51, 60)
_PORT: Final = st.integers(0, 65535)
_BYTE: Final = st.integers(0, 255)

SYN: Final = frames.tcp(6379)
WHOLE: Final = frames.ethernet(frames.IPV4, frames.ipv4(frames.TCP, SYN))
EXPECTED: Final = Packet(
    protocol=6,
    source=IPv4Address(frames.REMOTE[4]),
    destination=IPv4Address(frames.HOST[4]),
    source_port=40000,
    destination_port=6379,
)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    """Any packet that a frame can carry."""
    address = st.sampled_from((st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address)))
    family = draw(address)
    packet = Packet(
        protocol=draw(_BYTE.filter(lambda number: number not in _EXTENSION_HEADERS)),
        source=draw(family),
        destination=draw(family),
        later_fragment=draw(st.booleans()),
    )
    if packet.later_fragment:
        return packet
    if packet.protocol in PORT_PROTOCOLS:
        return replace(packet, source_port=draw(_PORT), destination_port=draw(_PORT))
    if packet.protocol in (ICMP, ICMPV6):
        return replace(packet, icmp_type=draw(_BYTE), icmp_code=draw(_BYTE))
    return packet


@given(packets())
def test_reads_what_was_built(packet: Packet) -> None:
    frame = parse_frame(build_frame(packet))
    assert (frame.content, frame.packet, frame.vlans) == (Content.FLOW, packet, ())


@given(packets(), st.lists(st.sampled_from((frames.C_TAG, frames.S_TAG)), max_size=2), st.integers(0, 15))
def test_priority_tags_change_nothing(packet: Packet, tags: list[int], priority: int) -> None:
    built = build_frame(packet)
    tagged = built[:12] + b"".join(frames.u16(tag, priority << 12) for tag in tags) + built[12:]
    frame = parse_frame(tagged)
    assert (frame.content, frame.packet, frame.vlans) == (Content.FLOW, packet, (0,) * len(tags))


@given(st.binary(max_size=120))
def test_answers_to_any_bytes(data: bytes) -> None:
    frame = parse_frame(data)
    assert (frame.packet is not None) == (frame.content is Content.FLOW)


@given(packets(), st.data())
def test_never_reads_behind_a_cut(packet: Packet, data: st.DataObject) -> None:
    """Every proper beginning of the headers is either refused or the same packet without payload."""
    built = build_frame(packet)
    frame = parse_frame(built[: data.draw(st.integers(0, len(built) - 1))])
    assert frame.content in {Content.SHORT_ETHERNET, Content.SHORT_IP, Content.NOT_IP}


@given(packets())
def test_reads_from_the_network_header_on(packet: Packet) -> None:
    built = build_frame(packet)
    assert parse_network(int.from_bytes(built[12:14], "big"), built[14:]).packet == packet


@pytest.mark.parametrize("content", list(Content))
def test_contents_are_reasons_of_the_datapath(content: Content) -> None:
    assert content is Content.FLOW or content.value in Reason.__members__


BROKEN: Final = {
    "runt": (WHOLE[:13], Content.SHORT_ETHERNET),
    "truncated tag": (frames.ethernet(IPV4, b"", (frames.C_TAG, 0))[:17], Content.SHORT_ETHERNET),
    "VLAN": (frames.ethernet(IPV4, frames.ipv4(6, SYN), (frames.C_TAG, 100)), Content.VLAN),
    "QinQ": (frames.ethernet(IPV4, frames.ipv4(6, SYN), (frames.S_TAG, 0), (frames.C_TAG, 7)), Content.VLAN),
    "three tags": (frames.ethernet(IPV4, b"", *[(frames.C_TAG, 0)] * 3), Content.VLAN_DEPTH),
    "ARP": (frames.ethernet(frames.ARP, bytes(28)), Content.NOT_IP),
    "ihl 4": (frames.ethernet(IPV4, frames.ipv4(6, SYN, ihl=4)), Content.BAD_IP),
    "version 5": (frames.ethernet(IPV4, frames.ipv4(6, SYN, version=5)), Content.BAD_IP),
    "total beyond": (frames.ethernet(IPV4, frames.ipv4(6, SYN, total=41)), Content.SHORT_IP),
    "total below": (frames.ethernet(IPV4, frames.ipv4(6, SYN, total=19)), Content.SHORT_IP),
    "short TCP": (frames.ethernet(IPV4, frames.ipv4(6, SYN[:19])), Content.SHORT_L4),
    "overlap": (frames.ethernet(IPV4, frames.ipv4(6, SYN, offset=1)), Content.BAD_FRAGMENT),
    "IPv6 version": (frames.ethernet(frames.IPV6, frames.ipv6(6, SYN, version=4)), Content.BAD_IP),
    "IPv6 length": (frames.ethernet(frames.IPV6, frames.ipv6(6, SYN, length=21)), Content.SHORT_IP),
    "nine extensions": (
        frames.ethernet(frames.IPV6, frames.ipv6(*frames.chain((frames.DESTINATION,) * 9, 6, SYN))),
        Content.EXTENSIONS,
    ),
    "extension beyond": (
        frames.ethernet(frames.IPV6, frames.ipv6(frames.DESTINATION, bytes([6, 9]) + bytes(6) + SYN)),
        Content.EXTENSIONS,
    ),
    "headers only the first fragment has": (
        frames.ethernet(
            frames.IPV6, frames.ipv6(frames.FRAGMENT, frames.fragment(frames.DESTINATION, bytes(16), offset=100))
        ),
        Content.FRAGMENT,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_malformed(name: str) -> None:
    data, content = BROKEN[name]
    frame = parse_frame(data)
    assert (frame.content, frame.packet) == (content, None)
    assert frame.dropped == content.name.startswith(
        ("SHORT", "VLAN_DEPTH", "BAD", "EXTENSIONS"),
    )


def test_options_and_padding_are_skipped() -> None:
    options = frames.ipv4(frames.TCP, SYN, options=bytes(40))
    assert parse_frame(frames.ethernet(frames.IPV4, options + bytes(60))).packet == EXPECTED


def test_usual_extension_headers_are_skipped() -> None:
    kinds = (frames.HOP_BY_HOP, frames.ROUTING, frames.FRAGMENT, frames.AH, frames.DESTINATION)
    packet = parse_frame(
        frames.ethernet(frames.IPV6, frames.ipv6(*frames.chain(kinds, frames.TCP, SYN, units=1)))
    ).packet
    assert packet is not None
    assert (packet.protocol, packet.destination_port, packet.later_fragment) == (6, 6379, False)
