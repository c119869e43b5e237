"""Captures: classic pcap in every variant, pcapng, and what is damaged."""

from __future__ import annotations

from io import BytesIO
from typing import Final, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxdp.errors import CaptureError
from pyxdp.net.capture import read_capture
from pyxdp.net.parse import Content, parse_frame
from tests.kern import frames

Order = Literal["big", "little"]

IPV4: Final = frames.ipv4(frames.TCP, frames.tcp(6379))
IPV6: Final = frames.ipv6(frames.TCP, frames.tcp(6379))
FRAMES: Final = [frames.ethernet(frames.IPV4, IPV4), frames.ethernet(frames.IPV6, IPV6), frames.ethernet(0x0806, b"")]
PARSED: Final = [parse_frame(frame) for frame in FRAMES]
MAGIC: Final = {"micro": 0xA1B2C3D4, "nano": 0xA1B23C4D}


def pcap(
    packets: list[bytes], *, order: Order = "little", unit: str = "micro", link: int = 1, snap: int = 65535
) -> bytes:
    def words(*numbers: int) -> bytes:
        return b"".join(number.to_bytes(4, order) for number in numbers)

    version = (2).to_bytes(2, order) + (4).to_bytes(2, order)
    header = words(MAGIC[unit]) + version + words(0, 0, snap, link)
    return header + b"".join(words(1, 2, min(len(it), snap), len(it)) + it[:snap] for it in packets)


def block(kind: int, body: bytes, order: Order) -> bytes:
    body += bytes(-len(body) % 4)
    size = (len(body) + 12).to_bytes(4, order)
    return kind.to_bytes(4, order) + size + body + size


def section(packets: list[bytes], *, order: Order = "little", link: int = 1, simple: bool = False) -> bytes:
    """A pcapng section, with a block and an option that readers do not know."""

    def words(*numbers: int) -> bytes:
        return b"".join(number.to_bytes(4, order) for number in numbers)

    head = block(0x0A0D0D0A, words(0x1A2B3C4D, 1) + b"\xff" * 8, order)
    interface = block(1, link.to_bytes(2, order) + bytes(2) + words(0), order)
    unknown = block(0x0BAD, b"whatever", order)
    if simple:
        return head + interface + unknown + b"".join(block(3, words(len(it)) + it, order) for it in packets)
    enhanced = [words(0, 1, 2, len(it), len(it)) + it + bytes(-len(it) % 4) + words(0) for it in packets]
    return head + interface + unknown + b"".join(block(6, it, order) for it in enhanced)


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("unit", ["micro", "nano"])
def test_classic(order: Order, unit: str) -> None:
    found = list(read_capture(BytesIO(pcap(FRAMES, order=order, unit=unit))))
    assert [(it.number, it.frame, it.outgoing) for it in found] == [
        (number, frame, None) for number, frame in enumerate(PARSED, start=1)
    ]


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("simple", [False, True])
def test_pcapng(order: Order, simple: bool) -> None:  # noqa: FBT001 - a parameter of the test
    data = section(FRAMES, order=order, simple=simple) + section(FRAMES[:1], order="big", simple=simple)
    assert [it.frame for it in read_capture(BytesIO(data))] == [*PARSED, PARSED[0]]


@pytest.mark.parametrize("link", [12, 101, 228])
def test_without_a_link_header(link: int) -> None:
    found = list(read_capture(BytesIO(pcap([IPV4, IPV6, b""], link=link))))
    assert [it.frame.packet for it in found] == [PARSED[0].packet, PARSED[1].packet, None]


@pytest.mark.parametrize("kind", [0, 4])
def test_cooked(kind: int) -> None:
    cooked = frames.u16(kind, 1, 6) + bytes(8) + frames.u16(frames.IPV4) + IPV4
    (found,) = read_capture(BytesIO(pcap([cooked], link=113)))
    assert (found.frame.packet, found.outgoing) == (PARSED[0].packet, kind == 4)
    cooked = frames.u16(frames.IPV6, 0, 0, 2, 1) + bytes([kind, 6]) + bytes(8) + IPV6
    (found,) = read_capture(BytesIO(pcap([cooked, cooked[:9]], link=276)[: 24 + 16 + len(cooked)]))
    assert (found.frame.packet, found.outgoing) == (PARSED[1].packet, kind == 4)


@pytest.mark.parametrize("link", [113, 276])
def test_a_cooked_header_that_is_too_short(link: int) -> None:
    (found,) = read_capture(BytesIO(pcap([bytes(9)], link=link)))
    assert found.frame.content is Content.SHORT_ETHERNET


def test_a_packet_captured_in_part() -> None:
    long = frames.ethernet(frames.IPV4, frames.ipv4(frames.TCP, frames.tcp(6379) + bytes(1000)))
    (found,) = read_capture(BytesIO(pcap([long], snap=60)))
    assert found.frame.packet == PARSED[0].packet


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither a pcap nor a pcapng file"),
        (b"GIF89a", "neither a pcap nor a pcapng file"),
        (pcap(FRAMES)[:10], "ends in the middle"),
        (pcap(FRAMES)[:-1], "ends in the middle"),
        (pcap(FRAMES) + bytes(7), "ends in the middle"),
        (pcap(FRAMES, link=147), "packet 1: link type 147 is not known"),
        (section(FRAMES)[:-1], "ends in the middle"),
        (section(FRAMES) + block(6, bytes(4) + bytes(16), "little")[:8], "ends in the middle"),
        (section([]) + block(6, (7).to_bytes(4, "little") + bytes(16), "little"), "interface 7, which the file does"),
        (b"\x0a\x0d\x0d\x0a" + bytes(4) + b"\x1a\x2b\x3c\x4d" + bytes(8), "shorter than its header"),
        (b"\x0a\x0d\x0d\x0a" + bytes(20), "neither byte order"),
        (pcap([])[:24] + b"\xff" * 16, "ends in the middle"),
    ],
)
def test_what_can_not_be_read(data: bytes, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        list(read_capture(BytesIO(data)))


@given(
    st.one_of(st.binary(max_size=200), st.builds(bytes.__add__, st.just(pcap(FRAMES)[:24]), st.binary(max_size=200)))
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = list(read_capture(BytesIO(data)))
    except CaptureError:
        return
    assert [it.number for it in found] == list(range(1, len(found) + 1))


@given(st.data())
def test_a_damaged_pcapng_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(section(FRAMES))
    for _ in range(3):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = list(read_capture(BytesIO(bytes(whole))))
    except CaptureError:
        return
    assert len(found) <= len(FRAMES)
