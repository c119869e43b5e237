"""Ethernet headers, VLAN tags and ethertypes at XDP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.abi import Reason
from tests.kern.conftest import DENIED
from tests.kern.frames import ARP, C_TAG, IPV4, IPV6, S_TAG, TCP, ethernet, ipv4, ipv6, tcp

if TYPE_CHECKING:
    from tests.kern.conftest import Bench

PACKETS = {IPV4: ipv4(TCP, tcp(DENIED)), IPV6: ipv6(TCP, tcp(DENIED))}
PRIORITY = 5 << 13


@pytest.fixture(params=[IPV4, IPV6], ids=["IPv4", "IPv6"])
def ethertype(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_untagged(bench: Bench, ethertype: int) -> None:
    assert bench.xdp(ethernet(ethertype, PACKETS[ethertype])).is_drop(Reason.DROP_POLICY)


@pytest.mark.parametrize("tpid", [C_TAG, S_TAG])
@pytest.mark.parametrize("tci", [0, PRIORITY, 1 << 12])
def test_priority_tag_is_judged(bench: Bench, ethertype: int, tpid: int, tci: int) -> None:
    frame = ethernet(ethertype, PACKETS[ethertype], (tpid, tci))
    assert bench.xdp(frame).is_drop(Reason.DROP_POLICY)


@pytest.mark.parametrize("tpid", [C_TAG, S_TAG])
@pytest.mark.parametrize("vlan", [1, 100, 4095, PRIORITY | 100])
def test_vlan_passes(bench: Bench, ethertype: int, tpid: int, vlan: int) -> None:
    frame = ethernet(ethertype, PACKETS[ethertype], (tpid, vlan))
    assert bench.xdp(frame).is_pass(Reason.PASS_VLAN)


def test_two_priority_tags_are_judged(bench: Bench, ethertype: int) -> None:
    frame = ethernet(ethertype, PACKETS[ethertype], (S_TAG, PRIORITY), (C_TAG, 0))
    assert bench.xdp(frame).is_drop(Reason.DROP_POLICY)


@pytest.mark.parametrize("outer", [0, 200])
def test_qinq_passes(bench: Bench, ethertype: int, outer: int) -> None:
    frame = ethernet(ethertype, PACKETS[ethertype], (S_TAG, outer), (C_TAG, 100))
    assert bench.xdp(frame).is_pass(Reason.PASS_VLAN)


def test_three_priority_tags(bench: Bench, ethertype: int) -> None:
    frame = ethernet(ethertype, PACKETS[ethertype], (S_TAG, 0), (C_TAG, 0), (C_TAG, 0))
    assert bench.xdp(frame).is_drop(Reason.DROP_VLAN_DEPTH)


@pytest.mark.parametrize("length", [14, 15, 17])
def test_truncated_tag(bench: Bench, ethertype: int, length: int) -> None:
    frame = ethernet(ethertype, PACKETS[ethertype], (C_TAG, 0))
    assert bench.xdp(frame[:length]).is_drop(Reason.DROP_SHORT_ETHERNET)


@pytest.mark.parametrize("length", [18, 19, 21])
def test_truncated_second_tag(bench: Bench, ethertype: int, length: int) -> None:
    frame = ethernet(ethertype, PACKETS[ethertype], (S_TAG, 0), (C_TAG, 0))
    assert bench.xdp(frame[:length]).is_drop(Reason.DROP_SHORT_ETHERNET)


def test_arp(bench: Bench) -> None:
    assert bench.xdp(ethernet(ARP, bytes(46))).is_pass(Reason.PASS_NOT_IP)


@pytest.mark.parametrize(
    "other",
    [0, 46, 0x0600, 0x8035, 0x8847, 0x8863, 0x8864, 0x88CC, 0x88E5, 0x88F7, 0xFFFF],
    ids=lambda other: f"{other:04x}",
)
@pytest.mark.parametrize("tags", [(), ((C_TAG, 0),)], ids=["untagged", "tagged"])
def test_not_ip(bench: Bench, other: int, tags: tuple[tuple[int, int], ...]) -> None:
    """802.3 lengths, RARP, MPLS, PPPoE, LLDP, MACsec, PTP."""
    assert bench.xdp(ethernet(other, PACKETS[IPV4], *tags)).is_pass(Reason.PASS_NOT_IP)


def test_nothing_behind_the_ethertype(bench: Bench) -> None:
    assert bench.xdp(ethernet(ARP, b"")).is_pass(Reason.PASS_NOT_IP)
