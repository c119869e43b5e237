"""``pyxdp bench``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

import pyxdp
from pyxdp import steps
from pyxdp.bench.figures import number
from pyxdp.bench.machine import machine
from pyxdp.bench.own import endpoint_costs
from pyxdp.bench.table import Size, verdicts
from pyxdp.cli.commands import MANIFESTS, node_option
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.findings import notices_of, tell
from pyxdp.cli.progress import Bar

if TYPE_CHECKING:
    from pyxdp.bench.figures import Line
    from pyxdp.bench.own import EndpointCost
    from pyxdp.cli.commands import Settings

_DEFAULT = Size()
_MOST_RULES = 32_768
_MOST_PREFIXES = 4_000_000


@make_command(
    *MANIFESTS,
    node_option,
    click.option(
        "--rules",
        type=click.IntRange(10, _MOST_RULES),
        default=_DEFAULT.rules,
        show_default=True,
        help="Of the large policy.",
    ),
    click.option(
        "--cidrs",
        type=click.IntRange(10, _MOST_PREFIXES),
        default=_DEFAULT.prefixes,
        show_default=True,
        help="In network sets.",
    ),
    click.option(
        "--rounds", type=click.IntRange(min=1), default=_DEFAULT.rounds, show_default=True, help="Of each measurement."
    ),
    name="bench",
)
def command(settings: Settings, node: str | None, *, rules: int, cidrs: int, rounds: int) -> None:
    """Measure what a verdict costs on this machine: with PATHS for that policy, otherwise for generated ones.

    The programs are loaded beside those at work and run on frames in memory. No interface is touched, and the policy in
    force stays. Generated policies: ten rules and many, ten CIDRs and many; exits
    with 1 if a bound is missed by more than twice.
    """
    size = Size(rules=rules, prefixes=cidrs, rounds=rounds)
    if settings.paths:
        _refuse_sizes()
        _own(settings, node, size)
        return
    with Bar("measuring"):
        lines = verdicts(size)
    settings.output.document({"machine": machine(), "lines": [line.as_json() for line in lines]})
    _tell(settings, lines)
    click.get_current_context().exit(1 if any(line.failed for line in lines) else 0)


def _refuse_sizes() -> None:
    context = click.get_current_context()
    for name in ("rules", "cidrs"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is the size of generated policies: leave it out, or the manifests")


def _tell(settings: Settings, lines: list[Line]) -> None:
    rows = [[line.title, line.shown, line.target, line.mark] for line in lines]
    settings.output.table(["MEASURED", "FIGURE", "BOUND", ""], rows, right=["FIGURE", "BOUND"])
    for line in lines:
        if line.note:
            settings.output.notice(f"{line.title}: {line.note}")


def _own(settings: Settings, node: str | None, size: Size) -> None:
    manifest = settings.load()
    policy = pyxdp.resolve(manifest.resources, node=node)
    steps.check_governs(policy, allow_empty=False)
    tell(settings.output, manifest, policy)
    with Bar("measuring"):
        costs = list(endpoint_costs(policy, size))
    document = {"machine": machine(), "node": policy.node, "endpoints": [asdict(cost) for cost in costs]}
    settings.output.document(document | {"notices": notices_of(manifest, policy)})
    titles = ["INTERFACE", "ENDPOINT", "NS/PACKET", "EMPTY", "COMPILE", "MAPS", "VERIFIED"]
    settings.output.table(titles, [_row(cost) for cost in costs], right=titles[2:])


def _row(cost: EndpointCost) -> list[Any]:
    return [
        cost.interface,
        cost.endpoint,
        f"+{number(cost.nanoseconds)}",
        number(cost.floor),
        f"{cost.seconds['compile']:.2f} s",
        f"{cost.memory / 2**20:.1f} MiB",
        f"{max(cost.instructions.values(), default=0):,}",
    ]
