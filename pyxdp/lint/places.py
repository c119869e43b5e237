"""Where each rule stands: at how many endpoints, in which classes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pyxdp.lint.chains import Chain
from pyxdp.lint.reach import Reach, reach_of
from pyxdp.resolver import Direction, PolicyClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyxdp.lint.boxes import Box, Effort
    from pyxdp.lint.finding import Example
    from pyxdp.lint.view import View
    from pyxdp.resolver import RuleId

#: Kind, name, direction and index: which rule, whatever it says.
RuleKey: TypeAlias = tuple[str, str, Direction, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A rule at one endpoint, in one class and direction."""

    view: View
    chain: Chain
    reach: Reach

    def example(self, boxes: Iterable[Box]) -> Example:
        """Return a packet out of boxes with what becomes of it here."""
        direction = self.chain.direction
        forwarded = self.chain.policy_class is PolicyClass.FORWARD
        return self.view.example(self.view.sample(boxes, direction), direction, forwarded=forwarded)


def rule_key(rule: RuleId) -> RuleKey:
    """Return which rule it is."""
    return rule.kind, rule.policy, rule.direction, rule.index


def subject(rule: RuleId) -> str:
    """Return ``Kind/name: ingress[0]``."""
    return f"{rule.kind}/{rule.policy}: {rule.direction.name.lower()}[{rule.index}]"


def places_of(views: Iterable[View], effort: Effort) -> dict[RuleKey, list[Place]]:
    """Return the places of every rule."""
    places: dict[RuleKey, list[Place]] = defaultdict(list)
    for view in views:
        for reached in view.reached.values():
            for reach in reached.rules:
                if reach.listed.rule.id.kind != "Profile":
                    places[rule_key(reach.listed.rule.id)].append(Place(view, reached.chain, reach))
        for place in _in_profiles(view, effort, places):
            places[rule_key(place.reach.listed.rule.id)].append(place)
    return places


def _in_profiles(view: View, effort: Effort, known: dict[RuleKey, list[Place]]) -> Iterator[Place]:
    """Yield the rules of profiles. Behind policy a profile is rarely asked, which is meant so: its own list counts."""
    for chain in view.chains.values():
        for stage in chain.stages:
            if not stage.tier and stage.rules and rule_key(stage.rules[0].rule.id) not in known:
                alone = Chain(PolicyClass.NORMAL, chain.direction, (), (stage,))
                yield from (Place(view, chain, reach) for reach in reach_of(alone, effort).rules)
