"""What must live."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final

from pyxdp.evaluator import Direction
from pyxdp.guard import node, sessions
from pyxdp.net import Packet
from pyxdp.netlink.connections import answering_tcp, way_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyxdp.guard.sessions import Session
    from pyxdp.model import FailsafePort
    from pyxdp.net import Address
    from pyxdp.resolver import EffectiveEndpoint, EffectivePolicy

#: Sessions that are judged; of more, as many of each service as there is room for.
MOST_SESSIONS: Final = 1000
#: Addresses for which the kernel is asked for the way, since the session's own address does not tell the interface.
_MOST_WAYS: Final = 64
#: Sessions with one API server that are asked who answers them.
_MOST_ANSWERS: Final = 8
#: Interfaces on which failsafe ports are tried: they are the same on all.
_MOST_INTERFACES: Final = 8
_TCP: Final = 6
_LOOPBACK: Final = "lo"
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
    """

    what: str
    interface: str
    packet: Packet
    direction: Direction
    session: Session | None = None

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


def of_sessions(endpoints: Sequence[EffectiveEndpoint]) -> list[Flow]:
    """Return the sessions of this network namespace on governed interfaces."""
    names = {address: it.interface.name for it in endpoints for address in it.interface.addresses}
    # What has an address of the loopback takes another way all the same.
    interfaces = {address: name for address, name in names.items() if name != _LOOPBACK}
    elsewhere = []
    found = []
    for session in sessions.established():
        interface = interfaces.get(session.local)
        if interface is None:
            elsewhere.append(session)
        elif session.remote not in names:
            found.append(_of_session(session, interface))
    return [*found, *_by_their_way(elsewhere, endpoints)]


def _by_their_way(found: Iterable[Session], endpoints: Iterable[EffectiveEndpoint]) -> Iterator[Flow]:
    """Yield those sessions that take a governed interface, although their own address is on another one."""
    names = {it.interface.index: it.interface.name for it in endpoints}
    ways: dict[Address, str | None] = {}
    for session in found:
        if session.remote not in ways and len(ways) < _MOST_WAYS:
            way = way_to(session.remote)
            ways[session.remote] = names.get(way.ifindex) if way else None
        interface = ways.get(session.remote)
        if interface:
            yield _of_session(session, interface)


def _of_session(session: Session, interface: str) -> Flow:
    packet = Packet(
        protocol=_TCP,
        source=session.remote,
        source_port=session.remote_port,
        destination=session.local,
        destination_port=session.local_port,
    )
    what = f"the established session of {session}"
    return Flow(what=what, interface=interface, packet=packet, direction=Direction.INGRESS, session=session)


def sampled(flows: Sequence[Flow]) -> list[Flow]:
    """Return as many sessions as can be judged in the time that there is, some of every service."""
    if len(flows) <= MOST_SESSIONS:
        return list(flows)
    services: dict[tuple[str, int], list[Flow]] = {}
    for flow in flows:
        ports = flow.packet.source_port or 0, flow.packet.destination_port or 0
        services.setdefault((flow.interface, min(ports)), []).append(flow)
    in_turn = chain.from_iterable(zip_longest(*services.values()))
    return [flow for flow in in_turn if flow is not None][:MOST_SESSIONS]


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
    for session in sessions.established() if named else ():
        if (session.remote, session.remote_port) in named:
            known.setdefault((session.remote, session.remote_port), []).append(session)
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
            packet=_first(_TCP, way.source, address, port),
            direction=Direction.EGRESS,
        )
        if kubelet:
            yield Flow(
                what=f"the way of the API server {address} to the kubelet",
                interface=interface,
                packet=_first(_TCP, address, way.source, node.KUBELET_PORT),
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
