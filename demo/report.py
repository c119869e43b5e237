"""How it looks: on the terminal in 100 columns, and in ``build/demo.json``."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo import lab, measure
from demo.claims import floods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.claims import Claim
    from demo.measure import Flood, Round

WIDTH: Final = 100
FILE: Final = Path(__file__).parent.parent / "build/demo.json"

T = TypeVar("T")
#: Of what, which figure of it, how it is written, how it is found.
Row: TypeAlias = tuple[str, str, str, Callable[[T], float]]

ROUND_ROWS: Final[tuple[Row[Round], ...]] = (
    ("keep-alive", "requests/s", "{:,.0f}", lambda it: it.keep_alive.requests),
    ("", "p99", "{:.2f} ms", lambda it: it.keep_alive.p99),
    ("a connection per request", "requests/s", "{:,.0f}", lambda it: it.per_request.requests),
    ("", "p99", "{:.2f} ms", lambda it: it.per_request.p99),
    ("conntrack, thereafter", "entries of Redis", "{:,.0f}", lambda it: it.entries),
)
FLOOD_ROWS: Final[tuple[Row[Flood], ...]] = (
    (f"flood, {measure.FLOOD_RATE:,}/s", "frames sent", "{:,.0f}", lambda it: it.sent),
    ("", "lost in the ring", "{:,.0f}", lambda it: it.lost),
    ("", "dropped (INPUT / XDP)", "{:,.0f}", lambda it: it.dropped),
    ("", "requests/s just before", "{:,.0f}", lambda it: it.quiet),
    ("", "requests/s meanwhile", "{:,.0f}", lambda it: it.flooded),
    ("", "[bold]kept", "[bold]{:.0%}[/]", lambda it: it.kept),
)

console: Final = Console(width=WIDTH, highlight=False, soft_wrap=False)

SCENE: Final = f"""\
      client {lab.CLIENT}                      host redis-1 {lab.HOST}
 ┌───────────────────────────┐   ┌──────────────────────────────────────────────────────────────┐
 │ redis-benchmark           │   │ eth0 ──▶ XDP ──▶ raw table ──▶ conntrack ──▶ filter ──▶ Redis│
 │ flood from 198.18.0.0/17  ├───┤           │          │                         ▲             │
 └───────────────────────────┘   │           ▼ Deny     └─────────────────────────┘             │
                                 │                        Allow: not tracked                    │
                                 └──────────────────────────────────────────────────────────────┘"""


def heading(text: str) -> None:
    """Begin a part."""
    console.print()
    console.rule(f"[bold]{text}", align="left", style="dim")


def command(*words: str, said: str, most: int = 1000) -> None:
    """Show a command and the first lines of what it printed, as it printed them."""
    console.print(f"[bold cyan]# {escape(' '.join(words))}")
    lines = said.rstrip("\n").splitlines()
    for line in lines[:most]:
        console.print(escape(line))
    if len(lines) > most:
        console.print(f"[dim]... {len(lines) - most:,} more lines")


def round_line(number: int, title: str, it: Round) -> None:
    """Show one round as soon as it is over."""
    flood = f"   {it.flood.kept:>4.0%} kept of {it.flood.quiet:>7,.0f}/s" if it.flood else ""
    console.print(
        f"round {number}  {title:<18} {it.keep_alive.requests:>8,.0f}/s  {it.per_request.requests:>7,.0f}/s"
        f"  {it.entries:>7,} entries{flood}"
    )


def comparison(iptables: Sequence[Round], control: Sequence[Round], pyxdp: Sequence[Round]) -> None:
    """Show all side by side."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("median" if len(iptables) > 1 else "one round")
    table.add_column("")
    for title in ("stateful iptables", "+ an empty XDP", "+ pyxdp"):
        table.add_column(title, justify="right")
    _add(table, (iptables, control, pyxdp), ROUND_ROWS)
    _add(table, (floods(iptables), [], floods(pyxdp)), FLOOD_ROWS)
    console.print(table)
    console.print("[dim]+ an empty XDP: what any native program costs on this cable; a veth copies every packet for it")


def _add(table: Table, columns: Sequence[Sequence[T]], rows: Sequence[Row[T]]) -> None:
    if not any(columns):
        return
    for group, name, form, figure in rows:
        table.add_row(group, name, *(form.format(median(map(figure, found))) if found else "" for found in columns))


def verdict(found: Sequence[Claim]) -> None:
    """Show which claims held."""
    for claim in found:
        mark = "[green]holds [/]" if claim.holds else "[bold red]FAILED[/]"
        console.print(f"{mark}  {claim.text}: {claim.evidence}")


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "python": platform.python_version(),
        "pyxdp": version("pyxdp"),
        "redis": _first(r"v=(\S+)", lab.run("redis-server", "--version")),
        "iptables": _first(r"v(\S+ \(\w+\))", lab.run("iptables", "--version")),
        "load_before": os.getloadavg()[0],
    }


def write(facts: dict[str, object]) -> None:
    """Write ``build/demo.json``."""
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(facts, indent=1, default=str) + "\n", encoding="utf-8")


def rounds_json(rounds: Sequence[Round]) -> list[dict[str, object]]:
    """Every round with all its figures."""
    return [asdict(it) | ({"kept": it.flood.kept} if it.flood else {}) for it in rounds]


def commit() -> str:
    """Which commit of the project this is; empty outside a git checkout."""
    asked = ["git", "-c", "safe.directory=*", "-C", str(FILE.parent.parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""
