"""A folder of manifests, or a file, watched with inotify.

What inotify tells is only a reason to look again: at names and stamps of all files, which costs microseconds each. Read
are files whose stamp is another, and those that somebody wrote to. So nothing hangs on the order of events or on how a
file was replaced: written in place, renamed over, by a symbolic link that points elsewhere (as Kubernetes does it with
mounted ConfigMaps), or together with its folder.

Three things could make a policy vanish that nobody wanted to remove, and do not:

* A file that is being written, and so is empty or half there, is read when it was closed, or when nobody has written to
  it for a while.
* A file that is missing is gone only if it still is a moment later: editors move the old one away before they write
  the new one.
* A folder that is not there, can not be read, or holds no manifest at all says nothing. Whatever is in force stays.

Where inotify sees nothing, as on network file systems, a look every minute finds what has changed.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyxdp.manifest.sources import read_file
from pyxdp.sources.files import Found, look, stamp_of
from pyxdp.sources.inotify import Changes, Folders
from pyxdp.sources.text import Delivery, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.agent.view import AgentView
    from pyxdp.sources.files import Stamp
    from pyxdp.sources.text import Deliver

#: Seconds that a file may be missing before it is gone.
VANISHING: Final = 0.2
#: Seconds after the last write in which a file that nobody has closed is not read.
WRITING: Final = 2.0
#: Seconds between two looks when nothing tells of a change.
LOOK_EVERY: Final = 60.0
#: The same where the kernel allows no more watches.
LOOK_OFTEN: Final = 2.0


@dataclass(slots=True)
class _Known:
    """What was seen of the folder last.

    Attributes:
        files: that were delivered.
        faults: likewise.
        missing: files that were there -> time.monotonic() from which they are missing.
        writing: files, by real path -> time.monotonic() of the last write seen.
        trouble: that was delivered last; ``None`` before anything was.
    """

    files: dict[str, Stamp] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)
    writing: dict[str, float] = field(default_factory=dict)
    trouble: str | None = None
    complete: bool = False


class FolderSource:
    """Delivers the manifests of a folder, with everything below it, and every change of them.

    Which files count is told in :mod:`pyxdp.manifest.sources`. The first delivery that is connected is complete.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read nothing yet.

        Args:
            path: of a folder, which need not exist yet, or of a file.
        """
        self._root = Path(path)
        self._folders: Folders | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._known = _Known()

    @property
    def name(self) -> str:
        """The path as given."""
        return str(self._root)

    def start(self, deliver: Deliver) -> None:
        """Begin to watch."""
        self._folders = folders = Folders()
        self._thread = threading.Thread(target=self._run, args=(folders, deliver), name=f"folder {self._root}")
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        if self._folders and self._thread:
            self._stopped.set()
            self._folders.wake()
            self._thread.join()
            self._folders.__exit__()
            self._folders = None

    def report(self, view: AgentView) -> None:
        """Nobody reads a report here."""

    def _run(self, folders: Folders, deliver: Deliver) -> None:
        changes, since = Changes(), time.monotonic()
        while not self._stopped.is_set():
            limited = False
            try:
                found, limited = self._look(folders)
                delivery = self._compare(found, changes, since)
            except OSError as error:
                delivery = self._cut_off(f"{self._root}: can not be read: {error.strerror}")
            if delivery:
                deliver(delivery)
            changes = folders.wait(self._pause(limited=limited))
            since = time.monotonic()

    def _look(self, folders: Folders) -> tuple[Found, bool]:
        """Look at all files; tell also whether the kernel allows no more watches."""
        watched: dict[str, None] = {}
        limited = False

        def watch(folder: str) -> None:
            nonlocal limited
            try:
                folders.watch(folder)
            except OSError as error:
                limited |= error.errno == errno.ENOSPC
            watched[folder] = None

        found = look(self._root, watch)
        folders.keep(watched)
        return found, limited

    def _compare(self, found: Found, changes: Changes, since: float) -> Delivery | None:
        """Return what is to be said, if anything."""
        known, now = self._known, time.monotonic()
        trouble = self._trouble(found)
        if trouble:
            return self._cut_off(trouble)
        self._note(changes, now)
        texts = (*self._changed(found, changes), *self._faults(found), *self._gone(found, now))
        complete, told, known.trouble, known.complete = not known.complete, known.trouble, "", True
        if texts or complete or told:
            # What lies below a folder that can not be read is not gone.
            silent = tuple(f"{name}/" for name in found.faults)
            return Delivery(source=self.name, texts=texts, complete=complete, silent=silent, since=since)
        return None

    def _cut_off(self, trouble: str) -> Delivery | None:
        told, self._known.trouble = self._known.trouble, trouble
        return None if told == trouble else Delivery(source=self.name, connected=False, trouble=trouble)

    def _trouble(self, found: Found) -> str:
        """Why what was found says nothing; empty when it does."""
        own = found.faults.get(str(self._root))
        if own:
            return f"{self._root}: {own}"
        if not self._root.exists():
            return f"{self._root}: there is no such file or folder; what is in force stays"
        return f"{self._root}: holds no manifest; what is in force stays" if found.empty else ""

    def _note(self, changes: Changes, now: float) -> None:
        """Remember what is being written."""
        writing = self._known.writing
        for path in changes.closed | changes.moved:
            writing.pop(path, None)
        for path in changes.begun:
            if not os.path.islink(path):  # noqa: PTH114 - for each of many files
                writing[path] = now
        for path in [path for path, last in writing.items() if now - last > WRITING]:
            del writing[path]

    def _changed(self, found: Found, changes: Changes) -> Iterator[Text]:
        """Read what is new or has changed."""
        known = self._known
        for name, stamp in found.files.items():
            known.missing.pop(name, None)
            real = os.path.realpath(name)
            touched = changes.lost or real in changes.closed or real in changes.moved
            if real in known.writing or (known.files.get(name) == stamp and not touched):
                continue
            source = read_file(name)
            if source.fault and stamp_of(name) is None:
                continue  # gone meanwhile: the next look tells
            known.files[name] = stamp
            yield Text(name, None, source.fault.message) if source.fault else Text(name, source.text)

    def _faults(self, found: Found) -> Iterator[Text]:
        known = self._known
        for name, message in found.faults.items():
            if known.faults.get(name) != message:
                yield Text(name, None, message)
        yield from (Text(name, None) for name in known.faults if name not in found.faults and name not in found.files)
        known.faults = dict(found.faults)

    def _gone(self, found: Found, now: float) -> Iterator[Text]:
        known = self._known
        for name in [name for name in known.files if name not in found.files]:
            if any(Path(name).is_relative_to(folder) for folder in found.faults):
                continue  # it can not be seen, which is not the same
            if now - known.missing.setdefault(name, now) >= VANISHING:
                del known.missing[name], known.files[name]
                yield Text(name, None)

    def _pause(self, *, limited: bool) -> float:
        """Seconds until it is worth a look, although nothing may have happened."""
        now, known = time.monotonic(), self._known
        waiting = [last + WRITING for last in known.writing.values()]
        waiting += [since + VANISHING for since in known.missing.values()]
        latest = now + (LOOK_OFTEN if limited else LOOK_EVERY)
        return max(0.001, min([latest, *waiting]) - now)
