"""Transport headers: whole or not, and what is read of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.abi import Reason
from tests.kern.conftest import ALLOWED, DENIED
from tests.kern.frames import (
    DESTINATION,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    SCTP,
    TCP,
    UDP,
    UDPLITE,
    chain,
    ethernet,
    icmp,
    ipv4,
    ipv6,
    sctp,
    tcp,
    udp,
)

if TYPE_CHECKING:
    from tests.kern.conftest import Bench

HEADERS = {
    "TCP": (TCP, tcp(ALLOWED)),
    "UDP": (UDP, udp(ALLOWED)),
    "SCTP": (SCTP, sctp(ALLOWED)),
    "UDPLite": (UDPLITE, udp(ALLOWED)),
    "ICMP": (ICMP, icmp(8)),
    "ICMPv6": (ICMPV6, icmp(128)),
}


def frames(protocol: int, header: bytes) -> list[bytes]:
    """By IPv4, by IPv6, and by IPv6 behind an extension header."""
    return [
        ethernet(IPV4, ipv4(protocol, header)),
        ethernet(IPV6, ipv6(protocol, header)),
        ethernet(IPV6, ipv6(*chain((DESTINATION,), protocol, header))),
    ]


@pytest.mark.parametrize(("protocol", "header"), HEADERS.values(), ids=HEADERS)
def test_truncated_header(bench: Bench, protocol: int, header: bytes) -> None:
    for length in range(len(header)):
        for frame in frames(protocol, header[:length]):
            assert bench.xdp(frame).is_drop(Reason.DROP_SHORT_L4), length


@pytest.mark.parametrize(("protocol", "header"), HEADERS.values(), ids=HEADERS)
def test_header_without_payload(bench: Bench, protocol: int, header: bytes) -> None:
    expected = Reason.PASS_ALLOWED if protocol == TCP else Reason.PASS_NO_MATCH
    for frame in frames(protocol, header):
        assert bench.xdp(frame).is_pass(expected)


@pytest.mark.parametrize(
    ("protocol", "header"), [(TCP, tcp(DENIED)), (UDP, udp(DENIED)), (SCTP, sctp(DENIED))], ids=["TCP", "UDP", "SCTP"]
)
def test_destination_port(bench: Bench, protocol: int, header: bytes) -> None:
    for frame in frames(protocol, header):
        assert bench.xdp(frame).is_drop(Reason.DROP_POLICY)


def test_source_port_is_not_the_destination_port(bench: Bench) -> None:
    for protocol, header in (
        (TCP, tcp(1, source=DENIED)),
        (UDP, udp(1, source=DENIED)),
        (SCTP, sctp(1, source=DENIED)),
    ):
        for frame in frames(protocol, header):
            assert bench.xdp(frame).is_pass(Reason.PASS_NO_MATCH)


def test_icmp_type(bench: Bench) -> None:
    assert bench.xdp(ethernet(IPV4, ipv4(ICMP, icmp(13, 7)))).is_drop(Reason.DROP_POLICY)
    assert bench.xdp(ethernet(IPV4, ipv4(ICMP, icmp(7, 13)))).is_pass(Reason.PASS_NO_MATCH)


def test_icmpv6_type_and_code(bench: Bench) -> None:
    assert bench.xdp(ethernet(IPV6, ipv6(ICMPV6, icmp(139, 2)))).is_drop(Reason.DROP_POLICY)
    for kind, code in ((139, 1), (138, 2), (2, 139)):
        assert bench.xdp(ethernet(IPV6, ipv6(ICMPV6, icmp(kind, code)))).is_pass(Reason.PASS_NO_MATCH)


@pytest.mark.parametrize("protocol", [0x2F, 0x59, 0xFF])
def test_protocol_without_ports_needs_no_header(bench: Bench, protocol: int) -> None:
    for frame in frames(protocol, b""):
        assert bench.xdp(frame).is_pass(Reason.PASS_NO_MATCH)
