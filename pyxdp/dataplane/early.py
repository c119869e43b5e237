"""Whether XDP may drop early what only later hooks would deny."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.dataplane.code import Code
    from pyxdp.net import HookSettings

#: The first Linux in which an XDP program may ask connection tracking.
_MINIMUM_KERNEL: Final = (6, 2)
#: Made by nf_conntrack when it is loaded, or always when it is built in.
_CONNTRACK: Final = Path("/proc/sys/net/netfilter/nf_conntrack_max")


def possible(code: Code) -> bool:
    """Whether this kernel may load the program for it at all."""
    return bool(code.early) and _kernel() >= _MINIMUM_KERNEL


def obstacle(code: Code | None, settings: HookSettings, tracking: Sequence[str]) -> str:
    """Say why it must not be; empty when nothing is in the way.

    Args:
        code: what would be loaded; ``None`` when it is not wanted.
        settings: of the node.
        tracking: rules of others in a raw table that choose a conntrack zone or a helper: what is looked up by
            addresses alone is then not what the packet belongs to.
    """
    if code is None:
        return "it is switched off"
    if not code.early:
        return "this build has no program for it"
    if not possible(code):
        return "it needs Linux {}.{} or newer".format(*_MINIMUM_KERNEL)
    if settings.deny == "Reject":
        return "iptablesFilterDenyAction is Reject, and XDP can tell the sender nothing"
    if tracking:
        return f"a rule of the raw table chooses how connections are tracked: {tracking[0]}"
    return ""


def conntrack_is_loaded() -> bool:
    """Whether the kernel has loaded connection tracking, with the functions that the program calls."""
    return _CONNTRACK.exists()


def _kernel() -> tuple[int, int]:
    numbers = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
