"""What the evaluator is asked with and what it answers: frozen values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from pyxdp.model import Action, PolicyType

if TYPE_CHECKING:
    from pyxdp.net import Address, Packet

#: Ingress is towards the host from the wire, egress out of the host to the wire.
Direction = PolicyType


class PolicyClass(Enum):
    """One of the four classes of host policy (spec section 0)."""

    UNTRACKED = "untracked"
    PRE_DNAT = "pre-DNAT"
    NORMAL = "normal"
    FORWARD = "forward"


class Path(Enum):
    """Where a packet comes from or goes to inside the host."""

    LOCAL = "local"
    FORWARD = "forward"


class Conntrack(Enum):
    """What connection tracking says of a packet. An untracked packet is ``NEW`` here."""

    NEW = "new"
    ESTABLISHED = "established"
    RELATED = "related"
    INVALID = "invalid"


class Verdict(Enum):
    """What a class says of a packet; ``NO_VERDICT`` leaves it to the next class (spec section 11.5)."""

    ALLOW = "allow"
    DENY = "deny"
    NO_VERDICT = "no verdict"


class Reason(Enum):
    """Why a class gave its verdict."""

    RULE = "a rule of a policy or profile"
    FAILSAFE = "a failsafe port"
    FRAGMENT = "a later fragment: the verdict hangs on ports, so the first fragment decides"
    ESTABLISHED = "belongs to an established connection"
    INVALID = "connection tracking finds it invalid"
    NEIGHBOUR_DISCOVERY = "IPv6 neighbour discovery or multicast listener discovery"
    END_OF_TIER = "no rule of the tier matched, and its default action is Deny"
    END_OF_PROFILES = "no profile allowed it"
    MISSING_PROFILE = "the host endpoint names a profile that does not exist"
    NO_FORWARD_POLICY = "no policy with applyOnForward selects the host endpoint"
    NO_MATCH = "no rule of the class gave a verdict"
    NOT_GOVERNED = "no host endpoint governs the interface in this class"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What policy needs to know of a packet beyond its bytes. The untracked class needs none of it.

    Attributes:
        path: local when one end is a process of the host, forward when the host routes the packet.
        conntrack: state before this packet is judged.
        original_destination: destination before DNAT; ``None`` when there was no DNAT. The packet itself holds the
            destination after it.
        original_destination_port: likewise.
    """

    path: Path = Path.LOCAL
    conntrack: Conntrack = Conntrack.NEW
    original_destination: Address | None = None
    original_destination_port: int | None = None

    def before_dnat(self, packet: Packet) -> Packet:
        """Return the packet as it was before DNAT."""
        if self.original_destination is not None:
            packet = replace(packet, destination=self.original_destination)
        if self.original_destination_port is not None:
            packet = replace(packet, destination_port=self.original_destination_port)
        return packet


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRef:
    """Which rule.

    Attributes:
        tier: empty for profiles and failsafe ports.
        kind: ``GlobalNetworkPolicy``, ``Profile``, or ``FelixConfiguration`` for a failsafe port.
        policy: name of the policy or profile; ``failsafe`` for a failsafe port.
        direction: of the list that the rule is in. A mirrored failsafe port is in the other direction's list.
        number: in its list, from 0.
        action: as written; Allow for a failsafe port.
    """

    kind: str
    policy: str
    direction: Direction
    number: int
    action: Action
    tier: str = ""

    def __str__(self) -> str:
        place = f"{self.tier}/{self.policy}" if self.tier else f"{self.kind}/{self.policy}"
        return f"{place}/{self.direction.value.lower()}[{self.number}]"


class Step(NamedTuple):
    """One rule that was looked at on the way.

    Attributes:
        rule: which one.
        matched: ``yes``, ``no``, or ``maybe`` when a later fragment leaves it open.
        why: the first condition of the rule that failed, as ``source.nets``; empty when none did.
    """

    rule: RuleRef
    matched: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassResult:
    """What one class says of a packet.

    Attributes:
        policy_class: which class.
        verdict: its verdict.
        reason: why.
        rule: the deciding rule, or ``None`` when no rule decided.
        tier: the tier that decided, by a rule or by its end; otherwise empty.
        logs: Log rules that matched on the way, in order.
        trace: every rule that was looked at, in order.
    """

    policy_class: PolicyClass
    verdict: Verdict
    reason: Reason
    rule: RuleRef | None = None
    tier: str = ""
    logs: tuple[RuleRef, ...] = ()
    trace: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What all classes together say of a packet at one interface.

    Attributes:
        endpoint: name of the host endpoint that governs the interface, or empty.
        classes: the classes that were asked, in order, whether or not they govern the interface.
        untracked: the packet leaves connection tracking.
    """

    endpoint: str
    classes: tuple[ClassResult, ...]
    untracked: bool = False

    @property
    def deciding(self) -> ClassResult:
        """The class that decided, or the last one that governs the interface."""
        asked = [result for result in self.classes if result.reason is not Reason.NOT_GOVERNED]
        return (asked or self.classes)[-1]

    @property
    def verdict(self) -> Verdict:
        """Allow, deny, or no verdict: host policy leaves the packet alone and it passes."""
        return self.deciding.verdict

    @property
    def reason(self) -> Reason:
        """Why."""
        return self.deciding.reason

    @property
    def rule(self) -> RuleRef | None:
        """The deciding rule, if a rule decided."""
        return self.deciding.rule

    @property
    def passes(self) -> bool:
        """True unless the packet is dropped."""
        return self.verdict is not Verdict.DENY

    @property
    def logs(self) -> tuple[RuleRef, ...]:
        """Log rules that matched, of all classes in order."""
        return tuple(rule for result in self.classes for rule in result.logs)
