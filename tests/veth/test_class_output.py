"""What the host itself sends, and where a DNAT rule of its own leads it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.lab.flows import ANSWERED, FORBIDDEN, SILENT, conversation, expect
from tests.lab.gateway import address, flow
from tests.veth.classes import GovernedGateway, echo_requests, endpoint, policy, to_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.flows import Flow, Transport

FAMILIES = (4, 6)
DIALLED = 30080
BEHIND = 8080


def both(lab: GovernedGateway) -> str:
    return endpoint(lab.net.outside, "outside") + endpoint(lab.net.inside, "inside")


@pytest.mark.parametrize("family", FAMILIES)
def test_connections_of_the_host(either_lab: GovernedGateway, family: int) -> None:
    lab, net = either_lab, either_lab.net
    out = [*to_ports("Deny", 8081), *to_ports("Allow", 8080, 8081), *echo_requests("Allow")]
    lab.apply(both(lab), policy("out", selector="side == 'inside'", egress=out))
    expect(
        {
            net.outward("tcp", 8080, family): ANSWERED,
            net.outward("udp", 8080, family): ANSWERED,
            net.outward("icmp", 0, family): ANSWERED,
            net.outward("tcp", 8081, family): SILENT,
            net.outward("udp", 8081, family): FORBIDDEN,
            flow("udp", (net.outside, net.client), 8080, family): FORBIDDEN,
            net.through("tcp", 8081, family): ANSWERED,
        }
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_egress_by_destination(lab: GovernedGateway, family: int) -> None:
    net = lab.net
    one = {"action": "Allow", "destination": {"nets": [f"{address(net.server, family)}/{32 if family == 4 else 128}"]}}
    lab.apply(both(lab), policy("out", egress=[one]))
    expect(
        {
            net.outward("udp", 9000, family): ANSWERED,
            flow("udp", (net.outside, net.client), 9000, family): FORBIDDEN,
        }
    )


@contextmanager
def translated(lab: GovernedGateway) -> Iterator[None]:
    """What the host sends to port DIALLED of the client goes to port BEHIND of the server, by the other interface."""
    with ExitStack() as stack:
        for family in FAMILIES:
            to = lab.net.server.ipv4 if family == 4 else f"[{lab.net.server.ipv6}]"
            for protocol in ("tcp", "udp"):
                words = ["-p", protocol, "--dport", str(DIALLED), "-j", "DNAT", "--to-destination", f"{to}:{BEHIND}"]
                stack.enter_context(lab.rule("nat", "OUTPUT", *words, family=family))
        yield


def translated_flow(lab: GovernedGateway, transport: Transport, family: int) -> Flow:
    """The host dials the client, and the server answers; the host sends from the address that the server can reach."""
    behind = lab.net.outward(transport, BEHIND, family)
    return replace(behind, dialled=(address(lab.net.client, family), DIALLED))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_translated_connection_is_judged_where_it_leaves(either_lab: GovernedGateway, family: int) -> None:
    """By the endpoint of the interface, and by the address and port, that it has after DNAT."""
    lab = either_lab
    flows = [translated_flow(lab, transport, family) for transport in ("tcp", "udp")]
    with translated(lab):
        lab.apply(both(lab), policy("out", selector="side == 'inside'", egress=to_ports("Allow", BEHIND)))
        expect(dict.fromkeys(flows, ANSWERED))
        lab.apply(both(lab), policy("out", selector="side == 'outside'", egress=to_ports("Allow", BEHIND, DIALLED)))
        expect(dict.fromkeys(flows, SILENT))
        lab.apply(both(lab), policy("out", selector="side == 'inside'", egress=to_ports("Allow", DIALLED)))
        expect(dict.fromkeys(flows, SILENT))


def test_a_translated_connection_outlives_its_policy(either_lab: GovernedGateway) -> None:
    lab = either_lab
    lab.apply(both(lab), policy("out", selector="side == 'inside'", egress=to_ports("Allow", BEHIND)))
    with translated(lab), conversation(translated_flow(lab, "tcp", 4)) as tcp:
        lab.change(both(lab))
        assert tcp.goes_on()


def test_loopback_is_not_governed(lab: GovernedGateway) -> None:
    net = lab.net
    lab.apply(both(lab))
    expect(
        {
            flow("tcp", (net.outside, net.outside), 8080): ANSWERED,
            flow("udp", (net.inside, net.outside), 1, 6): ANSWERED,
        }
    )
