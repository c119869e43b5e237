"""Random policies and packets: the shipped programs say of every packet what the evaluator says.

Evaluator and programs share nothing but the resources they are given. ``PYXDP_SCENARIOS`` is how many scenarios are
drawn; each comes with up to 40 packets, and each packet is judged again as a later fragment.
"""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings

from tests.verdicts.programs import ProgramsEngine
from tests.verdicts.strategies import reference, trials
from tests.verdicts.wide import Tiers, aimed_at, wide_scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.net import Packet
    from tests.verdicts.table import Case

RANDOM: Final = settings(
    deadline=None,
    max_examples=int(os.environ.get("PYXDP_SCENARIOS", "100")),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def programs() -> Iterator[ProgramsEngine]:
    with ProgramsEngine() as engine:
        yield engine


def agrees(programs: ProgramsEngine, case: Case) -> None:
    outcome = programs.verdict(case)
    assert outcome.agrees_with(case), (
        f"{case.direction.value} {case.packet}: {case.expect.value} by {case.rule}, logs {case.logs}; got {outcome}"
    )


def later_fragment(packet: Packet) -> Packet:
    """The second part of the datagram that the packet might begin."""
    return replace(packet, later_fragment=True, source_port=None, destination_port=None, icmp_type=None, icmp_code=None)


@RANDOM
@given(trials(at_least=16, at_most=40))
def test_programs_say_what_the_evaluator_says(programs: ProgramsEngine, cases: list[Case]) -> None:
    for case in cases:
        agrees(programs, case)
        agrees(programs, reference(case.scenario, case.direction, later_fragment(case.packet)))


WIDE: Final = {
    "63 rules and the end of the list": Tiers(first=40, second=23, logs=(3,), passes=(5,)),
    "64 rules and the end of the list": Tiers(first=40, second=24, logs=(3, 39), passes=(5,)),
    "words with nothing to match": Tiers(first=1000, second=1000, logs=(0, 63, 64, 999), passes=(70, 800)),
    "all Log rules that a packet may meet": Tiers(first=700, second=10, logs=tuple(range(0, 620, 20)), passes=(690,)),
    "one aggregate word, full": Tiers(first=2048, second=2047, logs=(64 * 31, 64 * 31 + 1), passes=(1,)),
    "two aggregate words": Tiers(first=4100, second=900, logs=(0, 4095, 4096), passes=(4097,)),
    "jump behind the first aggregate word": Tiers(first=4097, second=903, logs=(1,), passes=(2,)),
}


@pytest.fixture(scope="module")
def wide_programs() -> Iterator[ProgramsEngine]:
    capacities = {"rules": 8192, "rows": 1 << 19, "pages": 1 << 20, "ranges": 8192, "range_index": 1 << 16}
    with ProgramsEngine(capacities, counters=8192) as engine:
        yield engine


@pytest.mark.parametrize("tiers", WIDE.values(), ids=WIDE)
def test_programs_find_a_rule_in_any_word(wide_programs: ProgramsEngine, tiers: Tiers) -> None:
    """At the edges of words and aggregate words, in both tiers, and where nothing matches."""
    rules = tiers.first + tiers.second
    low = {0, 1, 62, 63, 64, 65, 127, 128} if rules < 4096 else {0, 64}
    edges = low | {4095, 4096, 4097, tiers.first - 1, tiers.first, rules - 1, rules}
    random = Random(rules)  # noqa: S311 - reproducible
    numbers = sorted({number for number in edges if number <= rules} | {random.randrange(rules) for _ in range(3)})
    for case in aimed_at(wide_scenario(tiers), numbers, random):
        agrees(wide_programs, case)
