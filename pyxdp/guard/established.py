"""Sessions that must live, on the interfaces whose policy they pass."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pyxdp.evaluator import Direction
from pyxdp.guard.flows import Flow
from pyxdp.guard.sessions import TCP, UDP, Session
from pyxdp.net import Packet
from pyxdp.netlink.connections import udp_streams, way_to
from pyxdp.netlink.sockets import Socket, connected

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from pyxdp.resolver import EffectiveEndpoint

#: Sessions that are judged; of more, as many of each service as there is room for.
MOST_SESSIONS: Final = 1000
#: Ends for which the kernel is asked for the way, since the session's own address does not tell the interface.
_MOST_WAYS: Final = 64
_LOOPBACK: Final = "lo"
_LOOPBACK_IPV4: Final = 127
_LOOPBACK_IPV6: Final = ip_address("::1").packed
_LINK_LOCAL: Final = b"\xfe\x80"

Item = TypeVar("Item")


class _Talk(NamedTuple):
    """A socket, and the policy that its packets pass."""

    socket: Socket
    protocol: int
    interface: str
    by_port: bool


@dataclass(frozen=True, slots=True)
class Established:
    """What was found.

    Attributes:
        flows: that can be judged in the time that there is, some of every service.
        count: how many there are.
    """

    flows: list[Flow]
    count: int


def of_sessions(endpoints: Sequence[EffectiveEndpoint]) -> Established:
    """Return the sessions of this network namespace that pass governed interfaces."""
    places = _Places(endpoints)
    found = list(places.talks())
    judged = sampled(found, _service)
    return Established([_flow(talk) for talk in judged], len(found))


class _Places:
    """Where packets pass policy. Addresses are bytes here: there may be a hundred thousand sessions."""

    def __init__(self, endpoints: Sequence[EffectiveEndpoint]) -> None:
        self._own = {address.packed: it.interface.index for it in endpoints for address in it.interface.addresses}
        # What has an address of the loopback takes another way all the same.
        loopback = {it.interface.index for it in endpoints if it.interface.name == _LOOPBACK}
        self._of_address = {address: index for address, index in self._own.items() if index not in loopback}
        self._ways: dict[tuple[bytes, bytes], int] = {}
        self._names: dict[int, list[tuple[str, bool]]] = defaultdict(list)
        for it in endpoints:
            self._names[it.interface.index].append((it.interface.name, False))
            if it.interface.master:
                self._names[it.interface.master].append((it.interface.name, True))

    def talks(self) -> Iterator[_Talk]:
        """Yield every session, once for each interface whose policy it passes."""
        if not self._names:
            return
        known = set()
        for protocol in (TCP, UDP):
            for socket in connected(protocol):
                yield from self._of(socket, protocol)
                if protocol == UDP:
                    known.add(socket[:4])
        for stream in udp_streams():
            socket = stream if stream.local in self._of_address else stream.turned
            if socket.local in self._of_address and socket[:4] not in known:
                yield from self._of(socket, UDP)

    def _of(self, socket: Socket, protocol: int) -> Iterator[_Talk]:
        remote = socket.remote
        if remote in self._own or remote == _LOOPBACK_IPV6 or (len(remote) == 4 and remote[0] == _LOOPBACK_IPV4):  # noqa: PLR2004 - bytes
            return
        index = self._of_address.get(socket.local)
        if index is None or (socket.ifindex and socket.local.startswith(_LINK_LOCAL)):
            index = socket.ifindex or self._by_its_way(socket)
        for name, by_port in self._names.get(index, ()):
            yield _Talk(socket, protocol, name, by_port)

    def _by_its_way(self, socket: Socket) -> int:
        """Return the interface that leads to the other end; 0 if there is none, or too many were asked for."""
        key = (socket.local, socket.remote)
        if key not in self._ways and len(self._ways) < _MOST_WAYS:
            way = way_to(ip_address(socket.remote), ip_address(socket.local))
            self._ways[key] = way.ifindex if way else 0
        return self._ways.get(key, 0)


def sampled(found: Sequence[Item], service: Callable[[Item], Hashable]) -> list[Item]:
    """Return as many as can be judged in the time that there is, some of every service."""
    if len(found) <= MOST_SESSIONS:
        return list(found)
    services: dict[Hashable, list[Item]] = defaultdict(list)
    for it in found:
        kind = services[service(it)]
        if len(kind) < MOST_SESSIONS:
            kind.append(it)
    in_turn: Iterable[Item | None] = chain.from_iterable(zip_longest(*services.values()))
    return [it for it in in_turn if it is not None][:MOST_SESSIONS]


def _service(talk: _Talk) -> Hashable:
    return talk.interface, talk.protocol, min(talk.socket.local_port, talk.socket.remote_port)


def _flow(talk: _Talk) -> Flow:
    session = Session.of(talk.socket, talk.protocol)
    packet = Packet(
        protocol=session.protocol,
        source=session.remote,
        source_port=session.remote_port,
        destination=session.local,
        destination_port=session.local_port,
    )
    return Flow(
        what=f"the established session of {session}",
        interface=talk.interface,
        packet=packet,
        direction=Direction.INGRESS,
        session=session,
        by_port=talk.by_port,
    )
