"""A policy in the programs, beside those at work, and what it costs there."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pyxdp import compiler
from pyxdp.dataplane.code import Code
from pyxdp.dataplane.trial import DEFAULT_CAPACITIES, Trial
from pyxdp.net.frame import build_frame
from pyxdp.planner import ENTRY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

    from pyxdp.bench.traffic import Traffic
    from pyxdp.bpf import Map, Program
    from pyxdp.compiler import MapImage
    from pyxdp.net import Interface, Packet
    from pyxdp.resolver import EffectivePolicy

#: Runs of one measurement: about a twentieth of a second.
REPEAT = 500_000


class Judged:
    """A compiled policy in programs of its own. Use as a context manager.

    Attributes:
        seconds: how long each step took: ``compile``, ``fill``.
        memory: bytes of all maps.
        instructions: that the verifier processed, by program; none before Linux 5.16.
    """

    def __init__(self, effective: EffectivePolicy, interface: Interface) -> None:
        begin = time.perf_counter()
        image = compiler.compile_policy(effective)
        compiled = time.perf_counter()
        capacities, counters = _capacities(image)
        self._trial = Trial(Code.shipped(log_per_second=0).data, capacities=capacities, counters=counters)
        try:
            self._trial.fill(image, interface.name)
            self.seconds = {"compile": compiled - begin, "fill": time.perf_counter() - compiled}
            self.memory = sum(memory_of(table) for table in self._trial.object.maps.values())
            self.instructions = verified(self._trial.object.programs.items())
        except BaseException:
            self._trial.object.close()
            raise

    @property
    def program(self) -> Program:
        """The one for XDP."""
        return self._trial.object.programs["pyxdp_xdp"]

    def on(self, packet: Packet, repeat: int = REPEAT) -> Callable[[], float]:
        """Return what measures the program on one packet: nanoseconds, those of an empty program included."""
        frame = build_frame(packet)
        return lambda: self.program.test_run(frame, repeat=repeat).duration_ns

    def over(self, traffic: Traffic, repeat: int = REPEAT) -> Callable[[], float]:
        """Return what measures the program on many flows: nanoseconds, those of making the flows included."""
        return each(traffic, self.program, repeat)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._trial.__exit__()


def each(traffic: Traffic, program: Program, repeat: int = REPEAT) -> Callable[[], float]:
    """Return what measures a program on the flows of traffic."""

    def run() -> float:
        traffic.measure(program)
        return traffic.each.test_run(traffic.frame, repeat=repeat).duration_ns

    return run


def empty(traffic: Traffic, packet: Packet, repeat: int = REPEAT) -> Callable[[], float]:
    """Return what measures an empty program on a packet."""
    frame = build_frame(packet)
    return lambda: traffic.drop.test_run(frame, repeat=repeat).duration_ns


def memory_of(table: Map) -> int:
    """Bytes of kernel memory that a map occupies, as the kernel accounts them."""
    info = Path(f"/proc/self/fdinfo/{table.fileno()}").read_text(encoding="ascii")
    found = re.search(r"^memlock:\s*(\d+)$", info, re.MULTILINE)
    return int(found[1]) if found else 0


def verified(programs: Iterable[tuple[str, Program]]) -> dict[str, int]:
    """How many instructions the verifier processed for each loaded program."""
    found = {name: program.info.verified_instructions for name, program in programs}
    return {name: count for name, count in found.items() if count is not None}


def _capacities(image: MapImage) -> tuple[dict[str, int], int]:
    """Entries of each map that the image needs, and of those of counters."""
    sizes = {name: -(-memoryview(table).nbytes // ENTRY_BYTES[name]) for name, table in image.tables.items()}
    needed = {name: max(default, sizes.get(name, 0)) for name, default in DEFAULT_CAPACITIES.items()}
    return needed, max(4096, max(image.names, default=0) + 1)
