"""The rules that one direction and class hold for an endpoint, in the order of evaluation (spec section 3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pyxdp.lint.regions import failsafe_boxes, neighbour_discovery_boxes
from pyxdp.model import Action
from pyxdp.resolver import Direction, EffectivePolicyRules, PolicyClass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.lint.boxes import Box
    from pyxdp.lint.regions import Regions
    from pyxdp.lint.world import Shape
    from pyxdp.model import FailsafePort
    from pyxdp.resolver import EffectiveRule, EffectiveTier


class Head(NamedTuple):
    """What comes before policy.

    Attributes:
        boxes: its packets.
        text: what it is, for people.
        failsafe: the failsafe port, unless it is something else.
        mirrored: the packets come from that port.
    """

    boxes: list[Box]
    text: str
    failsafe: FailsafePort | None = None
    mirrored: bool = False


class Listed(NamedTuple):
    """A rule with the packets that it matches, whatever comes before it."""

    rule: EffectiveRule
    boxes: list[Box]

    @property
    def text(self) -> str:
        """The rule, for people: ``default/web ingress[0]``, and where it is written."""
        rule = self.rule.id
        place = f"{rule.tier}/{rule.policy}" if rule.tier else f"{rule.kind}/{rule.policy}"
        where = f" ({rule.origin})" if rule.origin.line else ""
        return f"{place} {rule.direction.name.lower()}[{rule.index}]{where}"


class Stage(NamedTuple):
    """A tier, or a profile: what Pass leaves.

    Attributes:
        tier: its name; empty for a profile.
        policies: those that are enforced, or the profile.
        rules: of all of them, in order.
        denies: what comes to the end is denied; otherwise the next stage goes on.
    """

    tier: str
    policies: tuple[EffectivePolicyRules, ...]
    rules: tuple[Listed, ...]
    denies: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """All stages of one class and direction.

    Attributes:
        policy_class: the class.
        direction: the direction.
        heads: in order.
        stages: in order, tiers before profiles.
    """

    policy_class: PolicyClass
    direction: Direction
    heads: tuple[Head, ...]
    stages: tuple[Stage, ...]


def chains_of(shape: Shape, regions: Regions) -> dict[tuple[PolicyClass, Direction], Chain]:
    """Return the chains of an endpoint; the normal class always has one for each direction."""
    endpoint = shape.effective
    keys = {*endpoint.tiers, *((PolicyClass.NORMAL, direction) for direction in Direction)}
    found = {}
    for policy_class, direction in sorted(keys, key=lambda key: (key[0].value, key[1].value)):
        stages = [_tier(tier, regions) for tier in endpoint.tiers.get((policy_class, direction), ())]
        if policy_class is PolicyClass.NORMAL:
            stages += [_profile(profile, regions) for profile in endpoint.profiles.get(direction, ())]
        heads = tuple(_heads(shape, policy_class, direction))
        found[policy_class, direction] = Chain(policy_class, direction, heads, tuple(stages))
    return found


def _tier(tier: EffectiveTier, regions: Regions) -> Stage:
    enforced = tuple(policy for policy in tier.policies if not policy.staged)
    rules = tuple(Listed(rule, regions.of_rule(rule)) for policy in enforced for rule in policy.rules)
    return Stage(tier.name, enforced, rules, tier.defaultAction is not Action.PASS)


def _profile(profile: EffectivePolicyRules, regions: Regions) -> Stage:
    rules = tuple(Listed(rule, regions.of_rule(rule)) for rule in profile.rules)
    return Stage("", (profile,), rules, denies=False)


def _heads(shape: Shape, policy_class: PolicyClass, direction: Direction) -> Iterator[Head]:
    """Yield failsafe ports and what else is let through ahead of policy (spec sections 5 and 11.1)."""
    if policy_class is PolicyClass.FORWARD:
        return
    inbound = direction is Direction.INGRESS
    own, other = shape.failsafes if inbound else shape.failsafes[::-1]
    for failsafe in own:
        yield Head(failsafe_boxes(failsafe, inbound=inbound), f"failsafe port {failsafe_text(failsafe)}", failsafe)
    if policy_class is PolicyClass.UNTRACKED:
        for failsafe in other:
            text = f"failsafe port {failsafe_text(failsafe)} of the other direction"
            yield Head(failsafe_boxes(failsafe, inbound=inbound, mirrored=True), text, failsafe, mirrored=True)
    if policy_class is PolicyClass.NORMAL:
        yield Head(neighbour_discovery_boxes(), "the built-in rule for IPv6 neighbour discovery")


def failsafe_text(failsafe: FailsafePort) -> str:
    """Return a failsafe port as Felix spells it."""
    net = f"{failsafe.net}:" if failsafe.net else ""
    return f"{str(failsafe.protocol).lower()}:{net}{failsafe.port}"
