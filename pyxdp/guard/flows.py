"""What must live."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from pyxdp.evaluator import Direction
from pyxdp.guard import node, sessions
from pyxdp.guard.sessions import Session
from pyxdp.net import Packet
from pyxdp.netlink.connections import answering_tcp, way_to
from pyxdp.netlink.sockets import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.model import FailsafePort
    from pyxdp.net import Address
    from pyxdp.resolver import EffectiveEndpoint, EffectivePolicy

#: Sessions with one API server that are asked who answers them.
_MOST_ANSWERS: Final = 8
#: Interfaces on which failsafe ports are tried: they are the same on all.
_MOST_INTERFACES: Final = 8
_SOME_PORT: Final = 40_000
#: Of networks for documentation (RFC 5737, RFC 3849): somebody, and an interface without an address.
_SOMEBODY: Final = {4: ip_address("198.51.100.1"), 6: ip_address("2001:db8::1")}
_THIS_HOST: Final = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::2")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Packets from one end to the other, and back.

    Attributes:
        what: it is, for people.
        interface: that it takes.
        packet: towards one end; for a session the one that comes in, otherwise the first.
        direction: of that packet.
        session: of an established session; ``None`` for one that is to be possible.
        by_port: the interface is a port of a bridge or bond: only XDP sees the packet under its name, and no answer.
    """

    what: str
    interface: str
    packet: Packet
    direction: Direction
    session: Session | None = None
    by_port: bool = False

    @property
    def answer(self) -> Packet:
        """A packet the other way."""
        packet = self.packet
        return replace(
            packet,
            source=packet.destination,
            destination=packet.source,
            source_port=packet.destination_port,
            destination_port=packet.source_port,
        )

    @property
    def back(self) -> Direction:
        """The direction of the answer."""
        return Direction.EGRESS if self.direction is Direction.INGRESS else Direction.INGRESS


def of_failsafes(policy: EffectivePolicy) -> Iterator[Flow]:
    """Yield a flow for each failsafe port that the configuration has."""
    lists = ((Direction.INGRESS, policy.failsafe_inbound), (Direction.EGRESS, policy.failsafe_outbound))
    for endpoint in _interfaces(policy)[:_MOST_INTERFACES]:
        for direction, ports in lists:
            yield from (_of_failsafe(port, endpoint, direction) for port in ports)


def _of_failsafe(port: FailsafePort, endpoint: EffectiveEndpoint, direction: Direction) -> Flow:
    other = port.net.network_address if port.net else _SOMEBODY[4]
    mine = (it for it in endpoint.interface.addresses if it.version == other.version)
    here = next(mine, _THIS_HOST[other.version])
    source, destination = (other, here) if direction is Direction.INGRESS else (here, other)
    return Flow(
        what=f"failsafe port {port.protocol} {port.port}",
        interface=endpoint.interface.name,
        packet=_first(port.protocol.number, source, destination, port.port),
        direction=direction,
    )


def api_servers() -> frozenset[tuple[Address, int]]:
    """Return address and port of the API servers, as packets on the wire have them.

    What a pod is told is the address of a service, which kube-proxy rewrites before policy of this host sees it.
    """
    named = node.api_servers()
    known: dict[tuple[Address, int], list[Session]] = {}
    packed = {(address.packed, port): (address, port) for address, port in named}
    for socket in connected(sessions.TCP) if named else ():
        server = packed.get((socket.remote, socket.remote_port))
        if server:
            known.setdefault(server, []).append(Session.of(socket))
    answers = {
        server: {it for it in answering_tcp(known.get(server, [])[:_MOST_ANSWERS]) if it is not None}
        for server in named
    }
    return frozenset(end for server, ends in answers.items() for end in ends or {server})


def of_node(policy: EffectivePolicy) -> Iterator[Flow]:
    """Yield the node's way to its API servers, and theirs to the kubelet if it listens."""
    servers = api_servers()
    if not servers:
        return
    names = {it.interface.index: it.interface.name for it in _interfaces(policy)}
    kubelet = node.KUBELET_PORT in sessions.listening()
    for address, port in sorted(servers, key=str):
        way = way_to(address)
        interface = names.get(way.ifindex) if way else None
        if way is None or way.source is None or interface is None:
            continue
        yield Flow(
            what=f"the way to the API server {address} port {port}",
            interface=interface,
            packet=_first(sessions.TCP, way.source, address, port),
            direction=Direction.EGRESS,
        )
        if kubelet:
            yield Flow(
                what=f"the way of the API server {address} to the kubelet",
                interface=interface,
                packet=_first(sessions.TCP, address, way.source, node.KUBELET_PORT),
                direction=Direction.INGRESS,
            )


def _interfaces(policy: EffectivePolicy) -> list[EffectiveEndpoint]:
    return [endpoint for endpoint in policy.endpoints if not endpoint.workloads]


def _first(protocol: int, source: Address, destination: Address, port: int) -> Packet:
    return Packet(
        protocol=protocol,
        source=source,
        source_port=_SOME_PORT,
        destination=destination,
        destination_port=port,
    )
