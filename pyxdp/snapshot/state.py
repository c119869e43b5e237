"""The folder with what is kept of policy: ``/var/lib/pyxdp``.

::

    snapshot            the policy that may stay: what restore and a rollback go to
    snapshot.previous   the one before, in case that is damaged
    pending             a change waits to be confirmed: until when
    unconfirmed         and its policy, which becomes the snapshot then
    taken-back          policy of the last change that was taken back: an agent does not make it again by itself
    rollback.log        what the watchdog of such a change did

``pending`` is there before the change and goes after it was confirmed or taken back. So whoever dies in between leaves
a change that will be taken back, and a machine that boots finds the policy that may stay.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyxdp.dataplane.bpffs import exclusive, remove_empty
from pyxdp.errors import ConfirmationError, SnapshotError
from pyxdp.snapshot import files
from pyxdp.snapshot.pending import Pending, boot_id
from pyxdp.snapshot.snapshot import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxdp.snapshot.snapshot import Snapshot

#: Where it is unless told otherwise.
STATE: Final = Path("/var/lib/pyxdp")
_PENDING: Final = "pending"
_UNCONFIRMED: Final = "unconfirmed"
_REPLACED: Final = "unconfirmed.replaced"
_TAKEN_BACK: Final = "taken-back"
_LOG: Final = "rollback.log"


class StateFolder:
    """One folder; of one dataplane. What changes it is for who holds the lock. An object is for one thread.

    Attributes:
        path: of the folder.
    """

    def __init__(self, path: str | os.PathLike[str] = STATE) -> None:
        self.path = Path(path)
        self._is_locked = False

    @property
    def exists(self) -> bool:
        """Whether there is one that this process may know of."""
        try:
            return self.path.is_dir()
        except OSError:
            return False

    @property
    def log(self) -> Path:
        """File that the watchdog tells what it did."""
        return self.path / _LOG

    @contextmanager
    def locked(self, timeout: float = 30.0, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Be the only one who changes the folder, and what is in force; who has the lock may take it once more.

        Args:
            timeout: seconds to wait for another process.
            on_wait: called once when there is another process to wait for.

        Raises:
            BusyError: another process still has it.
            SnapshotError: the folder can not be made, or files can not be written to it.
        """
        if self._is_locked:
            yield
            return
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            hint = "name another folder with --state"
            raise SnapshotError(f"can not make {self.path}: {error.strerror}", hint=hint) from error
        self._check_owner()
        if not os.access(self.path, os.W_OK):
            raise SnapshotError(f"can not write to {self.path}", hint="name another folder with --state")
        with exclusive(self.path, timeout, on_wait):
            self._is_locked = True
            try:
                yield
            finally:
                self._is_locked = False

    def _check_owner(self) -> None:
        """Refuse what somebody else has put here, or could: who writes here says what this machine enforces.

        Raises:
            SnapshotError: others can write to the folder.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise SnapshotError(f"can not look at {self.path}: {error.strerror}") from error
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            message = f"{self.path} is not safe: others can write to it"
            raise SnapshotError(
                message, hint="let it belong to root, with mode 0700, or name another folder with --state"
            )

    def confirmed(self) -> Snapshot | None:
        """Return the policy that may stay; see :func:`pyxdp.snapshot.read`.

        Raises:
            SnapshotError: both that and the one before are damaged; or others can write to the folder.
        """
        self._check_owner()
        return files.read(self.path)

    def unconfirmed(self) -> Snapshot | None:
        """Return the policy that waits to be confirmed; ``None`` when none does, or before it is in force.

        Raises:
            SnapshotError: it is damaged.
        """
        return files.read_snapshot(self.path / _UNCONFIRMED)

    def taken_back(self) -> Snapshot | None:
        """Return the policy that was taken back last, unless another change was confirmed since.

        Raises:
            SnapshotError: it is damaged.
        """
        return files.read_snapshot(self.path / _TAKEN_BACK)

    def pending(self) -> Pending | None:
        """Return the change of this boot that waits to be confirmed, also if its time is over.

        Raises:
            SnapshotError: it can not be read.
        """
        content = files.read_file(self.path / _PENDING)
        try:
            found = Pending.decode(content) if content is not None else None
        except ValueError as error:
            hint = "remove it: then the policy in force stays until the machine boots"
            raise SnapshotError(f"{self.path / _PENDING} is damaged: {error}", hint=hint) from error
        return found if found and found.boot == boot_id() else None

    def write(self, snapshot: Snapshot) -> None:
        """Keep a policy that may stay.

        Raises:
            SnapshotError: it can not be written.
        """
        files.write(self.path, snapshot)

    def arm(self, pending: Pending) -> None:
        """Before a change: let it be taken back unless it is confirmed.

        Raises:
            SnapshotError: it can not be written.
        """
        if (self.path / _UNCONFIRMED).exists():
            files.rename_file(self.path / _UNCONFIRMED, self.path / _REPLACED)
        files.replace_file(self.path / _PENDING, pending.encode())

    def disarm(self, replaced: Pending | None) -> None:
        """After a change that came to nothing: what waited before goes on waiting.

        Raises:
            SnapshotError: it can not be written.
        """
        if replaced is None:
            self.forget()
        else:
            files.replace_file(self.path / _PENDING, replaced.encode())
            if (self.path / _REPLACED).exists():
                files.rename_file(self.path / _REPLACED, self.path / _UNCONFIRMED)

    def armed(self, pending: Pending, snapshot: Snapshot) -> None:
        """After the change: from now on it can be confirmed.

        Raises:
            SnapshotError: it can not be written.
        """
        files.replace_file(self.path / _UNCONFIRMED, encode(snapshot))
        files.replace_file(self.path / _PENDING, pending.encode())
        files.remove_files(self.path / _REPLACED)

    def confirm(self) -> Snapshot:
        """Let the change that waits stay.

        Raises:
            ConfirmationError: none waits, its time is over, or it was not made to its end.
            SnapshotError: something can not be read or written.
        """
        pending, snapshot = self.pending(), self.unconfirmed()
        if pending is None:
            hint = f"what became of earlier ones: {self.log}" if self.log.exists() else ""
            raise ConfirmationError("no change waits to be confirmed", hint=hint)
        if pending.remaining < 0:
            message = f"too late: it was to be confirmed within {pending.seconds:g} s, and is being taken back"
            raise ConfirmationError(message, hint="if its watchdog was killed: pyxdp rollback")
        if snapshot is None:
            message = "the change was not made to its end, and will be taken back"
            raise ConfirmationError(message, hint="at once: pyxdp rollback; or apply again")
        files.remove_files(self.path / _PENDING)  # first: from here on nobody takes the change back
        files.rename_file(self.path / _UNCONFIRMED, self.path / files.CURRENT, keep=files.PREVIOUS)
        files.remove_files(self.path / _TAKEN_BACK)
        self.forget()
        return snapshot

    def dismiss(self) -> None:
        """After the change was taken back: no change waits any more, and nobody makes this one again by himself.

        Raises:
            SnapshotError: a file can not be renamed or removed.
        """
        if (self.path / _UNCONFIRMED).exists():
            files.rename_file(self.path / _UNCONFIRMED, self.path / _TAKEN_BACK)
        self.forget()

    def forget(self) -> None:
        """No change waits any more.

        Raises:
            SnapshotError: a file can not be removed.
        """
        files.remove_files(*(self.path / name for name in (_PENDING, _UNCONFIRMED, _REPLACED)))

    def clear(self) -> None:
        """Remove everything, and the folder unless there is more in it.

        Raises:
            SnapshotError: a file can not be removed.
        """
        self.forget()
        files.remove_files(*(self.path / name for name in (files.CURRENT, files.PREVIOUS, _TAKEN_BACK, _LOG)))
        remove_empty(self.path)
