"""Directions in which nothing, or only one IP version, is allowed (spec section 3.7)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from pyxdp.lint.boxes import TooManyPiecesError, subtract
from pyxdp.lint.finding import Code, Finding, Severity
from pyxdp.lint.regions import ADDRESSES, EVERYTHING
from pyxdp.model import Action, GlobalNetworkPolicy
from pyxdp.resolver import Direction, PolicyClass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.lint.boxes import Box
    from pyxdp.lint.chains import Chain, Stage
    from pyxdp.lint.finding import Example
    from pyxdp.lint.reach import Reached
    from pyxdp.lint.survey import Survey
    from pyxdp.lint.view import View
    from pyxdp.net.values import Family
    from pyxdp.resolver import EffectivePolicyRules

#: In which classes what nobody allows is denied.
_CLASSES: Final = (PolicyClass.NORMAL, PolicyClass.FORWARD)


def find_directions(survey: Survey) -> Iterator[Finding]:
    """Find what is denied to everybody, and where somebody may have been forgotten."""
    seen: set[tuple[str, str, Direction]] = set()
    for view in survey.views:
        if _is_bare(view):
            yield _bare_endpoint(view, survey)
            continue
        for policy_class in _CLASSES:
            for direction in Direction:
                reached = view.reached.get((policy_class, direction))
                if reached is None:
                    continue
                if not reached.open_end and not any(reached.allowed()):
                    found = _cut(survey, view, reached)
                    key = (found.subject, found.code.value, direction)
                    if key not in seen:  # at another endpoint, or for forwarded packets, too
                        seen.add(key)
                        yield found
                elif policy_class is PolicyClass.NORMAL:
                    yield from _one_family(survey, view, reached)


def _is_bare(view: View) -> bool:
    """Tell whether no normal policy and no profile is attached."""
    return all(not view.chains[PolicyClass.NORMAL, direction].stages for direction in Direction)


def _bare_endpoint(view: View, survey: Survey) -> Finding:
    others = [
        name
        for name, key in (("untracked", PolicyClass.UNTRACKED), ("pre-DNAT", PolicyClass.PREDNAT))
        if _has(view, key)
    ]
    selected = f"only {' and '.join(others)} policy selects it" if others else "no policy selects it"
    return Finding(
        code=Code.BARE_ENDPOINT,
        subject=view.shape.name,
        text=f"denies all local traffic but failsafe ports: {selected}, and it has no profile",
        origin=view.shape.endpoints[0].metadata.origin,
        others=len(view.shape.endpoints) - 1,
        example=_denied(view, view.chains[PolicyClass.NORMAL, Direction.INGRESS], survey),
    )


def _has(view: View, policy_class: PolicyClass) -> bool:
    return any((policy_class, direction) in view.chains for direction in Direction)


def _cut(survey: Survey, view: View, reached: Reached) -> Finding:
    """Explain why a direction has no Allow."""
    chain = reached.chain
    direction = chain.direction.name.lower()
    traffic = f"forwarded {direction}" if chain.policy_class is PolicyClass.FORWARD else direction
    example = _denied(view, chain, survey)
    stage = next((stage for stage in chain.stages if stage.denies), None)
    if stage is None:
        why = (
            "no policy applies to it and no profile allows it"
            if chain.stages
            else "no policy applies to it, and there is no profile"
        )
        return Finding(
            code=Code.CUT_DIRECTION,
            subject=view.shape.name,
            text=f"all {traffic} but failsafe ports is denied: {why}",
            origin=view.shape.endpoints[0].metadata.origin,
            others=len(view.shape.endpoints) - 1,
            example=example,
        )
    code, severity, policy, why = _blame(survey, stage, chain)
    return Finding(
        code=code,
        severity=severity,
        subject=f"{policy.kind}/{policy.name}",
        text=f"all {traffic} of {view.shape.name} is denied at the end of tier {stage.tier}: {why}",
        origin=policy.origin,
        example=example,
    )


def _blame(survey: Survey, stage: Stage, chain: Chain) -> tuple[Code, Severity, EffectivePolicyRules, str]:
    """Return the policy of a tier that is most likely not meant so."""
    direction = chain.direction.name.lower()
    logging = [it for it in stage.policies if it.rules and all(rule.action is Action.LOG for rule in it.rules)]
    if logging:
        return Code.LOG_ONLY, Severity.WARNING, logging[0], f"its {direction} rules only Log, which is no verdict"
    for policy in stage.policies:
        owner = survey.world.owners.get((policy.kind, policy.name))
        if isinstance(owner, GlobalNetworkPolicy) and not policy.rules and (owner.ingress or owner.egress):
            name = direction.capitalize()
            why = f"its types have {name}, it has no {direction} rules, and no policy of the tier allows any"
            return Code.CUT_DIRECTION, Severity.WARNING, policy, why
    if not any(_is_everything(listed.boxes, survey) for listed in stage.rules):
        for policy in stage.policies:
            if policy.rules:
                why = f"its {direction} rules deny some, and what no rule of the tier allows is denied as well"
                return Code.CUT_DIRECTION, Severity.WARNING, policy, why
    why = f"it lets no {direction} pass, and no other policy of the tier does"
    return Code.CUT_DIRECTION, Severity.NOTICE, stage.policies[0], why


def _is_everything(boxes: list[Box], survey: Survey) -> bool:
    """Tell whether a rule is about all packets: then it is meant so."""
    left = list(EVERYTHING)
    try:
        for box in boxes:
            left = subtract(left, box, survey.effort)
    except TooManyPiecesError:
        return False
    return not left


def _denied(view: View, chain: Chain, survey: Survey, *families: Family) -> Example | None:
    """Return a packet that is denied because nothing allows it; of all IP versions unless some are given."""
    forwarded = chain.policy_class is PolicyClass.FORWARD
    left = [box for box in EVERYTHING if not families or box.family in families]
    earlier = () if forwarded else (PolicyClass.UNTRACKED, PolicyClass.PREDNAT)
    before = (view.chains[key].stages for one in earlier if (key := (one, chain.direction)) in view.chains)
    taken = (
        *(box for head in chain.heads for box in head.boxes),
        *(box for stages in before for stage in stages for listed in stage.rules for box in listed.boxes),
    )
    try:
        for box in taken:
            left = subtract(left, box, survey.effort)
    except TooManyPiecesError:
        return None
    if not left:
        return None
    return view.example(view.sample(left, chain.direction), chain.direction, forwarded=forwarded)


def _one_family(survey: Survey, view: View, reached: Reached) -> Iterator[Finding]:
    """Find an endpoint of which policy allows one IP version and knows nothing of the other."""
    boxes: dict[Family, list[Box]] = defaultdict(list)
    if reached.open_end:
        return
    for reach in reached.allowed():
        if reach.left is None:
            return
        for box in reach.left:
            boxes[box.family].append(box)
    missing = [family for family in ADDRESSES if family not in boxes]
    expected = {address.version for endpoint in view.shape.endpoints for address in endpoint.expectedIPs}
    if len(missing) != 1 or (expected and missing[0] not in expected):
        return
    allowed = 4 if missing[0] == 6 else 6  # noqa: PLR2004 - IP versions
    direction = reached.chain.direction.name.lower()
    yield Finding(
        code=Code.ONE_FAMILY,
        severity=Severity.WARNING if expected else Severity.NOTICE,
        subject=view.shape.name,
        text=f"its policies allow {direction} of IPv{allowed} and none of IPv{missing[0]}",
        origin=view.shape.endpoints[0].metadata.origin,
        others=len(view.shape.endpoints) - 1,
        example=_denied(view, reached.chain, survey, missing[0]),
    )
