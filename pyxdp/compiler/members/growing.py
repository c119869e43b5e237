"""A table of one slot that packets read while it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pyxdp.compiler.members.delta import Flips, NeedsRebuildError, Write

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[Any]

_FIRST_TAIL: Final = 64


class GrowingTable:
    """What a table holds, without a copy of it: the compiled contents, elements that changed, and those behind.

    Elements are equal numbers of words, numbered from 0. Words are changed in place by :meth:`store`; those of elements
    that were appended since the last :meth:`taken` are not yet seen by anybody, the others are flipped.
    """

    def __init__(self, name: str, content: Words, *, width: int, room: int) -> None:
        """Begin with a compiled table.

        Args:
            name: of the map.
            content: its words; not changed.
            width: words in an element.
            room: elements that the half of the map has.
        """
        self.name: Final = name
        self._width = width
        self._base = content.reshape(-1, width)
        self._room = room
        self._own: dict[int, Words] = {}
        self._tail: Words = np.empty((0, width), content.dtype)
        self._end = self._published = len(self._base)
        self._writes: list[Write] = []
        self._flips: dict[int, int] = {}

    @property
    def end(self) -> int:
        """Number of the first free element."""
        return self._end

    def element(self, number: int) -> Words:
        """Return the words of an element; not to be changed."""
        held: Words
        if number >= len(self._base):
            held = self._tail[number - len(self._base)]
        else:
            held = self._own[number] if number in self._own else self._base[number]
        return held

    def words(self, first: int, count: int) -> Words:
        """Return the words of elements that were compiled or appended together, and not changed since."""
        if count == 1:
            return self.element(first)
        held, at = (self._tail, first - len(self._base)) if first >= len(self._base) else (self._base, first)
        return held[at : at + count].reshape(-1)

    def append(self, words: Words) -> int:
        """Add elements at the end; return the number of the first.

        Raises:
            NeedsRebuildError: the map has no room for them.
        """
        elements = words.reshape(-1, self._width)
        first, self._end = self._end, self._end + len(elements)
        if self._end > self._room:
            raise NeedsRebuildError(f"map {self.name} is full: {self._room:,} entries")
        at = first - len(self._base)
        if at + len(elements) > len(self._tail):
            more = np.empty((max(_FIRST_TAIL, len(self._tail), len(elements)), self._width), self._tail.dtype)
            self._tail = np.concatenate((self._tail, more))
        self._tail[at : at + len(elements)] = elements
        return first

    def store(self, number: int, word: int, value: int) -> None:
        """Change one word."""
        self._writable(number)[word] = value
        if number < self._published:
            self._flips[number * self._width + word] = value

    def place(self, number: int, words: Words) -> None:
        """Set an element of the compiled table that nothing leads to yet."""
        self._writable(number)[:] = words
        self._writes.append(Write(self.name, number * self._width * self._tail.itemsize, words.tobytes()))

    def taken(self) -> tuple[tuple[Write, ...], tuple[Flips, ...]]:
        """Return what to do so that packets see the table as it is now, and take it as done."""
        size = self._tail.itemsize
        writes, flips = self._writes, self._flips
        if self._published < self._end:
            at = slice(self._published - len(self._base), self._end - len(self._base))
            writes.append(Write(self.name, self._published * self._width * size, self._tail[at].tobytes()))
        self._writes, self._flips, self._published = [], {}, self._end
        if not flips:
            return tuple(writes), ()
        offsets = np.fromiter(flips, np.int64, len(flips)) * size
        return tuple(writes), (Flips(self.name, offsets, np.fromiter(flips.values(), self._tail.dtype, len(flips))),)

    def _writable(self, number: int) -> Words:
        if number < len(self._base):
            return self._own.setdefault(number, self._base[number].copy())
        held: Words = self._tail[number - len(self._base)]
        return held
