"""Random policies and packets of all classes: the shipped programs say of every packet what the evaluator says.

Evaluator and programs share nothing but the resources they are given. ``PYXDP_SCENARIOS`` is how many scenarios are
drawn; each comes with up to 40 packets. ``make fuzz`` does the same for longer.
"""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pyxdp.dataplane.trial import DEFAULT_CAPACITIES
from pyxdp.evaluator import PolicyClass
from pyxdp.trial import TrialHost
from tests.verdicts.comparison import Comparison
from tests.verdicts.dressing import dressed_frame
from tests.verdicts.strategies import rounds
from tests.verdicts.wide import INTERFACE, Tiers, aimed_at, wide_scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.verdicts.strategies import Round

# Hypothesis would shrink for minutes: make fuzz does it better.
RANDOM: Final = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=int(os.environ.get("PYXDP_SCENARIOS", "40")),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def programs() -> Iterator[TrialHost]:
    with TrialHost() as host:
        yield host


def assert_agree(programs: TrialHost, thrown: Round) -> None:
    dresser = Random(len(thrown.questions))  # noqa: S311 - repeatable
    comparison = Comparison(programs, thrown.scenario, thrown.questions[0].interface)
    for question in thrown.questions:
        expected, found = comparison.readings(question)
        if found != expected:
            pytest.fail(f"{question}:\n  evaluator {expected}\n  programs  {found}")
        if not question.rewritten:
            expected, found = comparison.readings(question, dressed_frame(dresser, question.packet))
            assert found == expected, "options, extension headers or priority tags change the verdict"
        assert comparison.agree(question), f"the short way differs from the long one: {question}"


@RANDOM
@given(rounds(least=16, most=40))
def test_programs_say_what_the_evaluator_says(programs: TrialHost, thrown: Round) -> None:
    assert_agree(programs, thrown)


@RANDOM
@given(rounds(least=16, most=40, classes=(PolicyClass.UNTRACKED,)))
def test_programs_say_what_the_evaluator_says_of_untracked_policy_alone(programs: TrialHost, thrown: Round) -> None:
    assert_agree(programs, thrown)


WIDE: Final = {
    "63 rules and the end of the list": Tiers(first=40, second=23, logs=(3,), passes=(5,)),
    "64 rules and the end of the list": Tiers(first=40, second=24, logs=(3, 39), passes=(5,)),
    "words with nothing to match": Tiers(first=1000, second=1000, logs=(0, 63, 64, 999), passes=(70, 800)),
    "all Log rules that a packet may meet": Tiers(first=700, second=10, logs=tuple(range(0, 620, 20)), passes=(690,)),
    "one aggregate word, full": Tiers(first=2048, second=2047, logs=(64 * 31, 64 * 31 + 1), passes=(1,)),
    "two aggregate words": Tiers(first=4100, second=900, logs=(0, 4095, 4096), passes=(4097,)),
    "jump behind the first aggregate word": Tiers(first=4097, second=903, logs=(1,), passes=(2,)),
    "jump behind the aggregate words of a place": Tiers(first=12_300, second=100, logs=(12_288,), passes=(2,)),
}


@pytest.fixture(scope="module")
def wide_programs() -> Iterator[TrialHost]:
    capacities = {"rules": 1 << 14, "rows": 1 << 22, "row_index": 1 << 16, "pages": 1 << 13, "pieces": 1 << 14}
    with TrialHost(capacities=DEFAULT_CAPACITIES | capacities | {"ipv6": 1 << 15}, counters=1 << 14) as host:
        yield host


@pytest.mark.long
@pytest.mark.parametrize("tiers", WIDE.values(), ids=WIDE)
def test_programs_find_a_rule_in_any_word(wide_programs: TrialHost, tiers: Tiers) -> None:
    """At the edges of words and aggregate words, in both tiers, and where nothing matches."""
    rules = tiers.first + tiers.second
    low = {0, 1, 62, 63, 64, 65, 127, 128} if rules < 4096 else {0, 64}
    edges = low | {4095, 4096, 4097, tiers.first - 1, tiers.first, rules - 1, rules}
    random = Random(rules)  # noqa: S311 - reproducible
    numbers = sorted({number for number in edges if number <= rules} | {random.randrange(rules) for _ in range(3)})
    comparison = Comparison(wide_programs, wide_scenario(tiers), INTERFACE)
    for question in aimed_at(numbers, random):
        expected, found = comparison.readings(question)
        assert found == expected, question
