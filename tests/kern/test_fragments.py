"""Fragments at XDP: first and later, tiny and overlapping, IPv4 and IPv6."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.abi import Reason
from tests.kern.conftest import ALLOWED, DENIED
from tests.kern.frames import (
    DESTINATION,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP,
    IPV4,
    IPV6,
    TCP,
    UDP,
    ethernet,
    fragment,
    icmp,
    ipv4,
    ipv6,
    tcp,
    udp,
)

if TYPE_CHECKING:
    from tests.kern.conftest import Bench

FAMILIES = pytest.mark.parametrize("family", [4, 6])


def frame(family: int, protocol: int, payload: bytes, *, offset: int, more: bool) -> bytes:
    if family == 4:
        return ethernet(IPV4, ipv4(protocol, payload, offset=offset, more=more))
    return ethernet(IPV6, ipv6(FRAGMENT, fragment(protocol, payload, offset=offset, more=more)))


@FAMILIES
def test_first_fragment_is_judged_by_its_ports(bench: Bench, family: int) -> None:
    for protocol, build in ((TCP, tcp), (UDP, udp)):
        first = frame(family, protocol, build(DENIED) + bytes(16), offset=0, more=True)
        assert bench.xdp(first).is_drop(Reason.DROP_POLICY)
    first = frame(family, TCP, tcp(ALLOWED) + bytes(4), offset=0, more=True)
    assert bench.xdp(first).is_pass(Reason.PASS_ALLOWED)


@FAMILIES
@pytest.mark.parametrize("length", [0, 4, 8, 16, 19])
def test_tiny_first_fragment(bench: Bench, family: int, length: int) -> None:
    first = frame(family, TCP, tcp(ALLOWED)[:length], offset=0, more=True)
    assert bench.xdp(first).is_drop(Reason.DROP_SHORT_L4)


@FAMILIES
def test_fragment_that_overwrites_the_tcp_header(bench: Bench, family: int) -> None:
    assert bench.xdp(frame(family, TCP, bytes(32), offset=1, more=False)).is_drop(Reason.DROP_BAD_FRAGMENT)
    assert bench.xdp(frame(family, TCP, bytes(32), offset=1, more=True)).is_drop(Reason.DROP_BAD_FRAGMENT)


@FAMILIES
@pytest.mark.parametrize("offset", [2, 185, 8191])
def test_later_fragment_whose_ports_would_decide(bench: Bench, family: int, offset: int) -> None:
    for protocol in (TCP, UDP):
        later = frame(family, protocol, tcp(DENIED), offset=offset, more=True)
        assert bench.xdp(later).is_pass(Reason.PASS_FRAGMENT)


@FAMILIES
def test_later_fragment_at_offset_one_without_tcp(bench: Bench, family: int) -> None:
    """Eight bytes hold the ports of UDP whole: nothing that was judged is overwritten."""
    assert bench.xdp(frame(family, UDP, bytes(16), offset=1, more=True)).is_pass(Reason.PASS_FRAGMENT)


def test_later_fragment_denied_by_address(bench: Bench) -> None:
    """With a protocol that no rule above asks the ports of."""
    later = ethernet(IPV4, ipv4(47, bytes(16), offset=185, source="203.0.113.9"))
    assert bench.xdp(later).is_drop(Reason.DROP_POLICY)
    later = ethernet(IPV6, ipv6(FRAGMENT, fragment(47, bytes(16), offset=185), source="2001:db8:dead::9"))
    assert bench.xdp(later).is_drop(Reason.DROP_POLICY)


@FAMILIES
def test_later_fragment_that_nothing_matches(bench: Bench, family: int) -> None:
    assert bench.xdp(frame(family, 47, bytes(16), offset=185, more=False)).is_pass(Reason.PASS_NO_MATCH)


@FAMILIES
@pytest.mark.parametrize("length", [0, 1, 8])
def test_later_fragment_needs_no_header(bench: Bench, family: int, length: int) -> None:
    assert bench.xdp(frame(family, UDP, bytes(length), offset=185, more=False)).is_pass(Reason.PASS_FRAGMENT)


def test_later_icmp_fragment(bench: Bench) -> None:
    later = frame(4, ICMP, icmp(13), offset=185, more=False)
    assert bench.xdp(later).is_pass(Reason.PASS_FRAGMENT)


def test_whole_packet_with_a_fragment_header(bench: Bench) -> None:
    """An atomic fragment (RFC 6946)."""
    assert bench.xdp(frame(6, TCP, tcp(DENIED), offset=0, more=False)).is_drop(Reason.DROP_POLICY)


@pytest.mark.parametrize("kind", [DESTINATION, HOP_BY_HOP, FRAGMENT])
def test_later_fragment_with_more_extension_headers(bench: Bench, kind: int) -> None:
    """They are in the first fragment only: what looks like them here is data."""
    later = frame(6, kind, bytes([TCP, 0, *bytes(6)]) + tcp(DENIED), offset=185, more=False)
    assert bench.xdp(later).is_pass(Reason.PASS_FRAGMENT)


def test_first_fragment_with_more_extension_headers(bench: Bench) -> None:
    first = frame(6, DESTINATION, bytes([TCP, 0, *bytes(6)]) + tcp(DENIED), offset=0, more=True)
    assert bench.xdp(first).is_drop(Reason.DROP_POLICY)


def test_first_fragment_without_its_whole_chain(bench: Bench) -> None:
    """RFC 7112."""
    first = frame(6, DESTINATION, bytes([TCP, 1, *bytes(6)]), offset=0, more=True)
    assert bench.xdp(first).is_drop(Reason.DROP_EXTENSIONS)


def test_ipv4_flags_are_not_an_offset(bench: Bench) -> None:
    """Don't fragment and the reserved bit."""
    for flags in (0x4000, 0x8000, 0xC000):
        packet = bytearray(ipv4(TCP, tcp(DENIED)))
        packet[6:8] = flags.to_bytes(2, "big")
        assert bench.xdp(ethernet(IPV4, bytes(packet))).is_drop(Reason.DROP_POLICY)
