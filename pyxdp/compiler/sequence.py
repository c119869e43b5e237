"""A list of rules with final verdicts while it grows.

Tiers, policies and Pass become positions in that list: Log goes on with the next rule, Pass with the first rule behind
its tier or profile.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pyxdp import abi
from pyxdp.abi import Limit, RuleFlag, Verdict
from pyxdp.compiler.matches import Match, matches_of
from pyxdp.compiler.unwritten import EVERYTHING
from pyxdp.errors import CapacityError
from pyxdp.model import Action

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.resolver import EffectiveRule, RuleId

_VERDICTS: Final = {
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
        flags: enum pyxdp_rule_flag.
        identity: hash of the rule it comes from; ``None`` for the end of a list that decides nothing.
        resume: with CONTINUE: position of the rule to go on with.
    """

    match: Match
    verdict: Verdict
    flags: int = 0
    identity: int | None = None
    resume: int = 0


@dataclass(slots=True)
class KnownRules:
    """What the lists of a node share: a rule that stands in several is translated once and has one identity.

    Attributes:
        names: the record of each identity, in order of first appearance.
        matches: the conjunctions of each rule.
    """

    names: dict[int, abi.Name] = field(default_factory=dict)
    matches: dict[tuple[RuleId, int], tuple[Match, ...]] = field(default_factory=dict)


class RuleSequence:
    """Appends rules; positions in :attr:`rules` are final.

    Attributes:
        rules: so far.
    """

    def __init__(self, known: KnownRules) -> None:
        self.rules: list[CompiledRule] = []
        self._known = known
        self._occurrences: Counter[tuple[object, ...]] = Counter()
        self._steps = 0

    def failsafes(self, rules: Iterable[EffectiveRule]) -> None:
        """Append rules that pass this class and keep the packet tracked."""
        for rule in rules:
            self.rules += self._compiled(rule, Verdict.FAILSAFE)

    def block(self, rules: Iterable[EffectiveRule], *, end: RuleId | None = None) -> None:
        """Append what Pass leaves at once: the rules of a tier or a profile.

        Args:
            rules: in order.
            end: identity of a default action that denies.
        """
        passes: list[int] = []
        for rule in rules:
            compiled = self._compiled(rule, _VERDICTS[rule.action])
            if rule.action is Action.LOG:
                behind = len(self.rules) + len(compiled)
                compiled = [replace(one, resume=behind, flags=one.flags | RuleFlag.LOG) for one in compiled]
                self._steps += 1
            elif rule.action is Action.PASS:
                passes += range(len(self.rules), len(self.rules) + len(compiled))
            self.rules += compiled
        if end is not None:
            self.always(end, Action.DENY)
        for position in passes:
            self.rules[position] = replace(self.rules[position], resume=len(self.rules))
        self._steps += bool(passes)

    def always(self, rule: RuleId, action: Action, match: Match = EVERYTHING) -> None:
        """Append a rule that nobody wrote."""
        flags = RuleFlag.PORTS if match.by_ports else 0
        self.rules.append(CompiledRule(match, _VERDICTS[action], flags, self._identity(rule, action)))

    def undecided(self) -> None:
        """Append the end of a list that leaves the packet to the next class."""
        self.rules.append(CompiledRule(EVERYTHING, Verdict.NONE))

    def check_capacity(self, where: str) -> None:
        """Make sure that the programs can handle the list.

        Raises:
            CapacityError: more rules, or more Log and Pass rules that one packet might meet, than they can.
        """
        if len(self.rules) > Limit.MAX_RULES:
            raise CapacityError(f"{where}: rules", needed=len(self.rules), limit=int(Limit.MAX_RULES))
        if self._steps > Limit.MAX_CONTINUES:
            raise CapacityError(
                f"{where}: Log rules, and tiers and profiles with Pass rules",
                needed=self._steps,
                limit=int(Limit.MAX_CONTINUES),
                hint="one packet could meet all of them; merge Log rules, tiers or profiles",
            )

    def _compiled(self, rule: EffectiveRule, verdict: Verdict) -> list[CompiledRule]:
        identity = self._identity(rule.id, rule.action)
        key = (rule.id, self._occurrences[_named(rule.id)])
        matches = self._known.matches.get(key)
        if matches is None:
            matches = self._known.matches[key] = matches_of(rule)
        return [CompiledRule(match, verdict, RuleFlag.PORTS if match.by_ports else 0, identity) for match in matches]

    def _identity(self, rule: RuleId, action: Action) -> int:
        """Return a stable number for a rule: it survives reordering, not a change of what the rule says."""
        named = _named(rule)
        self._occurrences[named] += 1
        text = json.dumps([*named, self._occurrences[named]], ensure_ascii=False)
        identity = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        if identity not in self._known.names:
            self._known.names[identity] = _name(rule, action, identity)
        return identity


def _named(rule: RuleId) -> tuple[str, ...]:
    return rule.tier, rule.kind, rule.policy, rule.direction.name, rule.content


def _name(rule: RuleId, action: Action, identity: int) -> abi.Name:
    return abi.Name(
        tier=rule.tier,
        policy=rule.policy,
        kind=rule.kind,
        action=action.value,
        rule=rule.index,
        direction=rule.direction.value,
        identity=identity,
    )
