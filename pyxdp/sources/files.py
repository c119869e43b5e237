"""What manifests lie below a folder, and where something would have to happen for that to change."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from pyxdp.manifest.sources import Source, search

if TYPE_CHECKING:
    from collections.abc import Callable

#: Two different contents have two different stamps, as far as the file system can tell.
Stamp: TypeAlias = tuple[int, int, int, int, int]

#: As the kernel: more links than these are a circle.
_MAX_LINKS: Final = 40


@dataclass(slots=True)
class Found:
    """What a look at a folder, or at a single file, has found.

    Attributes:
        files: path as given -> stamp; sorted.
        faults: path -> what is wrong with it: folders that can not be read, pipes and the like.
    """

    files: dict[str, Stamp] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Nothing is there."""
        return not self.files and not self.faults


def look(root: Path, watch: Callable[[str], None]) -> Found:
    """Find all manifests.

    Args:
        root: a folder, or a file of any name.
        watch: called with each folder, by its real path, in which a change could change what is found; called before
            that folder is looked at.
    """
    found = Found()

    def enter(folder: Path) -> None:
        for it in folders_of_links(folder):
            watch(it)
        watch(os.path.realpath(folder))

    _watch_way(root, watch)
    for it in search(root, on_folder=enter) if root.is_dir() else [str(root)]:
        if isinstance(it, Source):
            found.faults[it.file] = it.fault.message if it.fault else ""
            continue
        if os.path.islink(it):  # noqa: PTH114 - for each of many files
            for folder in folders_of_links(Path(it)):
                watch(folder)
            watch(os.path.dirname(os.path.realpath(it)))  # noqa: PTH120 - likewise
        stamp = stamp_of(it)
        if stamp:
            found.files[it] = stamp
    return found


def stamp_of(name: str) -> Stamp | None:
    """Return the stamp of a file; ``None`` when there is none."""
    try:
        status = os.stat(name)  # noqa: PTH116 - for each of many files
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def folders_of_links(path: Path) -> list[str]:
    """Return the folders that hold the symbolic links which a path leads through."""
    found: list[str] = []
    here, waiting, links = Path("/"), deque(Path.cwd().joinpath(path).parts[1:]), 0
    while waiting and links < _MAX_LINKS:
        here = here.parent if waiting[0] == ".." else here / waiting[0]
        waiting.popleft()
        if here.is_symlink():
            links += 1
            found.append(str(here.parent))
            target = here.readlink()
            here = Path("/") if target.is_absolute() else here.parent
            waiting.extendleft(reversed([part for part in target.parts if part != "/"]))
    return found


def _watch_way(root: Path, watch: Callable[[str], None]) -> None:
    """Watch where the root, if it is not there, or not a folder, would appear."""
    for folder in folders_of_links(root):
        watch(folder)
    at = Path(os.path.realpath(root))
    if not at.is_dir():
        at = at.parent
        while not at.is_dir() and at != at.parent:
            at = at.parent
        watch(str(at))
