"""Changes of folders, as inotify tells them."""

from __future__ import annotations

import errno
import logging
import os
import select
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from inotify_simple import INotify, flags

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

_WATCHED: Final = (
    flags.MODIFY
    | flags.ATTRIB
    | flags.CLOSE_WRITE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.CREATE
    | flags.DELETE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)

_LOG: Final = logging.getLogger(__name__)

_SETTLING: Final = 0.005


@dataclass(slots=True)
class Changes:
    """What happened.

    Attributes:
        any: something did; without it there is nothing else.
        begun: files, by their real path, that are being written.
        closed: files that were written and closed.
        moved: what came into a folder, or left it, under a name.
        lost: events were: anything may have happened.
    """

    any: bool = False
    begun: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    lost: bool = False


class Folders:
    """Folders that are watched; a context manager. :meth:`wake` may be called by any thread, everything else by one."""

    def __init__(self) -> None:
        self._inotify = _inotify()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        if self._inotify:
            self._poll.register(self._inotify.fileno(), select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        self._names: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._inotify:
            self._inotify.close()
        os.close(self._wake)

    def watch(self, folder: str) -> None:
        """Watch a folder; one that is watched already stays so.

        Raises:
            OSError: it is gone, or the kernel allows no more watches (ENOSPC).
        """
        if self._inotify is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._names[self._inotify.add_watch(folder, _WATCHED)] = folder

    def keep(self, folders: Iterable[str]) -> None:
        """Watch no others than these."""
        kept = set(folders)
        for number in [number for number, name in self._names.items() if name not in kept]:
            del self._names[number]
            if self._inotify:
                with suppress(OSError):  # the folder is gone, and its watch with it
                    self._inotify.rm_watch(number)

    def wake(self) -> None:
        """Let :meth:`wait` return."""
        os.eventfd_write(self._wake, 1)

    def wait(self, timeout: float) -> Changes:
        """Wait for something to happen, at most so many seconds; return what has."""
        changes = Changes()
        if self._poll.poll(max(0, round(timeout * 1000))):
            time.sleep(_SETTLING)  # for what comes with it: several events for each file that is written
        for event in self._inotify.read(timeout=0) if self._inotify else ():
            self._note(event.wd, event.mask, event.name, changes)
        return changes

    def _note(self, number: int, mask: int, name: str, changes: Changes) -> None:
        changes.any = True
        changes.lost |= bool(mask & flags.Q_OVERFLOW)
        if mask & flags.IGNORED:
            self._names.pop(number, None)
        folder = self._names.get(number)
        if folder is None or not name or mask & flags.ISDIR:
            return
        path = f"{folder}/{name}"
        if mask & flags.CLOSE_WRITE:
            changes.closed.add(path)
            changes.begun.discard(path)
        elif mask & (flags.MODIFY | flags.CREATE):
            changes.begun.add(path)
        elif mask & (flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE):
            changes.moved.add(path)
            changes.begun.discard(path)


def _inotify() -> INotify | None:
    """Watch folders; ``None`` where other programs of this user watch as much as the kernel allows."""
    try:
        return INotify()
    except OSError as error:
        _LOG.warning("inotify: %s: looks again and again; sysctl fs.inotify.max_user_instances", error.strerror)
        return None
