"""The demo itself, from the first namespace to the last claim. ``demo.__main__`` starts it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyxdp
from demo import lab, measure, report
from demo.claims import Claim, claims, default_deny
from demo.report import console

if TYPE_CHECKING:
    from demo.measure import Flood

ROUNDS: Final = 3
#: On a machine that is so busy that the rounds have taken longer than this, no further one begins.
PATIENCE_S: Final = 45.0
POLICY: Final = "examples/redis"
NODE: Final = "redis-1"  # the node that the example is written for
PINS: Final = Path("/sys/fs/bpf/pyxdp")
MAPS: Final = f"{PINS}/v1/maps"
PYXDP: Final = Path(sys.executable).with_name("pyxdp")


class Comparison:
    """The firewalls, measured in turn."""

    def __init__(self) -> None:
        self.iptables: list[measure.Round] = []
        self.control: list[measure.Round] = []
        self.pyxdp: list[measure.Round] = []

    def run(self) -> None:
        """Measure all rounds; each begins with another firewall, so that a trend of the machine favours none."""
        turns = [self._with_iptables, self._with_empty_program, self._with_pyxdp]
        begin = time.monotonic()
        for number in range(1, ROUNDS + 1):
            for turn in turns:
                turn(number)
            turns.append(turns.pop(0))
            if time.monotonic() - begin > PATIENCE_S:
                break

    def _with_iptables(self, number: int) -> None:
        self.iptables.append(measure.measure(lab.refused_by_firewall))
        report.round_line(number, "stateful iptables", self.iptables[-1])

    def _with_empty_program(self, number: int) -> None:
        with lab.empty_program():
            self.control.append(measure.measure(None))
        report.round_line(number, "  + an empty XDP", self.control[-1])

    def _with_pyxdp(self, number: int) -> None:
        lab.run(str(PYXDP), "apply", POLICY)
        self.pyxdp.append(measure.measure(dropped_at_xdp))
        lab.run(str(PYXDP), "delete")
        report.round_line(number, "  + pyxdp", self.pyxdp[-1])


def dropped_at_xdp() -> int:
    """How many frames the policy's Deny rule for ingress has matched."""
    return sum(it.packets for it in pyxdp.status().rules if (it.action, it.direction) == ("Deny", "ingress"))


def dropped_early() -> int:
    """How many frames XDP has dropped because the normal class was certain to deny them."""
    return sum(it.reasons["ingress"].get("DROP_EARLY", 0) for it in pyxdp.status().endpoints)


def introduce() -> None:
    """Show the scene, the policy taking effect, and conntrack while requests run."""
    console.print(report.SCENE)
    report.heading("A policy, and what it does to conntrack while Redis answers requests")
    _count_entries("without pyxdp")
    _show(str(PYXDP), "apply", POLICY)
    _count_entries("with pyxdp")
    lab.run(str(PYXDP), "delete")
    report.heading(f"{ROUNDS} rounds: keep-alive, a connection per request, conntrack entries, a flood")
    if not measure.can_flood():
        console.print("no flood: its generator needs live frames, which Linux has since 5.18")


def _count_entries(when: str) -> None:
    lab.forget_connections()
    with measure.requests_all_the_time():
        time.sleep(measure.SETTLE_S)
        listed = lab.run("conntrack", "-L", "-p", "tcp", "--dport", str(lab.PORT))
    console.print(f"{when}, conntrack lists {len(listed.splitlines())} connections to port {lab.PORT}")


def look_inside() -> tuple[dict[str, float], Flood | None]:
    """Show what is pinned and counted.

    Returns:
        How long it took to apply the policy from Python, and a flood to a port that no policy mentions; none where the
        kernel can not make any or can not drop it early.
    """
    report.heading("What people and tools can see")
    policy = pyxdp.resolve(pyxdp.load([POLICY]).resources)
    begin = time.monotonic()
    pyxdp.apply(policy)
    from_python = time.monotonic() - begin
    measure.benchmark("-n", "10000")
    early = pyxdp.status().early_drop
    flood = measure.flood(dropped_early, lab.OTHER_PORT) if measure.can_flood() and early.on else None
    if not early.on:
        console.print(f"no early drop: {early.reason}")
    _show_maps()
    _show(str(PYXDP), "status")
    _show(str(PYXDP), "apply", POLICY)
    return {"from_python": round(from_python, 3)}, flood


def _show_maps() -> None:
    if shutil.which("bpftool") is None:
        console.print("[dim]bpftool is not installed; it would show the same from the pinned maps")
        return
    rules = (it for it in pyxdp.status().rules if (it.action, it.direction) == ("Deny", "ingress"))
    denied = max(rules, key=lambda it: it.packets)
    _show("bpftool", "map", "dump", "pinned", f"{MAPS}/names", most=11)
    for name in ("names", "counters"):
        _show(
            "bpftool",
            "map",
            "lookup",
            "pinned",
            f"{MAPS}/{name}",
            "key",
            *map(str, denied.counter.to_bytes(4, sys.byteorder)),
        )


def leave_nothing() -> Claim:
    """Remove everything and look whether anything is left."""
    report.heading("And gone")
    _show(str(PYXDP), "delete")
    left = [str(path) for path in PINS.parent.glob("pyxdp*")]
    left += [
        line for tool in ("iptables-save", "ip6tables-save") for line in lab.run(tool).splitlines() if "PYXDP" in line
    ]
    left += [line for line in lab.run("ip", "-details", "link", "show", lab.INTERFACE).splitlines() if "xdp" in line]
    return Claim("pyxdp delete leaves nothing", not left, "; ".join(left) or "no pin, no rule, no program")


def _show(*words: str, most: int = 1000) -> None:
    shown = [Path(words[0]).name, *words[1:]]
    report.command(*shown, said=lab.run(*words), most=most)


def main() -> int:
    """Tell the story; return 0 if every claim held."""
    begin = time.monotonic()
    socket.sethostname(NODE)
    facts: dict[str, object] = {"commit": report.commit(), "machine": report.machine()}
    lab.build()
    with lab.redis():
        introduce()
        comparison = Comparison()
        comparison.run()
        report.comparison(comparison.iptables, comparison.control, comparison.pyxdp)
        facts["seconds_to_apply"], default_denied = look_inside()
        left = leave_nothing()
    found = [*claims(comparison.iptables, comparison.pyxdp), left]
    if default_denied is not None:
        found.insert(-1, default_deny(default_denied))
    report.heading("What was claimed")
    report.verdict(found)
    facts |= {
        "flood_rate": measure.FLOOD_RATE,
        "iptables": report.rounds_json(comparison.iptables),
        "empty_xdp": report.rounds_json(comparison.control),
        "pyxdp": report.rounds_json(comparison.pyxdp),
        "claims": [asdict(claim) for claim in found],
        "seconds": round(time.monotonic() - begin, 1),
    }
    report.write(facts)
    where_next(time.monotonic() - begin)
    return 0 if all(claim.holds for claim in found) else 1


def where_next(seconds: float) -> None:
    """Say what to read and try now."""
    console.print(f"\nall figures of this run: {report.FILE.relative_to(Path.cwd())} ({seconds:.0f} s)\n")
    console.print("[bold]Where to go next")
    console.print("  docs/getting-started.md   your own Redis: which lines to change, how to try without risk")
    console.print("  docs/concepts.md          the four classes, default-deny, failsafes")
    console.print("  docs/inspection.md        bpftool and pyxdp status, field by field")
    console.print("  examples/                 this policy, a server, a gateway, a blocklist")


if __name__ == "__main__":
    # Lines as they come, also into a pipe; and a terminal without UTF-8 shows question marks instead of lines.
    sys.stdout.reconfigure(line_buffering=True, errors="replace")  # type: ignore[union-attr]
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {' '.join(error.cmd)}: status {error.returncode}\n{error.stderr}")
    except KeyboardInterrupt:
        sys.exit(130)
