"""Whatever the policy and the packet: an explanation tells all of the evaluator's trace and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.evaluator import Direction, Path
from pyxdp.explanation import Explanation, Place, explain
from pyxdp.explanation.document import as_document
from pyxdp.explanation.text import lines
from tests.verdicts.strategies import Round, rounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.verdicts.boundaries import Question


def explained(thrown: Round) -> Iterator[tuple[Question, Place, Explanation]]:
    scenario, interface = thrown.scenario, thrown.questions[0].interface
    place = Place(resources=scenario.resources, node=scenario.node, interfaces=scenario.interfaces, interface=interface)
    for question in thrown.questions:
        yield question, place, explain(place, question.direction, question.packet, question.context)


@settings(max_examples=100, deadline=None)
@given(rounds())
def test_every_step_of_the_trace_is_told_once_and_in_order(thrown: Round) -> None:
    for question, place, explanation in explained(thrown):
        if not explanation.classes:
            reassembled = question.direction is Direction.EGRESS and question.context.path is Path.FORWARD
            assert place.governance is None or (question.packet.later_fragment and reassembled)
            continue
        evaluation = place.evaluator.evaluate(
            question.packet, interface=place.interface, direction=question.direction, context=question.context
        )
        told = explanation.verdict, explanation.rule, explanation.untracked
        assert told == (evaluation.verdict, evaluation.rule, evaluation.untracked)
        for account, result in zip(explanation.classes, evaluation.classes, strict=True):
            looks = [look for stage in account.stages for rules in stage.lists for look in rules.looks]
            assert [(it.rule, it.matched, it.condition) for it in looks] == [
                (step.rule, step.matched, step.why) for step in result.trace
            ]
            assert [stage.decides for stage in account.stages] == [False] * (len(account.stages) - 1) + [True]


@settings(max_examples=100, deadline=None)
@given(rounds())
def test_every_rule_that_does_not_match_says_why(thrown: Round) -> None:
    for _, _, explanation in explained(thrown):
        for account in explanation.classes:
            for look in (it for stage in account.stages for rules in stage.lists for it in rules.looks):
                if look.matched == "no":
                    assert look.why.startswith(f"{look.condition} ")
                    assert not look.why.endswith((" ", ":", "of"))
                else:
                    assert (look.condition, look.why) == ("", "")


@settings(max_examples=50, deadline=None)
@given(rounds())
def test_policies_are_either_asked_or_bystanders(thrown: Round) -> None:
    for _, place, explanation in explained(thrown):
        if not explanation.classes:
            continue
        lists = [it for account in explanation.classes for stage in account.stages for it in stage.lists]
        asked = {it.name for it in lists if it.kind == "GlobalNetworkPolicy"}
        told = {it.name for it in explanation.bystanders if it.kind == "GlobalNetworkPolicy"}
        assert asked | told == {it.metadata.name for it in place.resources.globalNetworkPolicies}
        assert not asked & told
        assert all(it.why for it in explanation.bystanders)


@settings(max_examples=50, deadline=None)
@given(rounds(), st.booleans())
def test_it_can_be_told(thrown: Round, verbose: bool) -> None:  # noqa: FBT001 - drawn
    for _, _, explanation in explained(thrown):
        told = list(lines(explanation, verbose=verbose))
        assert told[0].split()[0] in {"ALLOW", "DENY", "PASS"}
        assert all("\n" not in line and line == line.rstrip() for line in told)
        assert as_document(explanation)["decision"] in told[0]
