"""``make bench``: measures, prints, writes, and fails when a target is missed by far (``pyxdp.bench.figures``).

All of it happens in namespaces of its own: the kernel takes programs, pins, networks and mounts away with the last
process in them, however it ends.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.parts import PARTS, measure
from bench.scale import SCALES
from demo.__main__ import in_namespaces

#: In the environment of the process that is in the namespaces already.
_INSIDE: Final = "PYXDP_BENCH_INSIDE"


def main() -> int:
    """Measure in namespaces of our own; return 1 if a target is missed by far, or a part could not be measured."""
    arguments = _arguments()
    if os.geteuid() != 0:
        print("error: this loads BPF programs and makes network namespaces\nhint: sudo make bench", file=sys.stderr)
        return 3
    if _INSIDE not in os.environ:
        return in_namespaces("bench", *sys.argv[1:], **{_INSIDE: "1"})
    scale = SCALES[arguments.scale].limited(arguments.rules, arguments.cidrs)
    return measure(scale, arguments.only or list(PARTS), arguments.output, page=arguments.page)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What packets and changes of policy cost.")
    parser.add_argument("scale", nargs="?", choices=list(SCALES), default="full")
    parser.add_argument("--page", action="store_true", help="also write docs/benchmarks.md and its plots")
    parser.add_argument(
        "--only", nargs="+", choices=list(PARTS), help="parts to measure; the others keep their figures"
    )
    parser.add_argument("--rules", type=int, help="at most so many rules")
    parser.add_argument("--cidrs", type=int, help="at most so many CIDRs")
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"), help="of all figures; %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main())
