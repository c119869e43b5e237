"""``make bench``: measures, prints, and fails when a bound does not hold."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.early import measure_early
from bench.verdict import REPEAT, ROUNDS, measure

if TYPE_CHECKING:
    from bench.early import EarlyCost
    from bench.verdict import Cost

#: What a verdict of the ten-rule policy may add to an empty program, in nanoseconds, on the reference machine.
BOUND_NS: Final = 45.0
#: The same on machines that are slower in all: program over empty program.
BOUND_RATIO: Final = 2.6
#: What a packet may cost, against what it cost when there was untracked policy only.
BOUND_GROWTH: Final = 1.25


def main() -> int:
    """Measure verdicts and early drop; write ``build/bench.json``."""
    costs, early = measure(), measure_early()
    _print(costs, early)
    _write(costs, early)
    worst = max(costs, key=lambda cost: cost.verdict)
    ratio = worst.program / worst.control
    growth = max(cost.growth for cost in costs)
    print(f"slowest: {worst.name}, {worst.verdict:.0f} ns (bound: {BOUND_NS:.0f}), {ratio:.2f} times the empty program")
    print(f"growth over untracked policy only: {growth:.2f} (bound: {BOUND_GROWTH:.2f})")
    return 0 if (worst.verdict <= BOUND_NS or ratio <= BOUND_RATIO) and growth <= BOUND_GROWTH else 1


def _print(costs: list[Cost], early: list[EarlyCost]) -> None:
    print(f"XDP verdict, 10 rules, BPF_PROG_TEST_RUN, median of {ROUNDS} x {REPEAT:,} (ns a packet)")
    print(f"{'packet':<28}{'program':>10}{'before':>10}{'growth':>10}{'XDP_DROP':>10}{'verdict':>10}")
    for it in costs:
        print(f"{it.name:<28}{it.program:>10.0f}{it.baseline:>10.0f}", end="")
        print(f"{it.growth:>10.2f}{it.control:>10.0f}{it.verdict:>10.0f}")
    print(f"\n{'early drop':<28}{'with':>10}{'without':>10}")
    for that in early:
        print(f"{that.name:<28}{that.early:>10.0f}{that.without:>10.0f}")
    print()


def _write(costs: list[Cost], early: list[EarlyCost]) -> None:
    result = {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "verdict": [asdict(cost) for cost in costs],
        "early": [asdict(cost) for cost in early],
    }
    path = Path("build/bench.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
