"""The parts of ``make bench``, one after the other. What goes wrong in one does not spoil the others."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bench import page, tables
from bench.applying import applied
from bench.curves import curve
from bench.rivals import RIVALS
from bench.tools import commit, tools
from pyxdp.bench import table
from pyxdp.bench.machine import machine
from tests.lab.mounts import unshare_mounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.scale import Scale
    from pyxdp.bench.figures import Line

    Say: TypeAlias = Callable[[str], None]

ROOT: Final = Path(__file__).parent.parent
RESULT: Final = ROOT / "build/bench.json"


def measure(scale: Scale, parts: Sequence[str], *, page: bool) -> int:
    """Measure the parts, print them, write them to ``build/bench.json``, which keeps the figures of other parts.

    Args:
        scale: how much.
        parts: names, of :data:`PARTS`.
        page: write ``docs/benchmarks.md`` too.

    Returns:
        0; 1 if a bound that must hold does not, or a part could not be measured.
    """
    unshare_mounts()
    say = _Clock()
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() and set(parts) != set(PARTS) else {}
    result: dict[str, Any] = kept | {
        "machine": machine(),
        "tools": tools(),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "scale": scale.name,
        "errors": {},
    }
    failed = [part for part in PARTS if part in parts and _measured(part, scale, result, say)]
    result["seconds"] = round(say.seconds)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    say(f"all figures: {RESULT.relative_to(ROOT)}")
    if page:
        say(f"written: {_write_page(result)}")
    if failed:
        print(f"error: bounds that do not hold, or figures that are missing: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


class _Clock:
    """Says what is being done, with the time since the beginning."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begin

    def __call__(self, what: str) -> None:
        print(f"{self.seconds:6.1f} s  {what}", file=sys.stderr, flush=True)


def _measured(part: str, scale: Scale, result: dict[str, Any], say: _Clock) -> bool:
    """Measure one part and print it; return whether it failed."""
    begin = say.seconds
    result.pop(part, None)
    lines: list[Line] = []
    try:
        found = PARTS[part](scale, say)
        if isinstance(found, dict):
            result[part] = found
            print(tables.SHOWN[part](found), flush=True)
        else:
            lines.extend(found)
    except Exception as error:  # noqa: BLE001 - it is told, kept with the figures, and makes the whole fail
        traceback.print_exc()
        said = f"\n{error.stderr}" if isinstance(error, subprocess.CalledProcessError) and error.stderr else ""
        print(f"error: {part}: {error}{said}", file=sys.stderr)
        result["errors"][part] = f"{type(error).__name__}: {error}"
    if lines:
        result[part] = [line.as_json() for line in lines]
        print(tables.lines(lines), flush=True)
    result.setdefault("part_seconds", {})[part] = round(say.seconds - begin)
    return part in result["errors"] or any(line.failed for line in lines)


def _verdicts(scale: Scale, say: Say) -> list[Line]:
    return table.verdicts(scale.size, say)


def _lookup(scale: Scale, say: Say) -> list[Line]:
    """Micro benchmark of the address tables: a module of its own."""
    if find_spec("bench.lookup") is None:
        say("this version has no bench.lookup")
        return []
    say("address look-ups against the kernel's LPM trie")
    found: list[Line] = import_module("bench.lookup").measure_lookup(scale.size.rounds, quick=scale.name == "quick")
    return found


def _flows(scale: Scale, say: Say) -> list[Line]:
    size = scale.size if scale.families else replace(scale.size, rules=min(1000, scale.size.rules))
    return table.flows(table.resembling(size), size, say)


def _apply(scale: Scale, say: Say) -> Iterable[Line]:
    return applied(replace(scale.size, rounds=scale.applies), say)


def _curves(scale: Scale, say: Say) -> dict[str, Any]:
    return {
        "titles": {rival.name: rival.title for rival in RIVALS},
        "rules": [it.as_json() for it in curve("rules", scale.rules, scale.rounds, scale.repeat, say)],
        "prefixes": [it.as_json() for it in curve("prefixes", scale.prefixes, scale.rounds, scale.repeat, say)],
    }


def _services(scale: Scale, say: Say) -> dict[str, Any]:
    say("Redis and memcached behind firewalls")
    inside = ["unshare", "--mount", "--propagation=private", "--net", "--uts", sys.executable, "-m", "bench.services"]
    said = subprocess.run([*inside, "--rounds", str(scale.services)], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def _write_page(result: dict[str, Any]) -> str:
    return str(page.write(result).relative_to(ROOT))


#: What can be measured, in this order.
PARTS: Final[dict[str, Callable[[Scale, _Clock], Iterable[Line] | dict[str, Any]]]] = {
    "verdicts": _verdicts,
    "lookup": _lookup,
    "flows": _flows,
    "apply": _apply,
    "curves": _curves,
    "services": _services,
}
