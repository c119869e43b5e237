"""The normal class on a host: default-deny, failsafes, profiles, connections, and how it goes with untracked policy."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.lab import flows, packets
from tests.lab.flows import ANSWERED, FORBIDDEN, LOST, REFUSED, SILENT, conversation, expect, opened
from tests.lab.waiting import wait_until
from tests.veth.classes import (
    ALLOW,
    DENY,
    EVERYTHING,
    FAMILIES,
    GovernedGateway,
    echo_requests,
    endpoint,
    felix,
    from_ports,
    policy,
    to_ports,
    untracked,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.network import Namespace

#: Of linux/in.h; Python does not name it.
_IP_MTU = 14


def outside(lab: GovernedGateway, *profiles: str) -> str:
    return endpoint(lab.net.outside, "outside", profiles)


def inside(lab: GovernedGateway, *profiles: str) -> str:
    return endpoint(lab.net.inside, "inside", profiles)


def test_an_endpoint_with_nothing_denies_all_but_failsafes(either_lab: GovernedGateway) -> None:
    lab, net = either_lab, either_lab.net
    lab.apply(outside(lab), inside(lab))
    expect(
        *(
            {
                net.inward("tcp", 8080, family): SILENT,
                net.inward("udp", 8080, family): SILENT,
                net.inward("icmp", 0, family): SILENT,
                net.outward("tcp", 8080, family): SILENT,
                net.outward("udp", 8080, family): FORBIDDEN,
                net.outward("icmp", 0, family): FORBIDDEN,
                net.inward("tcp", 22, family): ANSWERED,
                net.inward("tcp", 2379, family): ANSWERED,
                net.inward("udp", 68, family): ANSWERED,
                net.inward("udp", 22, family): SILENT,
                net.outward("udp", 53, family): ANSWERED,
                net.outward("tcp", 2379, family): ANSWERED,
                net.outward("tcp", 22, family): SILENT,
                net.outward("tcp", 53, family): SILENT,
            }
            for family in FAMILIES
        )
    )


def test_profiles_decide_where_no_policy_does(lab: GovernedGateway) -> None:
    net = lab.net
    only_ingress = policy("ingress", ingress=to_ports("Allow", 8080))
    lab.apply(outside(lab, EVERYTHING), inside(lab, EVERYTHING), only_ingress)
    expect(
        *(
            {
                net.inward("tcp", 8080, family): ANSWERED,
                net.inward("tcp", 8081, family): SILENT,
                net.outward("tcp", 9000, family): ANSWERED,
                net.outward("icmp", 0, family): ANSWERED,
            }
            for family in FAMILIES
        )
    )
    lab.apply(outside(lab, EVERYTHING), inside(lab, "nobody-wrote-this"))
    expect({net.inward("tcp", 8081): ANSWERED, net.inward("udp", 8081): ANSWERED, net.outward("udp", 9000): FORBIDDEN})


def test_ports_and_echo_by_policy(either_lab: GovernedGateway) -> None:
    lab, net = either_lab, either_lab.net
    server = [{"action": "Allow", "protocol": "UDP", "destination": {"ports": [9000]}}]
    web = policy("web", ingress=[*to_ports("Deny", 8081), *to_ports("Allow", 8080, 8081), *echo_requests("Allow")])
    lab.apply(outside(lab), inside(lab), web, policy("out", egress=server))
    expect(
        *(
            {
                net.inward("tcp", 8080, family): ANSWERED,
                net.inward("udp", 8080, family): ANSWERED,
                net.inward("tcp", 8081, family): SILENT,
                net.inward("udp", 8081, family): SILENT,
                net.inward("icmp", 0, family): ANSWERED,
                net.outward("udp", 9000, family): ANSWERED,
                net.outward("tcp", 9000, family): SILENT,
            }
            for family in FAMILIES
        )
    )


def test_established_flows_outlive_the_policy_that_let_them_in(either_lab: GovernedGateway) -> None:
    lab, net = either_lab, either_lab.net
    both = policy("both", ingress=to_ports("Allow", 8080), egress=to_ports("Allow", 9000))
    lab.apply(outside(lab), inside(lab), both)
    asked = [
        flow
        for family in FAMILIES
        for transport in ("tcp", "udp")
        for flow in (net.inward(transport, 8080, family), net.outward(transport, 9000, family))
    ]
    with ExitStack() as stack:
        conversations = [stack.enter_context(conversation(flow)) for flow in asked]
        for nothing in ("", policy("none", ingress=[DENY], egress=[DENY])):
            lab.change(outside(lab), inside(lab), nothing)
            assert [it.goes_on() for it in conversations] == [True] * len(asked)
    expect(
        *({net.inward("tcp", 8080, family): SILENT, net.outward("tcp", 9000, family): SILENT} for family in FAMILIES)
    )


def test_icmp_errors_come_back_as_related(lab: GovernedGateway) -> None:
    """No rule allows an error: it belongs to a connection that a rule allowed."""
    net = lab.net
    both = policy("both", ingress=to_ports("Allow", 8080, protocols=["UDP"]), egress=to_ports("Allow", 9000))
    lab.apply(outside(lab), inside(lab), both)
    expect(
        *(
            {
                net.inward("udp", 8080, family, served=0): REFUSED,
                replace(net.outward("udp", 9000, family), served=("", 0)): REFUSED,
            }
            for family in FAMILIES
        )
    )


def test_a_smaller_path_mtu_is_learned(lab: GovernedGateway) -> None:
    net = lab.net
    lab.apply(outside(lab), policy("out", egress=to_ports("Allow", 9000, protocols=["UDP"])))
    with net.host.entered():
        sender = opened("udp", (net.outside.ipv4, 0))
    with sender:
        sender.connect((net.client.ipv4, 9000))
        sender.send(b"too large")
        sent = packets.udp(sender.getsockname(), sender.getpeername(), b"too large")
        quoted = packets.ip(net.outside.ipv4, net.client.ipv4, packets.UDP, sent)
        error = packets.icmp_error(3, 4, 1300, quoted)
        packets.send(net.client, net.outside, packets.ip(net.client.ipv4, net.outside.ipv4, packets.ICMP, error))
        wait_until(lambda: sender.getsockopt(socket.IPPROTO_IP, _IP_MTU) == 1300)


def test_untracked_and_normal_policy_together(either_lab: GovernedGateway) -> None:
    """Untracked Allow is final for both directions; what it leaves alone is tracked and denied by default."""
    lab, net = either_lab, either_lab.net
    fast = untracked(
        "fast",
        ingress=[*to_ports("Allow", 6379), *to_ports("Deny", 6380)],
        egress=from_ports("Allow", 6379),
    )
    lab.apply(outside(lab), fast, policy("slow", ingress=to_ports("Allow", 8080, 6380)))
    with lab.chain_policy("INPUT", "DROP"):
        expect(
            *(
                {
                    net.inward("tcp", 6379, family): ANSWERED,
                    net.inward("udp", 6379, family): ANSWERED,
                    net.inward("tcp", 6380, family): SILENT,
                    net.inward("tcp", 8080, family): ANSWERED,
                    net.inward("udp", 8080, family): ANSWERED,
                    net.inward("tcp", 8081, family): SILENT,
                }
                for family in FAMILIES
            )
        )
    assert lab.entries(6379) == []
    assert len(lab.entries(8080)) == 4


def test_untracked_policy_alone_leaves_the_rest_denied(lab: GovernedGateway) -> None:
    net = lab.net
    fast = untracked("fast", ingress=to_ports("Allow", 6379), egress=from_ports("Allow", 6379))
    lab.apply(outside(lab), fast)
    expect({net.inward("tcp", 6379): ANSWERED, net.inward("tcp", 8080): SILENT, net.inward("tcp", 22): ANSWERED})
    lab.apply(outside(lab, EVERYTHING), fast)
    expect({net.inward("tcp", 6379): ANSWERED, net.inward("tcp", 8080): ANSWERED})


def test_an_untracked_request_whose_answer_no_rule_covers_is_lost(lab: GovernedGateway) -> None:
    """Half a connection: the answer is new to conntrack, so that default-deny takes it."""
    net = lab.net
    lab.apply(outside(lab), untracked("half", ingress=to_ports("Allow", 6379)))
    expect({net.inward("udp", 6379): LOST, net.inward("tcp", 6379): SILENT})


def test_invalid_packets_are_dropped_before_policy(either_lab: GovernedGateway) -> None:
    lab, net = either_lab, either_lab.net
    web = policy("web", ingress=[ALLOW], egress=[ALLOW])
    with picking_up_nothing(net.host):
        lab.apply(outside(lab), web)
        before = lab.count("DROP_INVALID", net.outside)
        assert not any(_is_reset(lab, family, flows.SILENCE) for family in FAMILIES)
        wait_until(lambda: lab.count("DROP_INVALID", net.outside) >= before + 2)
        lab.apply(outside(lab), web, felix(disableConntrackInvalidCheck=True))
        assert all(_is_reset(lab, family, flows.PATIENCE) for family in FAMILIES)
        lab.apply(outside(lab), felix(disableConntrackInvalidCheck=True))
        assert not any(_is_reset(lab, family, flows.SILENCE) for family in FAMILIES)


@contextmanager
def picking_up_nothing(host: Namespace) -> Iterator[None]:
    """Connection tracking takes no segment for the beginning of a connection that is none."""
    host.sysctl("net/netfilter/nf_conntrack_tcp_loose", 0)
    try:
        yield
    finally:
        host.sysctl("net/netfilter/nf_conntrack_tcp_loose", 1)


def _is_reset(lab: GovernedGateway, family: int, patience: float) -> bool:
    """Whether the host answers an ACK of no connection by a reset."""
    flow = lab.net.inward("tcp", 8080, family)
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with flow.client.entered():
        raw = socket.socket(kind, socket.SOCK_RAW, packets.TCP)
    with raw:
        raw.settimeout(patience)
        raw.bind(flow.source)
        segment = packets.tcp((flow.source[0], 40000), flow.dialled, packets.ACK)
        packets.send(lab.net.client, lab.net.outside, packets.ip(flow.source[0], flow.dialled[0], packets.TCP, segment))
        try:
            answer = raw.recv(256)
        except TimeoutError:
            return False
        return bool(answer[33 if family == 4 else 13] & packets.RST)
