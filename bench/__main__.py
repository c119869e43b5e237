"""``make bench``: measures, prints, and fails when a bound does not hold."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench.verdict import REPEAT, ROUNDS, measure

#: What a verdict of the ten-rule policy may add to an empty program, in nanoseconds, on the reference machine.
BOUND_NS: Final = 45.0
#: The same on machines that are slower in all: program over empty program.
BOUND_RATIO: Final = 2.6


def main() -> int:
    """Measure verdicts; write ``build/bench.json``."""
    costs = measure()
    print(f"XDP verdict, 10 rules, BPF_PROG_TEST_RUN, median of {ROUNDS} x {REPEAT:,} (ns a packet)")
    print(f"{'packet':<28}{'program':>10}{'XDP_DROP':>10}{'verdict':>10}")
    for cost in costs:
        print(f"{cost.name:<28}{cost.program:>10.0f}{cost.control:>10.0f}{cost.verdict:>10.0f}")
    result = {"kernel": platform.release(), "machine": platform.machine(), "verdict": [asdict(cost) for cost in costs]}
    path = Path("build/bench.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    worst = max(costs, key=lambda cost: cost.verdict)
    ratio = worst.program / worst.control
    print(f"slowest: {worst.name}, {worst.verdict:.0f} ns (bound: {BOUND_NS:.0f}), {ratio:.2f} times the empty program")
    return 0 if worst.verdict <= BOUND_NS or ratio <= BOUND_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
