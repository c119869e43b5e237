"""Fragments that arrive at a host with sockets: a datagram in pieces gets what the whole would get.

In order, in reverse, with a piece lost, for both families, by the untracked class (which sees pieces) and by the normal
one (which sees what the kernel has put together).
"""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING, Literal

import pytest

from tests.lab import flows, packets
from tests.lab.flows import opened
from tests.lab.gateway import address
from tests.veth.classes import EVERYTHING, FAMILIES, endpoint, from_ports, policy, to_ports, untracked

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.flows import Flow
    from tests.veth.classes import GovernedGateway

Class = Literal["untracked", "normal"]

ALLOWED, DENIED = 6379, 6380
ORDERS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "in order": lambda pieces: pieces,
    "reversed": lambda pieces: pieces[::-1],
    "first one last": lambda pieces: [*pieces[1:], pieces[0]],
}


def ports(lab: GovernedGateway, kind: Class) -> str:
    """ALLOWED and ICMP echo are allowed, DENIED is denied by a rule, everything else too."""
    rules = [*to_ports("Allow", ALLOWED), *to_ports("Deny", DENIED)]
    echo = [
        {"action": "Allow", "protocol": name, "icmp": {"type": it}}
        for name, numbers in {"ICMP": (0, 8), "ICMPv6": (128, 129)}.items()
        for it in numbers
    ]
    if kind == "normal":
        return endpoint(lab.net.outside, "outside") + policy("ports", ingress=[*rules, *echo])
    answers = [*from_ports("Allow", ALLOWED), *echo]
    everything_else = endpoint(lab.net.outside, "outside", [EVERYTHING])
    return everything_else + untracked("ports", ingress=[*rules, *echo], egress=answers)


def no_echo(lab: GovernedGateway, kind: Class) -> str:
    """Echo requests are denied by a rule for their type, everything else is allowed."""
    rules = [
        {"action": "Deny", "protocol": name, "icmp": {"type": number}}
        for name, number in (("ICMP", 8), ("ICMPv6", 128))
    ]
    governed = endpoint(lab.net.outside, "outside", [EVERYTHING])
    if kind == "untracked":
        return governed + untracked("no-echo", ingress=rules)
    return governed + policy("no-echo", ingress=[*rules, {"action": "Allow"}])


def datagram(flow: Flow) -> list[bytes]:
    """A UDP datagram in pieces."""
    whole = packets.udp((flow.source[0], 40000), flow.dialled, secrets.token_bytes(200))
    return packets.fragments(flow.source[0], flow.dialled[0], packets.UDP, whole)


@pytest.mark.parametrize("kind", ["untracked", "normal"])
def test_a_datagram_in_pieces_is_judged_by_its_ports(lab: GovernedGateway, kind: Class) -> None:
    lab.apply(ports(lab, kind))
    for family in FAMILIES:
        for port in (ALLOWED, DENIED):
            flow = lab.net.inward("udp", port, family)
            for name, ordered in ORDERS.items():
                pieces = ordered(datagram(flow))
                assert len(pieces) == 4
                patience = flows.patience(expected=port == ALLOWED)
                assert lab.receives(flow.served, *pieces, patience=patience) == (port == ALLOWED), (family, port, name)


@pytest.mark.parametrize("kind", ["untracked", "normal"])
def test_pieces_without_the_first_are_of_no_use(lab: GovernedGateway, kind: Class) -> None:
    """They may pass XDP, which can not know their ports; no datagram comes of them, allowed or not."""
    lab.apply(ports(lab, kind))
    for family in FAMILIES:
        flow = lab.net.inward("udp", ALLOWED, family)
        pieces = datagram(flow)
        assert not lab.receives(flow.served, *pieces[1:], patience=flows.SILENCE)
        assert lab.receives(flow.served, *pieces[:1])  # with the others it is whole


@pytest.mark.parametrize("kind", ["untracked", "normal"])
def test_an_echo_in_pieces_is_judged_by_its_type(lab: GovernedGateway, kind: Class) -> None:
    for manifest, answered in ((ports(lab, kind), True), (no_echo(lab, kind), False)):
        lab.apply(manifest)
        for family in FAMILIES:
            source, target = (address(end, family) for end in (lab.net.client, lab.net.outside))
            protocol = packets.ICMP if family == 4 else packets.ICMPV6
            for name, ordered in ORDERS.items():
                payload = secrets.token_bytes(200)
                pieces = packets.fragments(source, target, protocol, packets.echo(source, target, payload))
                patience = flows.patience(expected=answered)
                assert _is_echoed(lab, source, ordered(pieces), payload, patience) == answered, (family, name)


def _is_echoed(lab: GovernedGateway, source: str, pieces: list[bytes], payload: bytes, patience: float) -> bool:
    family, protocol = (socket.AF_INET6, packets.ICMPV6) if ":" in source else (socket.AF_INET, packets.ICMP)
    with lab.net.client.namespace.entered():
        client = socket.socket(family, socket.SOCK_RAW, protocol)
    with client:
        client.bind((source, 0))
        client.settimeout(patience)
        packets.send(lab.net.client, lab.net.outside, *pieces)
        try:
            while not client.recv(4096).endswith(payload):
                pass
        except TimeoutError:
            return False
        return True


def test_a_large_datagram_of_a_real_socket(either_lab: GovernedGateway) -> None:
    """The client's kernel makes the pieces, of the size of the cable."""
    lab = either_lab
    lab.apply(ports(lab, "normal"))
    for family in FAMILIES:
        for port in (ALLOWED, DENIED):
            flow = lab.net.inward("udp", port, family)
            assert _receives_large(flow, expected=port == ALLOWED) == (port == ALLOWED), (family, port)


def _receives_large(flow: Flow, *, expected: bool) -> bool:
    payload = secrets.token_bytes(8000)
    with flow.client.entered():
        client = opened("udp", flow.source)
    with flow.server.entered():
        server = opened("udp", flow.served)
    with client, server:
        server.settimeout(flows.patience(expected=expected))
        client.sendto(payload, flow.dialled)
        try:
            return server.recv(16384) == payload
        except TimeoutError:
            return False
