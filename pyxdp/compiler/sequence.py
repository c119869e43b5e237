"""A list of rules with final verdicts while it grows.

Tiers, policies and Pass become positions in that list: Log goes on with the next rule, Pass with the first rule behind
its tier or profile.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from pyxdp.abi import Limit, RuleFlag, Verdict
from pyxdp.compiler.blocks import VERDICTS, CompiledRule, KnownRules, identity_of, name_of
from pyxdp.compiler.unwritten import EVERYTHING, NO_SOURCE_PORT, NOTHING
from pyxdp.errors import CapacityError
from pyxdp.model import Action

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp import abi
    from pyxdp.compiler.matches import Match
    from pyxdp.resolver import EffectiveRule, RuleId

#: Take a place, and no packet: beside rules that ask for no source port, and beside those that do.
_FILLERS: Final = {True: CompiledRule(NOTHING, Verdict.NONE), False: CompiledRule(NO_SOURCE_PORT, Verdict.NONE)}


class RuleSequence:
    """Appends rules; positions in :attr:`rules` are final.

    Attributes:
        rules: so far.
        names: the record of each identity that occurs, in order of first appearance.
    """

    def __init__(self, known: KnownRules) -> None:
        self.rules: list[CompiledRule] = []
        self.names: dict[int, abi.Name] = {}
        self._known = known
        self._steps = 0

    def failsafes(self, rules: tuple[EffectiveRule, ...]) -> None:
        """Append rules that pass this class and keep the packet tracked."""
        block = self._known.block(rules)
        self.names.update(block.names)
        self.rules += (replace(one, verdict=Verdict.FAILSAFE) for one in block.rules)

    def block(self, policies: Iterable[tuple[EffectiveRule, ...]], *, end: RuleId | None = None) -> None:
        """Append what Pass leaves at once: the rules of a tier or a profile.

        Args:
            policies: the rules of each, in order.
            end: identity of a default action that denies.
        """
        passes: list[int] = []
        for policy in policies:
            block = self._known.block(policy)
            first = len(self.rules)
            self.rules += block.rules
            self.names.update(block.names)
            for position, behind in block.logs:
                self._resume(first + position, first + behind)
            passes += (first + position for position in block.passes)
            self._steps += block.steps
        if end is not None:
            self.always(end, Action.DENY)
        for position in passes:
            self._resume(position, len(self.rules))
        self._steps += bool(passes)

    def always(self, rule: RuleId, action: Action, match: Match = EVERYTHING) -> None:
        """Append a rule that nobody wrote."""
        identity = identity_of(rule, 1)
        self.names[identity] = name_of(rule, action, identity)
        self.rules.append(CompiledRule(match, VERDICTS[action], RuleFlag.PORTS if match.by_ports else 0, identity))

    def undecided(self) -> None:
        """Append the end of a list that leaves the packet to the next class."""
        self.rules.append(CompiledRule(EVERYTHING, Verdict.NONE))

    def set_apart(self, count: int) -> None:
        """Let the first ``count`` rules have words of their own, if the list has more words than one.

        Failsafes accept any address. A word that also has rules which accept other ports, or failsafes that ask for the
        other port, looks to nearly every packet as if it had a match.
        """
        apart: list[CompiledRule] = []
        for kind, rules in groupby(self.rules[:count], lambda rule: rule.match.source_ports is None):
            apart += rules
            apart += [_FILLERS[kind]] * (-len(apart) % Limit.WORD_BITS)
        moved = len(apart) - count
        if len(self.rules) <= Limit.WORD_BITS or len(self.rules) + moved > Limit.MAX_RULES:
            return
        behind = [
            replace(rule, resume=rule.resume + moved) if rule.verdict is Verdict.CONTINUE else rule
            for rule in self.rules[count:]
        ]
        self.rules = [*apart, *behind]

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

    def _resume(self, position: int, behind: int) -> None:
        self.rules[position] = replace(self.rules[position], resume=behind)
