"""Where a packet is asked about: an interface of this machine, or one that stands in for a host endpoint's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pyxdp.errors import UnknownEndpointError
from pyxdp.evaluator import Direction, Evaluator, Governance
from pyxdp.model.standin import WILDCARD, stand_ins
from pyxdp.net import Interface
from pyxdp.net.parse import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyxdp.model import HostEndpoint, Resources
    from pyxdp.net import Address, Packet


@dataclass(frozen=True, kw_only=True)
class Place:
    """An interface of a node, where any number of packets can be asked about.

    Attributes:
        resources: of the whole cluster.
        node: name of the host.
        interfaces: all of the host's.
        interface: name of the one in question.
    """

    resources: Resources
    node: str
    interfaces: tuple[Interface, ...]
    interface: str

    @cached_property
    def evaluator(self) -> Evaluator:
        """The node's policy, ready for packets."""
        return Evaluator(self.resources, node=self.node, interfaces=self.interfaces)

    @cached_property
    def governance(self) -> Governance | None:
        """The host endpoint that governs here; UnknownInterfaceError if ``interface`` is not among ``interfaces``."""
        return self.evaluator.governance(self.interface)

    @cached_property
    def addresses(self) -> frozenset[Address]:
        """All addresses that are known to be this host's."""
        own = {address for it in self.interfaces for address in it.addresses}
        return frozenset(own.union(self.governance.endpoint.expectedIPs if self.governance else ()))

    def direction_of(self, packet: Packet | Frame) -> Direction:
        """Tell a packet's direction by the host's addresses; ingress if they do not tell."""
        found = packet.packet if isinstance(packet, Frame) else packet
        leaves = found is not None and found.source in self.addresses and found.destination not in self.addresses
        return Direction.EGRESS if leaves else Direction.INGRESS


def place_of(resources: Resources, name: str, *, addresses: Sequence[Address] = ()) -> Place:
    """Return the place of a host endpoint as its resource describes it; no machine is looked at.

    An endpoint that names its interface is there, with its expected addresses. One with addresses only, and a ``*``
    endpoint, get an interface that no other endpoint of the node names.

    Args:
        resources: of the whole cluster.
        name: of the host endpoint.
        addresses: more addresses that the interface has.

    Raises:
        UnknownEndpointError: there is no such host endpoint.
    """
    endpoint = next((it for it in resources.hostEndpoints if it.metadata.name == name), None)
    if endpoint is None:
        raise UnknownEndpointError(name, known=[it.metadata.name for it in resources.hostEndpoints])
    places = (_on(resources, endpoint, interface, addresses) for interface in _interfaces(resources, endpoint))
    first = next(places)
    return next((it for it in (first, *places) if it.governance and it.governance.endpoint == endpoint), first)


def _on(resources: Resources, endpoint: HostEndpoint, interface: Interface, addresses: Sequence[Address]) -> Place:
    here = replace(interface, addresses=(*interface.addresses, *addresses))
    return Place(resources=resources, node=endpoint.node, interfaces=(here,), interface=here.name)


def _interfaces(resources: Resources, endpoint: HostEndpoint) -> Iterable[Interface]:
    """Return interfaces that the endpoint may govern; never none."""
    if endpoint.interfaceName in ("", WILDCARD):
        return stand_ins(endpoint, resources.hostEndpoints)
    # It has all the addresses that endpoints which name it expect.
    same = [
        it for it in resources.hostEndpoints if (it.node, it.interfaceName) == (endpoint.node, endpoint.interfaceName)
    ]
    return [Interface(endpoint.interfaceName, 1, tuple(dict.fromkeys(ip for it in same for ip in it.expectedIPs)))]
