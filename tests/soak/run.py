"""``make soak``: months of a node in minutes, at random and under traffic, and every verdict judged.

A real ``pyxdp agent`` follows a folder whose files change, are written badly, broken and removed; interfaces come, go,
flap and are renamed; strangers change what it has made; it is killed wherever it happens to be, and upgraded to another
build of the BPF object. Meanwhile a flood comes in, to the host and through it, and the host talks itself; one part of
each no policy allows, and none of that may arrive. The evaluator says what the attached programs have to answer. At
last nothing may be left.

Settings, from the environment:

``SOAK_SECONDS``
    how long to go on, 1200 by default. In 1200 seconds the agent is killed 100 times and upgraded 20 times, in less or
    more in proportion; the last fifth it lives, and must not grow.
``SOAK_SEED``
    where chance begins; printed. The same seed makes the same things happen, in the same order.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from tests.lab.mounts import unshare_mounts
from tests.soak.soak import Soak
from tests.soak.traffic import far_end, traffic
from tests.torture.flooding import silent_host
from tests.veth.test_apply import NOTHING, traces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.soak.traffic import Traffic
    from tests.veth.host import Host

SECONDS: Final = 1200.0
#: Seconds of a soak for each kill and for each upgrade.
_A_KILL: Final = 12.0
_AN_UPGRADE: Final = 60.0
_A_DRIFT: Final = 40.0
#: Part of it in which the agent lives on.
_CALM: Final = 0.2
#: Steps of an agent after which it has all that it needs.
_WARM: Final = 3
#: What an agent may grow by after that: descriptors (somebody may just be asking for metrics), and MiB.
_MORE_DESCRIPTORS: Final = 2
_MORE_RESIDENT: Final = 24
#: A soak that found so much has found enough.
ENOUGH: Final = 5
_EVERY: Final = 30.0


@dataclass
class Result:
    """What a soak found.

    Attributes:
        soak: with what has happened.
        seconds: that it took.
        sent: packets.
        denied: of them, those that no policy allows, by their way.
        leaks: of those, the ones that arrived, by what happened at that time.
        allowed: packets that every policy allows and that arrived, by their way.
        growth: of the last agent: descriptors and MiB, before and after.
        findings: what was wrong.
    """

    soak: Soak
    seconds: float
    sent: int
    denied: Mapping[str, int]
    leaks: Mapping[str, int]
    allowed: Mapping[str, int]
    growth: tuple[tuple[int, int], tuple[int, int]]
    findings: list[str]

    def __str__(self) -> str:
        """Some lines."""
        soak, kinds = self.soak, Counter[str]()
        for what, count in soak.counts.items():
            kinds[what.partition(":")[0]] += count
        happened = ", ".join(f"{count:,} {what} changes" for what, count in sorted(kinds.items()))
        (descriptors, resident), (more_descriptors, more_resident) = self.growth
        slowest = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in sorted(soak.slowest.items()))
        lines = [
            f"{self.seconds:.0f} s: {soak.lives.kills:,} kills, {soak.lives.upgrades:,} upgrades, {happened}",
            f"{self.sent:,} packets; that every policy denies: {_ways(self.denied)}",
            f"passed of them, while it came to this: {_ways(self.leaks)}",
            f"of those that every policy allows arrived: {_ways(self.allowed)}",
            f"{soak.judge.verdicts:,} verdicts compared; as wanted again, at the latest: {slowest}",
            f"the last agent: {descriptors} descriptors, {resident} MiB; later {more_descriptors}, {more_resident} MiB",
            f"{soak.holdings.seen:,} maps and programs seen",
            *(f"wrong: {it}" for it in self.findings[:ENOUGH]),
            f"{len(self.findings)} wrong" if self.findings else "nothing wrong",
        ]
        return "\n".join(lines)


def run(host: Host, folder: Path, seed: int, seconds: float, on_step: Callable[[str], None] = lambda _: None) -> Result:
    """Soak a host that has no policy yet."""
    begin = time.monotonic()
    with ExitStack() as stack:
        near, far = stack.enter_context(far_end(host))
        soak = Soak(host, folder, Random(seed), Counter(), others=(near.ifindex,))  # noqa: S311 - repeatable
        stack.enter_context(closing(soak))
        soak.settle("start")
        flows = stack.enter_context(traffic(host, far))
        _stir(soak, flows, seconds, on_step)
        growth = _calm(soak, flows, begin + seconds, max(_WARM, seconds * _CALM), on_step)
        findings = soak.judge.findings
        if soak.lives.process.end(signal.SIGTERM) != 0:
            findings.append(f"SIGTERM: {soak.lives.process.log.read_text()[-2000:]}")
        soak.judge_settled()
        flows.note("the end")
        sent, denied, leaks, allowed = flows.sent, flows.denied, flows.leaks, flows.allowed
    findings += [*_grown(growth), *_left(soak)]
    findings += [f"{n:,} packets passed that every policy denies: {what}" for what, n in leaks.items() if n]
    findings += [f"nothing arrived: {way}" for way, n in allowed.items() if not n]
    return Result(soak, time.monotonic() - begin, sent, denied, leaks, allowed, growth, findings)


def _stir(soak: Soak, flows: Traffic, seconds: float, on_step: Callable[[str], None]) -> None:
    """Kill and upgrade at even intervals, drift now and then, change all the time."""
    begin = time.monotonic()
    kills, upgrades = (max(1, round(seconds / each)) for each in (_A_KILL, _AN_UPGRADE))
    restarts = kills + upgrades
    upgrading = {round((number + 1) * restarts / upgrades) - 1 for number in range(upgrades)}
    pause = seconds * (1 - _CALM) / restarts
    done, drift_at = 0, begin + pause / 2
    while done < restarts and len(soak.judge.findings) < ENOUGH:
        now = time.monotonic()
        if now >= begin + done * pause:
            soak.restart(upgrade=done in upgrading)
            flows.note("upgrades" if done in upgrading else "kills")
            done += 1
        elif now >= drift_at:
            flows.note(soak.drift(flows))
            drift_at = now + _A_DRIFT
        else:
            soak.change()
            flows.note("changes")
        on_step(_progress(soak, flows, begin))


def _calm(
    soak: Soak, flows: Traffic, end: float, least: float, on_step: Callable[[str], None]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Let one agent live through changes and drift; return its descriptors and MiB when it was warm, and at the end."""
    begin, steps, warm = time.monotonic(), 0, (0, 0)
    while (steps <= _WARM or time.monotonic() < max(end, begin + least)) and len(soak.judge.findings) < ENOUGH:
        if steps % 5 == 1:
            flows.note(soak.drift(flows))
        else:
            soak.change()
            flows.note("changes")
        steps += 1
        if steps == _WARM:
            warm = soak.lives.descriptors(), soak.lives.resident()
        on_step(_progress(soak, flows, begin))
    return warm, (soak.lives.descriptors(), soak.lives.resident())


def _progress(soak: Soak, flows: Traffic, begin: float) -> str:
    steps = sum(soak.counts.values())
    return (
        f"{time.monotonic() - begin:.0f} s: {soak.lives.kills} kills, {soak.lives.upgrades} upgrades, {steps} changes,"
        f" {soak.judge.verdicts:,} verdicts, {sum(flows.denied.values()):,} denied, {flows.leaked:,} of them passed"
    )


def _ways(packets: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {way}" for way, n in packets.items())


def _grown(growth: tuple[tuple[int, int], tuple[int, int]]) -> list[str]:
    """What is wrong with an agent's growth."""
    (descriptors, resident), (more_descriptors, more_resident) = growth
    found = []
    if more_descriptors > descriptors + _MORE_DESCRIPTORS:
        found.append(f"{descriptors} file descriptors became {more_descriptors}")
    if more_resident > resident + _MORE_RESIDENT:
        found.append(f"{resident} MiB became {more_resident}")
    return found


def _left(soak: Soak) -> list[str]:
    """What is left when it should not be."""
    host = soak.host
    objects = sorted(it.name for it in (host.bpffs / "pyxdp/v1/objects").iterdir())
    found = [f"objects: {', '.join(objects)}"] if len(objects) != 1 else []
    host.delete()
    left = traces(host)
    found += [f"left by delete: {left[key]}" for key in NOTHING if left[key] != NOTHING[key]]
    return found + [f"left in the kernel: {it}" for it in soak.holdings.left()]


class _Progress:
    """A line every half a minute."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _EVERY

    def __call__(self, line: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            _say(line)


def main() -> int:
    """Soak; 1 if anything was wrong."""
    seed = int(os.environ.get("SOAK_SEED") or secrets.randbelow(1 << 32))
    seconds = float(os.environ.get("SOAK_SECONDS") or SECONDS)
    _say(f"SOAK_SEED={seed}: {seconds:.0f} s")
    unshare_mounts()
    with tempfile.TemporaryDirectory() as folder, silent_host() as host:
        result = run(host, Path(folder) / "policy", seed, seconds, _Progress())
    _say(str(result))
    return 1 if result.findings else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
