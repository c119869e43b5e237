"""``make fuzz``: millions of random packets, judged by the evaluator and by the real programs, on every core.

Settings, from the environment:

``FUZZ_SEED``
    where chance begins; printed. The same seed makes the same scenarios and packets.
``FUZZ_SECONDS``
    how long to go on. Without it: until 10,000,000 packets were compared, 20 minutes at most.
``FUZZ_PROCESSES``
    by default one for each core.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import secrets
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.fuzz.worker import Task, work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.context import SpawnProcess
    from multiprocessing.sharedctypes import Synchronized

TARGET: Final = 10_000_000
LONGEST: Final = 1200.0
FOLDER: Final = Path("build/fuzz")
_EVERY: Final = 15.0


def main() -> int:
    """Run; 1 if there is a difference, or if a process failed."""
    seed = int(os.environ.get("FUZZ_SEED") or secrets.randbelow(1 << 32))
    written = os.environ.get("FUZZ_SECONDS")
    seconds, target = (float(written), sys.maxsize) if written else (LONGEST, TARGET)
    processes = int(os.environ.get("FUZZ_PROCESSES") or len(os.sched_getaffinity(0)))
    folder = FOLDER / f"{seed}-{time.strftime('%Y%m%dT%H%M%S')}"
    _say(f"FUZZ_SEED={seed}: {processes} processes, {seconds:.0f} s at most")
    begin = time.monotonic()
    tasks = [
        Task(seed, first, processes, -(-target // processes), seconds, folder.resolve()) for first in range(processes)
    ]
    done, failed = _run(tasks, begin)
    elapsed = time.monotonic() - begin
    findings = sorted(path.parent for path in folder.glob("*/cases.yaml"))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = used.ru_utime + used.ru_stime
    _say(f"{done:,} packet verdicts compared in {elapsed:.0f} s ({busy:.0f} s of CPU), {len(findings)} differences")
    for finding in findings:
        _say(f"difference: {finding}")
    if not written and done < target and not findings and not failed:
        _say(f"stopped before {target:,}: this machine is slow, or busy")
    return 1 if findings or failed else 0


def _run(tasks: Sequence[Task], begin: float) -> tuple[int, bool]:
    """Return how many verdicts were compared, and whether a process failed."""
    context = multiprocessing.get_context("spawn")
    counts = [context.Value("Q", 0) for _ in tasks]
    running = [context.Process(target=_work, args=(task, count)) for task, count in zip(tasks, counts, strict=True)]
    try:
        for process in running:
            process.start()
        while any(process.is_alive() for process in running):
            _wait(running)
            done = sum(count.value for count in counts)
            elapsed = time.monotonic() - begin
            _say(f"{elapsed:6.0f} s {done:12,} verdicts {done / elapsed:10,.0f} a second")
    finally:
        for process in running:
            process.terminate()
            process.join()
    return sum(count.value for count in counts), any(process.exitcode for process in running)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _wait(processes: Sequence[SpawnProcess]) -> None:
    end = time.monotonic() + _EVERY
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))


def _work(task: Task, count: Synchronized[int]) -> None:
    work(task, partial(setattr, count, "value"))
