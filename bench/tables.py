"""Figures as tables: for the terminal, and the same in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyxdp.bench.figures import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyxdp.bench.figures import Line

#: What stands where there is no figure; the reasons are listed below the table.
ABSENT: Final = "-"


def lines(found: Sequence[Line]) -> str:
    """Lines of a table with targets, for a terminal."""
    text = []
    for line in found:
        target = f"  (target: {line.target})" if line.target else ""
        text.append(f"{line.mark:<8}{line.title}: {line.shown}{target}")
        if line.note:
            text.append(f"{'':<8}  {line.note}")
    return "\n".join([*text, ""])


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, its columns aligned for who reads the text; numbers to the right."""
    columns = list(zip(titles, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [index > 0 for index in range(len(titles))]
    ruler = [f"{'-' * (width - 1)}:" if aligned else "-" * width for width, aligned in zip(widths, right, strict=True)]
    shown = [titles, ruler, *rows]
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if aligned else cell.ljust(width)
            for cell, width, aligned in zip(row, widths, right, strict=True)
        )
        + " |"
        for row in shown
    )


def curves(found: Mapping[str, Any]) -> str:
    """All curves: frames a second, and nanoseconds of what is at XDP."""
    parts = []
    for kind in ("rules", "prefixes"):
        points = found[kind]
        parts += [
            f"Frames a second on one CPU, by number of {kind}:",
            rates(points, found["titles"], kind),
            f"Nanoseconds over an empty program, by number of {kind}:",
            runs(points, found["titles"], kind),
            absences(points, found["titles"], kind),
        ]
    return "\n\n".join([*filter(None, parts), found.get("no_rates", "")]) + "\n"


def rates(points: Sequence[Mapping[str, Any]], titles: Mapping[str, str], kind: str) -> str:
    """Frames a second on the cable."""
    return _by_size(points, {"floor": "empty XDP_DROP", **titles}, kind, "frames_per_second", _millions)


def runs(points: Sequence[Mapping[str, Any]], titles: Mapping[str, str], kind: str) -> str:
    """Nanoseconds by BPF_PROG_TEST_RUN."""
    return _by_size(points, titles, kind, "run_ns", number)


def _by_size(
    points: Sequence[Mapping[str, Any]],
    titles: Mapping[str, str],
    kind: str,
    figure: str,
    shown: Callable[[float], str],
) -> str:
    names = [name for name in titles if any(name in point[figure] for point in points)]
    if not names:
        return ""
    rows = [
        [f"{point['entries']:,}", *(shown(point[figure][name]) if name in point[figure] else ABSENT for name in names)]
        for point in points
    ]
    return markdown([kind, *(titles[name] for name in names)], rows)


def absences(points: Sequence[Mapping[str, Any]], titles: Mapping[str, str], kind: str) -> str:
    """Why figures are missing: each firewall and reason once, with the sizes."""
    found: dict[tuple[str, str], list[int]] = {}
    for point in points:
        for name, why in point["absent"].items():
            found.setdefault((titles.get(name, name), why), []).append(point["entries"])
    return "\n".join(
        f"- {title} is not in the table"
        + ("" if len(sizes) == len(points) else f" at {', '.join(f'{size:,}' for size in sizes)} {kind}")
        + f": {why}"
        for (title, why), sizes in found.items()
    )


def services(found: Mapping[str, Any]) -> str:
    """Servers behind firewalls."""
    figures = found["figures"]
    names = list(dict.fromkeys(name for column in figures.values() for name in column))
    rows = [
        [name, *(_service(name, column[name]) if name in column else ABSENT for column in figures.values())]
        for name in names
    ]
    text = markdown(["", *(found["titles"][name] for name in figures)], rows)
    reasons = [f"- {found['titles'][name]} is not in the table: {why}" for name, why in found["absent"].items()]
    if found["memcached"]:
        reasons.append(f"- memcached is not in the table: {found['memcached']}")
    return "\n".join([text, *([""] if reasons else []), *reasons]) + "\n"


def _service(name: str, value: float) -> str:
    if name.startswith("kept"):
        return f"{value:.0%}"
    return f"{value:.2f}" if name.endswith("ms") else f"{value:,.0f}"


def _millions(value: float) -> str:
    return f"{value / 1e6:.3f} M" if value < 1e6 else f"{value / 1e6:.2f} M"  # noqa: PLR2004 - a million


#: Parts that are not lines -> how they are shown.
SHOWN: Final[dict[str, Callable[[Any], str]]] = {"curves": curves, "services": services}
