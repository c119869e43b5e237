"""Lists of rules, resolved once and known again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from pyxdp.resolver.addresses import hold
from pyxdp.resolver.effective import Direction, EffectiveRule, RuleId
from pyxdp.resolver.memory import Memory
from pyxdp.resolver.rules import Meaning, meaning_of
from pyxdp.selector import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.model import Rule
    from pyxdp.resolver.addresses import Peers, Question
    from pyxdp.selector import Selector

_RULE_LIST: Final = {Direction.INGRESS: "ingress", Direction.EGRESS: "egress"}


@dataclass(frozen=True, slots=True)
class RuleList:
    """Which list of rules: of a policy or profile, in one direction."""

    tier: str
    kind: str
    name: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A list of rules.

    Attributes:
        written: the rules as they were given.
        meanings: of each.
        rules: the result.
        answers: what it owes to the peers that there are.
        notices: what there is to say.
        refused: reasons why it can not be enforced.
    """

    written: tuple[Rule, ...]
    meanings: tuple[Meaning, ...]
    rules: tuple[EffectiveRule, ...]
    answers: Mapping[Question, object]
    notices: tuple[str, ...]
    refused: tuple[str, ...]


class RuleResolver:
    """Resolves lists of rules. What was resolved the last time and still holds is the same object again.

    Attributes:
        notices: what there is to say of the lists that were asked for.
        refused: ``(kind/name, reason)`` of each rule among them that can not be enforced.
    """

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._parsed: Memory[str, Selector] = Memory()
        self._lists: Memory[RuleList, _Resolved] = Memory()
        self.notices: set[str] = set()
        self.refused: set[tuple[str, str]] = set()

    def turn(self) -> None:
        """Begin anew, with the peers as they are now."""
        self._parsed.turn()
        self._lists.turn()
        self.notices, self.refused = set(), set()

    def parse(self, text: str) -> Selector:
        """Parse a selector that was found valid before."""
        return self._parsed.get(text, partial(parse, text))

    def rules(self, owner: RuleList, rules: tuple[Rule, ...]) -> tuple[EffectiveRule, ...]:
        """Resolve a list of rules."""
        found = self._lists.update(owner, partial(self._list, owner, rules))
        self.notices.update(found.notices)
        self.refused.update((f"{owner.kind}/{owner.name}", reason) for reason in found.refused)
        return found.rules

    def _list(self, owner: RuleList, rules: tuple[Rule, ...], before: _Resolved | None) -> _Resolved:
        if before and before.written is rules and hold(before.answers, self._peers):
            return before
        known = {id(rule): number for number, rule in enumerate(before.written)} if before else {}
        meanings: list[Meaning] = []
        resolved: list[EffectiveRule] = []
        for index, rule in enumerate(rules):
            number = known.get(id(rule), -1)
            if before and number >= 0 and hold(before.meanings[number].answers, self._peers):
                meaning, same = before.meanings[number], before.rules[number]
            else:
                meaning, same = meaning_of(rule, self._peers, self.parse), None
            meanings.append(meaning)
            resolved.append(same if same and same.id.index == index else _placed(owner, index, rule, meaning))
        return _list_of(owner, rules, tuple(meanings), tuple(resolved))


def _list_of(
    owner: RuleList, written: tuple[Rule, ...], meanings: tuple[Meaning, ...], rules: tuple[EffectiveRule, ...]
) -> _Resolved:
    places = [(f"{_RULE_LIST[owner.direction]}[{index}]", one) for index, one in enumerate(meanings)]
    return _Resolved(
        written,
        meanings,
        rules,
        answers={question: answer for one in meanings for question, answer in one.answers.items()},
        notices=tuple(f"{owner.kind}/{owner.name}: {place}{remark}" for place, one in places for remark in one.remarks),
        refused=tuple(
            f"{place}.{side}.services: Kubernetes services are not known here"
            for place, one in places
            for side in one.services
        ),
    )


def _placed(owner: RuleList, index: int, rule: Rule, meaning: Meaning) -> EffectiveRule:
    return EffectiveRule(
        id=RuleId(
            tier=owner.tier,
            kind=owner.kind,
            policy=owner.name,
            direction=owner.direction,
            index=index,
            content=meaning.content,
            origin=rule.origin,
        ),
        action=rule.action,
        families=meaning.families,
        protocol=rule.protocol,
        notProtocol=rule.notProtocol,
        icmp=rule.icmp,
        notICMP=rule.notICMP,
        source=meaning.source,
        destination=meaning.destination,
    )
