"""Around one change: what is in force from then on is kept, and can be gone back from."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyxdp import netlink
from pyxdp.dataplane import Dataplane
from pyxdp.errors import ConfirmationError, PyxdpError
from pyxdp.snapshot.pending import Pending, identity
from pyxdp.snapshot.snapshot import Snapshot
from pyxdp.snapshot.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    from pyxdp.dataplane import Report
    from pyxdp.planner import State, Target
    from pyxdp.snapshot.state import StateFolder
    from pyxdp.sources import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change that is about to be made.

    Attributes:
        texts: what is to be in force.
        node: whose host endpoints.
        confirm_within: seconds after which the change goes back by itself unless it is confirmed; 0: it stays.
        bpffs: of the dataplane that is changed.
        iptables: variant that the dataplane was told; empty: that of the machine.
    """

    texts: Sequence[Text]
    node: str
    confirm_within: float = 0.0
    bpffs: Path = Path("/sys/fs/bpf")
    iptables: str = ""


class Keeper:
    """Keeps one change. A context manager, which holds the folder's lock.

    ::

        with Keeper(folder, change) as keeper:
            report = enforcer.apply(resources, on_plan=keeper.on_plan)
            keeper.keep(report, enforcer.generation)

    When the block is left by an exception, what was kept before still is.
    """

    def __init__(
        self,
        folder: StateFolder,
        change: Change,
        *,
        watchdog: Watchdog | None = None,
        lock_timeout: float = 30.0,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """Do nothing yet but start the watchdog, if the change needs one.

        Args:
            folder: where to.
            change: what is to be kept.
            watchdog: one for this folder that was started earlier: it has much to load.
            lock_timeout: seconds to wait for another process.
            on_wait: called once when there is another process to wait for.
        """
        self._folder = folder
        self._change = change
        self._lock = folder.locked(lock_timeout, on_wait)
        self._watchdog = (watchdog or Watchdog(folder)) if change.confirm_within else None
        self._stack = ExitStack()
        self._replaced: Pending | None = None
        self._armed: Pending | None = None
        self._wanted = ""
        self.pending: Pending | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            ConfirmationError: a change waits to be confirmed, and this one would stay at once; or its time is over.
            BusyError, SnapshotError: see :meth:`StateFolder.locked`.
        """
        with ExitStack() as stack:
            if self._watchdog is not None:
                stack.enter_context(self._watchdog)
            stack.enter_context(self._lock)
            self._replaced = self._folder.pending()
            if self._replaced is not None:
                _check_replaceable(self._replaced, self._change)
            stack.callback(self._end)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def on_plan(self, state: State, target: Target) -> None:
        """Before the first operation: from here on the change goes back by itself, if it is to.

        Raises:
            ConfirmationError: what is in force is not known, so that nobody could go back to it; or there is no
                watchdog.
            SnapshotError: the folder can not be written.
        """
        if self._watchdog is None:
            return
        from_nothing = state.current is None
        if self._replaced is not None:
            from_nothing = self._replaced.from_nothing
        elif not from_nothing:
            self._check_known(state.slots[state.active].digest.hex())
        self._watchdog.wait_until_ready()
        self._armed, self._wanted = self._begin(from_nothing=from_nothing), target.digest.hex()
        self._folder.arm(self._armed)
        self._watchdog.release()

    def keep(self, report: Report, generation: int) -> None:
        """After the change: keep it.

        Args:
            report: of the change.
            generation: of what is in force now.

        Raises:
            SnapshotError: the folder can not be written. A change that was to be confirmed will be taken back.
        """
        snapshot = Snapshot(
            texts=tuple(self._change.texts),
            node=self._change.node,
            interfaces=netlink.interfaces(),
            digest=report.image.digest.hex(),
            generation=generation,
            written_ns=time.time_ns(),
        )
        if self._armed is None:
            self._folder.write(snapshot)
        elif not report.plan:
            self._disarm()
            self._armed, self.pending = None, self._replaced
        else:
            # Its time begins when it is in force.
            self.pending = self._begin(from_nothing=self._armed.from_nothing)
            self._folder.armed(self.pending, snapshot)
            self._armed = None

    def _begin(self, *, from_nothing: bool) -> Pending:
        change = self._change
        return Pending.begin(
            change.confirm_within,
            from_nothing=from_nothing,
            bpffs=change.bpffs.absolute(),
            iptables=change.iptables,
            watchdog=identity(self._watchdog.pid) if self._watchdog else "",
        )

    def _disarm(self) -> None:
        """Let what waited before go on waiting, for the watchdog of this change: its own may have ended already."""
        replaced, armed = self._replaced, self._armed
        self._folder.disarm(replace(replaced, watchdog=armed.watchdog) if replaced and armed else replaced)

    def _check_known(self, digest: str) -> None:
        known = self._folder.confirmed()
        if known is None or known.digest != digest:
            message = f"what is in force is not what {self._folder.path} holds: nobody could go back to it"
            hint = "first apply what is in force now without --confirm-within, which keeps it; or pyxdp delete"
            raise ConfirmationError(message, hint=hint)

    def _end(self) -> None:
        """Nothing came of a change that is still armed; unless what failed came behind the switch."""
        if self._armed is not None and not self._is_in_force():
            self._disarm()

    def _is_in_force(self) -> bool:
        try:
            return Dataplane(self._change.bpffs).digest() == self._wanted
        except PyxdpError:
            return True


def _check_replaceable(pending: Pending, change: Change) -> None:
    if pending.remaining <= 0:
        message = f"the change before was not confirmed within {pending.seconds:g} s, and is being taken back"
        raise ConfirmationError(message, hint="try again; if its watchdog was killed: pyxdp rollback")
    if not change.confirm_within:
        message = f"a change waits to be confirmed, for {pending.remaining:.0f} s more"
        hint = "decide on it first: pyxdp confirm, or pyxdp rollback; --confirm-within replaces it"
        raise ConfirmationError(message, hint=hint)
