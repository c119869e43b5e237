"""Random policies and packets: the shipped programs say of every packet what the evaluator says.

Evaluator and programs share nothing but the resources they are given. ``PYXDP_SCENARIOS`` is how many scenarios are
drawn; each comes with up to 40 packets, and each packet is judged again as a later fragment.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings

from tests.verdicts.programs import ProgramsEngine
from tests.verdicts.strategies import reference, trials

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
    return replace(
        packet, later_fragment=True, source_port=None, destination_port=None, icmp_type=None, icmp_code=None
    )


@RANDOM
@given(trials(at_least=16, at_most=40))
def test_programs_say_what_the_evaluator_says(programs: ProgramsEngine, cases: list[Case]) -> None:
    for case in cases:
        agrees(programs, case)
        agrees(programs, reference(case.scenario, case.direction, later_fragment(case.packet)))
