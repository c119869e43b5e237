"""Rules with addresses instead of selectors (spec sections 7.2 to 7.5 and 8.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp.net import PortRange, address_family
from pyxdp.resolver.effective import Direction, EffectiveRule, PortMatch, RuleId, Side
from pyxdp.resolver.identity import rule_content
from pyxdp.resolver.labels import SERVICE_ACCOUNT_LABEL, of_namespace, of_service_account
from pyxdp.resolver.notices import listing
from pyxdp.selector import In, Selector, all_of, negate, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.model import EntityRule, Rule
    from pyxdp.net import Protocol
    from pyxdp.net.values import Family
    from pyxdp.resolver.addresses import Peers
    from pyxdp.resolver.effective import AddressSet, PortMember
    from pyxdp.selector import Node

_RULE_LIST: Final = {Direction.INGRESS: "ingress", Direction.EGRESS: "egress"}


@dataclass(frozen=True, slots=True)
class RuleList:
    """Which list of rules: of a policy or profile, in one direction."""

    tier: str
    kind: str
    name: str
    direction: Direction

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}: {_RULE_LIST[self.direction]}"


class RuleResolver:
    """Resolves rules; parses each selector once.

    Attributes:
        refused: ``(kind/name, reason)`` of each rule that can not be enforced.
    """

    def __init__(self, peers: Peers, notices: set[str]) -> None:
        self._peers = peers
        self._notices = notices
        self._parsed: dict[str, Selector] = {}
        self.refused: list[tuple[str, str]] = []

    def parse(self, text: str) -> Selector:
        """Parse a selector that was found valid before."""
        selector = self._parsed.get(text)
        if selector is None:
            selector = self._parsed[text] = parse(text)
        return selector

    def rules(self, owner: RuleList, rules: Iterable[Rule]) -> tuple[EffectiveRule, ...]:
        """Resolve a list of rules."""
        return tuple(self._rule(owner, index, rule) for index, rule in enumerate(rules))

    def _rule(self, owner: RuleList, index: int, rule: Rule) -> EffectiveRule:
        where = f"{owner}[{index}]"
        families = rule_families(rule)
        self._refuse_services(owner, index, rule)
        if rule.http:
            self._notices.add(f"{where}: http is not looked at: the rule matches whatever the rest of it matches")
        if not families:
            self._notices.add(f"{where}: never matches: its IP versions, protocol and prefixes exclude each other")
        return EffectiveRule(
            id=RuleId(
                tier=owner.tier,
                kind=owner.kind,
                policy=owner.name,
                direction=owner.direction,
                index=index,
                content=rule_content(rule, self.parse),
                origin=rule.origin,
            ),
            action=rule.action,
            families=families,
            protocol=rule.protocol,
            notProtocol=rule.notProtocol,
            icmp=rule.icmp,
            notICMP=rule.notICMP,
            source=self._side(f"{where}.source", rule.source, rule.protocol),
            destination=self._side(f"{where}.destination", rule.destination, rule.protocol),
        )

    def _refuse_services(self, owner: RuleList, index: int, rule: Rule) -> None:
        for side, entity in (("source", rule.source), ("destination", rule.destination)):
            if entity.services is not None:
                where = f"{_RULE_LIST[owner.direction]}[{index}].{side}.services"
                self.refused.append((f"{owner.kind}/{owner.name}", f"{where}: Kubernetes services are not known here"))

    def _side(self, where: str, entity: EntityRule, protocol: Protocol | None) -> Side:
        selector = self._selector(entity)
        sets, not_sets = [], []
        if entity.nets:
            sets.append(self._peers.written(entity.nets))
        # A named port's members are those of selected endpoints already.
        if selector and not (entity.ports and all(isinstance(port, str) for port in entity.ports)):
            sets.append(self._selected(where, selector))
        if entity.notNets:
            not_sets.append(self._peers.written(entity.notNets))
        if entity.notSelector and not selector:
            not_sets.append(self._selected(where, self.parse(entity.notSelector)))
        return Side(
            sets=tuple(sets),
            notSets=tuple(not_sets),
            ports=self._ports(f"{where}.ports", entity.ports, protocol, selector),
            notPorts=self._ports(f"{where}.notPorts", entity.notPorts, protocol, selector),
        )

    def _selector(self, entity: EntityRule) -> Selector | None:
        """Return all that the entity asks of labels, without a notSelector alone: that one matches strangers, too."""
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

    def _selected(self, where: str, selector: Selector) -> AddressSet:
        found = self._peers.selected(selector)
        if not found.networks:
            silent = self._peers.without_addresses(selector)
            reason = f"; host endpoints without expectedIPs: {listing(silent)}" if silent else ""
            self._notices.add(f"{where}: {selector} selects no address{reason}")
        return found

    def _ports(
        self, where: str, ports: Iterable[PortRange | str], protocol: Protocol | None, selector: Selector | None
    ) -> PortMatch | None:
        if not ports:
            return None
        members: set[PortMember] = set()
        for name in sorted({port for port in ports if isinstance(port, str)}):
            found = set(self._peers.named_ports(name, protocol.number if protocol else None, selector))
            if not found:
                self._notices.add(f'{where}: no endpoint address has a port named "{name}"')
            members |= found
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
