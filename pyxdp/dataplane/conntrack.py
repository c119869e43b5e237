"""How full connection tracking is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SYSCTLS: Final = Path("/proc/sys/net/netfilter")


@dataclass(frozen=True, slots=True)
class ConntrackUse:
    """Connection tracking of a network namespace.

    Attributes:
        entries: connections that it knows.
        limit: how many it may know, in each network namespace; beyond it the kernel drops what is new. 0: no limit.
    """

    entries: int
    limit: int


def conntrack_use() -> ConntrackUse | None:
    """Read it for this thread's network namespace; ``None`` where the kernel has not loaded connection tracking."""
    try:
        entries, limit = (int((_SYSCTLS / name).read_text()) for name in ("nf_conntrack_count", "nf_conntrack_max"))
    except FileNotFoundError:
        return None
    return ConntrackUse(entries, limit)
