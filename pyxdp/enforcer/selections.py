"""Who selects a network set: asked of the policy in force, and remembered for every list of rules that stays."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

from pyxdp.enforcer.sets import SetName
from pyxdp.model import HostEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyxdp.resolver import AddressSet, EffectivePolicy, EffectiveRule

    Rules: TypeAlias = tuple[EffectiveRule, ...]


class Selections:
    """Finds the address sets of a policy, one policy after the other."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Rules, dict[str, AddressSet]]] = {}  # by id() of the rules, which it keeps alive

    def of(self, policy: EffectivePolicy) -> Mapping[SetName, Sequence[AddressSet]]:
        """Return for each network set the address sets of rules that select it."""
        known, self._known = self._known, {}
        selected: dict[str, AddressSet] = {}
        for rules in _lists(policy):
            self._known[id(rules)] = known.get(id(rules)) or (rules, _selected(rules))
            selected |= self._known[id(rules)][1]
        found = defaultdict[SetName, "list[AddressSet]"](list)
        for one in selected.values():
            for peer in one.peers:
                if not isinstance(peer, HostEndpoint):
                    found[SetName.of(peer)].append(one)
        return dict(found)


def _lists(policy: EffectivePolicy) -> Iterator[Rules]:
    for endpoint in policy.endpoints:
        for tiers in endpoint.tiers.values():
            yield from (one.rules for tier in tiers for one in tier.policies)
        yield from (one.rules for profiles in endpoint.profiles.values() for one in profiles)


def _selected(rules: Rules) -> dict[str, AddressSet]:
    """Return the address sets that selectors made, by id."""
    return {
        one.id: one
        for rule in rules
        for side in (rule.source, rule.destination)
        for one in (*side.sets, *side.notSets)
        if one.peers
    }
