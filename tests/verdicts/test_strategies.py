"""The random policies reach every kind of verdict, are valid, and the evaluator keeps its own laws on them."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyxdp.evaluator import Conntrack, Direction, Evaluation, Evaluator, Path, PolicyClass, Reason, Verdict
from pyxdp.model import Action
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS
from tests.verdicts.strategies import rounds, throw_round
from tests.verdicts.vocabulary import INTERFACES, NODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxdp.model import GlobalNetworkPolicy, Profile, Resources, Rule
    from pyxdp.net import Packet
    from tests.verdicts.boundaries import Question
    from tests.verdicts.strategies import Round

LARGE = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


class Judged(NamedTuple):
    """A packet and what the evaluator says of it."""

    question: Question
    answer: Evaluation

    @property
    def denied(self) -> bool:
        return self.answer.verdict is Verdict.DENY

    def matched(self, action: Action) -> bool:
        steps = (step for result in self.answer.classes for step in result.trace)
        return any(step.matched == "yes" and step.rule.action is action for step in steps)


def decided(policy_class: PolicyClass, verdict: Verdict, reason: Reason) -> Callable[[Judged], bool]:
    def is_so(one: Judged) -> bool:
        deciding = one.answer.deciding
        return (deciding.policy_class, deciding.verdict, deciding.reason) == (policy_class, verdict, reason)

    return is_so


_OUTCOMES = (
    *((policy_class, Verdict.ALLOW, Reason.RULE) for policy_class in PolicyClass),
    *((policy_class, Verdict.DENY, Reason.RULE) for policy_class in PolicyClass),
    (PolicyClass.NORMAL, Verdict.ALLOW, Reason.FAILSAFE),
    (PolicyClass.NORMAL, Verdict.ALLOW, Reason.NEIGHBOUR_DISCOVERY),
    (PolicyClass.NORMAL, Verdict.ALLOW, Reason.ESTABLISHED),
    (PolicyClass.PRE_DNAT, Verdict.DENY, Reason.INVALID),
    (PolicyClass.NORMAL, Verdict.DENY, Reason.INVALID),
    (PolicyClass.NORMAL, Verdict.DENY, Reason.END_OF_TIER),
    (PolicyClass.NORMAL, Verdict.DENY, Reason.END_OF_PROFILES),
    (PolicyClass.NORMAL, Verdict.DENY, Reason.MISSING_PROFILE),
    (PolicyClass.FORWARD, Verdict.DENY, Reason.END_OF_TIER),
    (PolicyClass.FORWARD, Verdict.ALLOW, Reason.NO_FORWARD_POLICY),
    (PolicyClass.FORWARD, Verdict.NO_VERDICT, Reason.NO_MATCH),
    (PolicyClass.UNTRACKED, Verdict.NO_VERDICT, Reason.FRAGMENT),
)
KINDS: dict[str, Callable[[Judged], bool]] = {
    **{f"{outcome[0].value}: {outcome[1].value}, {outcome[2].name}": decided(*outcome) for outcome in _OUTCOMES},
    "allow by a profile": lambda one: (
        one.answer.rule is not None and one.answer.rule.kind == "Profile" and not one.denied
    ),
    "failsafe port of the untracked class": lambda one: one.answer.classes[0].reason is Reason.FAILSAFE,
    "log before a verdict": lambda one: bool(one.answer.logs) and one.denied,
    "verdict behind a Pass": lambda one: one.denied and one.matched(Action.PASS),
    "later fragment that is denied": lambda one: one.question.packet.later_fragment and one.denied,
    "verdict of a second tier": lambda one: one.answer.deciding.tier == "beta",
    "verdict of a tier that does not exist": lambda one: one.answer.deciding.tier == "no-such-tier",
    "DNAT and pre-DNAT policy": lambda one: (
        one.question.rewritten
        and one.answer.deciding.policy_class is PolicyClass.PRE_DNAT
        and one.answer.rule is not None
    ),
    "DNAT out of the host": lambda one: (
        one.question.rewritten
        and one.question.direction is Direction.EGRESS
        and one.question.context.path is Path.LOCAL
    ),
    "invalid, left to policy": lambda one: (
        one.question.context.conntrack is Conntrack.INVALID and one.answer.reason is Reason.RULE
    ),
    "IPv6": lambda one: one.question.packet.family == 6 and one.denied,
    "SCTP": lambda one: one.question.packet.protocol == 132 and one.denied,
    "ICMP": lambda one: one.question.packet.protocol in (ICMP, ICMPV6) and one.denied,
    "a workload's interface under policy": lambda one: (
        one.question.interface == "cali1" and one.answer.reason is Reason.RULE
    ),
    "an interface without policy": lambda one: one.answer.endpoint == "",
}


def judge_all(thrown: Round, *, resources: Resources | None = None) -> Iterator[Judged]:
    ask = judge(resources or thrown.scenario.resources)
    for question in thrown.questions:
        yield Judged(question, ask(question))


def judge(resources: Resources) -> Callable[[Question], Evaluation]:
    evaluator = Evaluator(resources, node=NODE, interfaces=INTERFACES)

    def ask(question: Question) -> Evaluation:
        return evaluator.evaluate(
            question.packet, interface=question.interface, direction=question.direction, context=question.context
        )

    return ask


@pytest.fixture(scope="module")
def sample() -> list[Judged]:
    """Some thousand packets, the same ones each time."""
    return [one for seed in range(250) for one in judge_all(throw_round(Random(seed), 40))]  # noqa: S311 - repeatable


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_verdict_is_thrown(sample: list[Judged], kind: str) -> None:
    assert any(KINDS[kind](one) for one in sample)


def test_many_packets_meet_a_rule_that_matches(sample: list[Judged]) -> None:
    matched = [any(step.matched == "yes" for result in one.answer.classes for step in result.trace) for one in sample]
    assert sum(matched) > len(sample) / 4


@LARGE
@given(rounds())
def test_the_order_of_resources_does_not_matter(thrown: Round) -> None:
    resources = thrown.scenario.resources
    reversed_ = replace(
        resources,
        globalNetworkPolicies=resources.globalNetworkPolicies[::-1],
        hostEndpoints=resources.hostEndpoints[::-1],
        globalNetworkSets=resources.globalNetworkSets[::-1],
        tiers=resources.tiers[::-1],
        profiles=resources.profiles[::-1],
        felixConfigurations=resources.felixConfigurations[::-1],
    )
    assert list(judge_all(thrown, resources=reversed_)) == list(judge_all(thrown))


@LARGE
@given(rounds())
def test_what_is_staged_or_of_workloads_does_not_matter(thrown: Round) -> None:
    enforced = replace(thrown.scenario.resources, stagedGlobalNetworkPolicies=(), networkPolicies=())
    assert list(judge_all(thrown, resources=enforced)) == list(judge_all(thrown))


@LARGE
@given(rounds(least=2, most=4))
def test_an_evaluator_says_the_same_of_the_hundredth_packet_as_of_the_first(thrown: Round) -> None:
    ask = judge(thrown.scenario.resources)
    for question in [*thrown.questions, *thrown.questions]:
        assert ask(question) == judge(thrown.scenario.resources)(question)


@LARGE
@given(rounds(most=8))
def test_a_rule_that_did_not_match_may_be_left_out(thrown: Round) -> None:
    for question, answer in judge_all(thrown):
        silent = {
            (step.rule.kind, step.rule.policy, step.rule.number)
            for result in answer.classes
            for step in result.trace
            if step.matched == "no"
        }
        again = judge(_without(thrown.scenario.resources, question.direction, silent))(question)
        assert (again.verdict, again.reason, again.deciding.tier) == (
            answer.verdict, answer.reason, answer.deciding.tier,
        )  # fmt: skip
        assert len(again.logs) == len(answer.logs)


def _without(resources: Resources, direction: Direction, unwanted: set[tuple[str, str, int]]) -> Resources:
    def kept(owner: GlobalNetworkPolicy | Profile) -> dict[str, Any]:
        field = "ingress" if direction is Direction.INGRESS else "egress"
        key = type(owner).__name__, owner.metadata.name
        rules: tuple[Rule, ...] = getattr(owner, field)
        return {field: tuple(rule for number, rule in enumerate(rules) if (*key, number) not in unwanted)}

    return replace(
        resources,
        globalNetworkPolicies=tuple(replace(policy, **kept(policy)) for policy in resources.globalNetworkPolicies),
        profiles=tuple(replace(profile, **kept(profile)) for profile in resources.profiles),
    )


@LARGE
@given(
    rounds(classes=(PolicyClass.UNTRACKED,)), st.lists(st.tuples(*[st.integers(0, 65535)] * 2), min_size=1, max_size=8)
)
def test_a_later_fragment_is_denied_only_if_every_first_one_is(thrown: Round, ports: list[tuple[int, int]]) -> None:
    ask = judge(thrown.scenario.resources)
    for question in thrown.questions:
        fragment = replace(
            question.packet,
            later_fragment=True,
            source_port=None,
            destination_port=None,
            icmp_type=None,
            icmp_code=None,
        )
        answer = ask(_of(question, fragment))
        if not answer.passes:
            for first in [question.packet, *(_first(fragment, pair) for pair in ports)]:
                whole = ask(_of(question, first))
                assert (whole.verdict, whole.rule) == (Verdict.DENY, answer.rule)


def _of(question: Question, packet: Packet) -> Question:
    """The same question about a new local packet."""
    return replace(question, packet=packet, context=type(question.context)())


def _first(fragment: Packet, values: tuple[int, int]) -> Packet:
    """The first fragment that a later one might belong to."""
    first = replace(fragment, later_fragment=False)
    if fragment.protocol in PORT_PROTOCOLS:
        return replace(first, source_port=values[0], destination_port=values[1])
    if fragment.protocol in (ICMP, ICMPV6):
        return replace(first, icmp_type=values[0] & 0xFF, icmp_code=values[1] & 0xFF)
    return first


@LARGE
@given(rounds())
def test_a_failsafe_port_is_never_denied_by_a_class_that_has_it(thrown: Round) -> None:
    for _, answer in judge_all(thrown):
        for result in answer.classes:
            if result.reason is Reason.FAILSAFE:
                normal = result.policy_class is PolicyClass.NORMAL
                assert (result.verdict, result.trace) == (Verdict.ALLOW if normal else Verdict.NO_VERDICT, ())
                assert result.policy_class is not PolicyClass.FORWARD
