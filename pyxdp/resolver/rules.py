"""Rules with addresses instead of selectors (spec sections 7.2 to 7.5 and 8.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyxdp.net import PortRange, address_family
from pyxdp.resolver.addresses import Inquiry, Peers
from pyxdp.resolver.effective import PortMatch, Side
from pyxdp.resolver.identity import rule_content
from pyxdp.resolver.labels import SERVICE_ACCOUNT_LABEL, of_namespace, of_service_account
from pyxdp.resolver.notices import listing
from pyxdp.selector import In, Selector, all_of, negate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyxdp.model import EntityRule, Rule
    from pyxdp.net import Protocol
    from pyxdp.net.values import Family
    from pyxdp.resolver.addresses import Question
    from pyxdp.resolver.effective import AddressSet, PortMember
    from pyxdp.selector import Node


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a rule says, wherever it stands.

    Attributes:
        content: its canonical text.
        families: the IP versions in which it exists.
        source: the sender's side.
        destination: the receiver's side.
        answers: what it owes to the peers that there are.
        remarks: notices, to be put behind the rule's place.
        services: sides that ask for Kubernetes services.
    """

    content: str
    families: frozenset[Family]
    source: Side
    destination: Side
    answers: Mapping[Question, object]
    remarks: tuple[str, ...]
    services: tuple[str, ...]


def meaning_of(rule: Rule, peers: Peers, parse: Callable[[str], Selector]) -> Meaning:
    """Return what a rule says."""
    families = rule_families(rule)
    inquiry = Inquiry(peers)
    remarks = []
    if rule.http:
        remarks.append(": http is not looked at: the rule matches whatever the rest of it matches")
    if not families:
        remarks.append(": never matches: its IP versions, protocol and prefixes exclude each other")
    sides = {
        name: _SideResolver(name, entity, rule.protocol, inquiry, parse, remarks)
        for name, entity in (("source", rule.source), ("destination", rule.destination))
    }
    return Meaning(
        content=rule_content(rule, parse),
        families=families,
        source=sides["source"].side(),
        destination=sides["destination"].side(),
        answers=inquiry.answers,
        remarks=tuple(remarks),
        services=tuple(name for name, side in sides.items() if side.entity.services is not None),
    )


@dataclass(slots=True)
class _SideResolver:
    """Resolves one side of a rule."""

    name: str
    entity: EntityRule
    protocol: Protocol | None
    inquiry: Inquiry
    parse: Callable[[str], Selector]
    remarks: list[str]

    def side(self) -> Side:
        entity = self.entity
        selector = self._selector()
        sets, not_sets = [], []
        if entity.nets:
            sets.append(self.inquiry.peers.written(entity.nets))
        # A named port's members are those of selected endpoints already.
        if selector and not (entity.ports and all(isinstance(port, str) for port in entity.ports)):
            sets.append(self._selected(selector))
        if entity.notNets:
            not_sets.append(self.inquiry.peers.written(entity.notNets))
        if entity.notSelector and not selector:
            not_sets.append(self._selected(self.parse(entity.notSelector)))
        return Side(
            sets=tuple(sets),
            notSets=tuple(not_sets),
            ports=self._ports("ports", entity.ports, selector),
            notPorts=self._ports("notPorts", entity.notPorts, selector),
        )

    def _selector(self) -> Selector | None:
        """Return all that the entity asks of labels, without a notSelector alone: that one matches strangers, too."""
        entity = self.entity
        nodes: list[Node] = []
        if entity.selector:
            nodes.append(self.parse(entity.selector).root)
        if entity.namespaceSelector:
            nodes.append(of_namespace(self.parse(entity.namespaceSelector)))
        if entity.serviceAccounts and entity.serviceAccounts.names:
            nodes.append(In(SERVICE_ACCOUNT_LABEL, frozenset(entity.serviceAccounts.names)))
        if entity.serviceAccounts and entity.serviceAccounts.selector:
            nodes.append(of_service_account(self.parse(entity.serviceAccounts.selector)))
        if not nodes:
            return None
        if entity.notSelector:
            nodes.append(negate(self.parse(entity.notSelector).root))
        return Selector.of(all_of(nodes))

    def _selected(self, selector: Selector) -> AddressSet:
        found = self.inquiry.ask(Peers.selected, selector)
        if not found.networks:
            silent = self.inquiry.ask(Peers.without_addresses, selector)
            reason = f"; host endpoints without expectedIPs: {listing(silent)}" if silent else ""
            self.remarks.append(f".{self.name}: {selector} selects no address{reason}")
        return found

    def _ports(self, field: str, ports: Iterable[PortRange | str], selector: Selector | None) -> PortMatch | None:
        if not ports:
            return None
        members: set[PortMember] = set()
        number = self.protocol.number if self.protocol else None
        for name in sorted({port for port in ports if isinstance(port, str)}):
            found = self.inquiry.ask(Peers.named_ports, name, number, selector)
            if not found:
                self.remarks.append(f'.{self.name}.{field}: no endpoint address has a port named "{name}"')
            members.update(found)
        ranges = {port for port in ports if isinstance(port, PortRange)}
        return PortMatch(tuple(sorted(ranges)), tuple(sorted(members, key=_member_rank)))


def _member_rank(member: PortMember) -> tuple[int, int, int, int]:
    return member.address.version, int(member.address), member.protocol, member.port


def rule_families(rule: Rule) -> frozenset[Family]:
    """Return the IP versions in which the rule exists.

    A list of prefixes that has none of a version, negated or not, takes the rule away from that version; so does a
    negated prefix of length zero.
    """
    families: frozenset[Family] = frozenset({4, 6})
    if rule.ipVersion:
        families &= {rule.ipVersion}
    if rule.protocol and rule.protocol.implied_family:
        families &= {rule.protocol.implied_family}
    for entity in (rule.source, rule.destination):
        for networks in (entity.nets, entity.notNets):
            if networks:
                families &= {address_family(network) for network in networks}
        families -= {address_family(network) for network in entity.notNets if network.prefixlen == 0}
    return families
