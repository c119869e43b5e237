"""The process that takes a change back: ``python -m pyxdp.snapshot FOLDER``.

It has to outlive whoever made the change: the process, the shell, the SSH session that the change may have cut. So it
is a session of its own, without a terminal, ignores what a session that ends sends, and has loaded all that it needs
before the change is made. It looks at the folder and at nothing else: a change that is confirmed is gone from there,
and one that was replaced has another deadline, and another watchdog, which it leaves it to. Several of them do no harm.

What the caller and it say to each other, by pipes::

    caller                      watchdog
    starts it                   loads everything
                                writes a byte: ready
    writes "pending"
    closes its end, or dies     looks for "pending" until there is none, or its time is over

SIGTERM, with which a machine is shut down, makes it take the change back at once; the caller starts it with that
blocked, so that it is neither lost nor the end while everything loads. Somebody who holds a lock that it
needs and was stopped, as by Ctrl-Z, is made to go on: or nobody would be let in before he is.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyxdp.errors import BusyError, ConfirmationError, PyxdpError, SnapshotError
from pyxdp.snapshot.enforcing import roll_back
from pyxdp.snapshot.pending import identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from pyxdp.snapshot.pending import Pending
    from pyxdp.snapshot.state import StateFolder

#: Seconds between two looks at the folder, and after a failure before the next attempt.
_TICK: Final = 0.5
#: Seconds to wait for a lock before it is looked who has it.
_PATIENCE: Final = 2.0
_IGNORED: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE)
_LEAST_OOM_SCORE: Final = "-1000"
_LOG: Final = logging.getLogger(__name__)

#: Those that this process has started and that may have ended since.
_started: list[subprocess.Popen[bytes]] = []


class Watchdog:
    """Starts the process, before a change and beside what is done until then. A context manager."""

    def __init__(self, folder: StateFolder) -> None:
        """Start it; it does nothing before the ``with`` block ends, or :meth:`release` is called."""
        _started[:] = [process for process in _started if process.poll() is None]
        with _blocked(signal.SIGTERM):
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-m", __package__, str(folder.path.absolute())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # It imports what this process does, and nothing that lies in the folder that somebody happens to be in.
                cwd="/",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
        _started.append(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return when it has all that it needs.

        Raises:
            ConfirmationError: it has failed.
        """
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        if not self._process.stdout.read(1):
            message = f"the process that would take the change back does not start (exit code {self._process.wait()})"
            raise ConfirmationError(message, hint=f"see: {sys.executable} -m {__package__} FOLDER")

    def release(self) -> None:
        """Let it look at the folder from now on."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    """Have processes that are started meanwhile begin with a signal blocked.

    So it is in all of their threads, of which numpy starts some when it is imported. In one that does not block it the
    signal would end the process while the main thread looks at the folder.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def main(folder: StateFolder) -> None:
    """Be the process, which has begun with SIGTERM blocked."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):  # it may not be allowed; killed for memory, it could not let anybody in any more
        Path("/proc/self/oom_score_adj").write_text(_LEAST_OOM_SCORE)
    os.write(1, b"!")
    _let_go_of_output()
    os.read(0, 1)
    _configure_log(folder)
    watch(folder)


def watch(folder: StateFolder) -> None:
    """Wait until no change waits any more, or take it back when its time is over."""
    begged = False
    pending = _pending(folder, None)
    while pending is not None and not _is_of_another(pending):
        begged = begged or _is_to_end(min(max(pending.remaining, 0), _TICK))
        if (begged or pending.remaining <= 0) and not _take_back(folder, at_once=begged):
            time.sleep(_TICK)
        pending = _pending(folder, pending)


def _take_back(folder: StateFolder, *, at_once: bool) -> bool:
    """Take the change back; false when that failed."""
    try:
        with folder.locked(timeout=_PATIENCE):
            pending = folder.pending()
            if pending is None or (pending.remaining > 0 and not at_once):
                return True  # decided, or replaced, while the lock was waited for
            enforced = roll_back(folder, lock_timeout=_PATIENCE)
    except BusyError as error:
        _LOG.warning("can not take the change back yet: %s", error)
        _wake_holders(folder)
        return False
    except PyxdpError as error:
        _LOG.error("can not take the change back, will try again: %s", error)
        return False
    except Exception:  # noqa: BLE001 - whatever it is: it may work the next time, and nobody else would try
        _LOG.exception("can not take the change back, will try again")
        return False
    what = "everything was removed" if enforced is None else f"node {enforced.snapshot.node} is as it was before"
    _LOG.info("not confirmed within %g s, taken back: %s", pending.seconds, what)
    return True


def _wake_holders(folder: StateFolder) -> None:
    """Let who holds a lock go on, if he was stopped; for everybody else that is nothing."""
    pending = _pending(folder, None)
    for path in (folder.path, *([Path(pending.bpffs)] if pending else [])):
        with suppress(OSError, ValueError, IndexError):
            found = path.stat()
            file = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
            for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
                _, kind, _, _, pid, locked, *_ = line.split()
                if (kind, locked) == ("FLOCK", file):
                    os.kill(int(pid), signal.SIGCONT)


def _pending(folder: StateFolder, last: Pending | None) -> Pending | None:
    """Return the change that waits; what was known of it last while that can not be read."""
    try:
        return folder.pending()
    except SnapshotError as error:
        _LOG.error("%s", error)
        return last


def _is_of_another(pending: Pending) -> bool:
    """Whether a change is that of another watchdog, which lives: whoever makes many changes does not keep as many."""
    pid = pending.watchdog.partition(" ")[0]
    return pending.watchdog not in ("", identity(os.getpid())) and identity(pid) == pending.watchdog


def _is_to_end(seconds: float) -> bool:
    """Wait; return true as soon as somebody wants the process to end."""
    return signal.sigtimedwait({signal.SIGTERM}, seconds) is not None


def _let_go_of_output() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)


def _configure_log(folder: StateFolder) -> None:
    handler = logging.FileHandler(folder.log, delay=True)  # there is no file unless there is something to say
    logging.basicConfig(handlers=[handler], format="%(asctime)s %(levelname)s: %(message)s", level=logging.INFO)
