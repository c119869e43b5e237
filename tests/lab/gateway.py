"""A host between a client and a server: three namespaces on two cables, and the host forwards."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.lab.flows import Flow
from tests.lab.network import connect, namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.flows import Transport
    from tests.lab.network import Interface, Namespace


@dataclass(frozen=True)
class Gateway:
    """The three machines::

        client --- outside  host  inside --- server

    Attributes:
        client: its interface; the default route leads to the host.
        outside: the host's interface towards the client.
        inside: the host's interface towards the server.
        server: its interface; the default route leads to the host.
    """

    client: Interface
    outside: Interface
    inside: Interface
    server: Interface

    @property
    def host(self) -> Namespace:
        return self.outside.namespace

    def inward(self, transport: Transport, port: int = 0, family: int = 4, *, served: int | None = None) -> Flow:
        """From the client to the host; ``served`` where a rule redirects to another port, 0 where nobody listens."""
        end = None if served is None else (self.outside, served)
        return flow(transport, (self.client, self.outside), port, family, end)

    def outward(self, transport: Transport, port: int = 0, family: int = 4) -> Flow:
        """From the host to the server."""
        return flow(transport, (self.inside, self.server), port, family)

    def through(self, transport: Transport, port: int = 0, family: int = 4) -> Flow:
        """From the client to the server, forwarded by the host."""
        return flow(transport, (self.client, self.server), port, family)

    def back(self, transport: Transport, port: int = 0, family: int = 4) -> Flow:
        """From the server to the client, forwarded by the host."""
        return flow(transport, (self.server, self.client), port, family)


def flow(
    transport: Transport,
    ends: tuple[Interface, Interface],
    port: int,
    family: int = 4,
    served: tuple[Interface, int] | None = None,
) -> Flow:
    """From one interface's address to another's; ``served`` where a DNAT rule leads elsewhere."""
    source, target = ends
    end, number = served or (target, port)
    return Flow(
        transport,
        source.namespace,
        end.namespace,
        (address(source, family), 0),
        (address(target, family), port),
        (address(end, family), number),
    )


def address(end: Interface, family: int) -> str:
    """An interface's address of a family."""
    return end.ipv4 if family == 4 else end.ipv6


@contextmanager
def gateway() -> Iterator[Gateway]:
    """Make the three machines and remove them; neighbours are static, nothing is under policy yet."""
    with namespace() as client, namespace() as host, namespace() as server:
        host.sysctl("net/ipv4/ip_forward", 1)
        host.sysctl("net/ipv6/conf/all/forwarding", 1)
        made = Gateway(*connect(client, host, 1), *connect(host, server, 2))
        for end, router in ((made.client, made.outside), (made.server, made.inside)):
            with end.namespace.links() as ip:
                for hop in (router.ipv4, router.ipv6):
                    ip.route("add", dst="default", gateway=hop, oif=end.ifindex)
        yield made


@contextmanager
def vlan(left: Interface, right: Interface) -> Iterator[tuple[Interface, Interface]]:
    """VLAN 100 on a cable, with addresses like those of :func:`tests.lab.network.connect`: the sub-interfaces."""
    ends = (1, left), (2, right)
    try:
        for number, end in ends:
            run = end.namespace.run
            run("ip", "link", "add", "link", end.name, "name", "tag", "type", "vlan", "id", "100")
            run("ip", "address", "add", f"10.77.100.{number}/24", "dev", "tag")
            run("ip", "address", "add", f"fd77:100::{number}/64", "dev", "tag")
            run("ip", "link", "set", "tag", "up")
        near, far = (
            replace(end, name="tag", ipv4=f"10.77.100.{number}", ipv6=f"fd77:100::{number}") for number, end in ends
        )
        yield near, far
    finally:
        for _, end in ends:
            end.namespace.run("ip", "link", "del", "tag", check=False)
