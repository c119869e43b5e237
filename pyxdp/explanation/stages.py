"""The way through one policy class, stop by stop: what the evaluator's trace does not say because no rule says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp.evaluator import ClassResult, Conntrack, Context, Direction, PolicyClass, Reason, RuleRef, Step
from pyxdp.evaluator.endpoint import failsafe_ports
from pyxdp.evaluator.tiers import BUILT_IN_TIERS, find_profile, ordered_tiers, rules_of, tier_policies
from pyxdp.explanation.conditions import icmp_name, protocol_name, why_not
from pyxdp.explanation.origins import failsafe_configuration
from pyxdp.explanation.values import NOWHERE, Look, RuleList, Stage
from pyxdp.model import Action
from pyxdp.net.values import ICMPV6, PORT_PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyxdp.model import GlobalNetworkPolicy, HostEndpoint, Profile, Resources, Tier
    from pyxdp.net import Packet

#: What is said of a class without tiers.
NO_POLICY: Final = "no policy of this class selects the endpoint"

_CONNECTION: Final = {
    Conntrack.ESTABLISHED: "established: allowed before policy is asked",
    Conntrack.RELATED: "related to an established connection: allowed before policy is asked",
    Conntrack.INVALID: "invalid: dropped before policy is asked, even to a failsafe port",
}
_BY_CONNECTION: Final = (Reason.ESTABLISHED, Reason.INVALID)
_NEVER_DENIES: Final = (PolicyClass.UNTRACKED, PolicyClass.PRE_DNAT)
_ENDS: Final = {
    Reason.NO_MATCH: "no rule decided: the next class is asked",
    Reason.NO_FORWARD_POLICY: "no policy with applyOnForward selects the host endpoint: forwarded traffic passes",
}

_HANGS_ON_PORTS: Final = "it could match: a later fragment has no ports, so the first one decides"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One packet's way through one class.

    Attributes:
        resources: all of them.
        node: the host.
        endpoint: the host endpoint that governs the interface.
        labels: of that endpoint, inherited ones included.
        direction: of the packet.
        packet: as this class sees it, before or after DNAT.
        context: what is known beyond its bytes.
        result: what the class said.
    """

    resources: Resources
    node: str
    endpoint: HostEndpoint
    labels: Mapping[str, str]
    direction: Direction
    packet: Packet
    context: Context
    result: ClassResult

    def stages(self) -> Iterator[Stage]:
        """Go along the way, up to what decided."""
        if self.result.reason is Reason.NOT_GOVERNED:
            outcome = "it does not govern this interface in this class"
            yield Stage(title="host endpoint", outcome=outcome, decides=True)
            return
        for stage in self._all_stages():
            yield stage
            if stage.decides:
                return

    def _all_stages(self) -> Iterator[Stage]:
        tracked = self.result.policy_class is not PolicyClass.UNTRACKED
        if tracked and self.context.conntrack is not Conntrack.NEW:
            decides = self.result.reason in _BY_CONNECTION
            yield Stage(title="connection tracking", outcome=self._connection(decides=decides), decides=decides)
        if self.result.policy_class is not PolicyClass.FORWARD:
            yield self._failsafes()
        if self.result.policy_class is PolicyClass.NORMAL and self.packet.protocol == ICMPV6:
            yield self._neighbour_discovery()
        yield from self._tiers()
        if self.result.policy_class is PolicyClass.NORMAL:
            yield from self._profiles()
        elif self.result.reason in _ENDS:
            yield Stage(title="end", outcome=self._end(), decides=True)

    def _connection(self, *, decides: bool) -> str:
        if self.context.conntrack is Conntrack.INVALID and not decides:
            return "invalid, and disableConntrackInvalidCheck is set: policy decides"
        return _CONNECTION[self.context.conntrack]

    def _failsafes(self) -> Stage:
        rule = self.result.rule
        decides = rule is not None and rule.kind == "FelixConfiguration"
        direction = rule.direction if decides and rule else self.direction
        config = failsafe_configuration(self.resources, self.node, direction)
        outcome = self._failsafe_hit(rule) if decides and rule else self._failsafe_miss()
        origin = config.metadata.origin if config else NOWHERE
        return Stage(title="failsafe ports", outcome=outcome, origin=origin, decides=decides)

    def _failsafe_hit(self, rule: RuleRef) -> str:
        inbound, outbound = failsafe_ports(self.resources, self.node)
        entry = (inbound if rule.direction is Direction.INGRESS else outbound)[rule.number]
        peer = f" with {entry.net}" if entry.net else ""
        name = f"{'inbound' if rule.direction is Direction.INGRESS else 'outbound'} {entry.protocol} {entry.port}{peer}"
        if self.result.reason is Reason.FRAGMENT:
            return f"{name} could be it: a later fragment has no ports, the first one decides"
        if rule.direction is not self.direction:
            return f"an answer from {name}: passes this class"
        return f"{name}: {'allowed' if self.result.policy_class is PolicyClass.NORMAL else 'passes this class'}"

    def _failsafe_miss(self) -> str:
        if self.packet.protocol not in PORT_PROTOCOLS:
            return f"none is for {protocol_name(self.packet.protocol)}"
        name, mirrored = protocol_name(self.packet.protocol), self.result.policy_class is PolicyClass.UNTRACKED
        answer = f", none answers from {self.packet.source_port}" if mirrored else ""
        return f"none is {name} {self.packet.destination_port}{answer}"

    def _neighbour_discovery(self) -> Stage:
        decides = self.result.reason is Reason.NEIGHBOUR_DISCOVERY
        name = icmp_name(self.packet.icmp_type, self.packet.icmp_code)
        outcome = f"ICMPv6 {name}: always allowed" if decides else f"ICMPv6 {name} is not part of it"
        return Stage(title="neighbour discovery", outcome=outcome, decides=decides)

    def _tiers(self) -> Iterator[Stage]:
        found = False
        for tier in ordered_tiers(self.resources):
            policies = tier_policies(
                self.resources,
                tier,
                policy_class=self.result.policy_class,
                direction=self.direction,
                labels=self.labels,
            )
            if policies:
                found = True
                yield self._tier(tier, policies)
        if not found:
            yield Stage(title="tiers", outcome=NO_POLICY)

    def _tier(self, tier: Tier, policies: Sequence[GlobalNetworkPolicy]) -> Stage:
        lists: list[RuleList] = []
        hit = None
        for policy in policies:
            steps = self._steps("GlobalNetworkPolicy", policy.metadata.name)
            hit = _hit(steps)
            lists.append(self._rule_list("GlobalNetworkPolicy", policy, steps))
            if hit:
                break
        ends_here = self.result.reason is Reason.END_OF_TIER and self.result.tier == tier.metadata.name
        return Stage(
            title=f"tier {tier.metadata.name}",
            outcome=self._tier_outcome(tier, hit),
            origin=tier.metadata.origin,
            lists=tuple(lists),
            decides=ends_here or (hit is not None and hit.rule == self.result.rule),
        )

    def _tier_outcome(self, tier: Tier, hit: Step | None) -> str:
        if hit is not None and hit.rule.action is Action.PASS and hit.rule != self.result.rule:
            return "Pass ends the tier"
        if hit is not None:
            return _HANGS_ON_PORTS if hit.matched == "maybe" else ""
        if self.result.policy_class in _NEVER_DENIES:
            return "no rule matched; this class does not deny at the end of a tier"
        if tier.defaultAction is Action.PASS:
            return "no rule matched, and the tier's default action is Pass"
        known = {it.metadata.name for it in (*BUILT_IN_TIERS, *self.resources.tiers)}
        missing = "" if tier.metadata.name in known else " (the tier does not exist)"
        return f"no rule matched, and the tier's default action is Deny{missing}"

    def _profiles(self) -> Iterator[Stage]:
        lists: list[RuleList] = []
        decider: Step | None = None
        for name in self.endpoint.profiles:
            profile = find_profile(self.resources, name)
            if profile is None:
                break
            steps = self._steps("Profile", name)
            lists.append(self._rule_list("Profile", profile, steps))
            decider = _hit(steps)
            if decider and decider.rule.action is not Action.PASS:
                break
        yield Stage(
            title="profiles",
            outcome=self._profiles_outcome(decider),
            origin=self.endpoint.metadata.origin,
            lists=tuple(lists),
            decides=True,
        )

    def _profiles_outcome(self, decider: Step | None) -> str:
        if self.result.reason is Reason.MISSING_PROFILE:
            missing = next(name for name in self.endpoint.profiles if find_profile(self.resources, name) is None)
            return f"Profile/{missing} does not exist: denied"
        if decider is not None and decider.rule == self.result.rule:
            return ""
        if not self.endpoint.profiles:
            return "the host endpoint has none, and nothing before allowed it: denied"
        return "none of their rules allowed it: denied"

    def _end(self) -> str:
        if self.result.policy_class is PolicyClass.FORWARD and self.result.reason is Reason.NO_MATCH:
            return "no rule decided: host policy leaves the forwarded packet alone"
        return _ENDS[self.result.reason]

    def _steps(self, kind: str, name: str) -> tuple[Step, ...]:
        return tuple(step for step in self.result.trace if (step.rule.kind, step.rule.policy) == (kind, name))

    def _rule_list(self, kind: str, owner: GlobalNetworkPolicy | Profile, steps: Sequence[Step]) -> RuleList:
        rules = rules_of(owner, self.direction)
        return RuleList(
            kind=kind,
            name=owner.metadata.name,
            origin=owner.metadata.origin,
            total=len(rules),
            looks=tuple(
                Look(
                    rule=step.rule,
                    origin=rules[step.rule.number].origin,
                    matched=step.matched,
                    condition=step.why,
                    why=why_not(step.why, rules[step.rule.number], self.packet, self.resources) if step.why else "",
                )
                for step in steps
            ),
        )


def _hit(steps: Sequence[Step]) -> Step | None:
    """Return the step that ended a list of rules, if one did."""
    return next((step for step in steps if step.matched != "no" and step.rule.action is not Action.LOG), None)
