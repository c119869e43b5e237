"""What becomes of one packet at an endpoint, in words (spec sections 3.4 to 3.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.lint.boxes import common
from pyxdp.lint.example import point
from pyxdp.model import Action
from pyxdp.resolver import Direction, PolicyClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyxdp.lint.boxes import Box
    from pyxdp.lint.chains import Chain, Listed, Stage
    from pyxdp.net import Packet

_CLASSES: Final = {
    (Direction.INGRESS, False): (PolicyClass.UNTRACKED, PolicyClass.PREDNAT, PolicyClass.NORMAL),
    (Direction.INGRESS, True): (PolicyClass.UNTRACKED, PolicyClass.PREDNAT, PolicyClass.FORWARD),
    (Direction.EGRESS, False): (PolicyClass.UNTRACKED, PolicyClass.NORMAL),
    (Direction.EGRESS, True): (PolicyClass.FORWARD,),
}
_BEFORE_DNAT: Final = frozenset({PolicyClass.UNTRACKED, PolicyClass.PREDNAT})


class Outcome(NamedTuple):
    """A verdict.

    Attributes:
        passes: false when the packet is dropped.
        text: as ``is denied by default/web ingress[0]``.
        policy_class: that decided; ``None`` when none did.
        rule: that decided; ``None`` when something else did.
    """

    passes: bool
    text: str
    policy_class: PolicyClass | None = None
    rule: Listed | None = None

    @property
    def untracked(self) -> bool:
        """Whether the packet leaves connection tracking."""
        return self.passes and self.policy_class is PolicyClass.UNTRACKED


def course(
    chains: Mapping[tuple[PolicyClass, Direction], Chain],
    direction: Direction,
    packet: Packet,
    *,
    forwarded: bool = False,
    translated: Packet | None = None,
) -> Outcome:
    """Judge the first packet of a connection by every class that it meets.

    Args:
        chains: of the endpoint.
        direction: of the packet.
        packet: not a later fragment.
        forwarded: whether the host routes it; otherwise one end is a process of the host.
        translated: what DNAT makes of it, if it does: that is what normal and forward policy see.
    """
    before, after = point(packet), point(translated or packet)
    for policy_class in _CLASSES[direction, forwarded]:
        chain = chains.get((policy_class, direction))
        outcome = chain and _decide(chain, before if policy_class in _BEFORE_DNAT else after)
        if outcome:
            return outcome
    if forwarded and not any(policy_class is PolicyClass.FORWARD for policy_class, _ in chains):
        return Outcome(passes=True, text="is allowed: no policy with applyOnForward selects the host endpoint")
    return Outcome(passes=True, text="is left alone by host policy")


def _decide(chain: Chain, where: Box) -> Outcome | None:
    head = next((head for head in chain.heads if _matches(head.boxes, where)), None)
    if head is not None:
        # Behind the other classes' heads the packet goes on to the next class, in the normal one it is in.
        last = chain.policy_class is PolicyClass.NORMAL
        return (
            Outcome(passes=True, text=f"is let through by {head.text}", policy_class=chain.policy_class)
            if last
            else None
        )
    for stage in chain.stages:
        rule = _first(stage, where)
        if rule is None and stage.denies:
            return Outcome(
                passes=False, text=f"is denied at the end of tier {stage.tier}", policy_class=chain.policy_class
            )
        if rule is not None and rule.rule.action is not Action.PASS:
            return _by_rule(chain, rule)
    if chain.policy_class is not PolicyClass.NORMAL:
        return None
    profiles = any(not stage.tier for stage in chain.stages)
    text = "is denied: no policy and no profile allows it" if profiles else "is denied: no policy allows it"
    return Outcome(passes=False, text=text, policy_class=chain.policy_class)


def _first(stage: Stage, where: Box) -> Listed | None:
    for listed in stage.rules:
        if listed.rule.action is not Action.LOG and _matches(listed.boxes, where):
            return listed
    return None


def _by_rule(chain: Chain, rule: Listed) -> Outcome:
    allows = rule.rule.action is Action.ALLOW
    verb = "allowed" if allows else "denied"
    untracked = " untracked" if allows and chain.policy_class is PolicyClass.UNTRACKED else ""
    return Outcome(allows, f"is {verb}{untracked} by {rule.text}", chain.policy_class, rule)


def _matches(boxes: Iterable[Box], where: Box) -> bool:
    return any(common(box, where) is not None for box in boxes)
