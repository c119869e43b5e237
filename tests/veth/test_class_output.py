"""What the host itself sends, and where a DNAT rule of its own leads it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.lab.flows import ANSWERED, FORBIDDEN, SILENT, conversation, expect
from tests.lab.gateway import address, flow
from tests.veth.classes import (
    FAMILIES,
    GovernedGateway,
    both,
    echo_requests,
    policy,
    to_ports,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.lab.flows import Flow, Transport

DIALLED = 30080
BEHIND = 8080


def test_connections_of_the_host(either_lab: GovernedGateway) -> None:
    lab, net = either_lab, either_lab.net
    out = [*to_ports("Deny", 8081), *to_ports("Allow", 8080, 8081), *echo_requests("Allow")]
    lab.apply(both(lab), policy("out", selector="side == 'inside'", egress=out))
    expect(
        *(
            {
                net.outward("tcp", 8080, family): ANSWERED,
                net.outward("udp", 8080, family): ANSWERED,
                net.outward("icmp", 0, family): ANSWERED,
                net.outward("tcp", 8081, family): SILENT,
                net.outward("udp", 8081, family): FORBIDDEN,
                flow("udp", (net.outside, net.client), 8080, family): FORBIDDEN,
                net.through("tcp", 8081, family): ANSWERED,
            }
            for family in FAMILIES
        )
    )


def test_egress_by_destination(lab: GovernedGateway) -> None:
    net = lab.net
    rules = [
        {"action": "Allow", "destination": {"nets": [it]}} for it in (f"{net.server.ipv4}/32", f"{net.server.ipv6}/128")
    ]
    lab.apply(both(lab), policy("out", egress=rules))
    expect(
        *(
            {
                net.outward("udp", 9000, family): ANSWERED,
                flow("udp", (net.outside, net.client), 9000, family): FORBIDDEN,
            }
            for family in FAMILIES
        )
    )


def translated(lab: GovernedGateway) -> AbstractContextManager[None]:
    """What the host sends to port DIALLED goes to port BEHIND of the server."""
    return lab.dnat("OUTPUT", DIALLED, lab.net.server, BEHIND)


def translated_flow(lab: GovernedGateway, transport: Transport, family: int) -> Flow:
    """The host dials the client, on the other cable, and the server answers."""
    return replace(lab.net.outward(transport, BEHIND, family), dialled=(address(lab.net.client, family), DIALLED))


def test_a_translated_connection_is_judged_where_it_leaves(either_lab: GovernedGateway) -> None:
    """By the endpoint of the interface, and by the address and port, that it has after DNAT."""
    lab = either_lab
    flows = {
        translated_flow(lab, transport, family): denied
        for transport, denied in (("tcp", SILENT), ("udp", FORBIDDEN))
        for family in FAMILIES
    }
    with translated(lab):
        lab.apply(both(lab), policy("out", selector="side == 'inside'", egress=to_ports("Allow", BEHIND)))
        expect(dict.fromkeys(flows, ANSWERED))
        lab.apply(both(lab), policy("out", selector="side == 'outside'", egress=to_ports("Allow", BEHIND, DIALLED)))
        expect(flows)
        lab.apply(both(lab), policy("out", selector="side == 'inside'", egress=to_ports("Allow", DIALLED)))
        expect(flows)


def test_a_translated_connection_outlives_its_policy(either_lab: GovernedGateway) -> None:
    lab = either_lab
    lab.apply(both(lab), policy("out", selector="side == 'inside'", egress=to_ports("Allow", BEHIND)))
    with translated(lab), conversation(translated_flow(lab, "tcp", 4)) as tcp:
        lab.change(both(lab))
        assert tcp.goes_on()


def test_loopback_is_not_governed(lab: GovernedGateway) -> None:
    net = lab.net
    lab.apply(both(lab))
    here, there = (net.outside, net.outside), (net.inside, net.outside)
    expect({flow("tcp", here, 8080): ANSWERED, flow("udp", there, 8080, 6): ANSWERED})
