"""``docs/benchmarks.md`` and its plots, made of ``build/bench.json``: ``python -m bench.page`` writes them again."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import tables
from bench.plot import Plot, Series
from bench.tables import markdown
from pyxdp.bench.figures import Line, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs/benchmarks.md"
PLOTS: Final = ROOT / "docs/benchmarks"
TEXT: Final = Path(__file__).with_name("page.md")

#: Parts whose lines have targets.
_TARGETS: Final = ("verdicts", "lookup", "apply", "switches")
#: Of so many details all are shown.
_MANY: Final = 8
#: Colours that people with the usual kinds of colour blindness tell apart (Okabe and Ito); the same in all plots.
_COLOURS: Final = {
    "floor": "#999999",
    "pyxdp": "#0072b2",
    "lpm": "#d55e00",
    "xdp-filter": "#cc79a7",
    "nft-ingress": "#009e73",
    "nft-raw": "#56b4e9",
    "ipset": "#e69f00",
    "iptables": "#8c564b",
}
#: Curves: kind, what is plotted, file, title, name of the y axis.
_PLOTS: Final = (
    ("prefixes", "frames_per_second", "prefixes-rate", "A blocklist under flood", "frames/s, one CPU"),
    ("prefixes", "run_ns", "prefixes-ns", "A blocklist: cost of a verdict at XDP", "ns over an empty program"),
    ("rules", "frames_per_second", "rules-rate", "Rules of a prefix and a port under flood", "frames/s, one CPU"),
    (
        "rules",
        "run_ns",
        "rules-ns",
        "Rules of a prefix and a port: cost of a verdict at XDP",
        "ns over an empty program",
    ),
)


def write(result: Mapping[str, Any], page: Path = PAGE, plots: Path = PLOTS) -> Path:
    """Write page and plots; return the page's path."""
    plots.mkdir(parents=True, exist_ok=True)
    for path in plots.glob("*.svg"):
        path.unlink()
    images = {}
    for kind, figure, name, title, axis in _PLOTS:
        plot = _plot(result.get("curves", {}), kind, figure, title, axis)
        if plot.series:
            (plots / f"{name}.svg").write_text(plot.svg(), encoding="utf-8")
            images[name] = f"![{title}]({plots.name}/{name}.svg)"
    page.write_text(render(result, images), encoding="utf-8")
    return page


def render(result: Mapping[str, Any], images: Mapping[str, str]) -> str:
    """Return the text of the page: that of ``page.md`` with figures in the places of its ``{{name}}``."""
    curves = result.get("curves")
    parts = {
        "machine": _machine(result),
        "targets": _targets(result),
        "details": _details(result),
        "lookup": _lookup(result),
        "flows": _flows(result),
        "services": tables.services(result["services"]) if "services" in result else _missing(result, "services"),
    }
    for kind in ("rules", "prefixes"):
        text = _curve(curves, kind, images) if curves else _missing(result, "curves")
        parts[f"curve of {kind}"] = text
    text = TEXT.read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part.strip())
    return text


def _machine(result: Mapping[str, Any]) -> str:
    it = result["machine"]
    rows = [
        ["processor", f"{it['cpu']}, {it['cpus']} CPUs, {it['memory_mib'] or 0:,} MiB of memory"],
        ["system", f"{it['system']}, Linux {it['kernel']}"],
        ["pyxdp", f"{it['pyxdp']} ({result['commit']}), Python {it['python']}, numpy {it['numpy']}"],
        ["load average before", str(it["load_before"])],
        *([name, version] for name, version in result["tools"].items()),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows]
    head = f"Measured on {result['date']} in {result['seconds']:,} seconds (`{result['scale']}`)."
    return "\n".join([head, *_other_runs(result), "", "| | |", "|---|---|", *lines])


def _other_runs(result: Mapping[str, Any]) -> list[str]:
    """Say which parts a run that left them out has taken over from runs before."""
    found = []
    for part, run in result["runs"].items():
        if part in result and any(run[name] != result[name] for name in ("commit", "date", "scale")):
            found.append(
                f"The part *{part}* is of another run: {run['date']}, commit {run['commit']}, `{run['scale']}`."
            )
    return found


def _lines(result: Mapping[str, Any], *parts: str) -> list[Line]:
    stored = [it for part in parts for it in result.get(part, ())]
    return [Line(**{field.name: it[field.name] for field in fields(Line)}) for it in stored]


def _targets(result: Mapping[str, Any]) -> str:
    found = [line for line in _lines(result, *_TARGETS) if line.target or line.value is None]
    rows = [[line.title, line.shown, line.target, _mark(line)] for line in found]
    notes = [f"- {line.title}: {line.note}" for line in found if line.note]
    errors = [f"- the part *{part}* could not be measured: {why}" for part, why in result["errors"].items()]
    table = markdown(["what", "figure", "target", ""], rows) if rows else ""
    return "\n".join([table, *([""] if notes or errors else []), *notes, *errors])


def _mark(line: Line) -> str:
    return "**not met**" if line.met is False else line.mark


def _details(result: Mapping[str, Any]) -> str:
    """What is behind each figure."""
    parts = []
    for line in _lines(result, "verdicts", "apply", "switches"):
        values = [f"{name} {_value(value)}" for name, value in _telling(line.detail)]
        if line.samples:
            values.append("rounds: " + ", ".join(number(it) for it in line.samples))
        if values:
            parts.append(f"- **{line.title}** ({line.unit or 'number'}): " + "; ".join(values))
    return "\n".join(parts)


def _telling(detail: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What matters: of many figures those that are not small beside the largest."""
    known = [(name, value) for name, value in detail.items() if value is not None]
    if len(known) <= _MANY:
        return known
    largest = max(value for _, value in known)
    return [(name, value) for name, value in known if value >= largest / 100]


def _lookup(result: Mapping[str, Any]) -> str:
    rows = [[line.title, line.shown, line.target, _mark(line)] for line in _lines(result, "lookup")]
    return markdown(["what", "figure", "target", ""], rows) if rows else _missing(result, "lookup")


def _value(value: object) -> str:
    return number(value) if isinstance(value, int | float) else str(value)


def _flows(result: Mapping[str, Any]) -> str:
    rows = [
        [
            line.title.split(",")[0],
            line.shown,
            f"{line.detail['compile']:.2f} s",
            f"{line.detail['memory_mib']:.1f} MiB",
        ]
        for line in _lines(result, "flows")
    ]
    return (
        markdown(["rule set", "over an empty program", "compiling", "maps"], rows)
        if rows
        else _missing(result, "flows")
    )


def _curve(curves: Mapping[str, Any], kind: str, images: Mapping[str, str]) -> str:
    points, titles = curves[kind], curves["titles"]
    parts = [
        images.get(f"{kind}-rate", ""),
        f"Frames a second on one CPU, by number of {kind} (M: million):",
        tables.rates(points, titles, kind) or curves.get("no_rates", ""),
        images.get(f"{kind}-ns", ""),
        f"Nanoseconds over an empty program (`BPF_PROG_TEST_RUN`), by number of {kind}:",
        tables.runs(points, titles, kind),
        tables.absences(points, titles, kind),
    ]
    return "\n\n".join(part for part in parts if part)


def _missing(result: Mapping[str, Any], part: str) -> str:
    return f"Not measured: {result['errors'].get(part, 'left out of this run')}."


def _plot(curves: Mapping[str, Any], kind: str, figure: str, title: str, axis: str) -> Plot:
    points: Sequence[Mapping[str, Any]] = curves.get(kind, ())
    names: Iterable[tuple[str, str]] = curves.get("titles", {}).items()
    if figure == "frames_per_second":
        names = [("floor", "empty XDP_DROP"), *names]
    series = [
        Series(shown, _points(points, figure, name), _COLOURS[name], strong=name == "pyxdp") for name, shown in names
    ]
    return Plot(title, f"number of {kind}", axis, tuple(it for it in series if it.points))


def _points(points: Sequence[Mapping[str, Any]], figure: str, name: str) -> list[tuple[float, float]]:
    """What can be drawn on logarithmic axes."""
    return [(point["entries"], point[figure][name]) for point in points if point[figure].get(name, 0) > 0]


def main() -> int:
    """Write the page of the figures that there are."""
    stored = ROOT / "build/bench.json"
    if not stored.exists():
        print(f"error: {stored.relative_to(ROOT)} is missing\nhint: make bench writes it", file=sys.stderr)
        return 3
    print(write(json.loads(stored.read_text(encoding="utf-8"))).relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
