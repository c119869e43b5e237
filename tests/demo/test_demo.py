"""The demo's own arithmetic, and that nothing outlives it. ``make demo`` itself is run by CI."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from demo import flood, measure
from demo.claims import claims, default_deny
from demo.measure import Flood, Round, Speed
from tests.lab.waiting import wait_until
from tests.veth.host import checksum

ROOT = Path(__file__).resolve().parents[2]

TRACKED = Round(Speed(80_000, 0.4), Speed(20_000, 1.6), 10_100, Flood(1_000_000, 0, 1_000_000, 80_000, 16_000))
XDP_FLOOD = Flood(1_000_000, 500, 999_500, 80_000, 70_000)
UNTRACKED = Round(Speed(80_000, 0.4), Speed(20_000, 1.6), 0, XDP_FLOOD)

REDIS_6_0 = """
98.10% <= 1.2 milliseconds
99.05% <= 1.5 milliseconds
100.00% <= 2 milliseconds
93457.94 requests per second
"""
REDIS_7_0 = """
99.219% <= 9.9 milliseconds (cumulative count 99)
Summary:
  throughput summary: 93457.94 requests per second
  latency summary (msec):
          avg       min       p50       p95       p99       max
        1.134     0.088     0.407     1.400     1.500    13.479
"""


def failed(tracked: Round, untracked: Round) -> list[str]:
    return [claim.text for claim in claims([tracked] * 3, [untracked] * 3) if not claim.holds]


def test_good_figures_prove_the_claims() -> None:
    assert failed(TRACKED, UNTRACKED) == []


@pytest.mark.parametrize(
    ("untracked", "what"),
    [
        (replace(UNTRACKED, entries=1), "conntrack"),
        (replace(UNTRACKED, flood=replace(XDP_FLOOD, dropped=900_000)), "counted at XDP"),
        (replace(UNTRACKED, flood=replace(XDP_FLOOD, flooded=15_000)), "under the flood"),
    ],
)
def test_a_bad_figure_fails_its_claim(untracked: Round, what: str) -> None:
    (claim,) = failed(TRACKED, untracked)
    assert what in claim


def test_a_firewall_that_tracks_nothing_is_no_comparison() -> None:
    (claim,) = failed(replace(TRACKED, entries=20), UNTRACKED)
    assert "conntrack" in claim


@pytest.mark.parametrize(("dropped", "holds"), [(999_500, True), (900_000, False), (0, False)])
def test_a_flood_that_only_the_default_denies(dropped: int, *, holds: bool) -> None:
    assert default_deny(replace(XDP_FLOOD, dropped=dropped)).holds is holds


def test_without_a_flood_nothing_is_claimed_of_it() -> None:
    found = claims([replace(TRACKED, flood=None)] * 3, [replace(UNTRACKED, flood=None)] * 3)
    assert len(found) == 1
    assert all(claim.holds for claim in found)


@pytest.mark.parametrize("said", [REDIS_6_0, REDIS_7_0])
def test_what_redis_benchmark_says(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure.lab, "run", lambda *_: said)
    assert measure.benchmark() == Speed(93457.94, 1.5)


def test_checksums_stay_right_whatever_the_generator_changes() -> None:
    frame = bytearray(flood.syn(bytes(6), IPv4Address("10.20.0.1"), 6379))
    for number in (0, 1, 0x1234, 0x7FFF):
        frame[28:30] = number.to_bytes(2, "big")
        frame[18:20] = frame[34:36] = (~number & 0xFFFF).to_bytes(2, "big")
        assert checksum(bytes(frame[14:34])) == 0
        assert checksum(bytes(frame[26:34]) + b"\0\x06\0\x14" + bytes(frame[34:54])) == 0


@pytest.mark.parametrize(
    ("number", "governed"), [(signal.SIGTERM, True), (signal.SIGINT, False), (signal.SIGKILL, False)]
)
def test_nothing_outlives_the_demo(number: signal.Signals, *, governed: bool) -> None:
    """SIGKILL is for the one that holds the namespaces, as the OOM killer might choose it."""
    with subprocess.Popen([sys.executable, "-m", "demo"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as demo:
        (unshare,) = wait_until(lambda: children(demo.pid))
        try:
            assert demo.stdout is not None
            if governed:  # the policy is in force
                next(line for line in demo.stdout if line.startswith("applied in"))
            wait_until(lambda: "redis-server" in map(name, descendants(demo.pid)), what="Redis runs")
            below = descendants(demo.pid)
            assert {"redis-server", "unshare"} <= {name(pid) for pid in below}
        finally:
            os.kill(unshare if number == signal.SIGKILL else demo.pid, number)
        assert demo.wait(timeout=300) != 0
        wait_until(lambda: not any(name(pid) for pid in below), what="all its processes are gone")


def children(pid: int) -> list[int]:
    return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return found + [further for child in found for further in descendants(child)]


def name(pid: int) -> str:
    """What a process is called; empty when it is no more."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    found = re.search(r"Name:\t(.*)\n(?:.*\n)*?State:\t(.)", status)
    return found[1] if found and found[2] not in "ZX" else ""
