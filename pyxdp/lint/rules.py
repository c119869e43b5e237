"""Rules without a packet: shadowed, unreached, contradictory, or overruled by a failsafe port."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from pyxdp.lint.boxes import narrowed
from pyxdp.lint.chains import Head, failsafe_text
from pyxdp.lint.contradictions import contradiction, nearest
from pyxdp.lint.finding import Code, Finding
from pyxdp.lint.peers import listed
from pyxdp.lint.places import rule_key, subject
from pyxdp.model import Action
from pyxdp.resolver import PolicyClass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.lint.places import Place
    from pyxdp.lint.survey import Survey
    from pyxdp.resolver import EffectivePolicyRules


def find_rules(survey: Survey) -> Iterator[Finding]:
    """Find rules that decide nothing, wherever they stand."""
    unreached: dict[int, list[Place]] = defaultdict(list)
    for places in survey.places.values():
        first = places[0]
        if not first.reach.listed.boxes:
            yield _never_matches(survey, first)
        elif not all(place.reach.unreached for place in places):
            yield from _overruled(places)
        elif taken := [place for place in places if place.reach.takers]:
            yield from _shadowed(taken[0])
        else:
            unreached[id(_policy(first))].append(first)
    for places in unreached.values():
        if len(places) == len(_policy(places[0]).rules):
            yield _unreached_policy(places[0], survey)
        else:
            yield from map(_unreached_rule, places)


def _never_matches(survey: Survey, place: Place) -> Finding:
    rule = place.reach.listed.rule
    reason = contradiction(rule, survey.world.rule(rule.id), survey.regions)
    sides = (survey.silent_peers.get((rule_key(rule.id), side), ()) for side in ("source", "destination"))
    silent = [name for names in sides for name in names]
    hint = f" (host endpoints without expectedIPs: {listed(silent)})" if silent else ""
    boxes = nearest(rule, survey.regions)
    return Finding(
        code=Code.NEVER_MATCHES,
        subject=subject(rule.id),
        text=f"{rule.action.value} never matches: {reason}{hint}",
        origin=rule.id.origin,
        example=place.example(boxes) if boxes else None,
    )


def _shadowed(place: Place) -> Iterator[Finding]:
    rule, takers = place.reach.listed.rule, place.reach.takers
    if all(isinstance(taker, Head) for taker in takers) and not _minds_heads(place):
        return
    overruled = all(isinstance(taker, Head) and taker.failsafe for taker in takers)
    more = f" and {len(takers) - 1} more" if len(takers) > 1 else ""
    verb = "logs" if rule.action is Action.LOG else "decides"
    yield Finding(
        code=Code.FAILSAFE_WINS if overruled else Code.SHADOWED_RULE,
        subject=subject(rule.id),
        text=f"{rule.action.value} never {verb} anything: {takers[0].text}{more} "
        f"take{'' if more else 's'} all its packets before",
        origin=rule.id.origin,
        example=place.example(place.reach.listed.boxes),
    )


def _minds_heads(place: Place) -> bool:
    """Tell whether it makes a difference that packets are let through before the rule is asked."""
    action = place.reach.listed.rule.action
    untracks = action is Action.ALLOW and place.chain.policy_class is PolicyClass.UNTRACKED
    return action is Action.DENY or untracks


def _unreached_policy(place: Place, survey: Survey) -> Finding:
    rule = place.reach.listed.rule.id
    owner = survey.world.owners.get((rule.kind, rule.policy))
    return Finding(
        code=Code.UNREACHED_POLICY,
        subject=f"{rule.kind}/{rule.policy}",
        text=f"its {rule.direction.name.lower()} rules are never reached: {_end_before(place)}",
        origin=owner.metadata.origin if owner else rule.origin,
        example=place.example(place.reach.listed.boxes),
    )


def _unreached_rule(place: Place) -> Finding:
    rule = place.reach.listed.rule
    return Finding(
        code=Code.SHADOWED_RULE,
        subject=subject(rule.id),
        text=f"{rule.action.value} never decides anything: {_end_before(place)}",
        origin=rule.id.origin,
        example=place.example(place.reach.listed.boxes),
    )


def _policy(place: Place) -> EffectivePolicyRules:
    rule = place.reach.listed.rule.id
    return next(it for it in place.reach.stage.policies if (it.kind, it.name) == (rule.kind, rule.policy))


def _end_before(place: Place) -> str:
    stages = place.chain.stages
    ends = [stage.tier for stage in stages[: stages.index(place.reach.stage)] if stage.denies]
    return f"the end of tier {ends[-1]} denies what no rule there passes on"


def _overruled(places: list[Place]) -> Iterator[Finding]:
    """Find a Deny rule that names the port of a failsafe by its number."""
    rule = places[0].reach.listed.rule
    if rule.action is not Action.DENY or rule.destination.ports is None:
        return
    named = {one.first for one in rule.destination.ports.ranges if one.first == one.last}
    for place in places:
        for head in place.chain.heads:
            # Not those that stand in for the other half of a connection: they open source ports.
            if head.failsafe is None or head.failsafe.port not in named or head.mirrored:
                continue
            boxes = narrowed(place.reach.listed.boxes, head.boxes)
            if boxes:
                yield Finding(
                    code=Code.FAILSAFE_WINS,
                    subject=subject(rule.id),
                    text=f"Deny does not close failsafe port {failsafe_text(head.failsafe)}",
                    origin=rule.id.origin,
                    example=place.example(boxes),
                )
                return
