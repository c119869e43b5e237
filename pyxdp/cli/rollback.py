"""``pyxdp rollback``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.cli.attachments import attachment_json
from pyxdp.cli.commands import LOCK, STATE
from pyxdp.cli.commands import command as make_command
from pyxdp.snapshot import StateFolder, roll_back

if TYPE_CHECKING:
    from pyxdp.cli.commands import Settings


@make_command(*STATE, *LOCK, name="rollback")
def command(settings: Settings) -> None:
    """Take back at once the change that pyxdp apply --confirm-within has made and nobody has confirmed."""
    folder = StateFolder(settings.state)
    with folder.locked(settings.lock_timeout, settings.tell_wait):
        enforced = roll_back(folder, lock_timeout=settings.lock_timeout)
    output = settings.output
    output.document(
        {
            "removed": enforced is None,
            "node": enforced.snapshot.node if enforced else "",
            "digest": enforced.snapshot.digest if enforced else "",
            "attachments": [attachment_json(it) for it in enforced.attachments] if enforced else [],
        }
    )
    if enforced is None:
        output.line("taken back: nothing was in force before, and so it is again")
    else:
        output.line("taken back: the policy from before is in force again")
