"""Where the rules of an endpoint are written."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from pyxdp.model import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.resolver import EffectivePolicy, EffectiveRule
    from pyxdp.trial import RuleName


class Origins:
    """File and line of each rule of a policy, asked for by what judged a packet of one endpoint."""

    def __init__(self, endpoint: Origin, policy: EffectivePolicy) -> None:
        self._endpoint = endpoint
        self._rules = {
            (rule.id.kind, rule.id.policy, rule.id.direction.name.lower(), rule.id.index): rule.id.origin
            for rule in _rules(policy)
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


def _rules(policy: EffectivePolicy) -> Iterator[EffectiveRule]:
    for endpoint in policy.endpoints:
        tiers = (tier.policies for tier in chain.from_iterable(endpoint.tiers.values()))
        for owner in chain(chain.from_iterable(tiers), chain.from_iterable(endpoint.profiles.values())):
            yield from owner.rules
