"""Files that are there as a whole or not at all, whenever the machine loses power."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyxdp.errors import SnapshotError
from pyxdp.snapshot.snapshot import decode, encode, intact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.snapshot.snapshot import Snapshot

#: The policy in force that may stay, and the one before it.
CURRENT: Final = "snapshot"
PREVIOUS: Final = "snapshot.previous"

_UNFINISHED: Final = "~"
_LOG: Final = logging.getLogger(__name__)


def write(folder: str | os.PathLike[str], snapshot: Snapshot) -> None:
    """Keep a snapshot, and the one before it; atomically, and on disk when this returns.

    Args:
        folder: is made where it does not exist. Nobody but its owner can read it, or the files.
        snapshot: what to keep.

    Raises:
        SnapshotError: it can not be written; what was there still is.
    """
    replace_file(Path(folder) / CURRENT, encode(snapshot), keep=PREVIOUS)


def read(folder: str | os.PathLike[str]) -> Snapshot | None:
    """Return the snapshot of a folder; the one before it, with a warning in the log, if it is damaged.

    Returns:
        ``None`` when nothing was ever written.

    Raises:
        SnapshotError: both are damaged, or can not be read.
    """
    try:
        return read_snapshot(Path(folder) / CURRENT)
    except SnapshotError as error:
        with suppress(SnapshotError):
            previous = read_snapshot(Path(folder) / PREVIOUS)
            if previous is not None:
                _LOG.warning("%s: the one before it is used", error)
                return previous
        raise


def read_snapshot(path: Path) -> Snapshot | None:
    """Return the snapshot of one file; ``None`` when it does not exist.

    Raises:
        SnapshotError: it is damaged, or can not be read.
    """
    content = read_file(path)
    if content is None:
        return None
    try:
        return decode(content)
    except (ValueError, KeyError, TypeError) as error:
        hint = "apply the policy again, which writes a new one"
        raise SnapshotError(f"the snapshot {path} is damaged: {error}", hint=hint) from error


def read_file(path: Path) -> bytes | None:
    """Return what a file holds; ``None`` when it does not exist.

    Raises:
        SnapshotError: it can not be read.
    """
    with _named(path, "read"):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def replace_file(path: Path, content: bytes, *, keep: str = "") -> None:
    """Make a file hold something else.

    Args:
        path: of the file.
        content: new.
        keep: name that the file has from now on whose place is taken, unless it is damaged.

    Raises:
        SnapshotError: it can not be written; what was there still is.
    """
    fresh = path.with_name(path.name + _UNFINISHED)
    with _named(path, "write"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)  # of somebody who died; or a link, which is not to be followed
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
            file.flush()
            os.fsync(fd)
        if keep:
            _keep(path, path.with_name(keep))
        fresh.rename(path)
        sync_folder(path.parent)


def rename_file(path: Path, target: Path, *, keep: str = "") -> None:
    """Give a file another name, whose file goes, or is kept by the name ``keep``.

    Raises:
        SnapshotError: it can not be renamed.
    """
    with _named(path, "rename"):
        if keep:
            _keep(target, target.with_name(keep))
        path.rename(target)
        sync_folder(target.parent)


def remove_files(*paths: Path) -> None:
    """Remove files that may not exist.

    Raises:
        SnapshotError: one can not be removed.
    """
    for path in paths:
        with _named(path, "remove"):
            path.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Make renames in a folder last."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _keep(path: Path, target: Path) -> None:
    """Let a file have a second name; the first one stays, so that there is always a file by that name."""
    if not path.exists() or not intact(path.read_bytes()):
        return
    fresh = target.with_name(target.name + _UNFINISHED)
    fresh.unlink(missing_ok=True)
    fresh.hardlink_to(path)
    fresh.rename(target)


@contextmanager
def _named(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "run as root" if isinstance(error, PermissionError) else "name another folder with --state"
        raise SnapshotError(f"can not {what} {path}: {error.strerror or error}", hint=hint) from error
