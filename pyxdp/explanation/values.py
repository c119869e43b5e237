"""What an explanation consists of: frozen values, from one rule that was looked at up to the whole way of a packet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp.evaluator import Reason, Verdict
from pyxdp.model import Origin
from pyxdp.net.parse import Content

if TYPE_CHECKING:
    from pyxdp.evaluator import Context, Direction, PolicyClass, RuleRef
    from pyxdp.net import Packet


#: Of what is written nowhere.
NOWHERE: Final = Origin()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One rule that the packet was held against.

    Attributes:
        rule: which one.
        origin: where it is written.
        matched: ``yes``, ``no``, or ``maybe`` when a later fragment leaves it open.
        condition: the first condition that failed, as ``destination.ports``; empty when none did.
        why: that condition with both values, as ``destination.ports 8080 is not 6379``.
    """

    rule: RuleRef
    origin: Origin
    matched: str
    condition: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleList:
    """The rules of one policy or profile, in one direction, as far as the packet came.

    Attributes:
        kind: ``GlobalNetworkPolicy`` or ``Profile``.
        name: of the policy or profile.
        origin: where it is written; empty for what is built in.
        total: number of its rules; those behind a match are not looked at.
        looks: in order.
    """

    kind: str
    name: str
    origin: Origin
    total: int
    looks: tuple[Look, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stop on the way through a class: connection tracking, failsafe ports, a tier, the profiles, the end.

    Attributes:
        title: which one, as ``tier default``.
        outcome: what it came to; may be empty when a rule tells.
        origin: of the tier or configuration; empty for what is built in.
        lists: policies or profiles, in order, as far as the packet came.
        decides: the verdict of the class was given here.
    """

    title: str
    outcome: str = ""
    origin: Origin = NOWHERE
    lists: tuple[RuleList, ...] = ()
    decides: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAccount:
    """The way through one policy class.

    Attributes:
        policy_class: which one.
        hooks: where in the kernel it is asked, in order.
        verdict: its verdict.
        reason: why.
        rule: the deciding rule, or ``None``.
        tier: the deciding tier, or empty.
        origin: where what decided is written; empty when it is written nowhere.
        logs: Log rules that matched.
        stages: in order; the last one decides, if any does.
    """

    policy_class: PolicyClass
    hooks: tuple[str, ...]
    verdict: Verdict
    reason: Reason
    rule: RuleRef | None
    tier: str
    origin: Origin
    logs: tuple[RuleRef, ...]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bystander:
    """A policy that no class asked about this packet.

    Attributes:
        kind: of the resource.
        name: with the namespace, if it has one.
        origin: where it is written.
        why: it was not asked.
    """

    kind: str
    name: str
    origin: Origin
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What becomes of a packet at one interface, and why. ``str()`` is the text that ``pyxdp explain`` prints.

    Attributes:
        interface: that it enters or leaves through.
        direction: ingress or egress.
        context: what is known beyond its bytes.
        content: what the frame holds; anything but ``FLOW`` is judged by that alone.
        packet: ``None`` unless ``content`` is ``FLOW``.
        endpoint: name of the host endpoint that governs the interface, or empty.
        endpoint_origin: where that is written.
        governance: why no endpoint governs, or which other ones would; empty when there is nothing to tell.
        classes: those that were asked, in order.
        untracked: it leaves connection tracking.
        bystanders: policies that had no part in it.
    """

    interface: str
    direction: Direction
    context: Context
    content: Content = Content.FLOW
    packet: Packet | None = None
    endpoint: str = ""
    endpoint_origin: Origin = NOWHERE
    governance: str = ""
    classes: tuple[ClassAccount, ...] = ()
    untracked: bool = False
    bystanders: tuple[Bystander, ...] = ()

    @property
    def deciding(self) -> ClassAccount | None:
        """The class that decided, or the last one that governs the interface; ``None`` when no class was asked."""
        asked = [it for it in self.classes if it.reason is not Reason.NOT_GOVERNED]
        return (asked or self.classes)[-1] if self.classes else None

    @property
    def verdict(self) -> Verdict:
        """Allow, deny, or no verdict: host policy leaves the packet alone and it passes."""
        if self.deciding:
            return self.deciding.verdict
        return Verdict.DENY if self.endpoint and self.content.value.startswith("DROP_") else Verdict.NO_VERDICT

    @property
    def rule(self) -> RuleRef | None:
        """The deciding rule, if a rule decided."""
        return self.deciding.rule if self.deciding else None

    @property
    def origin(self) -> Origin:
        """Where what decided is written: a rule, else a tier or the host endpoint; may be empty."""
        return self.deciding.origin if self.deciding else NOWHERE

    def __str__(self) -> str:
        from pyxdp.explanation.text import lines  # noqa: PLC0415 - text is made of these values

        return "\n".join(lines(self))
