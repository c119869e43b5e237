"""What one firewall does to Redis: requests per second, latency, conntrack entries, and what a flood leaves of it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from demo import lab
from pyxdp.bpf import features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEEP_ALIVE_REQUESTS: Final = 60_000
#: Connections of one run; fewer where the conntrack table would not hold three times as many.
CONNECTIONS: Final = 10_000
#: Frames a second: a third of what fills gigabit Ethernet.
FLOOD_RATE: Final = 500_000
FLOOD_S: Final = 2.0
QUIET_S: Final = 1.0
SETTLE_S: Final = 0.3


@dataclass(frozen=True)
class Speed:
    """What redis-benchmark measured.

    Attributes:
        requests: per second.
        p99: milliseconds in which 99 % of the requests were answered.
    """

    requests: float
    p99: float


@dataclass(frozen=True)
class Flood:
    """What a flood did.

    Attributes:
        sent: frames.
        lost: frames that the interface had no room for; the firewall never saw them.
        dropped: frames that the firewall counted as dropped.
        quiet: requests per second just before.
        flooded: requests per second meanwhile.
    """

    sent: int
    lost: int
    dropped: int
    quiet: float
    flooded: float

    @property
    def kept(self) -> float:
        """Part of the requests that Redis still answered."""
        return self.flooded / self.quiet


@dataclass(frozen=True)
class Round:
    """One round with one firewall.

    Attributes:
        keep_alive: 50 connections that stay.
        per_request: a connection for each request.
        entries: conntrack entries of Redis that the two left behind.
        flood: keep-alive again, under a flood from a denied source; ``None`` where there can be none.
    """

    keep_alive: Speed
    per_request: Speed
    entries: int
    flood: Flood | None


def measure(dropped: Callable[[], int] | None) -> Round:
    """Measure the firewall that is in force.

    Args:
        dropped: reads its count of denied packets; without it there is no flood.
    """
    lab.forget_connections()
    keep_alive = benchmark("-n", str(KEEP_ALIVE_REQUESTS))
    per_request = benchmark("-k", "0", "-n", str(connections()))
    entries = lab.tracked_connections()
    return Round(keep_alive, per_request, entries, flood(dropped) if dropped and can_flood() else None)


def can_flood() -> bool:
    """Whether this kernel has live frames (Linux 5.18). Every other generator would be the bottleneck."""
    return bool(features.probe().live_frames)


def connections() -> int:
    """How many connections a run may make."""
    limit = int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text())
    return min(CONNECTIONS, limit // 3)


def benchmark(*options: str) -> Speed:
    """Run redis-benchmark with 50 clients that GET a small value."""
    said = lab.run(*lab.on_client("redis-benchmark", "-h", lab.HOST, "-t", "get", *options))
    found = re.search(r"([\d.]+) requests per second", said)
    if found is None:
        raise RuntimeError(f"redis-benchmark said:\n{said}")
    return Speed(float(found[1]), _p99(said))


def _p99(said: str) -> float:
    """Redis 6.2 and newer sum up; older ones only list how many percent were done in how many milliseconds."""
    summary = re.search(r"p99\s+max\s+((?:[\d.]+\s+)+)", said)
    if summary:
        return float(summary[1].split()[4])
    done = re.findall(r"([\d.]+)% <= ([\d.]+) milliseconds", said)
    return next(float(latency) for percent, latency in done if float(percent) >= 99)  # noqa: PLR2004 - its name


def flood(dropped: Callable[[], int], port: int = lab.PORT) -> Flood:
    """Flood a port of the host while Redis works; Redis itself counts the requests."""
    with requests_all_the_time(), _generator(port) as generator:
        time.sleep(SETTLE_S)
        quiet = _requests_per_second(QUIET_S)
        lost_before, dropped_before = lab.lost_by_interface(), dropped()
        assert generator.stdin is not None  # noqa: S101 - they are pipes
        assert generator.stdout is not None  # noqa: S101
        print("go", file=generator.stdin, flush=True)
        time.sleep(SETTLE_S)
        flooded = _requests_per_second(FLOOD_S - 2 * SETTLE_S)
        sent = int(generator.stdout.readline())
        lost = lab.lost_by_interface() - lost_before
        return Flood(sent, lost, dropped() - dropped_before, quiet, flooded)


def _requests_per_second(seconds: float) -> float:
    begin, first = time.monotonic(), lab.requests_served()
    time.sleep(seconds)
    last, end = lab.requests_served(), time.monotonic()
    return (last - first) / (end - begin)


@contextmanager
def requests_all_the_time() -> Iterator[None]:
    """50 keep-alive clients that send requests until the block ends."""
    command = lab.on_client("redis-benchmark", "-h", lab.HOST, "-t", "get", "-n", "1000000000")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def _generator(port: int) -> Iterator[subprocess.Popen[str]]:
    """The flood, ready to go. On Redis' CPU: what a card receives is work for the CPU that its interrupt goes to."""
    options = {
        "interface": lab.INTERFACE,
        "mac": lab.host_mac(),
        "address": lab.HOST,
        "port": port,
        "rate": FLOOD_RATE,
        "seconds": FLOOD_S,
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    command = lab.on_client("taskset", "-c", str(lab.redis_cpu()), sys.executable, "-m", "demo.flood", *arguments)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("the load generator did not start")
            yield process
        finally:
            process.kill()
