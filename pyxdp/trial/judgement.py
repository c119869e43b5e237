"""What becomes of a packet, and why: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyxdp.abi import Name
    from pyxdp.xtables.chains import Rule


#: The hook in front of the tables.
XDP: Final = "xdp"


class Verdict(Enum):
    """What host policy makes of a packet. ``NO_MATCH`` leaves it alone: it passes, as far as policy is concerned."""

    ALLOW = "allow"
    DENY = "deny"
    NO_MATCH = "no-match"


class Stage(Enum):
    """How far a packet is followed: through the untracked class, through pre-DNAT too, or to the end."""

    UNTRACKED = "untracked"
    PRE_DNAT = "preDNAT"
    ALL = "all"


class PolicyClass(Enum):
    """The class that decided, as policies name it; ``NONE``: no class was asked."""

    UNTRACKED = "untracked"
    PRE_DNAT = "preDNAT"
    NORMAL = "normal"
    FORWARD = "forward"
    NONE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleName:
    """Which rule, in the words of the records that the maps hold (``struct pyxdp_name``).

    Attributes:
        tier: empty for profiles, failsafe ports and the end of all tiers.
        kind: ``GlobalNetworkPolicy``, ``Profile``; ``FelixConfiguration`` for a failsafe port, ``Tier`` for the end of
            one, ``HostEndpoint`` for what its absence of policy decides, ``Builtin`` for neighbour discovery.
        policy: name of that resource; ``failsafe`` for failsafe ports.
        direction: ``ingress`` or ``egress``, of the list that the rule is in.
        number: in that list, from 0.
        action: as written.
    """

    tier: str
    kind: str
    policy: str
    direction: str
    number: int
    action: str

    def __str__(self) -> str:
        if self.kind == "Tier":
            return f"end of tier {self.policy}"
        if self.kind in ("HostEndpoint", "Builtin"):
            return f"{self.kind}/{self.policy}"
        place = self.tier or self.kind
        return f"{place}/{self.policy}/{self.direction}[{self.number}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What happened at one hook.

    Attributes:
        hook: :data:`XDP`, or table and built-in chain: ``filter INPUT``.
        rules: of iptables, that matched, in order.
        programs: that were asked, in order.
        counted: rules of policy that were counted there, by counter, and how often; Log rules included.
        reasons: reasons that were counted there, and how often.
        dropped: the packet ended here.
    """

    hook: str
    programs: tuple[str, ...]
    counted: tuple[tuple[Name, int], ...]
    reasons: tuple[tuple[str, int], ...]
    dropped: bool
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What became of a packet.

    Attributes:
        verdict: what.
        untracked: the packet has left connection tracking.
        policy_class: the last class that was asked; it decided.
        reason: why: a name of ``enum pyxdp_reason``; ``ESTABLISHED`` for a packet of a known connection.
        rule: the rule that decided, if one did.
        hook: where it was decided; empty when no hook was passed.
        logs: Log rules that the packet met, in the order of classes.
        passages: hook by hook; empty when no programs were run.
    """

    verdict: Verdict
    untracked: bool = False
    policy_class: PolicyClass = PolicyClass.NONE
    reason: str = ""
    rule: RuleName | None = None
    hook: str = ""
    logs: tuple[RuleName, ...] = ()
    passages: tuple[Passage, ...] = ()
