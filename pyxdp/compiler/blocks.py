"""The rules of one policy, translated: what a list is put together from, and what a next compile takes over.

A policy that did not change is the same tuple of rules as before, a rule that did not change is the same object. So
what they were translated to is found by identity, without looking at what they say.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp import abi
from pyxdp.abi import RuleFlag, Verdict
from pyxdp.compiler.matches import Match, matches_of
from pyxdp.model import Action
from pyxdp.resolver.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.resolver import EffectiveRule, RuleId

VERDICTS: Final = {
    Action.ALLOW: Verdict.ALLOW,
    Action.DENY: Verdict.DENY,
    Action.LOG: Verdict.CONTINUE,
    Action.PASS: Verdict.CONTINUE,
}


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One conjunction with what it does.

    Attributes:
        match: when.
        verdict: what.
        flags: enum pyxdp_rule_flag, except for which fields it restricts.
        identity: hash of the rule it comes from; ``None`` for the end of a list that decides nothing.
        resume: with CONTINUE: position of the rule to go on with.
    """

    match: Match
    verdict: Verdict
    flags: int = 0
    identity: int | None = None
    resume: int = 0


class Translation(NamedTuple):
    """What became of one rule."""

    rule: EffectiveRule
    compiled: tuple[CompiledRule, ...]
    name: abi.Name


class Block(NamedTuple):
    """What became of the rules of one policy.

    Attributes:
        source: the rules.
        parts: what became of each, by the rule's id() and how often the policy said the same before.
        rules: all conjunctions in order, without jumps.
        names: the record of each identity, in order.
        logs: positions of Log rules in ``rules``, with the position behind all conjunctions of the rule.
        passes: positions of Pass rules.
        steps: how many Log rules one packet may meet.
    """

    source: tuple[EffectiveRule, ...]
    parts: Mapping[tuple[int, int], Translation]
    rules: tuple[CompiledRule, ...]
    names: Mapping[int, abi.Name]
    logs: tuple[tuple[int, int], ...]
    passes: tuple[int, ...]
    steps: int


class KnownRules:
    """What the lists of a node share, and those of the policies that it had before."""

    def __init__(self) -> None:
        self._blocks: Memory[int, Block] = Memory()
        self._rules: Memory[tuple[int, int], Translation] = Memory()
        self._lists: Memory[object, tuple[CompiledRule, ...]] = Memory()

    def turn(self) -> None:
        """Begin another policy. What neither it nor the one before has is forgotten when the next one begins."""
        self._blocks.turn()
        self._rules.turn()
        self._lists.turn()

    def same_list(self, key: object, rules: tuple[CompiledRule, ...]) -> tuple[CompiledRule, ...]:
        """Return the list that was there under this key before, if it is equal: then it is known to be the same."""
        known = self._lists.get(key, lambda: rules)
        if known != rules:
            self._lists.keep({key: rules})
            return rules
        return known

    def block(self, rules: tuple[EffectiveRule, ...]) -> Block:
        """Return what the rules of one policy are translated to."""
        block = self._blocks.get(id(rules), partial(self._block, rules))
        self._rules.keep(block.parts)
        return block

    def _block(self, rules: tuple[EffectiveRule, ...]) -> Block:
        occurrences: Counter[str] = Counter()
        parts: dict[tuple[int, int], Translation] = {}
        compiled: list[CompiledRule] = []
        logs: list[tuple[int, int]] = []
        passes: list[int] = []
        for rule in rules:
            occurrences[rule.id.content] += 1
            key = id(rule), occurrences[rule.id.content]
            part = parts[key] = self._rules.get(key, partial(_translated, rule, key[1]))
            first, behind = len(compiled), len(compiled) + len(part.compiled)
            compiled += part.compiled
            if rule.action is Action.LOG:
                logs += ((position, behind) for position in range(first, behind))
            elif rule.action is Action.PASS:
                passes += range(first, behind)
        names = {part.name.identity: part.name for part in parts.values()}
        steps = sum(rule.action is Action.LOG for rule in rules)
        return Block(rules, parts, tuple(compiled), names, tuple(logs), tuple(passes), steps)


def _translated(rule: EffectiveRule, occurrence: int) -> Translation:
    identity = identity_of(rule.id, occurrence)
    log = RuleFlag.LOG if rule.action is Action.LOG else 0
    verdict = VERDICTS[rule.action]
    compiled = tuple(
        CompiledRule(match, verdict, log | (RuleFlag.PORTS if match.by_ports else 0), identity)
        for match in matches_of(rule)
    )
    return Translation(rule, compiled, name_of(rule.id, rule.action, identity))


def identity_of(rule: RuleId, occurrence: int) -> int:
    """Return a stable number for a rule: it survives reordering, not a change of what the rule says.

    Args:
        rule: what says the same in the same policy is told apart by
        occurrence: how many of them there are up to this one.
    """
    text = json.dumps(
        [rule.tier, rule.kind, rule.policy, rule.direction.name, rule.content, occurrence], ensure_ascii=False
    )
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def name_of(rule: RuleId, action: Action, identity: int) -> abi.Name:
    """Return the record of an identity."""
    return abi.Name(
        tier=rule.tier,
        policy=rule.policy,
        kind=rule.kind,
        action=action.value,
        rule=rule.index,
        direction=rule.direction.value,
        identity=identity,
    )
