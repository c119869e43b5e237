"""Paths to texts: files, folders and standard input.

A folder is searched with everything below it for ``*.yaml``, ``*.yml`` and ``*.json``, sorted by name. What begins with
a dot is left out. Visible symbolic links are followed: in a mounted ConfigMap each visible name is a link into the
hidden folder ``..data``, so every file is read once.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from pyxdp.manifest.compose import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

#: Bytes that a file may have: four million prefixes, one a line, and room to spare.
MAX_BYTES: Final = 128 * 1024 * 1024

STDIN: Final = "-"
_SUFFIXES: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Source:
    """A file's text, or why there is none.

    Attributes:
        file: path as given, or below the folder as given.
        text: all of it.
        fault: why it can not be read.
    """

    file: str
    text: str = ""
    fault: Fault | None = None


def read_sources(paths: Sequence[str | os.PathLike[str]], stdin: TextIO | None) -> Iterator[Source]:
    """Yield every file that the paths name, each once, however often it is named."""
    seen: set[object] = set()
    for given in paths:
        name = os.fspath(given)
        path = Path(name)
        for found in _search(path) if name != STDIN and _is_folder(path) else [name]:
            identity = found if isinstance(found, Source) or found == STDIN else _identity(Path(found))
            if identity not in seen:
                seen.add(identity)
                yield (
                    found if isinstance(found, Source) else _read_stdin(stdin) if found == STDIN else read_file(found)
                )


def decode(file: str, content: bytes) -> Source:
    """Return the text of a file's bytes."""
    if len(content) > MAX_BYTES:
        return _refused(file, f"larger than {MAX_BYTES // 1024**2} MiB: split it into several files")
    try:
        return Source(file, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        start = content.rfind(b"\n", 0, error.start) + 1
        column = len(content[start : error.start].decode("utf-8", "replace")) + 1
        message = f"not UTF-8: the byte 0x{content[error.start]:02x} does not belong here; save the file as UTF-8"
        return Source(file, fault=Fault(line, column, message))


def _search(folder: Path) -> Iterator[str | Source]:
    """Yield the names of the manifests below a folder, and what is wrong with it."""
    empty = True
    for found in search(folder):
        empty = False
        yield found
    if empty:
        yield _refused(str(folder), f"the folder holds no {', '.join('*' + suffix for suffix in _SUFFIXES)} file")


def search(folder: Path, *, on_folder: Callable[[Path], None] = lambda _: None) -> Iterator[str | Source]:
    """Yield the names of the manifests below a folder, and what can not be read.

    Args:
        folder: where to begin.
        on_folder: called with each folder before it is looked at.
    """
    entered: set[object] = set()
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if not _is_folder(path):
            if path.suffix in _SUFFIXES:
                # Nobody wants to wait for a pipe that happens to lie in a folder.
                yield _refused(str(path), "is no regular file") if _is_special(path) else str(path)
        elif (identity := _identity(path)) not in entered:
            entered.add(identity)
            on_folder(path)
            try:
                visible = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
            except OSError as error:
                visible = []
                yield _refused(str(path), f"the folder can not be read: {error.strerror}")
            waiting.extend(sorted(visible, reverse=True))


def read_file(name: str) -> Source:
    """Return the text of a file, or why there is none."""
    path = Path(name)
    try:
        with path.open("rb") as file:
            return decode(_printable(name), file.read(MAX_BYTES + 1))
    except FileNotFoundError:
        dangling = path.is_symlink()
        return _refused(name, "is a symbolic link to nothing" if dangling else "there is no such file or folder")
    except (OSError, ValueError) as error:
        return _refused(name, f"can not be read: {getattr(error, 'strerror', None) or error}")


def _read_stdin(stdin: TextIO | None) -> Source:
    stream = stdin or sys.stdin
    if stream is None:
        return _refused(STDIN, "there is no standard input")
    try:
        binary: BinaryIO | None = getattr(stream, "buffer", None)
        content = binary.read(MAX_BYTES + 1) if binary else stream.read(MAX_BYTES + 1).encode("utf-8", "surrogatepass")
    except (OSError, ValueError) as error:
        return _refused(STDIN, f"can not be read: {error}")
    return decode(STDIN, content)


def _identity(path: Path) -> object:
    """What two names of the same file have in common."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return str(path)
    return (status.st_dev, status.st_ino)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_special(path: Path) -> bool:
    try:
        return path.exists() and not path.is_file()
    except OSError:
        return False


def _refused(name: str, message: str) -> Source:
    return Source(_printable(name), fault=Fault(0, 0, message))


def _printable(name: str) -> str:
    """Return a path that can be printed, even when its bytes are no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
