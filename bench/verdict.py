"""What a verdict costs at XDP: the program against an empty XDP_DROP, alternating, in one run."""

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
_POLICY: Final = Path(__file__).parent / "ten-rules.yaml"
_INTERFACE: Final = "bench0"
_TCP: Final = 6


@dataclass(frozen=True)
class Cost:
    """Nanoseconds a packet, median over the rounds.

    Attributes:
        name: which packet.
        program: harness and program.
        control: harness and empty program.
    """

    name: str
    program: float
    control: float

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
    drop = Path(__file__).parent.parent / "build/bench/drop.bpf.o"
    with Trial(Code.shipped(log_per_second=0).data) as trial, Object.open(drop) as control:
        trial.fill(image, _INTERFACE)
        empty = control.load().programs["empty_drop"]
        costs = []
        for name, packet in PACKETS.items():
            frame = build_frame(packet)
            pairs = [
                (trial.run("xdp", frame, repeat=repeat).duration_ns, empty.test_run(frame, repeat=repeat).duration_ns)
                for _ in range(rounds)
            ]
            costs.append(Cost(name, median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)))
    return costs
