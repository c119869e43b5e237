"""What early drop costs: packets about which untracked policy says nothing, with the program for it and without."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from bench.verdict import REPEAT, ROUNDS
from pyxdp.dataplane.code import Code
from tests.kern.conftest import image_of
from tests.kern.early import HOST_POLICY, OPEN, with_early
from tests.kern.frames import HOST, IPV4, REMOTE, TCP, UDP, ethernet, ipv4, tcp, udp
from tests.lab.mounts import unshare_mounts
from tests.lab.network import namespace

if TYPE_CHECKING:
    from pyxdp.dataplane.trial import Trial
    from tests.lab.network import Namespace

_REPLY: Final = 9000
_FRAMES: Final = {
    "new, denied: dropped early": ethernet(IPV4, ipv4(TCP, tcp(9999))),
    "new, allowed": ethernet(IPV4, ipv4(TCP, tcp(OPEN))),
    "reply to this host": ethernet(IPV4, ipv4(UDP, udp(_REPLY))),
}


@dataclass(frozen=True)
class EarlyCost:
    """Nanoseconds a packet, median over the rounds.

    Attributes:
        name: which packet.
        without: the program array has no entry.
        early: it has.
    """

    name: str
    without: float
    early: float


def measure_early(rounds: int = ROUNDS, repeat: int = REPEAT) -> list[EarlyCost]:
    """Run every packet ``rounds`` times ``repeat`` times, on the loopback device of a namespace of its own."""
    unshare_mounts()
    with with_early(Code.shipped(log_per_second=0)) as bench, namespace() as space, space.entered():
        bench.fill(image_of(HOST_POLICY))
        _track_a_question(space)
        with_it = {name: _median(bench.trial, frame, rounds, repeat) for name, frame in _FRAMES.items()}
        bench.trial.object.maps["pyxdp_early"].delete(0)
        return [
            EarlyCost(name, _median(bench.trial, frame, rounds, repeat), with_it[name])
            for name, frame in _FRAMES.items()
        ]


def _median(trial: Trial, frame: bytes, rounds: int, repeat: int) -> float:
    return median(trial.run("xdp", frame, repeat=repeat).duration_ns for _ in range(rounds))


def _track_a_question(space: Namespace) -> None:
    """Let conntrack know of something that the host has sent and that the reply belongs to."""
    space.run("iptables-nft", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW")
    for address in (HOST[4], REMOTE[4]):
        space.run("ip", "addr", "add", address, "dev", "lo")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((HOST[4], _REPLY))
        sender.sendto(b"question", (REMOTE[4], 40000))
