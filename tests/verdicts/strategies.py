"""Random policies of all classes for Hypothesis, and packets at the edges of what they say.

Policies use several tiers, equal orders, Pass and Log, negations, profiles, staged policies, overlapping sets and
prefixes of both families, on interfaces that several endpoints compete for. What is thrown is made by plain functions
of a :class:`random.Random` (:mod:`tests.verdicts.random_resources`, :mod:`tests.verdicts.boundaries`), which the long
run shares; Hypothesis gives them one of its own, so that it can shrink what came out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hypothesis import note
from hypothesis import strategies as st

from pyxdp.model import PolicyType
from tests.verdicts.boundaries import Question, Questions
from tests.verdicts.random_resources import ALL_CLASSES, random_resources
from tests.verdicts.table import Scenario
from tests.verdicts.vocabulary import INTERFACES, NODE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from pyxdp.evaluator import PolicyClass

#: Mostly the one that has an endpoint in every scenario.
_INTERFACE_NAMES: Final = (*("eth0",) * 12, "eth1", "eth1", "cali1", "lo")


@dataclass(frozen=True, slots=True)
class Round:
    """A scenario, and packets at one of its interfaces."""

    scenario: Scenario
    questions: list[Question]


def rounds(*, least: int = 4, most: int = 20, classes: Sequence[PolicyClass] = ALL_CLASSES) -> st.SearchStrategy[Round]:
    """Draw packets for one scenario. A failing test prints the scenario too.

    Args:
        least: number of packets.
        most: likewise.
        classes: of the policies.
    """

    def make(random: Random, count: int) -> Round:
        thrown = throw_round(random, count, classes)
        note(thrown.scenario.resources)
        return thrown

    return st.builds(make, st.randoms(use_true_random=False), st.integers(least, most))


def throw_round(random: Random, count: int, classes: Sequence[PolicyClass] = ALL_CLASSES) -> Round:
    """Make a scenario and this many packets."""
    resources = random_resources(random, classes)
    questions = Questions(resources)
    interface = random.choice(_INTERFACE_NAMES)
    directions = tuple(PolicyType)
    return Round(
        Scenario("random", resources, NODE, INTERFACES),
        [questions.throw(random, interface, random.choice(directions)) for _ in range(count)],
    )
