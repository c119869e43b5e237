"""What a verdict costs at XDP: the program, its predecessor and an empty XDP_DROP, alternating, in one run."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from statistics import median
from typing import Final

from pyxdp import manifest
from pyxdp.bpf import Object
from pyxdp.compiler import compile_policy
from pyxdp.dataplane.code import Code
from pyxdp.dataplane.trial import Trial
from pyxdp.net import Interface, Packet
from pyxdp.net.frame import build_frame
from pyxdp.resolver import resolve

REPEAT: Final = 1_000_000
ROUNDS: Final = 5
#: The object of the time when there was untracked policy only: with the same maps, so that it judges by the same image.
BASELINE: Final = Path(__file__).parent / "baseline/untracked-only.bpf.o"
_CONTROL: Final = Path(__file__).parent.parent / "build/bench/drop.bpf.o"
_POLICY: Final = Path(__file__).parent / "ten-rules.yaml"
_INTERFACE: Final = "bench0"
_TCP: Final = 6


@dataclass(frozen=True)
class Cost:
    """Nanoseconds a packet, median over the rounds.

    Attributes:
        name: which packet.
        program: harness and program.
        baseline: harness and the program with untracked policy only.
        control: harness and empty program.
        growth: program over baseline, median over the rounds.
    """

    name: str
    program: float
    baseline: float
    control: float
    growth: float

    @property
    def verdict(self) -> float:
        """What the program adds to the empty one."""
        return self.program - self.control


def _packet(source: str, port: int) -> Packet:
    destination = ip_address("2001:db8::1" if ":" in source else "192.0.2.1")
    return Packet(
        protocol=_TCP, source=ip_address(source), destination=destination, source_port=40000, destination_port=port
    )


PACKETS: Final = {
    "allowed by rule 8 of 10": _packet("198.51.100.7", 6379),
    "denied by rule 10 of 10": _packet("192.0.2.99", 6379),
    "denied by rule 1 of 10": _packet("100.64.1.1", 6379),
    "no rule matches": _packet("192.0.2.99", 8080),
    "IPv6, no rule matches": _packet("2001:db8:1::7", 8080),
}


def measure(rounds: int = ROUNDS, repeat: int = REPEAT) -> list[Cost]:
    """Run every packet ``rounds`` times ``repeat`` times."""
    resources = manifest.load([_POLICY]).resources
    image = compile_policy(resolve(resources, "bench", [Interface(_INTERFACE, 2)]))
    with (
        Trial(Code.shipped(log_per_second=0).data) as trial,
        Trial(BASELINE.read_bytes()) as baseline,
        Object.open(_CONTROL) as control,
    ):
        trial.fill(image, _INTERFACE)
        baseline.fill(image, _INTERFACE)
        runs = (
            trial.object.programs["pyxdp_xdp"].test_run,
            baseline.object.programs["pyxdp_xdp"].test_run,
            control.load().programs["empty_drop"].test_run,
        )

        def durations(frame: bytes) -> list[tuple[int, ...]]:
            return [tuple(run(frame, repeat=repeat).duration_ns for run in runs) for _ in range(rounds)]

        return [_cost(name, durations(build_frame(packet))) for name, packet in PACKETS.items()]


def _cost(name: str, timed: list[tuple[int, ...]]) -> Cost:
    program, baseline, control = (median(column) for column in zip(*timed, strict=True))
    return Cost(name, program, baseline, control, median(new / old for new, old, _ in timed))
