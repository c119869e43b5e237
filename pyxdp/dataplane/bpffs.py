"""Folders and symlinks in the bpffs, and the lock."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from pyxdp.errors import BusyError, OperatorError, PinError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LOCK_POLL_S: Final = 0.02

#: End of the name of a symlink that is about to replace another; no interface's name has it.
UNFINISHED: Final = "~"


@contextmanager
def exclusive(bpffs: Path, timeout: float, on_wait: Callable[[], None]) -> Iterator[None]:
    """Be the only one who changes the dataplane.

    The lock is advisory, on the folder itself: the kernel frees it when its holder dies, and no file stays behind.

    Args:
        bpffs: an existing folder.
        timeout: seconds.
        on_wait: called once when another process has it.

    Raises:
        BusyError: another process still has it after ``timeout``.
        OperatorError: the folder can not be opened.
    """
    try:
        fd = os.open(bpffs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        message = f"can not open {bpffs}: {os.strerror(error.errno or 0)}"
        raise OperatorError(message, hint="run as root, with a bpffs mounted there") from error
    try:
        _acquire(fd, bpffs, timeout, on_wait)
        yield
    finally:
        os.close(fd)


def _acquire(fd: int, bpffs: Path, timeout: float, on_wait: Callable[[], None]) -> None:
    deadline = time.monotonic() + timeout
    told = False
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if not told:
            on_wait()
            told = True
        if time.monotonic() >= deadline:
            message = f"another pyxdp has been changing {bpffs} for {timeout:g} s"
            raise BusyError(message, hint="wait for it, or see who holds the folder: fuser " + str(bpffs))
        time.sleep(_LOCK_POLL_S)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they do not exist.

    Raises:
        PinError: the bpffs refused.
    """
    with _named(path, "can not make"):
        path.mkdir(parents=True, exist_ok=True)


def remove_tree(path: Path) -> None:
    """Remove a folder with everything in it; nothing happens when there is none. Pins end with it.

    Raises:
        PinError: the bpffs refused.
    """
    with _named(path, "can not remove"):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        path.unlink()
    elif path.is_dir():
        for entry in list(path.iterdir()):
            _remove(entry)
        path.rmdir()


def rename(before: Path, now: Path) -> None:
    """Rename a pin, atomically if the new name is taken.

    Raises:
        PinError: the bpffs refused.
    """
    with _named(now, "can not write"):
        before.rename(now)


def remove_empty(*paths: Path) -> None:
    """Remove those folders that hold nothing."""
    for path in paths:
        with suppress(OSError):
            path.rmdir()


def point(symlink: Path, target: str) -> None:
    """Make a symlink say ``target``, atomically if it exists already.

    Raises:
        PinError: the bpffs refused.
    """
    make_folder(symlink.parent)
    fresh = symlink.with_name(f"{symlink.name}{UNFINISHED}")
    with _named(symlink, "can not write"):
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.rename(symlink)


def target_of(symlink: Path) -> str | None:
    """What a symlink says; ``None`` when there is none."""
    return str(symlink.readlink()) if symlink.is_symlink() else None


def entries(folder: Path) -> list[Path]:
    """Entries of a folder, sorted; none when it does not exist."""
    with _named(folder, "can not list"):
        return sorted(folder.iterdir()) if folder.is_dir() else []


@contextmanager
def _named(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "run as root" if isinstance(error, PermissionError) else ""
        raise PinError(error.errno or 0, f"{what} {path}", path=str(path), hint=hint) from error
