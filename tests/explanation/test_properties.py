"""Whatever the policy and the packet: an explanation tells all of the evaluator's trace and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.evaluator import Conntrack, Context, Direction, Path
from pyxdp.explanation import Explanation, Place, explain
from pyxdp.explanation.document import as_document
from pyxdp.explanation.text import lines
from tests.verdicts import strategies
from tests.verdicts.boundaries import packets

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxdp.net import Packet

    Question = tuple[Place, Direction, Packet, Context]


@st.composite
def questions(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Question:
    """A packet at the governed interface of a random host."""
    scenario = draw(strategies.scenarios())
    place = Place(
        resources=scenario.resources,
        node=scenario.node,
        interfaces=tuple(scenario.interfaces),
        interface=strategies.INTERFACE,
    )
    direction = draw(st.sampled_from(Direction))
    context = Context(path=draw(st.sampled_from(Path)), conntrack=draw(st.sampled_from((Conntrack.NEW, *Conntrack))))
    return place, direction, draw(packets(scenario.resources, direction)), context


def _explained(question: Question) -> Explanation:
    place, direction, packet, context = question
    return explain(place, direction, packet, context)


@settings(max_examples=300, deadline=None)
@given(questions())
def test_every_step_of_the_trace_is_told_once_and_in_order(question: Question) -> None:
    place, direction, packet, context = question
    explanation = explain(place, direction, packet, context)
    if not explanation.classes:
        assert packet.later_fragment
        return
    evaluation = place.evaluator.evaluate(packet, interface=place.interface, direction=direction, context=context)
    assert (explanation.verdict, explanation.rule) == (evaluation.verdict, evaluation.rule)
    for account, result in zip(explanation.classes, evaluation.classes, strict=True):
        looks = [look for stage in account.stages for rules in stage.lists for look in rules.looks]
        assert [(it.rule, it.matched, it.condition) for it in looks] == [
            (step.rule, step.matched, step.why) for step in result.trace
        ]
        assert [stage.decides for stage in account.stages] == [False] * (len(account.stages) - 1) + [True]


@settings(max_examples=300, deadline=None)
@given(questions())
def test_every_rule_that_does_not_match_says_why(question: Question) -> None:
    for account in _explained(question).classes:
        for look in (it for stage in account.stages for rules in stage.lists for it in rules.looks):
            if look.matched == "no":
                assert look.why.startswith(f"{look.condition} ")
                assert not look.why.endswith((" ", ":", "of"))
            else:
                assert (look.condition, look.why) == ("", "")


@settings(max_examples=100, deadline=None)
@given(questions())
def test_policies_are_either_asked_or_bystanders(question: Question) -> None:
    explanation = _explained(question)
    asked = {
        rules.name
        for account in explanation.classes
        for stage in account.stages
        for rules in stage.lists
        if rules.kind == "GlobalNetworkPolicy" and rules.looks
    }
    silent = {
        rules.name for account in explanation.classes for stage in account.stages for rules in stage.lists
    } - asked
    bystanders = {it.name for it in explanation.bystanders}
    if explanation.classes:
        every = {it.metadata.name for it in question[0].resources.globalNetworkPolicies}
        assert asked | silent | bystanders >= every
        assert not asked & bystanders
        assert all(it.why for it in explanation.bystanders)


@settings(max_examples=100, deadline=None)
@given(questions(), st.booleans())
def test_it_can_be_told(question: Question, verbose: bool) -> None:  # noqa: FBT001 - drawn
    explanation = _explained(question)
    told = list(lines(explanation, verbose=verbose))
    assert told[0].split()[0] in {"ALLOW", "DENY", "PASS"}
    assert all("\n" not in line and line == line.rstrip() for line in told)
    assert as_document(explanation)["decision"] in told[0]
