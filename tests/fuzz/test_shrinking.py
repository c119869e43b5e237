"""Shrinking leaves out everything that does not matter, and nothing that does."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from pyxdp.evaluator import Direction, Evaluator, Reason, Verdict
from pyxdp.model import GlobalNetworkPolicy, HostEndpoint, Metadata, Resources, Rule
from tests.fuzz.shrinking import shrink, smaller
from tests.verdicts.strategies import throw_round
from tests.verdicts.vocabulary import INTERFACES, NODE

if TYPE_CHECKING:
    from tests.verdicts.boundaries import Question


def test_a_tuple_keeps_what_is_needed() -> None:
    assert shrink(tuple(range(100)), lambda some: {17, 80} <= set(some)) == (17, 80)


def test_fields_get_their_defaults() -> None:
    endpoint = HostEndpoint(
        metadata=Metadata(name="a", labels={"x": "1", "y": "2"}), node="n", interfaceName="eth0", profiles=("p", "q")
    )
    needed = shrink(endpoint, lambda one: "y" in one.metadata.labels and "q" in one.profiles)
    assert needed == HostEndpoint(metadata=Metadata(name="a", labels={"y": "2"}), node="n", profiles=("q",))


def test_what_has_no_default_stays() -> None:
    tiny = Metadata(name="a")
    assert list(smaller(tiny)) == []


def test_time_is_up_at_once() -> None:
    value = tuple(range(100))
    assert shrink(value, lambda _: True, seconds=0.0) == value


def test_a_random_host_is_reduced_to_the_policy_that_decides() -> None:
    resources, question = _denied_by_a_rule()

    def shows(candidate: Resources) -> bool:
        evaluator = Evaluator(candidate, node=NODE, interfaces=INTERFACES)
        answer = evaluator.evaluate(
            question.packet, interface=question.interface, direction=question.direction, context=question.context
        )
        return (answer.verdict, answer.reason) == (Verdict.DENY, Reason.RULE)

    least = shrink(resources, shows)
    (policy,) = least.globalNetworkPolicies
    assert _rules(policy, question.direction) == (Rule(action=_rules(policy, question.direction)[0].action),)
    assert len(least.hostEndpoints) == 1
    emptied = replace(least, hostEndpoints=(), globalNetworkPolicies=())
    assert emptied == Resources()


def _rules(policy: GlobalNetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    return policy.ingress if direction is Direction.INGRESS else policy.egress


def _denied_by_a_rule() -> tuple[Resources, Question]:
    for seed in range(100):
        thrown = throw_round(Random(seed), 40)  # noqa: S311 - repeatable
        resources = thrown.scenario.resources
        evaluator = Evaluator(resources, node=NODE, interfaces=INTERFACES)
        for question in thrown.questions:
            answer = evaluator.evaluate(
                question.packet, interface=question.interface, direction=question.direction, context=question.context
            )
            if answer.verdict is Verdict.DENY and answer.rule is not None and answer.rule.kind != "Profile":
                return resources, question
    message = "no packet is denied by a policy"
    raise AssertionError(message)
