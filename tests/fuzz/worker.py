"""One process of the long run: scenario after scenario, each with many packets."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from pyxdp.model import PolicyType
from pyxdp.trial import TrialHost
from tests.fuzz.findings import reduced, write
from tests.verdicts.boundaries import Questions
from tests.verdicts.comparison import Comparison
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
PACKETS: Final = (1400, 250)
#: Of so many packets one is compared in full: what decided, and what was logged.
IN_FULL: Final = 80
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
            random = Random(f"{task.seed}/{number}")  # noqa: S311 - repeatable
            scenario = Scenario(f"scenario {number}", random_resources(random), NODE, INTERFACES)
            count, different = 0, None
            for question, agreed in _compared(host, scenario, random):
                count += 1
                if not agreed:
                    different = question
                    break
            done += count
            tell(done)
            if different is not None:
                found += 1
                finding = reduced(host, scenario, different)
                origin = f"make fuzz FUZZ_SEED={task.seed}, {scenario.name}, packet {count}"
                write(host, scenario, finding, task.folder / f"scenario-{number}", origin=origin)
            number += task.step
    return found


def _compared(host: TrialHost, scenario: Scenario, random: Random) -> Iterator[tuple[Question, bool]]:
    """Throw packets; each with whether the two readings of it agree."""
    questions = Questions(scenario.resources)
    comparison = Comparison(host, scenario, MAIN)
    for interface, count in zip((MAIN, random.choice(OTHERS)), PACKETS, strict=True):
        if interface != MAIN:
            comparison.enter(interface)
        for number in range(count):
            question = questions.throw(random, interface, random.choice(_DIRECTIONS))
            agreed = comparison.agree(question)
            if agreed and number % IN_FULL == 0:
                expected, found = comparison.readings(question)
                agreed = expected == found
            yield question, agreed
