"""``pyxdp delete``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import pyxdp
from pyxdp.cli.commands import CHANGES
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.execution import Watch

if TYPE_CHECKING:
    from pyxdp.cli.commands import Settings


@make_command(
    click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing."),
    *CHANGES,
    name="delete",
)
def command(settings: Settings, *, dry_run: bool) -> None:
    """End all enforcement and leave nothing behind: rules, chains, links, pins; also what is damaged."""
    output = settings.output
    with Watch(settings.interruption, "deleting", final=True) as watch:
        plan = pyxdp.delete(settings.dataplane(), dry_run=dry_run, on_progress=watch.on_progress)
        watch.done()
        output.document({"dry_run": dry_run, "changed": bool(plan) and not dry_run, "plan": plan.as_json()})
        for operation in plan.operations:
            output.line(f"- {operation}")
        if not plan:
            output.line("nothing to do: there is nothing of pyxdp here")
        elif dry_run:
            output.line("dry run: nothing was changed")
