"""Where the rules of an endpoint are written."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from pyxdp.model import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.cases.endpoints import TestedEndpoint
    from pyxdp.resolver import EffectiveRule
    from pyxdp.trial import RuleName


class Origins:
    """File and line of each rule that applies to an endpoint."""

    def __init__(self, tested: TestedEndpoint) -> None:
        self._endpoint = tested.endpoint.metadata.origin
        self._rules = {
            (rule.id.kind, rule.id.policy, rule.id.direction.name.lower(), rule.id.index): rule.id.origin
            for rule in _rules(tested)
        }

    def of(self, rule: RuleName | None) -> Origin:
        """Return where a rule is written; for the end of all profiles and the like, where the endpoint is.

        An empty origin for what is written nowhere: failsafe ports by default, the end of a tier, neighbour discovery.
        """
        if rule is None:
            return Origin()
        if rule.kind == "HostEndpoint":
            return self._endpoint
        return self._rules.get((rule.kind, rule.policy, rule.direction, rule.number), Origin())


def _rules(tested: TestedEndpoint) -> Iterator[EffectiveRule]:
    for endpoint in tested.policy.endpoints:
        tiers = (tier.policies for tier in chain.from_iterable(endpoint.tiers.values()))
        for policy in chain(chain.from_iterable(tiers), chain.from_iterable(endpoint.profiles.values())):
            yield from policy.rules
