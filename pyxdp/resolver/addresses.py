"""Who has which addresses: selectors to address sets, cluster-wide (spec sections 7.2 to 7.5).

Network sets may be large and selectors many. What resources have is put together once for each combination of them, and
shared by all rules that select it. What holds for the resources before and for these is found again: the answer to a
question is the same object as long as it is the same answer.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from pyxdp.model import HostEndpoint, NetworkSet
from pyxdp.net.addresses import host_network
from pyxdp.net.prefixes import Prefixes
from pyxdp.resolver.effective import AddressSet, PortMember
from pyxdp.resolver.labels import endpoint_labels, network_set_labels
from pyxdp.resolver.memory import Memory, are_same
from pyxdp.selector import And, Equals, In

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pyxdp.model import Namespace, Profile, Resources
    from pyxdp.net import Network
    from pyxdp.resolver.effective import Peer
    from pyxdp.selector import Node, Selector

#: A method of :class:`Peers` that answers the same with the same object, and arguments for it.
Question: TypeAlias = "tuple[Callable[..., object], tuple[object, ...]]"

T = TypeVar("T")

_SPARE: Final = 20_000


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A host endpoint or a network set, as selectors see it."""

    resource: Peer
    labels: Mapping[str, str]
    networks: Prefixes
    endpoint: HostEndpoint | None = None


class Peers:
    """Every host endpoint of every node and every network set."""

    def __init__(self) -> None:
        self._candidates: tuple[_Candidate, ...] = ()
        self._by_label: dict[tuple[str, str], list[int]] = {}
        self._inherited: tuple[object, ...] = ()
        self._seen: Memory[int, _Candidate] = Memory()
        self._matches: Memory[str, tuple[int, ...]] = Memory()
        self._merged: Memory[tuple[int, ...], tuple[tuple[Peer, ...], Prefixes]] = Memory()
        self._selected: Memory[str, AddressSet] = Memory()
        self._written: Memory[tuple[Network, ...], AddressSet] = Memory()
        self._ports: Memory[tuple[str, int | None, str | None], tuple[PortMember, ...]] = Memory()
        self._silent: Memory[str, tuple[str, ...]] = Memory()

    def update(self, resources: Resources) -> None:
        """Look at other resources from now on; those that are the same objects as before are known."""
        for memory in (self._seen, self._matches, self._merged, self._selected, self._ports, self._silent):
            memory.turn()
        # What is spelled out by rules that stay is not asked for again, and one of them may still come back changed.
        self._written.turn(spare=_SPARE)
        inherited = (*resources.profiles, *resources.namespaces)
        if not are_same(inherited, self._inherited):
            self._seen.clear()
        self._inherited = inherited
        before, self._candidates = self._candidates, tuple(self._all(resources))
        if [one.labels for one in before] != [one.labels for one in self._candidates]:
            self._matches.clear()
            self._by_label = defaultdict(list)
            for number, candidate in enumerate(self._candidates):
                for label in candidate.labels.items():
                    self._by_label[label].append(number)

    def selected(self, selector: Selector) -> AddressSet:
        """Return the addresses of everything that the selector selects."""

        def made(before: AddressSet | None) -> AddressSet:
            numbers = self._matching(selector)
            resources = tuple(self._candidates[number].resource for number in numbers)
            if before is not None and are_same(before.peers, resources):
                return before
            return AddressSet(selector.id, self._merge(numbers, resources), resources)

        return self._selected.update(selector.canonical, made)

    def written(self, networks: tuple[Network, ...]) -> AddressSet:
        """Return the set of prefixes that a rule spells out."""

        def made() -> AddressSet:
            distinct = Prefixes.of(networks)
            return AddressSet("nets:" + ",".join(map(str, networks if len(networks) == 1 else distinct)), distinct)

        return self._written.get(networks, made)

    def named_ports(self, name: str, protocol: int | None, selector: Selector | None) -> tuple[PortMember, ...]:
        """Return what a named port stands for on the endpoints that the selector selects; on all without a selector."""

        def made(before: tuple[PortMember, ...] | None) -> tuple[PortMember, ...]:
            found = tuple(self._having_port(name, protocol, selector))
            return before if before == found else found

        return self._ports.update((name, protocol, selector.canonical if selector else None), made)

    def without_addresses(self, selector: Selector) -> tuple[str, ...]:
        """Return the names of selected host endpoints that have no expectedIPs, sorted."""

        def made(before: tuple[str, ...] | None) -> tuple[str, ...]:
            selected = (self._candidates[number].endpoint for number in self._matching(selector))
            found = tuple(sorted(one.metadata.name for one in selected if one and not one.expectedIPs))
            return before if before == found else found

        return self._silent.update(selector.canonical, made)

    def _all(self, resources: Resources) -> Iterator[_Candidate]:
        profiles = {profile.metadata.name: profile for profile in resources.profiles}
        namespaces = {namespace.metadata.name: namespace for namespace in resources.namespaces}
        everyone: tuple[Peer, ...] = (*resources.hostEndpoints, *resources.globalNetworkSets, *resources.networkSets)
        for one in everyone:
            yield self._seen.get(id(one), partial(_candidate, one, namespaces, profiles))

    def _having_port(self, name: str, protocol: int | None, selector: Selector | None) -> Iterator[PortMember]:
        numbers = range(len(self._candidates)) if selector is None else self._matching(selector)
        for number in numbers:
            endpoint = self._candidates[number].endpoint
            for port in endpoint.ports if endpoint else ():
                if endpoint and port.name == name and protocol in {None, port.protocol.number}:
                    for address in endpoint.expectedIPs:
                        yield PortMember(address, port.protocol.number, port.port)

    def _matching(self, selector: Selector) -> tuple[int, ...]:
        def made() -> tuple[int, ...]:
            return tuple(
                number for number in self._possible(selector.root) if selector.matches(self._candidates[number].labels)
            )

        return self._matches.get(selector.canonical, made)

    def _possible(self, root: Node) -> Sequence[int]:
        """Return the candidates that have a label value that the selector requires, or all of them."""
        best: Sequence[int] = range(len(self._candidates))
        for key, values in _required(root):
            having = [number for value in values for number in self._by_label.get((key, value), ())]
            best = min(best, having, key=len)
        return sorted(best)

    def _merge(self, numbers: tuple[int, ...], resources: tuple[Peer, ...]) -> Prefixes:
        def made() -> tuple[tuple[Peer, ...], Prefixes]:
            return resources, Prefixes.union([self._candidates[number].networks for number in numbers])

        return self._merged.get(tuple(map(id, resources)), made)[1]


def _candidate(one: Peer, namespaces: Mapping[str, Namespace], profiles: Mapping[str, Profile]) -> _Candidate:
    if isinstance(one, HostEndpoint):
        return _Candidate(one, endpoint_labels(one, profiles), Prefixes.of(map(host_network, one.expectedIPs)), one)
    if isinstance(one, NetworkSet):
        return _Candidate(one, network_set_labels(one, namespaces, profiles), one.nets)
    return _Candidate(one, one.metadata.labels, one.nets)


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


@dataclass(slots=True)
class Inquiry:
    """Questions to peers and the answers that were given.

    Attributes:
        answers: for each question, its answer.
    """

    peers: Peers
    answers: dict[Question, object] = field(default_factory=dict)

    def ask(self, question: Callable[..., T], *args: object) -> T:
        """Ask, and remember the answer."""
        answer = question(self.peers, *args)
        self.answers[question, args] = answer
        return answer


def hold(answers: Mapping[Question, object], peers: Peers) -> bool:
    """Tell whether answers from before are those of today."""
    return all(question(peers, *args) is answer for (question, args), answer in answers.items())
