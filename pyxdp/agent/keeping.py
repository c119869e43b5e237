"""What is kept on disk of the policy in force, so that a machine boots with it."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from pyxdp import netlink
from pyxdp.errors import PyxdpError
from pyxdp.snapshot import Change, Keeper, Snapshot, StateFolder, restore, roll_back
from pyxdp.sources import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyxdp.agent.settings import AgentSettings
    from pyxdp.dataplane import Dataplane
    from pyxdp.model import Resources
    from pyxdp.sources import Text

_LOG = logging.getLogger(__name__)

#: Seconds between two snapshots: members of sets may change many times a second.
_EVERY: Final = 3.0
#: Seconds after its time in which a change is taken back by the process that is there for it, if it still lives.
_OVERDUE: Final = 5.0
#: Seconds to wait for another process that uses the folder. The agent has other things to do.
_LOCK_TIMEOUT: Final = 2.0


class Keeping:
    """Snapshots of one agent. What can not be kept is told, and changes nothing: policy is enforced all the same."""

    def __init__(self, settings: AgentSettings, node: str, dataplane: Dataplane) -> None:
        self._folder = StateFolder(settings.state) if settings.state else None
        self._settings = settings
        self._node = node
        self._dataplane = dataplane
        self._texts: Callable[[], Sequence[Text]] | None = None
        self._generation = 0
        self._digest = ""
        self._written = float("-inf")
        self.trouble = ""

    @property
    def due(self) -> float:
        """time.monotonic() at which :meth:`write` has something to do."""
        return self._written + _EVERY if self._texts else float("inf")

    @property
    def pending(self) -> bool:
        """Whether a change waits to be confirmed."""
        try:
            return self._folder is not None and self._folder.pending() is not None
        except PyxdpError:
            return False

    @property
    def confirmed_digest(self) -> str:
        """Of the policy that may stay; empty when there is none."""
        try:
            kept = self._folder.confirmed() if self._folder else None
        except PyxdpError:
            kept = None
        return kept.digest if kept else ""

    def restore(self) -> Snapshot | None:
        """Return what was kept, and put it in force if nothing is; :attr:`trouble` tells when that failed."""
        if self._folder is None:
            return None
        try:
            if not self._dataplane.digest():
                with self._folder.locked(_LOCK_TIMEOUT):
                    restored = restore(self._folder, self._dataplane)
                return restored.snapshot if restored else None
        except PyxdpError as error:
            self._complain(error)
        try:
            return self._folder.confirmed()
        except PyxdpError as error:
            self._complain(error)
            return None

    @property
    def taken_back(self) -> Resources | None:
        """What was taken back last, since nobody confirmed it; only where changes are to be confirmed."""
        if self._folder is None or not self._settings.confirm_within:
            return None
        try:
            found = self._folder.taken_back()
        except PyxdpError as error:
            self._complain(error)
            return None
        return Store.of(found.texts).resources() if found and found.node == self._node else None

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Let nobody take a change back, or confirm it, in this block.

        Raises:
            BusyError: somebody is at it.
            SnapshotError: the folder can not be used.
        """
        with self._folder.locked(_LOCK_TIMEOUT) if self._folder else nullcontext():
            yield

    def take_back_overdue(self) -> None:
        """Take back a change whose time is over, if nobody does: who was to may have ended with its container."""
        if self._folder is None or not self._is_overdue(self._folder):
            return
        try:
            with self._folder.locked(_LOCK_TIMEOUT):
                if self._is_overdue(self._folder):
                    roll_back(self._folder)
                    _LOG.warning("a change that was not confirmed in time was taken back")
        except PyxdpError as error:
            self._complain(error)

    def _is_overdue(self, folder: StateFolder) -> bool:
        try:
            pending = folder.pending()
        except PyxdpError as error:
            self._complain(error)
            return False
        return pending is not None and pending.remaining < -_OVERDUE

    def note(self, texts: Callable[[], Sequence[Text]], generation: int, *, soon: bool) -> None:
        """Something else is in force: keep it with the next :meth:`write`; with ``soon`` that does not wait."""
        if self._folder is None:
            return
        if self._settings.confirm_within:  # what is wanted when it is written may wait to be confirmed
            kept = tuple(texts())
            self._texts = lambda: kept
        else:
            self._texts = texts
        self._generation = generation
        try:
            self._digest = self._dataplane.digest()
        except PyxdpError as error:
            self._complain(error)
        if soon:
            self._written = float("-inf")

    def forget(self) -> None:
        """What was noted is not in force any more."""
        self._texts = None

    def write(self) -> None:
        """Keep what is in force, if it is time."""
        if time.monotonic() >= self.due:
            self._write()

    def _write(self) -> None:
        if self._folder is None or self._texts is None:
            return
        texts, self._written = self._texts, time.monotonic()
        try:
            with self._folder.locked(_LOCK_TIMEOUT):
                if self._folder.pending() is not None:
                    return  # it is kept when it is confirmed
                self._folder.write(
                    Snapshot(
                        texts=tuple(texts()),
                        node=self._node,
                        interfaces=netlink.interfaces(),
                        digest=self._digest,
                        generation=self._generation,
                        written_ns=time.time_ns(),
                    )
                )
        except PyxdpError as error:
            self._complain(error)
        else:
            self._texts, self.trouble = None, ""

    @contextmanager
    def confirming(self, texts: Callable[[], Sequence[Text]]) -> Iterator[Keeper | None]:
        """Let a change go back by itself unless it is confirmed, if the settings say so."""
        if self._folder is None or not self._settings.confirm_within:
            yield None
            return
        self._write()  # only what is kept can be gone back to
        change = Change(
            texts=tuple(texts()),
            node=self._node,
            confirm_within=self._settings.confirm_within,
            bpffs=self._dataplane.bpffs,
            iptables=self._settings.iptables,
        )
        with Keeper(self._folder, change, lock_timeout=_LOCK_TIMEOUT) as keeper:
            yield keeper

    def _complain(self, error: PyxdpError) -> None:
        if self.trouble != str(error):
            _LOG.warning("snapshot: %s", error)
        self.trouble = str(error)
