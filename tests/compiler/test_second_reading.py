"""The tables of all classes say of every packet what the evaluator says, by the same rule and with the same logs."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from pyxdp.abi import Name, RuleFlag, Verdict
from pyxdp.compiler import compile_policy
from pyxdp.evaluator import ClassResult, Reason, RuleRef, evaluate_class
from pyxdp.evaluator import Direction as EvaluatorDirection
from pyxdp.evaluator import PolicyClass as EvaluatorClass
from pyxdp.evaluator import Verdict as EvaluatorVerdict
from pyxdp.model import (
    Action,
    EntityRule,
    FailsafePort,
    FelixConfiguration,
    GlobalNetworkPolicy,
    PolicyType,
    Profile,
    Resources,
    Rule,
    StagedGlobalNetworkPolicy,
)
from pyxdp.net import Interface, Packet, PortRange
from pyxdp.resolver import Direction, PolicyClass, resolve
from tests.compiler.reader import Reader
from tests.resolver.build import ETH0, LO, NODE, host, metadata, networks, proto, tier

if TYPE_CHECKING:
    from pyxdp.resolver import EffectivePolicy

WORKLOAD: Final = Interface("cali1", 4)
INTERFACES: Final = (LO, ETH0, WORKLOAD)
CLASSES: Final = {
    PolicyClass.UNTRACKED: EvaluatorClass.UNTRACKED,
    PolicyClass.PREDNAT: EvaluatorClass.PRE_DNAT,
    PolicyClass.NORMAL: EvaluatorClass.NORMAL,
    PolicyClass.FORWARD: EvaluatorClass.FORWARD,
}
DIRECTIONS: Final = {
    Direction.INGRESS: EvaluatorDirection.INGRESS,
    Direction.EGRESS: EvaluatorDirection.EGRESS,
}
PAIRS: Final = [tuple(map(ip_address, pair)) for pair in (("10.0.0.1", "10.0.1.2"), ("fd00::1", "fd00:1::2"))]
PACKETS: Final = [
    *(
        Packet(protocol=protocol, source=source, destination=destination, source_port=sport, destination_port=dport)
        for source, destination in PAIRS
        for protocol, sport, dport in ((6, 9, 80), (6, 9, 22), (17, 9, 80), (6, 22, 9), (17, 53, 9))
    ),
    *(
        Packet(protocol=58, source=PAIRS[1][0], destination=PAIRS[1][1], icmp_type=number, icmp_code=0)
        for number in (128, 135)
    ),
]

RULES: Final = st.builds(
    Rule,
    action=st.sampled_from(Action),
    protocol=st.sampled_from([None, None, proto("TCP"), proto("UDP"), proto("ICMPv6")]),
    source=st.sampled_from([EntityRule(), EntityRule(), EntityRule(nets=networks("10.0.0.0/24"))]),
).flatmap(
    lambda rule: st.sampled_from(
        [rule, replace(rule, destination=EntityRule(ports=(PortRange(80, 80),)))]
        if rule.protocol in {proto("TCP"), proto("UDP")}
        else [rule]
    )
)
LISTS: Final = st.lists(RULES, max_size=3).map(tuple)
FAILSAFES: Final = (FailsafePort(proto("TCP"), 22), FailsafePort(proto("UDP"), 53, networks("10.0.0.0/8")[0]))
CONFIGURATION: Final = FelixConfiguration(metadata=metadata("default"), failsafeInboundHostPorts=FAILSAFES)


@st.composite
def policies(draw: st.DrawFn, name: str) -> GlobalNetworkPolicy:
    policy_class = draw(st.sampled_from([*PolicyClass, PolicyClass.NORMAL, PolicyClass.FORWARD]))
    both = (PolicyType.INGRESS, PolicyType.EGRESS)
    types = [both[:1]] if policy_class is PolicyClass.PREDNAT else [both, both, both[:1], both[1:]]
    return GlobalNetworkPolicy(
        metadata=metadata(name),
        tier=draw(st.sampled_from(["default", "first", "second", "kube-admin", "absent"])),
        order=draw(st.sampled_from([None, 1.0])),
        selector=draw(st.sampled_from(["", "", "has(nothing)"])),
        types=draw(st.sampled_from(types)),
        ingress=draw(LISTS),
        egress=draw(LISTS),
        doNotTrack=policy_class is PolicyClass.UNTRACKED,
        preDNAT=policy_class is PolicyClass.PREDNAT,
        applyOnForward=policy_class is not PolicyClass.NORMAL,
    )


@st.composite
def worlds(draw: st.DrawFn) -> Resources:
    staged = draw(policies("staged"))
    return Resources(
        hostEndpoints=(
            host(interface=draw(st.sampled_from(["eth0", "*", "lo"])), profiles=draw(st.sampled_from(PROFILE_LISTS))),
        ),
        globalNetworkPolicies=tuple(draw(policies(name)) for name in draw(st.sampled_from(["", "p", "pqr", "pqrs"]))),
        stagedGlobalNetworkPolicies=(
            StagedGlobalNetworkPolicy(metadata=staged.metadata, stagedAction="Set", policy=staged),
        ),
        tiers=(tier("first", 1, draw(st.sampled_from([Action.PASS, Action.DENY]))), tier("second", 2)),
        profiles=tuple(Profile(metadata=metadata(name), ingress=draw(LISTS), egress=draw(LISTS)) for name in "xy"),
        felixConfigurations=draw(
            st.sampled_from(
                [(), (FelixConfiguration(metadata=metadata("default"), failsafeInboundHostPorts=FAILSAFES),)]
            )
        ),
    )


PROFILE_LISTS: Final = [(), ("x",), ("x", "y"), ("x", "absent"), ("projectcalico-default-allow",)]
NOTHING: Final = Resources(hostEndpoints=(host(),))


@settings(max_examples=60, deadline=None)
@given(worlds())
@example(NOTHING)
def test_tables_and_evaluator_agree(resources: Resources) -> None:
    note(resources)
    effective = resolve(resources, NODE, INTERFACES)
    reader = Reader(compile_policy(effective))
    for interface, policy_class, direction in product(INTERFACES, PolicyClass, Direction):
        if (policy_class, direction) != (PolicyClass.PREDNAT, Direction.EGRESS):
            for packet in PACKETS:
                expected = evaluate_class(
                    resources,
                    node=NODE,
                    interfaces=INTERFACES,
                    interface=interface.name,
                    direction=DIRECTIONS[direction],
                    packet=packet,
                    policy_class=CLASSES[policy_class],
                )
                name = "cali+" if interface is WORKLOAD else interface.name
                found = judged(reader, name, direction, packet, policy_class)
                wanted = meaning(expected, effective)
                if name == "cali+" and name not in reader.image.endpoints:
                    assert expected.reason in UNASKED
                else:
                    assert found == wanted, (interface.name, policy_class, direction, packet)


def judged(
    reader: Reader, interface: str, direction: Direction, packet: Packet, policy_class: PolicyClass
) -> tuple[Any, ...]:
    """The verdict, the identity that decided, and the Log rules on the way."""
    if interface not in reader.image.endpoints or not reader.ruleset(interface, direction, policy_class).words:
        return NOT_GOVERNED
    *met, last = reader.way(interface, direction, packet, policy_class)
    logs = [identity(reader.image.names[one.counter]) for one in met if one.flags & RuleFlag.LOG]
    decided = None if last.verdict == Verdict.NONE else identity(reader.image.names[last.counter])
    return Verdict(last.verdict).name, decided, logs


def identity(name: Name) -> tuple[str, str, str, int, str]:
    return name.kind, name.tier, name.policy, name.rule, name.action


# Where * has neither pre-DNAT nor forward policy, nobody judges on workload interfaces.
UNASKED: Final = {Reason.NOT_GOVERNED, Reason.NO_MATCH, Reason.NO_FORWARD_POLICY, Reason.FAILSAFE}
NOT_GOVERNED: Final[tuple[Any, ...]] = ("NONE", None, [])
VERDICTS: Final = {
    EvaluatorVerdict.ALLOW: "ALLOW",
    EvaluatorVerdict.DENY: "DENY",
    EvaluatorVerdict.NO_VERDICT: "NONE",
}


def meaning(result: ClassResult, effective: EffectivePolicy) -> tuple[Any, ...]:
    """The same of what the evaluator says."""
    logs = [reference(one) for one in result.logs]
    endpoint = effective.endpoints[0].name if effective.endpoints else ""
    unwritten = {
        Reason.END_OF_TIER: ("Tier", result.tier, result.tier, 0, "Deny"),
        Reason.END_OF_PROFILES: ("HostEndpoint", "", endpoint, 0, "Deny"),
        Reason.MISSING_PROFILE: ("Profile", "", "absent", 0, "Deny"),
        Reason.NEIGHBOUR_DISCOVERY: ("Builtin", "", "neighbour-discovery", 0, "Allow"),
        Reason.NO_FORWARD_POLICY: ("HostEndpoint", "", endpoint, 0, "Allow"),
    }
    decided = unwritten.get(result.reason) or (result.rule and reference(result.rule))
    verdict = "FAILSAFE" if result.reason is Reason.FAILSAFE else VERDICTS[result.verdict]
    return verdict, decided, logs


def reference(rule: RuleRef) -> tuple[str, str, str, int, str]:
    return rule.kind, rule.tier, rule.policy, rule.number, rule.action.value
