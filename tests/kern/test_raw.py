"""The programs of the raw table: what iptables is told, and what is counted once and by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.abi import Reason
from tests.kern.conftest import ALLOWED, DENIED, FAILSAFE, POLICY, image_of
from tests.kern.frames import (
    ARP,
    C_TAG,
    DESTINATION,
    FRAGMENT,
    IPV4,
    IPV6,
    NO_NEXT,
    TCP,
    UDP,
    chain,
    ethernet,
    fragment,
    ipv4,
    ipv6,
    tcp,
    udp,
)

if TYPE_CHECKING:
    from tests.kern.conftest import Bench

HEADER = 14


def frames(port: int) -> list[bytes]:
    return [
        ethernet(IPV4, ipv4(TCP, tcp(port))),
        ethernet(IPV4, ipv4(TCP, tcp(port), options=bytes(8))),
        ethernet(IPV6, ipv6(TCP, tcp(port))),
        ethernet(IPV6, ipv6(*chain((DESTINATION,) * 8, TCP, tcp(port)))),
    ]


def test_ingress_allow_is_counted_as_untracked(bench: Bench) -> None:
    """XDP has counted the packet and its rule already."""
    for frame in frames(ALLOWED):
        result = bench.raw("in_allow", frame)
        assert (result.action, result.reasons, result.rules) == (1, {Reason.UNTRACKED: 1}, {})
        result = bench.raw("in_deny", frame)
        assert (result.action, result.reasons, result.rules) == (0, {}, {})


@pytest.mark.parametrize("port", [DENIED, FAILSAFE, 8080], ids=["deny", "failsafe", "no match"])
def test_ingress_without_an_allow_stays_tracked(bench: Bench, port: int) -> None:
    for frame in frames(port):
        result = bench.raw("in_allow", frame)
        assert (result.action, result.reasons, result.rules) == (0, {}, {})


def test_ingress_deny_is_counted_where_xdp_is_gone(bench: Bench) -> None:
    """Bytes count from the IP header on."""
    for frame in frames(DENIED):
        result = bench.raw("in_deny", frame)
        assert (result.action, result.reasons) == (1, {Reason.DROP_POLICY: 1})
        assert list(result.rules.values()) == [(1, len(frame) - HEADER)]


def test_egress_allow_is_counted_once(bench: Bench) -> None:
    for frame in frames(ALLOWED):
        result = bench.raw("out_allow", frame)
        assert (result.action, result.reasons) == (1, {Reason.PASS_ALLOWED: 1, Reason.UNTRACKED: 1})
        assert list(result.rules.values()) == [(1, len(frame) - HEADER)]


@pytest.mark.parametrize(
    ("port", "denied", "reason"),
    [
        (DENIED, 1, Reason.DROP_POLICY),
        (8080, 0, Reason.PASS_NO_MATCH),
    ],
    ids=["deny", "no match"],
)
def test_egress_other_verdicts_are_counted_once(bench: Bench, port: int, denied: int, reason: Reason) -> None:
    for frame in frames(port):
        result = bench.raw("out_allow", frame)
        assert (result.action, result.reasons, result.rules) == (0, {}, {})
        result = bench.raw("out_deny", frame)
        assert (result.action, result.reasons) == (denied, {reason: 1})
        assert [packets for packets, _ in result.rules.values()] == [1] * denied


def test_egress_failsafe_of_the_other_direction(bench: Bench) -> None:
    """Replies from an inbound failsafe port pass, and stay tracked."""
    frame = ethernet(IPV4, ipv4(TCP, tcp(DENIED, source=FAILSAFE)))
    assert bench.raw("out_allow", frame).action == 0
    result = bench.raw("out_deny", frame)
    assert (result.action, result.reasons) == (0, {Reason.PASS_FAILSAFE: 1})


def test_egress_log_is_counted_once(bench: Bench) -> None:
    """Also when both programs are asked."""
    log = "  ingress: &rules\n    - {action: Log, protocol: TCP}\n"
    bench.fill(image_of(POLICY.replace("  ingress: &rules\n", log)))
    result = bench.raw("out_allow", frames(ALLOWED)[0])
    assert (result.action, result.reasons[Reason.PASS_ALLOWED]) == (1, 1)
    assert [packets for packets, _ in result.rules.values()] == [1, 1]
    assert bench.raw("out_allow", frames(DENIED)[0]).rules == {}
    result = bench.raw("out_deny", frames(DENIED)[0])
    assert result.action == 1
    assert [packets for packets, _ in result.rules.values()] == [1, 1]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (ethernet(IPV4, ipv4(TCP, b"", ihl=6, total=20)), Reason.DROP_SHORT_IP),
        (ethernet(IPV4, ipv4(TCP, tcp(ALLOWED), version=6)), Reason.DROP_BAD_IP),
        (ethernet(IPV4, ipv4(TCP, tcp(ALLOWED), ihl=4)), Reason.DROP_BAD_IP),
        (ethernet(IPV6, ipv6(TCP, tcp(ALLOWED), version=4)), Reason.DROP_BAD_IP),
        (ethernet(IPV6, ipv6(*chain((DESTINATION,) * 9, TCP, tcp(ALLOWED)))), Reason.DROP_EXTENSIONS),
        (ethernet(IPV6, ipv6(DESTINATION, bytes(7))), Reason.DROP_EXTENSIONS),
        (ethernet(IPV6, ipv6(DESTINATION, bytes([NO_NEXT, 5]) + bytes(6))), Reason.DROP_EXTENSIONS),
        (ethernet(IPV4, ipv4(TCP, tcp(ALLOWED)[:3])), Reason.DROP_SHORT_L4),
        (ethernet(IPV6, ipv6(TCP, tcp(ALLOWED)[:3])), Reason.DROP_SHORT_L4),
        (ethernet(IPV4, ipv4(TCP, bytes(32), offset=1)), Reason.DROP_BAD_FRAGMENT),
        (ethernet(IPV6, ipv6(FRAGMENT, fragment(TCP, bytes(32), offset=1))), Reason.DROP_BAD_FRAGMENT),
    ],
    ids=[
        "truncated IPv4 options",
        "version 6 as IPv4",
        "header length 4",
        "version 4 as IPv6",
        "nine extension headers",
        "truncated extension header",
        "extension header longer than the packet, and nothing behind it",
        "truncated TCP by IPv4",
        "truncated TCP by IPv6",
        "overlapping fragment by IPv4",
        "overlapping fragment by IPv6",
    ],
)
def test_malformed_packet(bench: Bench, frame: bytes, reason: Reason) -> None:
    for allow, deny in (("in_allow", "in_deny"), ("out_allow", "out_deny")):
        assert bench.raw(allow, frame).action == 0
        result = bench.raw(deny, frame)
        assert (result.action, result.reasons, result.rules) == (1, {reason: 1}, {})


def test_not_ip(bench: Bench) -> None:
    for frame in (ethernet(ARP, bytes(46)), ethernet(IPV4, ipv4(TCP, tcp(DENIED)), (C_TAG, 100))):
        assert bench.raw("in_deny", frame).action == 0
        result = bench.raw("out_deny", frame)
        assert (result.action, result.reasons) == (0, {Reason.PASS_NOT_IP: 1})


def test_segments_merged_into_one(bench: Bench) -> None:
    """An skb may be longer than its length fields can say: they are not held against it."""
    for packet in (ipv4(TCP, tcp(ALLOWED) + bytes(3000), total=0), ipv4(TCP, tcp(ALLOWED) + bytes(3000), total=1500)):
        assert bench.raw("in_allow", ethernet(IPV4, packet)).action == 1
    packet = ipv6(TCP, tcp(ALLOWED) + bytes(3000), length=0)
    assert bench.raw("out_allow", ethernet(IPV6, packet)).action == 1


def test_later_fragment(bench: Bench) -> None:
    """Where nothing reassembles before the raw table."""
    for frame in (
        ethernet(IPV4, ipv4(UDP, udp(DENIED), offset=185)),
        ethernet(IPV6, ipv6(FRAGMENT, fragment(UDP, udp(DENIED), offset=185))),
    ):
        assert [bench.raw(program, frame).action for program in ("in_allow", "in_deny", "out_allow")] == [0, 0, 0]
        result = bench.raw("out_deny", frame)
        assert (result.action, result.reasons) == (0, {Reason.PASS_FRAGMENT: 1})
