"""A change that goes back by itself unless it is confirmed."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_NS: Final = 1_000_000_000
#: Fields of /proc/PID/stat behind the name.
_STARTED: Final = 19
_ENDED: Final = ("Z", "X")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A change that waits to be confirmed.

    Attributes:
        seconds: in which it has to be.
        deadline_ns: CLOCK_BOOTTIME, which goes on while the machine sleeps.
        boot: identifies the boot whose clock that is. After it nothing of the change is in force.
        from_nothing: nothing was in force before, and so it is again when the change goes back.
        bpffs: of the dataplane that was changed.
        iptables: variant that it was told; empty: that of the machine.
        watchdog: the process that takes it back, by :func:`identity`; empty when that is not known.
    """

    seconds: float
    deadline_ns: int
    boot: str
    from_nothing: bool
    bpffs: str
    iptables: str = ""
    watchdog: str = ""

    @classmethod
    def begin(cls, seconds: float, *, from_nothing: bool, bpffs: Path, iptables: str, watchdog: str = "") -> Pending:
        """Return one whose time begins now."""
        return cls(
            seconds=seconds,
            deadline_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(seconds * _NS),
            boot=boot_id(),
            from_nothing=from_nothing,
            bpffs=str(bpffs),
            iptables=iptables,
            watchdog=watchdog,
        )

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; negative behind it."""
        return (self.deadline_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) / _NS

    def encode(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, content: bytes) -> Pending:
        """Return what was encoded.

        Raises:
            ValueError: it was not.
        """
        try:
            return cls(**json.loads(content))
        except TypeError as error:
            raise ValueError(str(error)) from error


def boot_id() -> str:
    """Return what is another one after each boot."""
    return _BOOT_ID.read_text().strip()


def identity(pid: int | str) -> str:
    """Return what tells a process that lives from all others of this boot, in whatever PID namespace; else nothing."""
    try:
        # Behind its name, which may hold anything: the state first, and as the 20th field when it was started.
        stat = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if stat[0] in _ENDED else f"{pid} {stat[_STARTED]}"
