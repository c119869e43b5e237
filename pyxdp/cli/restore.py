"""``pyxdp restore``."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

import click

from pyxdp.cli.attachments import attachment_json, tell_attachments
from pyxdp.cli.commands import CHANGES, STATE
from pyxdp.cli.commands import command as make_command
from pyxdp.resolver import EndpointState
from pyxdp.snapshot import StateFolder, restore

if TYPE_CHECKING:
    from pyxdp.cli.commands import Settings

_NS: Final = 1_000_000_000


@make_command(
    click.option(
        "--wait",
        type=click.FloatRange(min=0),
        default=0.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for interfaces that the policy governed and that do not exist yet.",
    ),
    click.option("--if-none", is_flag=True, help="Do nothing where a policy is in force already."),
    *STATE,
    *CHANGES,
    name="restore",
)
def command(settings: Settings, wait: float, *, if_none: bool) -> None:
    """Put in force what was applied last and may stay; for a machine that boots, before its network is up.

    A change that waits to be confirmed is taken back. Interfaces that have no address yet are taken to have those that
    they had.
    """
    folder, output, dataplane = StateFolder(settings.state), settings.output, settings.dataplane()
    with folder.locked(settings.lock_timeout, settings.tell_wait):
        there = if_none and bool(dataplane.digest())
        enforced = None
        if not there:
            enforced = restore(
                folder,
                dataplane,
                wait=wait,
                on_wait=lambda missing: output.notice(f"waiting for {', '.join(sorted(missing))}"),
            )
    output.document(
        {
            "restored": enforced is not None,
            "node": enforced.snapshot.node if enforced else "",
            "digest": enforced.snapshot.digest if enforced else "",
            "attachments": [attachment_json(it) for it in enforced.attachments] if enforced else [],
        }
    )
    if enforced is None:
        output.line("nothing to do: a policy is in force" if there else _nothing(settings))
        return
    for problem in enforced.problems:
        output.warning(f"not restored: {problem}")
    for found in enforced.policy.resolutions:
        if found.state is not EndpointState.ACTIVE:
            output.warning(f"HostEndpoint/{found.name}: {found.state.value}: {found.detail}")
    tell_attachments(output, enforced.attachments)
    when = datetime.fromtimestamp(enforced.snapshot.written_ns / _NS, tz=timezone.utc).astimezone()
    output.line(f"restored: the policy of {when:%Y-%m-%d %H:%M:%S} for node {enforced.snapshot.node}")


def _nothing(settings: Settings) -> str:
    return f"nothing to restore: {settings.state} holds no policy"
