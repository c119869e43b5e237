"""Waiting for packets that are still being judged by what was before."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from pyxdp import bpf, planner

if TYPE_CHECKING:
    from pyxdp.planner import Operation

#: What no packet can see: behind the switch, or where nobody counts any more.
_UNSEEN: Final = (planner.AwaitGrace, planner.WriteNames, planner.FillSlot, planner.FreeNames)


class Grace:
    """Knows whether a program run may be left that began before the last operation which such runs see.

    The kernel takes some ten milliseconds to say that none is; it is asked once for several operations, and while
    something else is done.
    """

    def __init__(self) -> None:
        self._over = False
        self._begun: Future[None] | None = None

    def note(self, operation: Operation) -> None:
        """An operation is about to be carried out."""
        if not isinstance(operation, _UNSEEN):
            self._over = False
            self.close()

    def begin(self) -> None:
        """Ask the kernel, in another thread, for what :meth:`wait` will wait for."""
        if not self._over and self._begun is None:
            threads = ThreadPoolExecutor(max_workers=1)
            self._begun = threads.submit(bpf.grace_period)
            threads.shutdown(wait=False)

    def wait(self) -> None:
        """Return when no run is left.

        Raises:
            BpfError: the kernel can not be asked.
        """
        if self._over:
            return
        self.begin()
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.result()
        self._over = True

    def close(self) -> None:
        """Let what has been begun come to its end, which nobody waits for any more."""
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.exception()
