"""Small changes of sets of addresses that are cut already: only the addresses that a set wins or loses are cut again.

A set that has one prefix more or less changes a handful of pieces among millions. The pieces of the addresses that
change are taken out, mapped from class to class and put back; classes that are new come behind all others.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from pyxdp.compiler.addresses import AddressClasses, Pieces, WidePieces
from pyxdp.compiler.lists import GrowingLists, beginnings
from pyxdp.compiler.members.delta import NeedsRebuildError
from pyxdp.compiler.members.membership import SetMembers
from pyxdp.compiler.members.pieces import overlaid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pyxdp.compiler.members.membership import Prefix
    from pyxdp.compiler.members.pieces import Spans
    from pyxdp.net.prefixes import Prefixes
    from pyxdp.net.values import Family
    from pyxdp.resolver import AddressSet

#: Prefixes that may change, and pieces that may be concerned; with more, cutting everything takes no longer.
_MAX_PREFIXES: Final = 256
_MAX_PIECES: Final = 1 << 14

_WORD: Final = 64
_LOW: Final = (1 << _WORD) - 1
_LENGTH_BITS: Final = 8
_LENGTH: Final = 0xFF


class SetChange(NamedTuple):
    """A set that is new, or has other prefixes than it was cut by."""

    now: AddressSet
    before: Prefixes


class Recut(NamedTuple):
    """Addresses after small changes.

    Attributes:
        classes: of all addresses.
        ipv4: what may have changed of IPv4: first and last addresses, ascending.
        ipv6: likewise.
    """

    classes: AddressClasses
    ipv4: Spans
    ipv6: Spans


def recut(classes: AddressClasses, changes: Sequence[SetChange]) -> Recut | None:
    """Cut addresses again where sets changed; ``None`` if that is not worth it."""
    sets = {**classes.sets, **{one.now.id: one.now for one in changes}}
    numbers = {name: number for number, name in enumerate(sets)}
    book = _ClassBook(classes)
    ipv4, ipv6 = _Line(classes.ipv4[:-1], classes.ipv4.classes), _Line(classes.ipv6[:-1], classes.ipv6.classes)
    try:
        changed4 = ipv4.change(book, [_moves(4, one, numbers[one.now.id]) for one in changes])
        changed6 = ipv6.change(book, [_moves(6, one, numbers[one.now.id]) for one in changes])
    except NeedsRebuildError:
        return None
    patched = replace(
        classes,
        ipv4=Pieces._make((*ipv4.starts, ipv4.classes)),
        ipv6=WidePieces._make((*ipv6.starts, ipv6.classes)),
        parents=np.concatenate((classes.parents, np.array(book.parents, np.uint32))),
        own=classes.own.followed_by(book.own.lists),
        sets=sets,
        made=book.known,
    )
    return Recut(patched, changed4, changed6)


class _Moves(NamedTuple):
    """Addresses that leave and enter a set, in this order."""

    number: int
    leaving: Spans
    entering: Spans


def _moves(family: Family, change: SetChange, number: int) -> _Moves:
    removed, added = _difference(_columns(change.before, family), _columns(change.now.networks, family))
    members = SetMembers(change.before, family)
    return _Moves(number, members.remove(removed, _MAX_PIECES), members.add(added, _MAX_PIECES))


def _columns(prefixes: Prefixes, family: Family) -> tuple[NDArray[Any], ...]:
    return (prefixes.ipv4,) if family == 4 else prefixes.ipv6  # noqa: PLR2004 - IPv4


def _difference(before: tuple[NDArray[Any], ...], now: tuple[NDArray[Any], ...]) -> tuple[list[Prefix], list[Prefix]]:
    """Return the prefixes that only one or only the other has.

    Raises:
        NeedsRebuildError: those are many.
    """
    head = _alike(before, now)
    before, now = (tuple(column[head:] for column in columns) for columns in (before, now))
    tail = _alike(*(tuple(column[::-1] for column in columns) for columns in (before, now)))
    ours, others = (
        set(zip(*(column[: len(column) - tail].tolist() for column in columns), strict=True))
        for columns in (before, now)
    )
    removed, added = ours - others, others - ours
    if len(removed) + len(added) > _MAX_PREFIXES:
        raise NeedsRebuildError("many prefixes changed")
    return sorted(map(_prefix, removed)), sorted(map(_prefix, added))


def _alike(one: tuple[NDArray[Any], ...], other: tuple[NDArray[Any], ...]) -> int:
    """Return how many rows both begin with."""
    length = min(len(one[0]), len(other[0]))
    different = np.zeros(length, np.bool_)
    for column, its in zip(one, other, strict=True):
        different |= column[:length] != its[:length]
    return int(different.argmax()) if different.any() else length


def _prefix(row: tuple[int, ...]) -> Prefix:
    if len(row) == 1:
        return row[0] >> _LENGTH_BITS, row[0] & _LENGTH
    high, low, length = row
    return high << _WORD | low, length


class _Line:
    """The pieces of a family.

    Attributes:
        starts: where they begin: one column, or two for IPv6.
        classes: of each.
    """

    def __init__(self, starts: tuple[NDArray[np.uint64], ...], classes: NDArray[np.uint32]) -> None:
        self.starts = starts
        self.classes = classes
        self._bits = 32 if len(starts) == 1 else 2 * _WORD

    def change(self, book: _ClassBook, moves: Sequence[_Moves]) -> Spans:
        """Let addresses leave and enter sets; return all of them.

        Raises:
            NeedsRebuildError: they have many pieces.
        """
        windows = _merged(span for one in moves for spans in one[1:] for span in spans)
        parts: list[tuple[NDArray[Any], ...]] = []
        done = 0
        for first, last in windows:
            begin, end = self._before(first + 1) - 1, self._before(last + 1)
            if end - begin > _MAX_PIECES:
                raise NeedsRebuildError("many pieces are concerned")
            pieces = [(first, int(self.classes[begin])), *self._rows(slice(begin + 1, end))]
            behind = pieces[-1][1]
            for one in moves:
                for spans, renamed in ((one.leaving, book.without), (one.entering, book.with_)):
                    inside = [span for span in spans if first <= span[0] <= last]
                    pieces = overlaid(pieces, last + 1, inside, partial(renamed, one.number))
            if last + 1 < 1 << self._bits and (end == len(self.classes) or self._start(end) != last + 1):
                pieces.append((last + 1, behind))
            parts += [self._columns(slice(done, begin + (self._start(begin) < first))), self._of_rows(pieces)]
            done = end
        if windows:
            *starts, self.classes = map(np.concatenate, zip(*parts, self._columns(slice(done, None)), strict=True))
            self.starts = tuple(starts)
            self._merge()
        return windows

    def _merge(self) -> None:
        """Make one piece of neighbours of the same class."""
        kept = beginnings(self.classes)
        if len(kept) < len(self.classes):
            self.starts = tuple(column[kept] for column in self.starts)
            self.classes = self.classes[kept]

    def _before(self, address: int) -> int:
        """Return how many pieces begin before an address, which may be the end of all."""
        if address >> self._bits:
            return len(self.classes)
        if len(self.starts) == 1:
            return int(np.searchsorted(self.starts[0], np.uint64(address)))
        high, low = np.uint64(address >> _WORD), np.uint64(address & _LOW)
        first, end = (int(np.searchsorted(self.starts[0], high, side)) for side in ("left", "right"))
        return first + int(np.searchsorted(self.starts[1][first:end], low))

    def _start(self, number: int) -> int:
        start = 0
        for column in self.starts:
            start = start << _WORD | int(column[number])
        return start

    def _columns(self, part: slice) -> tuple[NDArray[Any], ...]:
        return (*(column[part] for column in self.starts), self.classes[part])

    def _rows(self, part: slice) -> list[tuple[int, int]]:
        return [(self._start(number), int(self.classes[number])) for number in range(part.start, part.stop)]

    def _of_rows(self, pieces: list[tuple[int, int]]) -> tuple[NDArray[Any], ...]:
        starts = [start for start, _ in pieces]
        words = (
            [starts] if len(self.starts) == 1 else [[one >> _WORD for one in starts], [one & _LOW for one in starts]]
        )
        return (*(np.array(one, np.uint64) for one in words), np.array([number for _, number in pieces], np.uint32))


class _ClassBook:
    """Finds the class that is in one set more or less than another one, or makes it.

    Attributes:
        parents: of classes that were made.
        own: sets of those.
        known: classes that were made, now and before, by the topmost class above them and their sets.
    """

    def __init__(self, classes: AddressClasses) -> None:
        self.parents: list[int] = []
        self.own = GrowingLists()
        self._classes = classes
        self._members: dict[int, tuple[int, frozenset[int]]] = {}
        self.known = dict(classes.made)

    def with_(self, one: int, number: int) -> int:
        """Return the class that is in a set, too."""
        root, members = self._of(number)
        return self._found(root, members | {one}, number, [one])

    def without(self, one: int, number: int) -> int:
        """Return the class that is not in a set."""
        root, members = self._of(number)
        rest = members - {one}
        return self._found(root, rest, root, sorted(rest))

    def _of(self, number: int) -> tuple[int, frozenset[int]]:
        """Return the topmost class above a class, and the sets that it is in."""
        found = self._members.get(number)
        if found is None:
            sets: list[int] = []
            root = number
            while len(own := self._classes.own.of(root)):
                sets += own.tolist()
                root = int(self._classes.parents[root])
            found = self._members[number] = root, frozenset(sets)
        return found

    def _found(self, root: int, members: frozenset[int], parent: int, own: list[int]) -> int:
        if not members:
            return root
        key = root, members
        number = self.known.get(key)
        if number is None:
            number = self._classes.count + len(self.parents)
            self.parents.append(parent)
            self.own.append(own)
            self.known[key] = number
            self._members[number] = key
        return number


def _merged(spans: Iterable[tuple[int, int]]) -> Spans:
    """Return disjoint spans that hold what some span holds, ascending."""
    merged: Spans = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
