"""``pyxdp confirm``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.cli.commands import LOCK, STATE
from pyxdp.cli.commands import command as make_command
from pyxdp.snapshot import StateFolder

if TYPE_CHECKING:
    from pyxdp.cli.commands import Settings


@make_command(*STATE, *LOCK, name="confirm")
def command(settings: Settings) -> None:
    """Let the change stay that pyxdp apply --confirm-within has made."""
    folder = StateFolder(settings.state)
    with folder.locked(settings.lock_timeout, settings.tell_wait):
        snapshot = folder.confirm()
    output = settings.output
    output.document({"node": snapshot.node, "generation": snapshot.generation, "digest": snapshot.digest})
    output.line(f"confirmed: generation {snapshot.generation} stays")
