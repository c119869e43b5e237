"""``pyxdp apply``."""

from __future__ import annotations

import time
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Final

import click

import pyxdp
from pyxdp.cli.attachments import attachment_json, tell_attachments
from pyxdp.cli.changes import Changes, changes_between
from pyxdp.cli.commands import CHANGES, MANIFESTS, STATE, node_option
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.duration import DURATION
from pyxdp.cli.execution import Watch
from pyxdp.cli.findings import notices_of, resolution_json, tell, tell_briefly
from pyxdp.cli.guarding import Guarding
from pyxdp.cli.keeping import Keeping, watchdog_for
from pyxdp.cli.output import plural
from pyxdp.lint import lint

if TYPE_CHECKING:
    from pyxdp.cli.commands import Settings
    from pyxdp.dataplane import Report
    from pyxdp.manifest import Manifest
    from pyxdp.planner import State, Target
    from pyxdp.resolver import EffectivePolicy

#: Of lint, which is not to delay the policy.
_EFFORT: Final = 2_000_000
_COLOURS = {"+": "green", "-": "red", "~": "yellow"}


@make_command(
    *MANIFESTS,
    node_option,
    click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing."),
    click.option("--allow-empty", is_flag=True, help="Also apply what governs no interface here: it ends enforcement."),
    click.option(
        "--confirm-within",
        type=DURATION,
        default=0.0,
        metavar="TIME",
        help="Take the change back after this time (as 60s or 5m) unless pyxdp confirm comes.",
    ),
    click.option("--force", is_flag=True, help="Also apply what cuts sessions that are established."),
    *STATE,
    *CHANGES,
    name="apply",
)
def command(  # noqa: PLR0913 - options, each by its name
    settings: Settings, node: str | None, *, dry_run: bool, allow_empty: bool, confirm_within: float, force: bool
) -> None:
    """Make the kernel enforce exactly what PATHS say: on all interfaces at once, or not at all.

    PATHS are files, folders or - for standard input. Prints what changes before it changes. A second run finds nothing
    to do. On any failure the policy before is still enforced.
    """
    begin = time.monotonic()
    confirm_within = 0.0 if dry_run else confirm_within
    with ExitStack() as stack:
        watchdog = stack.enter_context(watchdog_for(settings, confirm_within))
        manifest, sources = settings.load_texts()
        enforcer = stack.enter_context(pyxdp.Enforcer(settings.dataplane(), node=node))
        policy = enforcer.resolve(manifest.resources)
        findings = lint(manifest.resources, effort=_EFFORT)
        tell(settings.output, manifest, policy, findings)
        tell_briefly(settings.output, findings)
        keeping = Keeping(settings, sources, policy.node, confirm_within, watchdog)
        refuses = not (force or dry_run)
        guarding = stack.enter_context(Guarding(settings.output, manifest.resources, policy, refuses=refuses))
        applying = _Applying(settings, policy, guarding, keeping, dry_run=dry_run)
        with Watch(settings.interruption, "planning", before=applying.tell_changes) as watch:
            with nullcontext() if dry_run else keeping:
                report = enforcer.apply(
                    manifest.resources,
                    dry_run=dry_run,
                    allow_empty=allow_empty,
                    on_plan=applying.on_plan,
                    on_progress=watch.on_progress,
                )
                watch.done()
                if not dry_run:
                    keeping.keep(report, enforcer.generation)
            if dry_run:
                applying.tell_changes()
            applying.tell_result(manifest, report, time.monotonic() - begin)


class _Applying:
    """One run of the command."""

    def __init__(
        self, settings: Settings, policy: EffectivePolicy, guarding: Guarding, keeping: Keeping, *, dry_run: bool
    ) -> None:
        self._output = settings.output
        self._policy = policy
        self._guarding = guarding
        self._keeping = keeping
        self._dry_run = dry_run
        self._changes = Changes()

    def on_plan(self, state: State, target: Target) -> None:
        """Find out what changes, and whether it may."""
        self._changes = changes_between(state, self._policy, target.names.values())
        self._guarding.on_plan(state, target)
        if not self._dry_run:
            self._keeping.on_plan(state, target)

    def tell_changes(self) -> None:
        """Say what changes."""
        for line in self._changes.lines():
            self._output.line(click.style(line, fg=_COLOURS[line[0]]))
        for name, (_, new) in self._changes.interfaces.items():
            if new is None:
                self._output.warning(f"{name} is no longer under policy: no HostEndpoint of this node names it")

    def tell_result(self, manifest: Manifest, report: Report, seconds: float) -> None:
        """Say what was done, or would be."""
        output, policy, pending = self._output, self._policy, self._keeping.pending
        output.document(
            {
                "node": policy.node,
                "dry_run": report.dry_run,
                "changed": bool(report.plan) and not report.dry_run,
                "changes": self._changes.as_json(),
                "plan": report.plan.as_json(),
                "endpoints": [resolution_json(found) for found in policy.resolutions],
                "attachments": [attachment_json(it) for it in report.attachments],
                "notices": notices_of(manifest, policy),
                "cuts": self._guarding.cuts,
                "confirm_within": pending.seconds if pending else None,
                "seconds": {"total": round(seconds, 4)}
                | {phase: round(spent, 4) for phase, spent in report.durations.items()},
            }
        )
        tell_attachments(output, report.attachments)
        if not report.plan:
            output.line("nothing to do: this is in force already")
            return
        if report.plan.switches and not self._changes:
            output.line("~ the same rules with other addresses, or in another order")
        if report.dry_run or not (report.plan.switches or self._changes):
            for number, operation in enumerate(report.plan.operations, 1):
                output.line(f"{number:3}. {operation}")
        if report.dry_run:
            output.line(f"dry run: {plural(len(report.plan.operations), 'step')} to do, nothing was changed")
        else:
            output.line(f"applied in {seconds:.2f} s")
        if pending:
            output.warning(f"taken back in {pending.remaining:.0f} s unless you confirm: pyxdp confirm")
