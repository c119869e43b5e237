"""The random policies reach every kind of verdict, are valid, and the evaluator keeps its own laws on them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pyxdp.evaluator import ClassResult, Direction, PolicyClass, Reason, Verdict, evaluate_class
from pyxdp.model import Action
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS
from tests.verdicts.strategies import INTERFACE, NODE, trials
from tests.verdicts.table import Case, Expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxdp.model import GlobalNetworkPolicy, Resources, Rule
    from pyxdp.net import Packet

LARGE = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

KINDS: dict[str, Callable[[Case], bool]] = {
    "allow": lambda case: case.expect is Expect.ALLOW,
    "deny": lambda case: case.expect is Expect.DENY,
    "no match": lambda case: case.expect is Expect.NO_MATCH and case.rule == "none",
    "failsafe": lambda case: case.rule == "failsafe",
    "log before a verdict": lambda case: bool(case.logs) and case.expect is Expect.DENY,
    "later fragment that is denied": lambda case: case.packet.later_fragment and case.expect is Expect.DENY,
    "later fragment left open": lambda case: judged(case).reason is Reason.FRAGMENT,
    "verdict of a second tier": lambda case: case.rule.startswith("beta/"),
    "verdict behind a Pass": lambda case: case.expect is Expect.DENY and passed(case),
    "IPv6": lambda case: case.packet.family == 6 and case.expect is Expect.DENY,
    "egress": lambda case: case.direction is Direction.EGRESS and case.expect is Expect.ALLOW,
    "SCTP": lambda case: case.packet.protocol == 132 and case.expect is Expect.DENY,
    "ICMP": lambda case: case.packet.protocol in (ICMP, ICMPV6) and case.expect is Expect.DENY,
}


def judged(case: Case, *, resources: Resources | None = None, packet: Packet | None = None) -> ClassResult:
    return evaluate_class(
        resources or case.scenario.resources,
        node=NODE,
        interfaces=case.scenario.interfaces,
        interface=INTERFACE,
        direction=case.direction,
        packet=packet or case.packet,
        policy_class=PolicyClass.UNTRACKED,
    )


def passed(case: Case) -> bool:
    return any(step.matched == "yes" and step.rule.action is Action.PASS for step in judged(case).trace)


@pytest.fixture(scope="module")
def sample() -> list[Case]:
    """Some hundred packets, the same ones each time."""
    cases: list[Case] = []

    @settings(LARGE, max_examples=250, derandomize=True, database=None, phases=[Phase.generate])
    @given(trials())
    def collect(drawn: list[Case]) -> None:
        cases.extend(drawn)

    collect()
    return cases


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_verdict_is_drawn(sample: list[Case], kind: str) -> None:
    assert any(KINDS[kind](case) for case in sample)


def test_many_packets_meet_a_verdict(sample: list[Case]) -> None:
    assert sum(case.expect is not Expect.NO_MATCH for case in sample) > len(sample) / 6


@LARGE
@given(trials())
def test_the_order_of_resources_does_not_matter(cases: list[Case]) -> None:
    resources = cases[0].scenario.resources
    reversed_ = replace(
        resources,
        globalNetworkPolicies=resources.globalNetworkPolicies[::-1],
        hostEndpoints=resources.hostEndpoints[::-1],
        globalNetworkSets=resources.globalNetworkSets[::-1],
        tiers=resources.tiers[::-1],
    )
    for case in cases:
        assert judged(case, resources=reversed_) == judged(case)


@LARGE
@given(trials())
def test_a_rule_that_did_not_match_may_be_left_out(cases: list[Case]) -> None:
    for case in cases:
        result = judged(case)
        silent = {(step.rule.policy, step.rule.number) for step in result.trace if step.matched == "no"}
        again = judged(case, resources=_without(case, silent))
        assert (again.verdict, again.reason, again.tier) == (result.verdict, result.reason, result.tier)
        assert len(again.logs) == len(result.logs)
        assert all(step.matched != "no" for step in again.trace)


def _without(case: Case, unwanted: set[tuple[str, int]]) -> Resources:
    def kept(policy: GlobalNetworkPolicy, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        name = policy.metadata.name
        return tuple(rule for number, rule in enumerate(rules) if (name, number) not in unwanted)

    resources = case.scenario.resources
    policies = [
        replace(policy, ingress=kept(policy, policy.ingress))
        if case.direction is Direction.INGRESS
        else replace(policy, egress=kept(policy, policy.egress))
        for policy in resources.globalNetworkPolicies
    ]
    return replace(resources, globalNetworkPolicies=tuple(policies))


@LARGE
@given(trials(), st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)), min_size=1, max_size=8))
def test_a_later_fragment_is_denied_only_if_every_first_one_is(cases: list[Case], ports: list[tuple[int, int]]) -> None:
    for case in cases:
        fragment = replace(
            case.packet, later_fragment=True, source_port=None, destination_port=None, icmp_type=None, icmp_code=None
        )
        result = judged(case, packet=fragment)
        if result.verdict is not Verdict.DENY:
            continue
        for first in [case.packet, *(_first(fragment, pair) for pair in ports)]:
            whole = judged(case, packet=first)
            assert (whole.verdict, whole.rule) == (Verdict.DENY, result.rule)


def _first(fragment: Packet, values: tuple[int, int]) -> Packet:
    """The first fragment that a later one might belong to."""
    first = replace(fragment, later_fragment=False)
    if fragment.protocol in PORT_PROTOCOLS:
        return replace(first, source_port=values[0], destination_port=values[1])
    if fragment.protocol in (ICMP, ICMPV6):
        return replace(first, icmp_type=values[0] & 0xFF, icmp_code=values[1] & 0xFF)
    return first


@LARGE
@given(trials())
def test_a_failsafe_port_is_never_denied_nor_untracked(cases: list[Case]) -> None:
    for case in cases:
        result = judged(case)
        if result.reason is Reason.FAILSAFE:
            assert (result.verdict, result.trace) == (Verdict.NO_VERDICT, ())
