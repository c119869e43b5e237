"""``pyxdp delete``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

import pyxdp
from pyxdp.cli.commands import CHANGES, STATE
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.execution import Watch
from pyxdp.errors import SnapshotError
from pyxdp.snapshot import StateFolder

if TYPE_CHECKING:
    from pyxdp.cli.commands import Settings


@make_command(
    click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing."),
    *STATE,
    *CHANGES,
    name="delete",
)
def command(settings: Settings, *, dry_run: bool) -> None:
    """End all enforcement and leave nothing behind: rules, chains, links, pins, what is kept; also what is damaged."""
    output = settings.output
    with Watch(settings.interruption, "deleting", final=True) as watch:
        with ExitStack() as stack:
            folder = None if dry_run else _kept(settings, stack)
            plan = pyxdp.delete(settings.dataplane(), dry_run=dry_run, on_progress=watch.on_progress)
            if folder is not None:
                folder.clear()
        watch.done()
        output.document({"dry_run": dry_run, "changed": bool(plan) and not dry_run, "plan": plan.as_json()})
        for operation in plan.operations:
            output.line(f"- {operation}")
        if not plan:
            output.line("nothing to do: there is nothing of pyxdp here")
        elif dry_run:
            output.line("dry run: nothing was changed")


def _kept(settings: Settings, stack: ExitStack) -> StateFolder | None:
    """Lock what is kept of policy, if there is anything: the next boot is to find nothing, and so is a watchdog."""
    folder = StateFolder(settings.state)
    if not folder.exists:
        return None
    try:
        stack.enter_context(folder.locked(settings.lock_timeout, settings.tell_wait))
    except SnapshotError as error:
        settings.output.warning(f"{error}: pyxdp restore would bring policy back")
        return None
    return folder
