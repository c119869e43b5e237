"""How XDP runs on each interface, told alike by every command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.cli.output import Output
    from pyxdp.dataplane import Attachment


def tell_attachments(output: Output, attachments: Iterable[Attachment]) -> None:
    """Tell it, a line for each interface."""
    for it in attachments:
        why = f" ({it.reason})" if it.reason else ""
        output.line(f"{it.interface}: HostEndpoint/{it.host_endpoint}, XDP {it.mode}{why}")


def attachment_json(attachment: Attachment) -> dict[str, Any]:
    """Return the member of ``attachments`` in ``docs/cli.md``."""
    return {
        "interface": attachment.interface,
        "endpoint": attachment.host_endpoint,
        "mode": attachment.mode,
        "reason": attachment.reason,
        "link_id": attachment.link_id,
        "program_id": attachment.program_id,
    }
