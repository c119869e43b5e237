"""Policies that had no part in a verdict, and why: often the answer to what somebody really asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.evaluator import ClassResult, Direction, Evaluation, Path, PolicyClass, Reason
from pyxdp.evaluator.composition import CLASSES
from pyxdp.evaluator.membership import policy_selects
from pyxdp.evaluator.tiers import policy_classes
from pyxdp.explanation.origins import title_of
from pyxdp.explanation.values import Bystander
from pyxdp.explanation.wording import rule_name
from pyxdp.model import Action

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pyxdp.model import GlobalNetworkPolicy, Resources


def find_bystanders(  # noqa: PLR0913 - all that has a part in it
    resources: Resources,
    labels: Mapping[str, str],
    direction: Direction,
    path: Path,
    evaluation: Evaluation,
    *,
    asked: Collection[str],
) -> Iterator[Bystander]:
    """Go through the policies that no class asked.

    Args:
        resources: all of them.
        labels: of the host endpoint, inherited ones included.
        direction: of the packet.
        path: of the packet.
        evaluation: its outcome.
        asked: names of the policies that were.
    """
    for policy in resources.globalNetworkPolicies:
        if policy.metadata.name not in asked:
            why = _why_not_asked(policy, labels, direction, path, evaluation)
            yield Bystander(
                kind="GlobalNetworkPolicy", name=policy.metadata.name, origin=policy.metadata.origin, why=why
            )
    for staged in resources.stagedGlobalNetworkPolicies:
        kind, _, name = title_of(staged).partition("/")
        yield Bystander(kind=kind, name=name, origin=staged.metadata.origin, why="staged: never enforced")
    for namespaced in resources.networkPolicies:
        kind, _, name = title_of(namespaced).partition("/")
        yield Bystander(kind=kind, name=name, origin=namespaced.metadata.origin, why="never applies to a host endpoint")


def _why_not_asked(
    policy: GlobalNetworkPolicy, labels: Mapping[str, str], direction: Direction, path: Path, evaluation: Evaluation
) -> str:
    if not policy_selects(policy, labels):
        return f"its selector does not select the endpoint: {_selectors(policy)}"
    if direction not in policy.types:
        return f"it has no type {direction.value}"
    if not policy_classes(policy) & set(CLASSES[direction, path]):
        return _wrong_class(policy, path)
    result = next((it for it in evaluation.classes if it.policy_class in policy_classes(policy)), None)
    if result is None:
        return f"the {evaluation.classes[-1].policy_class.value} class decided before it was asked"
    return _what_came_first(policy, result)


def _what_came_first(policy: GlobalNetworkPolicy, result: ClassResult) -> str:
    """Say what in its own class kept a policy from being asked."""
    if result.reason is not Reason.END_OF_TIER and not result.trace:
        return f"something before the tiers decided: {result.reason.value}"
    hits = [step.rule for step in result.trace if step.matched != "no" and step.rule.action is not Action.LOG]
    in_tier = [rule for rule in hits if rule.tier == policy.tier]
    if in_tier:
        return f"{rule_name(in_tier[0])} {in_tier[0].action.value} came first in its tier"
    return f"tier {result.tier} decided before its tier was asked"


def _selectors(policy: GlobalNetworkPolicy) -> str:
    written = {
        "": policy.selector,
        "namespaceSelector ": policy.namespaceSelector,
        "serviceAccountSelector ": policy.serviceAccountSelector,
    }
    return ", ".join(f"{name}{text}" for name, text in written.items() if text)


def _wrong_class(policy: GlobalNetworkPolicy, path: Path) -> str:
    if path is Path.FORWARD and policy_classes(policy) == {PolicyClass.NORMAL}:
        return "the packet is forwarded, and applyOnForward is not set"
    classes = ", ".join(sorted(it.value for it in policy_classes(policy)))
    return f"its class ({classes}) has no part in what goes this way"
