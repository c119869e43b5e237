"""The forward class: traffic that goes through the host, by policy with applyOnForward."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.lab.flows import ANSWERED, REFUSED, SILENT, conversation, expect
from tests.veth.classes import (
    ALLOW,
    DENY,
    EVERYTHING,
    FAMILIES,
    GovernedGateway,
    both,
    echo_requests,
    endpoint,
    forward,
    from_ports,
    policy,
    to_ports,
    untracked,
)


def test_without_forward_policy_everything_passes(either_lab: GovernedGateway) -> None:
    """Neither default-deny nor normal policy concerns what is forwarded; it is accepted, whatever comes behind."""
    lab, net = either_lab, either_lab.net
    lab.apply(both(lab), policy("local", ingress=[DENY], egress=[DENY]))
    table = {
        flow: outcome
        for family in FAMILIES
        for flow, outcome in {
            net.through("tcp", 8080, family): ANSWERED,
            net.through("udp", 8080, family): ANSWERED,
            net.through("icmp", 0, family): ANSWERED,
            net.back("tcp", 8080, family): ANSWERED,
            net.inward("tcp", 8080, family): SILENT,
        }.items()
    }
    expect(table)
    with lab.chain_policy("FORWARD", "DROP"):
        expect(table)


@pytest.mark.parametrize("chain_policy", ["ACCEPT", "DROP"])
def test_ingress_policy_of_the_first_interface(either_lab: GovernedGateway, chain_policy: str) -> None:
    """What is allowed on the way in needs no rule on an endpoint without forward policy on the way out."""
    lab, net = either_lab, either_lab.net
    web = forward("web", selector="side == 'outside'", ingress=[*to_ports("Allow", 8080), *echo_requests("Allow")])
    lab.apply(both(lab), web)
    with lab.chain_policy("FORWARD", chain_policy):
        expect(
            *(
                {
                    net.through("tcp", 8080, family): ANSWERED,
                    net.through("udp", 8080, family): ANSWERED,
                    net.through("icmp", 0, family): ANSWERED,
                    net.through("tcp", 8081, family): SILENT,
                    net.through("tcp", 22, family): SILENT,  # no failsafe for what is forwarded
                    net.inward("tcp", 8080, family): ANSWERED,  # it is a normal policy too
                    net.inward("tcp", 8081, family): SILENT,
                }
                for family in FAMILIES
            )
        )


def test_egress_policy_of_the_second_interface(either_lab: GovernedGateway) -> None:
    lab, net = either_lab, either_lab.net
    web = forward("web", selector="side == 'inside'", egress=[*to_ports("Deny", 8081), *to_ports("Allow", 8080, 8081)])
    lab.apply(both(lab), web)
    with lab.chain_policy("FORWARD", "DROP"):
        expect(
            *(
                {
                    net.through("tcp", 8080, family): ANSWERED,
                    net.through("udp", 8081, family): SILENT,
                    net.through("udp", 8082, family): SILENT,
                    net.outward("tcp", 8080, family): ANSWERED,
                    net.outward("tcp", 8082, family): SILENT,
                }
                for family in FAMILIES
            )
        )


def test_policy_in_the_other_direction_only_leaves_it_to_the_host(lab: GovernedGateway) -> None:
    """The endpoint has forward policy, but none for this direction: neither dropped nor accepted."""
    net = lab.net
    lab.apply(both(lab), forward("web", selector="side == 'inside'", ingress=to_ports("Allow", 9000)))
    expect({net.through("tcp", 8080): ANSWERED, net.back("tcp", 9000): ANSWERED, net.back("tcp", 9001): SILENT})
    with lab.chain_policy("FORWARD", "DROP"):
        expect({net.through("tcp", 8081): SILENT, net.back("tcp", 9000): ANSWERED})


def test_both_interfaces_have_to_allow(lab: GovernedGateway) -> None:
    net = lab.net
    way_in = forward("in", selector="side == 'outside'", ingress=to_ports("Allow", 8080, 8081))
    way_out = forward("out", selector="side == 'inside'", egress=to_ports("Allow", 8080, 8082))
    lab.apply(both(lab), way_in, way_out)
    expect({net.through("tcp", 8080): ANSWERED, net.through("tcp", 8081): SILENT, net.through("tcp", 8082): SILENT})


def test_profiles_are_not_asked(lab: GovernedGateway) -> None:
    lab.apply(both(lab, EVERYTHING), forward("web", selector="side == 'outside'", ingress=to_ports("Allow", 8080)))
    expect({lab.net.through("tcp", 8080): ANSWERED, lab.net.through("tcp", 8081): SILENT})


def test_one_governed_interface(lab: GovernedGateway) -> None:
    net = lab.net
    lab.apply(endpoint(net.inside, "inside"), forward("web", egress=to_ports("Allow", 8080)))
    expect(
        {
            net.through("tcp", 8080): ANSWERED,
            net.through("tcp", 8081): SILENT,
            net.inward("tcp", 8081): ANSWERED,
            net.outward("tcp", 8081): SILENT,
        }
    )


def test_established_flows_outlive_the_policy_that_let_them_through(either_lab: GovernedGateway) -> None:
    lab, net = either_lab, either_lab.net
    lab.apply(both(lab), forward("web", ingress=[ALLOW], egress=[ALLOW]))
    with lab.chain_policy("FORWARD", "DROP"), ExitStack() as stack:
        asked = [net.through(transport, 8080, family) for transport in ("tcp", "udp") for family in FAMILIES]
        conversations = [stack.enter_context(conversation(flow)) for flow in asked]
        lab.change(both(lab), forward("none", ingress=[DENY], egress=[DENY]))
        assert [it.goes_on() for it in conversations] == [True] * len(asked)
        expect({net.through(transport, 8081, family): SILENT for transport in ("tcp", "udp") for family in FAMILIES})


def test_icmp_errors_of_the_server_come_back(lab: GovernedGateway) -> None:
    net = lab.net
    lab.apply(both(lab), forward("web", selector="side == 'outside'", ingress=to_ports("Allow", 8080)))
    with lab.chain_policy("FORWARD", "DROP"):
        expect({replace(net.through("udp", 8080, family), served=("", 0)): REFUSED for family in FAMILIES})


@pytest.mark.parametrize("family", FAMILIES)
def test_the_host_tells_of_a_smaller_mtu(lab: GovernedGateway, family: int) -> None:
    """The error comes from the host itself, whose egress denies everything: it is RELATED."""
    net = lab.net
    lab.apply(both(lab))
    net.host.run("ip", "link", "set", net.inside.name, "mtu", "1300")
    try:
        with conversation(net.through("tcp", 8080, family)) as tcp:
            assert tcp.carries(bytes(20_000))
        hops = net.client.namespace.run("ip", f"-{family}", "route", "get", net.through("tcp", 1, family).dialled[0])
        assert "mtu 1300" in hops.stdout
    finally:
        net.host.run("ip", "link", "set", net.inside.name, "mtu", "1500")
        net.client.namespace.run("ip", f"-{family}", "route", "flush", "cache")


def test_untracked_policy_on_both_sides(either_lab: GovernedGateway) -> None:
    """An untracked Allow skips the forward ingress policy of its endpoint, not the egress policy of another."""
    lab, net = either_lab, either_lab.net
    there = {"ingress": to_ports("Allow", 6379), "egress": from_ports("Allow", 6379)}
    back_again = {"ingress": from_ports("Allow", 6379), "egress": to_ports("Allow", 6379)}
    fast = untracked("there", selector="side == 'outside'", **there)
    fast += untracked("back", selector="side == 'inside'", **back_again)
    lab.apply(both(lab), fast)
    with lab.chain_policy("FORWARD", "DROP"):
        expect({net.through("tcp", 6379): ANSWERED, net.through("udp", 6379, 6): ANSWERED})
        assert lab.entries(6379) == []
    lab.apply(both(lab), fast, forward("none", selector="side == 'outside'", ingress=[DENY]))
    expect({net.through("udp", 6379): ANSWERED, net.through("udp", 8080): SILENT})
    lab.apply(both(lab), fast, forward("none", selector="side == 'inside'", egress=[DENY]))
    expect({net.through("udp", 6379): SILENT})
