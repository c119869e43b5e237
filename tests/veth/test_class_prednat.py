"""The pre-DNAT class: it judges what a packet asked for, before a DNAT rule of the host changes it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.lab.flows import ANSWERED, SILENT, conversation, expect
from tests.veth.classes import (
    DENY,
    GovernedGateway,
    endpoint,
    forward,
    policy,
    pre_dnat,
    to_ports,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.flows import Flow, Transport

FAMILIES = (4, 6)
#: What clients dial, and where it leads.
NODE_PORT = 30080
BEHIND = 8080


def both(lab: GovernedGateway) -> str:
    return endpoint(lab.net.outside, "outside") + endpoint(lab.net.inside, "inside")


@contextmanager
def redirected(lab: GovernedGateway) -> Iterator[None]:
    """NODE_PORT of the host leads to its own port BEHIND."""
    with ExitStack() as stack:
        for family in FAMILIES:
            for protocol in ("tcp", "udp"):
                words = ["-p", protocol, "--dport", str(NODE_PORT), "-j", "REDIRECT", "--to-ports", str(BEHIND)]
                stack.enter_context(lab.rule("nat", "PREROUTING", *words, family=family))
        yield


@contextmanager
def node_port(lab: GovernedGateway) -> Iterator[None]:
    """NODE_PORT of the host leads to port BEHIND of the server, as that of a cluster does."""
    with ExitStack() as stack:
        for family, to in ((4, lab.net.server.ipv4), (6, f"[{lab.net.server.ipv6}]")):
            for protocol in ("tcp", "udp"):
                words = ["-p", protocol, "--dport", str(NODE_PORT), "-j", "DNAT", "--to-destination", f"{to}:{BEHIND}"]
                stack.enter_context(lab.rule("nat", "PREROUTING", *words, family=family))
        yield


def to_server(lab: GovernedGateway, transport: Transport, family: int, port: int = NODE_PORT) -> Flow:
    """The client dials the host, and the server answers."""
    behind = lab.net.through(transport, BEHIND, family)
    return replace(behind, dialled=(lab.net.inward(transport, port, family).dialled[0], port))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_redirected_port_is_denied_by_its_original_number(either_lab: GovernedGateway, family: int) -> None:
    lab, net = either_lab, either_lab.net
    web = policy("web", ingress=to_ports("Allow", BEHIND))
    lab.apply(both(lab), web, pre_dnat("no", to_ports("Deny", NODE_PORT)))
    with redirected(lab):
        expect(
            {
                net.inward("tcp", NODE_PORT, family, served=BEHIND): SILENT,
                net.inward("udp", NODE_PORT, family, served=BEHIND): SILENT,
                net.inward("tcp", BEHIND, family): ANSWERED,
            }
        )
        lab.apply(both(lab), web)  # the normal class sees the port after DNAT
        expect({net.inward("tcp", NODE_PORT, family, served=BEHIND): ANSWERED})
        lab.apply(both(lab), policy("web", ingress=to_ports("Allow", NODE_PORT)))
        expect({net.inward("tcp", NODE_PORT, family, served=BEHIND): SILENT})


@pytest.mark.parametrize("family", FAMILIES)
def test_pre_dnat_allow_is_final(either_lab: GovernedGateway, family: int) -> None:
    """It skips the normal class, whose default and whose Deny would drop."""
    lab, net = either_lab, either_lab.net
    lab.apply(both(lab), policy("none", ingress=[DENY]), pre_dnat("yes", to_ports("Allow", NODE_PORT)))
    with redirected(lab), lab.chain_policy("INPUT", "DROP"):
        expect(
            {
                net.inward("tcp", NODE_PORT, family, served=BEHIND): ANSWERED,
                net.inward("udp", NODE_PORT, family, served=BEHIND): ANSWERED,
                net.inward("tcp", BEHIND, family): SILENT,
            }
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_node_port_is_denied_although_forwarding_is_free(either_lab: GovernedGateway, family: int) -> None:
    lab, net = either_lab, either_lab.net
    with node_port(lab):
        lab.apply(both(lab))
        expect({to_server(lab, "tcp", family): ANSWERED, to_server(lab, "udp", family): ANSWERED})
        deny = pre_dnat("no", to_ports("Deny", NODE_PORT), selector="side == 'outside'")
        lab.apply(both(lab), deny)
        expect(
            {
                to_server(lab, "tcp", family): SILENT,
                to_server(lab, "udp", family): SILENT,
                net.through("tcp", BEHIND, family): ANSWERED,
            }
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_node_port_that_is_allowed_skips_forward_ingress_only(either_lab: GovernedGateway, family: int) -> None:
    lab, net = either_lab, either_lab.net
    allow = pre_dnat("yes", to_ports("Allow", NODE_PORT), selector="side == 'outside'")
    closed = forward("closed", selector="side == 'outside'", ingress=[DENY])
    with node_port(lab), lab.chain_policy("FORWARD", "DROP"):
        lab.apply(both(lab), allow, closed)
        expect(
            {
                to_server(lab, "tcp", family): ANSWERED,
                to_server(lab, "udp", family): ANSWERED,
                net.through("tcp", BEHIND, family): SILENT,
            }
        )
        lab.apply(both(lab), allow, closed, forward("shut", selector="side == 'inside'", egress=[DENY]))
        expect({to_server(lab, "tcp", family): SILENT})


def test_a_failsafe_port_passes_the_class_but_not_the_next(lab: GovernedGateway) -> None:
    """Forwarded, it has no failsafe any more."""
    net = lab.net
    deny = pre_dnat("no", [DENY])
    lab.apply(both(lab), deny)
    expect({net.inward("tcp", 22): ANSWERED, net.inward("tcp", 23): SILENT, net.through("tcp", 22): ANSWERED})
    lab.apply(both(lab), deny, forward("closed", selector="side == 'outside'", ingress=to_ports("Allow", BEHIND)))
    expect({net.inward("tcp", 22): ANSWERED, net.through("tcp", 22): SILENT, net.through("tcp", BEHIND): SILENT})


@pytest.mark.parametrize("family", FAMILIES)
def test_translated_flows_outlive_the_policy_that_let_them_in(either_lab: GovernedGateway, family: int) -> None:
    lab = either_lab
    lab.apply(both(lab), pre_dnat("yes", to_ports("Allow", NODE_PORT)))
    with node_port(lab), conversation(to_server(lab, "tcp", family)) as tcp:
        lab.change(both(lab), pre_dnat("no", [DENY]), forward("shut", ingress=[DENY], egress=[DENY]))
        assert tcp.goes_on()
        expect({to_server(lab, "udp", family): SILENT})


def test_the_original_address_counts_too(lab: GovernedGateway) -> None:
    net = lab.net
    here = {"nets": [f"{net.outside.ipv4}/32"]}
    there = {"nets": [f"{net.server.ipv4}/32"]}
    with node_port(lab):
        lab.apply(both(lab), pre_dnat("no", [{"action": "Deny", "destination": here}]))
        expect({to_server(lab, "tcp", 4): SILENT, net.through("tcp", BEHIND): ANSWERED})
        lab.apply(both(lab), pre_dnat("no", [{"action": "Deny", "destination": there}]))
        expect({to_server(lab, "tcp", 4): ANSWERED, net.through("tcp", BEHIND): SILENT})
