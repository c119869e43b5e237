"""Contents of tables, which may be a hundred megabytes: compared and measured without copies. Pure.

What is beyond the end of a table is zero. Pieces of :data:`CHUNK` bytes are copied into memory that stays in the cache
and compared there, which is as fast as memory is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.planner.state import Table

#: Bytes that are looked at together.
CHUNK: Final = 1 << 16
_ZERO: Final = bytes(CHUNK)


def same(one: Table, other: Table) -> bool:
    """Whether two tables hold the same, but for zero at the end."""
    if one is other:
        return True
    shorter, longer = sorted((memoryview(one), memoryview(other)), key=len)
    common, rest = longer[: len(shorter)], longer[len(shorter) :]
    alike = (bytes(shorter[at : at + CHUNK]) == bytes(common[at : at + CHUNK]) for at in _starts(len(common)))
    return all(alike) and is_zero(rest)


def is_zero(table: Table) -> bool:
    """Whether there is nothing but zero."""
    view = memoryview(table)
    return all(bytes(view[at : at + CHUNK]) == _ZERO[: len(view) - at] for at in _starts(len(view)))


def used(table: Table, entry: int) -> int:
    """Return how many bytes come before the entries that are all zero up to the end.

    Args:
        table: whole entries.
        entry: bytes of one.
    """
    view = memoryview(table)
    for at in reversed(_starts(len(view))):
        piece = bytes(view[at : at + CHUNK])
        if piece != _ZERO[: len(piece)]:
            return -(-(at + len(piece.rstrip(b"\0"))) // entry) * entry
    return 0


def differences(wanted: Table, there: Table) -> Iterator[tuple[int, int]]:
    """Yield where pieces of a table that is there are not as wanted: first byte, and the byte behind the last.

    Every piece up to the end of ``there`` is looked at when it is asked for.

    Args:
        wanted: not longer than ``there``; zero is wanted behind it.
        there: may be changed between two pieces.
    """
    new, old = memoryview(wanted), memoryview(there)
    for at in _starts(len(old)):
        end = min(at + CHUNK, len(old))
        if bytes(old[at:end]) != bytes(new[at:end]).ljust(end - at, b"\0"):
            yield at, end


def _starts(length: int) -> range:
    return range(0, length, CHUNK)
