"""One process of the long run: scenario after scenario, each with many packets."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from pyxdp.model import PolicyType
from pyxdp.trial import TrialHost
from tests.fuzz.findings import Finding, reduced, write
from tests.verdicts.boundaries import Questions
from tests.verdicts.comparison import Comparison
from tests.verdicts.dressing import dressed_frame
from tests.verdicts.random_resources import random_resources
from tests.verdicts.table import Scenario
from tests.verdicts.vocabulary import INTERFACES, NODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.verdicts.boundaries import Question

#: Where there is always an endpoint, and where there may be one.
MAIN: Final = "eth0"
OTHERS: Final = ("eth1", "eth1", "eth1", "cali1", "cali1", "lo")
#: Packets at the one and, for every scenario, at one of the others.
PACKETS: Final = (2200, 400)
#: Of so many packets one is compared in full: what decided, what was logged, and in a less usual frame.
IN_FULL: Final = 160
#: A process that found so many differences has found enough.
ENOUGH: Final = 3
_DIRECTIONS: Final = tuple(PolicyType)


@dataclass(frozen=True, slots=True)
class Task:
    """What a process does.

    Attributes:
        seed: of the whole run.
        first: number of its first scenario.
        step: from one of its scenarios to the next.
        verdicts: it ends after so many packets.
        seconds: or after so long.
        folder: for what it finds.
    """

    seed: int
    first: int
    step: int
    verdicts: int
    seconds: float
    folder: Path


def work(task: Task, tell: Callable[[int], None]) -> int:
    """Compare until the task is done.

    Args:
        task: what to do.
        tell: is told after each scenario how many verdicts were compared.

    Returns:
        How many differences were found.
    """
    end = time.monotonic() + task.seconds
    number, done, found = task.first, 0, 0
    with TrialHost() as host:
        while done < task.verdicts and time.monotonic() < end and found < ENOUGH:
            try:
                count, different = _one_scenario(host, task, number)
            except Exception:
                sys.stderr.write(f"FUZZ_SEED={task.seed}, scenario {number}:\n")
                raise
            done, found, number = done + count, found + different, number + task.step
            tell(done)
    return found


def _one_scenario(host: TrialHost, task: Task, number: int) -> tuple[int, bool]:
    """Return how many packets were compared, and whether there is a difference, which ends it."""
    random = Random(f"{task.seed}/{number}")  # noqa: S311 - repeatable
    scenario = Scenario(f"scenario {number}", random_resources(random), NODE, INTERFACES)
    count = 0
    for finding in _compared(host, scenario, random):
        count += 1
        if finding is not None:
            origin = f"make fuzz FUZZ_SEED={task.seed}, {scenario.name}, packet {count}"
            least = reduced(host, scenario, finding)
            write(host, scenario, least, task.folder / f"scenario-{number}", origin=origin)
            return count, True
    return count, False


def _compared(host: TrialHost, scenario: Scenario, random: Random) -> Iterator[Finding | None]:
    """Throw packets; for each of them say what there is to find, or nothing."""
    questions = Questions(scenario.resources)
    comparison = Comparison(host, scenario, MAIN)
    for interface, count in zip((MAIN, random.choice(OTHERS)), PACKETS, strict=True):
        if interface != MAIN:
            comparison.enter(interface)
        for number in range(count):
            question = questions.throw(random, interface, random.choice(_DIRECTIONS))
            if not comparison.agree(question):
                yield Finding(scenario.resources, question)
            elif number % IN_FULL:
                yield None
            else:
                yield _in_full(comparison, scenario, question, random)


def _in_full(comparison: Comparison, scenario: Scenario, question: Question, random: Random) -> Finding | None:
    frames = [None] if question.rewritten else [None, dressed_frame(random, question.packet)]
    for frame in frames:
        expected, found = comparison.readings(question, frame)
        if expected != found:
            return Finding(scenario.resources, question, frame)
    return None
