"""The parts of ``make bench``, one after the other. What goes wrong in one does not spoil the others."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bench import page, tables
from bench.applying import applied
from bench.curves import curve
from bench.rivals import RIVALS
from bench.switching import switched
from bench.tools import commit, tools
from pyxdp.bench import table
from pyxdp.bench.figures import Line
from pyxdp.bench.machine import machine
from pyxdp.bpf import features
from tests.lab.mounts import unshare_mounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.scale import Scale

    Say: TypeAlias = Callable[[str], None]

ROOT: Final = Path(__file__).parent.parent


def measure(scale: Scale, parts: Sequence[str], output: Path, *, page: bool) -> int:
    """Measure the parts, print them, write them to a file, which keeps the figures of other parts.

    Args:
        scale: how much.
        parts: names, of :data:`PARTS`.
        output: the file; JSON.
        page: write ``docs/benchmarks.md`` too.

    Returns:
        0; 1 if a bound that must hold does not, or a part could not be measured.
    """
    unshare_mounts()
    say = _Clock()
    kept = json.loads(output.read_text(encoding="utf-8")) if output.exists() and set(parts) != set(PARTS) else {}
    run = {"commit": commit(), "date": time.strftime("%Y-%m-%d", time.gmtime()), "scale": scale.name}
    result: dict[str, Any] = {"runs": {}, **kept, **run, "machine": machine(), "tools": tools(), "errors": {}}
    failed = [part for part in PARTS if part in parts and _failed(part, scale, result, say)]
    result["seconds"] = round(say.seconds)
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    say(f"all figures: {output}")
    if page:
        say(f"written: {_write_page(result)}")
    if failed:
        print(f"error: targets missed by far, or figures that are missing: {', '.join(failed)}", file=sys.stderr)
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


def _failed(part: str, scale: Scale, result: dict[str, Any], say: _Clock) -> bool:
    """Measure one part, and again when targets are missed by far: who else uses the machine may be the reason.

    A figure that must be zero, as that of lost packets, gets no second chance, and neither does an error.
    """
    failed = [line for line in _measured(part, scale, result, say) if line.failed]
    if failed and part not in result["errors"] and all(line.most != 0 for line in failed):
        say(f"once more, targets were missed by far: {', '.join(line.title for line in failed)}")
        failed = [line for line in _measured(part, scale, result, say) if line.failed]
    return part in result["errors"] or bool(failed)


def _measured(part: str, scale: Scale, result: dict[str, Any], say: _Clock) -> list[Line]:
    """Measure one part and print it; return its lines, if it has such."""
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
    run = {name: result[name] for name in ("commit", "date", "scale")}
    result["runs"][part] = run | {"seconds": round(say.seconds - begin)}
    return lines


def _verdicts(scale: Scale, say: Say) -> list[Line]:
    return table.verdicts(scale.size, say)


def _lookup(scale: Scale, say: Say) -> list[Line]:
    """Micro benchmark of the address tables: a module of its own."""
    if find_spec("bench.lookup") is None:
        note = "this version has no bench/lookup.py"
        return [Line("address look-ups against the kernel's LPM trie", None, note=note)]
    say("address look-ups against the kernel's LPM trie")
    found: list[Line] = import_module("bench.lookup").measure_lookup(scale.size.rounds, quick=scale.name == "quick")
    return found


def _flows(scale: Scale, say: Say) -> list[Line]:
    return table.flows(table.resembling(scale.flows), scale.flows, say)


def _apply(scale: Scale, say: Say) -> Iterable[Line]:
    return applied(scale.size, scale.applies, say)


def _switches(scale: Scale, say: Say) -> list[Line]:
    return switched(scale.switches, say)


def _curves(scale: Scale, say: Say) -> dict[str, Any]:
    live = features.probe().live_frames
    return {
        "titles": {rival.name: rival.title for rival in RIVALS},
        "no_rates": "" if live else f"no frames can be sent: {live}",
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
    "switches": _switches,
    "curves": _curves,
    "services": _services,
}
