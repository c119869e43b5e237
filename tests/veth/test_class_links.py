"""What a default-deny endpoint needs of the link: neighbours, and an address."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.lab.flows import ANSWERED, SILENT, expect
from tests.lab.gateway import flow
from tests.lab.waiting import wait_until
from tests.veth.classes import GovernedGateway, echo_requests, endpoint, policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.network import Interface


def neighbours(lab: GovernedGateway) -> list[tuple[Interface, str, str]]:
    """The static neighbours of the client and of the host on their cable."""
    ends = lab.net.client, lab.net.outside
    return [(end, it, other.mac) for end, other in (ends, ends[::-1]) for it in (other.ipv4, other.ipv6)]


@contextmanager
def cold_neighbour_tables(lab: GovernedGateway) -> Iterator[None]:
    """Nobody on the cable knows anybody's MAC."""
    for end, address, _ in neighbours(lab):
        end.namespace.run("ip", "neigh", "del", address, "dev", end.name)
    try:
        yield
    finally:
        for end, address, mac in neighbours(lab):
            end.namespace.run("ip", "neigh", "replace", address, "lladdr", mac, "nud", "permanent", "dev", end.name)


def test_neighbours_are_found_under_default_deny(either_lab: GovernedGateway) -> None:
    """ARP is not IP, and neighbour discovery comes before policy: nobody has to write a rule for either."""
    lab, net = either_lab, either_lab.net
    lab.apply(endpoint(net.outside, "outside"), policy("ping", ingress=echo_requests("Allow")))
    with cold_neighbour_tables(lab):
        expect(
            {
                net.inward("icmp", 0, 4): ANSWERED,
                net.inward("icmp", 0, 6): ANSWERED,
                net.inward("udp", 8080, 6): SILENT,
            }
        )


def test_the_host_finds_its_neighbours_under_default_deny(lab: GovernedGateway) -> None:
    net = lab.net
    lab.apply(endpoint(net.outside, "outside"))
    with cold_neighbour_tables(lab):
        expect({flow("udp", (net.outside, net.client), 53, family): ANSWERED for family in (4, 6)})


def test_dhcp_answers_reach_a_client_under_default_deny(either_lab: GovernedGateway) -> None:
    """UDP port 68 is a failsafe; the answer may come as a broadcast, from an address that nothing allows."""
    lab, net = either_lab, either_lab.net
    lab.apply(endpoint(net.outside, "outside"))
    with net.client.namespace.entered():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with net.host.entered():
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    with server, clients[0], clients[1]:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, net.client.name.encode())
        server.bind(("", 67))
        for client, port in zip(clients, (69, 68), strict=True):
            client.settimeout(0)
            client.bind(("", port))
            server.sendto(b"offer", ("255.255.255.255", port))
        wait_until(lambda: _received(clients[1]), what="the offer to port 68")
        assert not _received(clients[0])


def _received(client: socket.socket) -> bool:
    try:
        return client.recv(16) == b"offer"
    except BlockingIOError:
        return False
