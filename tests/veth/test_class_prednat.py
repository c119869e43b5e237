"""The pre-DNAT class: it judges what a packet asked for, before a DNAT rule of the host changes it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.lab.flows import ANSWERED, SILENT, conversation, expect
from tests.veth.classes import (
    DENY,
    FAMILIES,
    GovernedGateway,
    both,
    forward,
    policy,
    pre_dnat,
    to_ports,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.lab.flows import Flow, Transport

#: What clients dial, and where it leads.
NODE_PORT = 30080
BEHIND = 8080


def redirected(lab: GovernedGateway) -> AbstractContextManager[None]:
    """NODE_PORT of the host leads to its own port BEHIND."""
    return lab.dnat("PREROUTING", NODE_PORT, lab.net.outside, BEHIND)


def node_port(lab: GovernedGateway) -> AbstractContextManager[None]:
    """NODE_PORT of the host leads to port BEHIND of the server, as that of a cluster does."""
    return lab.dnat("PREROUTING", NODE_PORT, lab.net.server, BEHIND)


def to_server(lab: GovernedGateway, transport: Transport, family: int) -> Flow:
    """The client dials the host, and the server answers."""
    behind = lab.net.through(transport, BEHIND, family)
    return replace(behind, dialled=lab.net.inward(transport, NODE_PORT, family).dialled)


def test_a_redirected_port_is_denied_by_its_original_number(either_lab: GovernedGateway) -> None:
    lab, net = either_lab, either_lab.net
    web = policy("web", ingress=to_ports("Allow", BEHIND))
    with redirected(lab):
        lab.apply(both(lab), web, pre_dnat("no", to_ports("Deny", NODE_PORT)))
        expect(
            *(
                {
                    net.inward("tcp", NODE_PORT, family, served=BEHIND): SILENT,
                    net.inward("udp", NODE_PORT, family, served=BEHIND): SILENT,
                    net.inward("tcp", BEHIND, family): ANSWERED,
                }
                for family in FAMILIES
            )
        )
        lab.apply(both(lab), web)  # the normal class sees the port after DNAT
        expect({net.inward("tcp", NODE_PORT, family, served=BEHIND): ANSWERED for family in FAMILIES})
        lab.apply(both(lab), policy("web", ingress=to_ports("Allow", NODE_PORT)))
        expect({net.inward("tcp", NODE_PORT, family, served=BEHIND): SILENT for family in FAMILIES})


def test_pre_dnat_allow_is_final(either_lab: GovernedGateway) -> None:
    """It skips the normal class, whose default and whose Deny would drop."""
    lab, net = either_lab, either_lab.net
    lab.apply(both(lab), policy("none", ingress=[DENY]), pre_dnat("yes", to_ports("Allow", NODE_PORT)))
    with redirected(lab), lab.chain_policy("INPUT", "DROP"):
        expect(
            *(
                {
                    net.inward("tcp", NODE_PORT, family, served=BEHIND): ANSWERED,
                    net.inward("udp", NODE_PORT, family, served=BEHIND): ANSWERED,
                    net.inward("tcp", BEHIND, family): SILENT,
                }
                for family in FAMILIES
            )
        )


def test_a_node_port_is_denied_although_forwarding_is_free(either_lab: GovernedGateway) -> None:
    lab, net = either_lab, either_lab.net
    flows = [to_server(lab, transport, family) for transport in ("tcp", "udp") for family in FAMILIES]
    with node_port(lab):
        lab.apply(both(lab))
        expect(dict.fromkeys(flows, ANSWERED))
        lab.apply(both(lab), pre_dnat("no", to_ports("Deny", NODE_PORT), selector="side == 'outside'"))
        others = {net.through("tcp", BEHIND, family): ANSWERED for family in FAMILIES}
        expect(dict.fromkeys(flows, SILENT) | others)


def test_a_node_port_that_is_allowed_skips_forward_ingress_only(either_lab: GovernedGateway) -> None:
    lab, net = either_lab, either_lab.net
    flows = [to_server(lab, transport, family) for transport in ("tcp", "udp") for family in FAMILIES]
    allow = pre_dnat("yes", to_ports("Allow", NODE_PORT), selector="side == 'outside'")
    closed = forward("closed", selector="side == 'outside'", ingress=[DENY])
    with node_port(lab), lab.chain_policy("FORWARD", "DROP"):
        lab.apply(both(lab), allow, closed)
        others = {net.through("tcp", BEHIND, family): SILENT for family in FAMILIES}
        expect(dict.fromkeys(flows, ANSWERED) | others)
        lab.apply(both(lab), allow, closed, forward("shut", selector="side == 'inside'", egress=[DENY]))
        expect(dict.fromkeys(flows, SILENT))


def test_a_failsafe_port_passes_the_class_but_not_the_next(lab: GovernedGateway) -> None:
    """Forwarded, it has no failsafe any more."""
    net = lab.net
    deny = pre_dnat("no", [DENY])
    lab.apply(both(lab), deny)
    expect({net.inward("tcp", 22): ANSWERED, net.inward("tcp", 23): SILENT, net.through("tcp", 22): ANSWERED})
    lab.apply(both(lab), deny, forward("closed", selector="side == 'outside'", ingress=to_ports("Allow", BEHIND)))
    expect({net.inward("tcp", 22): ANSWERED, net.through("tcp", 22): SILENT, net.through("tcp", BEHIND): SILENT})


def test_translated_flows_outlive_the_policy_that_let_them_in(either_lab: GovernedGateway) -> None:
    lab = either_lab
    lab.apply(both(lab), pre_dnat("yes", to_ports("Allow", NODE_PORT)))
    with node_port(lab), ExitStack() as stack:
        conversations = [stack.enter_context(conversation(to_server(lab, "tcp", family))) for family in FAMILIES]
        lab.change(both(lab), pre_dnat("no", [DENY]), forward("shut", ingress=[DENY], egress=[DENY]))
        assert [it.goes_on() for it in conversations] == [True, True]
        expect({to_server(lab, "udp", family): SILENT for family in FAMILIES})


def test_the_original_address_counts_too(lab: GovernedGateway) -> None:
    net = lab.net
    here, there = (
        [{"action": "Deny", "destination": {"nets": [f"{end.ipv4}/32"]}}] for end in (net.outside, net.server)
    )
    with node_port(lab):
        lab.apply(both(lab), pre_dnat("no", here))
        expect({to_server(lab, "tcp", 4): SILENT, net.through("tcp", BEHIND): ANSWERED})
        lab.apply(both(lab), pre_dnat("no", there))
        expect({to_server(lab, "tcp", 4): ANSWERED, net.through("tcp", BEHIND): SILENT})
