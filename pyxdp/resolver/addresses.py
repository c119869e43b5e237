"""Who has which addresses: selectors to address sets, cluster-wide (spec sections 7.2 to 7.5).

Network sets may be large and selectors many. What is sorted is sorted once for each resource, merged once for each
combination of resources, and shared by all rules that select it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyxdp.net.addresses import host_network
from pyxdp.net.prefixes import Prefixes
from pyxdp.resolver.effective import AddressSet, PortMember
from pyxdp.resolver.labels import endpoint_labels, network_set_labels
from pyxdp.selector import And, Equals, In

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyxdp.model import HostEndpoint, Resources
    from pyxdp.net import Network
    from pyxdp.resolver.effective import Peer
    from pyxdp.selector import Node, Selector


@dataclass(frozen=True, slots=True)
class _Peer:
    """A host endpoint or a network set, as selectors see it."""

    labels: Mapping[str, str]
    networks: Prefixes
    resource: Peer
    endpoint: HostEndpoint | None = None


class Peers:
    """Every host endpoint of every node and every network set."""

    def __init__(self, resources: Resources) -> None:
        profiles = {profile.metadata.name: profile for profile in resources.profiles}
        namespaces = {namespace.metadata.name: namespace for namespace in resources.namespaces}
        self._peers = [
            *(
                _Peer(endpoint_labels(endpoint, profiles), _addresses(endpoint), endpoint, endpoint)
                for endpoint in resources.hostEndpoints
            ),
            *(_Peer(one.metadata.labels, one.nets, one) for one in resources.globalNetworkSets),
            *(_Peer(network_set_labels(one, namespaces, profiles), one.nets, one) for one in resources.networkSets),
        ]
        self._by_label: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, peer in enumerate(self._peers):
            for label in peer.labels.items():
                self._by_label[label].append(number)
        self._merged: dict[tuple[int, ...], Prefixes] = {}
        self._address_sets: dict[str, AddressSet] = {}
        self._written: dict[tuple[Network, ...], AddressSet] = {}

    def selected(self, selector: Selector) -> AddressSet:
        """Return the addresses of everything that the selector selects; the same object for an equal selector."""
        found = self._address_sets.get(selector.canonical)
        if found is None:
            numbers = tuple(self._matching(selector))
            peers = tuple(self._peers[number].resource for number in numbers)
            found = self._address_sets[selector.canonical] = AddressSet(selector.id, self._merge(numbers), peers)
        return found

    def written(self, networks: tuple[Network, ...]) -> AddressSet:
        """Return the set of prefixes that a rule spells out."""
        found = self._written.get(networks)
        if found is None:
            distinct = Prefixes.of(networks)
            found = AddressSet("nets:" + ",".join(map(str, distinct)), distinct)
            self._written[networks] = found
        return found

    def named_ports(self, name: str, protocol: int | None, selector: Selector | None) -> Iterator[PortMember]:
        """Yield what a named port stands for on the endpoints that the selector selects; on all without a selector."""
        numbers = range(len(self._peers)) if selector is None else self._matching(selector)
        for number in numbers:
            endpoint = self._peers[number].endpoint
            for port in endpoint.ports if endpoint else ():
                if endpoint and port.name == name and protocol in {None, port.protocol.number}:
                    for address in endpoint.expectedIPs:
                        yield PortMember(address, port.protocol.number, port.port)

    def without_addresses(self, selector: Selector) -> list[str]:
        """Return the names of selected host endpoints that have no expectedIPs, sorted."""
        selected = (self._peers[number].endpoint for number in self._matching(selector))
        return sorted(endpoint.metadata.name for endpoint in selected if endpoint and not endpoint.expectedIPs)

    def _matching(self, selector: Selector) -> Iterator[int]:
        for number in self._candidates(selector.root):
            if selector.matches(self._peers[number].labels):
                yield number

    def _candidates(self, root: Node) -> Sequence[int]:
        """Return the peers that have a label value that the selector requires, or all of them."""
        best: Sequence[int] = range(len(self._peers))
        for key, values in _required(root):
            having = [number for value in values for number in self._by_label.get((key, value), ())]
            best = min(best, having, key=len)
        return sorted(best)

    def _merge(self, numbers: tuple[int, ...]) -> Prefixes:
        merged = self._merged.get(numbers)
        if merged is None:
            merged = self._merged[numbers] = Prefixes.union([self._peers[number].networks for number in numbers])
        return merged


def _addresses(endpoint: HostEndpoint) -> Prefixes:
    return Prefixes.of(map(host_network, endpoint.expectedIPs))


def _required(root: Node) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield labels of which one of the values must be there, as far as the top of the selector tells."""
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, And):
            stack += node.operands
        elif isinstance(node, Equals):
            yield node.key, frozenset((node.value,))
        elif isinstance(node, In):
            yield node.key, node.values
