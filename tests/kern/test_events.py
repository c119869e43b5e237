"""Events of Log rules: what a record says of the packet."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from pyxdp import abi
from pyxdp.bpf import RingBuffer
from pyxdp.dataplane.code import Code
from pyxdp.dataplane.trial import Trial
from tests.kern.conftest import Bench, image_of
from tests.kern.frames import (
    FRAGMENT,
    HOST,
    ICMPV6,
    IPV4,
    IPV6,
    REMOTE,
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
    from collections.abc import Iterator

POLICY = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: host}
spec: {node: node1, interfaceName: eth0}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {failsafeInboundHostPorts: [], failsafeOutboundHostPorts: []}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: log}
spec:
  doNotTrack: true
  applyOnForward: true
  ingress: [{action: Log}, {action: Log, protocol: UDP}, {action: Deny}]
  egress: [{action: Log}, {action: Allow}]
"""


@pytest.fixture(scope="module")
def fresh() -> Iterator[Trial]:
    """Programs of which no event was asked before: the number of events a second is limited."""
    with Trial(Code.shipped(0).data) as trial:
        yield trial


@pytest.fixture
def bench(kernel: None, fresh: Trial) -> Bench:
    bench = Bench(fresh)
    bench.fill(image_of(POLICY))
    return bench


def events(bench: Bench, program: str, frame: bytes) -> list[abi.Event]:
    with RingBuffer(bench.trial.object.maps["pyxdp_events"]) as ring:
        if program == "xdp":
            bench.xdp(frame)
        else:
            bench.raw(program, frame)
        return [abi.decode(abi.Event, record) for record in ring.records()]


def test_tcp_by_ipv4(bench: Bench) -> None:
    frame = ethernet(IPV4, ipv4(TCP, tcp(6379, source=40001))) + bytes(10)
    (event,) = events(bench, "xdp", frame)
    assert event.time_ns > 0
    assert event.source == ip_address(REMOTE[4]).packed + bytes(12)
    assert event.destination == ip_address(HOST[4]).packed + bytes(12)
    assert (event.source_port, event.destination_port, event.length) == (40001, 6379, len(frame))
    assert (event.family, event.protocol, event.direction, event.fragment, event.endpoint) == (4, TCP, 0, 0, 0)


def test_icmpv6(bench: Bench) -> None:
    (event,) = events(bench, "xdp", ethernet(IPV6, ipv6(ICMPV6, icmp(135, 7))))
    assert event.source == ip_address(REMOTE[6]).packed
    assert event.destination == ip_address(HOST[6]).packed
    assert (event.source_port, event.destination_port, event.family, event.protocol) == (0, 135 << 8 | 7, 6, ICMPV6)


def test_each_log_rule_sends_its_own(bench: Bench) -> None:
    first, second = events(bench, "xdp", ethernet(IPV4, ipv4(UDP, udp(53))))
    assert (first.counter, second.counter) == (0, 1)
    assert first.time_ns <= second.time_ns


def test_later_fragment_has_no_ports(bench: Bench) -> None:
    for frame in (
        ethernet(IPV4, ipv4(TCP, tcp(80), offset=100)),
        ethernet(IPV6, ipv6(FRAGMENT, fragment(TCP, tcp(80), offset=100))),
    ):
        (event,) = events(bench, "xdp", frame)
        assert (event.fragment, event.source_port, event.destination_port, event.protocol) == (1, 0, 0, TCP)


def test_protocol_without_ports(bench: Bench) -> None:
    (event,) = events(bench, "xdp", ethernet(IPV4, ipv4(47, b"")))
    assert (event.source_port, event.destination_port, event.protocol) == (0, 0, 47)


def test_egress_sends_one(bench: Bench) -> None:
    """The program that decides sends it, with the length from the IP header on."""
    frame = ethernet(IPV4, ipv4(TCP, tcp(80)))
    (event,) = events(bench, "out_allow", frame)
    assert (event.direction, event.length) == (1, len(frame) - 14)


def test_question_without_consequences_sends_none(bench: Bench) -> None:
    frame = ethernet(IPV4, ipv4(TCP, tcp(80)))
    assert events(bench, "in_allow", frame) == []
    assert events(bench, "in_deny", frame) == []
