"""Prefixes cut the addresses of a family into pieces, and pieces that lie in the same sets are one class.

Two prefixes are nested or disjoint, so all of them are a forest. What a prefix adds to the sets of the one around it
makes the members of its class; a piece is where an address begins or stops to be in some prefix.

Everything here is done with whole arrays, level by level of the forest, and takes as long as sorting the prefixes. Sets
of sets are compared by signature: each set has 128 random bits, a set of sets has their exclusive or. That two
different ones have the same signature is as likely as guessing a key, whatever the prefixes; and since the
bits are random, nobody can choose prefixes for which it is not. Signatures never show in a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp.compiler.lists import Lists, beginnings, first_appearances
from pyxdp.compiler.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_SET_SHIFT: Final = np.uint64(33)
_HALF: Final = np.uint64(32)
_LOWER: Final = np.uint64((1 << 32) - 1)
_END: Final = np.uint64(1 << 32)


@dataclass(frozen=True, slots=True)
class Cut:
    """A family's addresses, cut.

    Attributes:
        starts: where each piece begins, ascending from 0; neighbours are of different classes.
        classes: the class of each piece. 0 is in no set; every class comes behind its parent.
        parents: for each class another one that is in fewer sets; of 0 itself.
        own: for each class the sets that it is in and its parent is not, ascending.
    """

    starts: NDArray[np.uint64]
    classes: NDArray[np.uint32]
    parents: NDArray[np.uint32]
    own: Lists


def cut(spans: Spans) -> Cut:
    """Cut the numbers below 2^32 by these spans."""
    distinct, own = _distinct(_without_covered(spans))
    forest = _Forest(distinct >> _HALF, _END - (distinct & _LOWER))
    classes, parents, first = _classes(forest, own)
    starts, inside = _pieces(forest, classes)
    return Cut(starts, inside, parents, own.take(first).prepended_by_none())


def _without_covered(spans: Spans) -> Spans:
    """Leave out what is inside another prefix of the same set: the others add their set to what is around them."""
    if not len(spans.sets):
        return spans
    base = spans.sets.astype(np.uint64) << _SET_SHIFT
    reached = np.maximum.accumulate(base | spans.ends)
    kept = np.concatenate(([True], reached[:-1] <= (base | spans.starts)[1:]))
    return spans if kept.all() else Spans(spans.sets[kept], spans.starts[kept], spans.ends[kept])


def _distinct(spans: Spans) -> tuple[NDArray[np.uint64], Lists]:
    """Return each prefix once, sorted by (start, longest last) and packed, and the sets that have it."""
    packed = spans.starts << _HALF | (_END - spans.ends)
    order = np.argsort(packed, kind="stable")
    packed = packed[order]
    first = beginnings(packed)
    return packed[first], Lists(np.append(first, len(packed)), spans.sets[order])


class _Forest:
    """Distinct prefixes in order, each with the index of the one around it; -1 at the top."""

    def __init__(self, starts: NDArray[np.uint64], ends: NDArray[np.uint64]) -> None:
        self.starts = starts
        self.ends = ends
        self.parents = np.full(len(starts), -1, np.int64)
        self.levels = list(self._peeled())

    def _peeled(self) -> Iterator[NDArray[np.int64]]:
        """Yield the prefixes that are in none of the rest, until there is no rest."""
        rest = np.arange(len(self.starts))
        while len(rest):
            reached = np.maximum.accumulate(self.ends[rest])
            top = np.concatenate(([True], self.starts[rest[1:]] >= reached[:-1]))
            yield rest[top]
            around = rest[top][np.cumsum(top) - 1]
            rest, around = rest[~top], around[~top]
            self.parents[rest] = around

    def resumed(self) -> NDArray[np.int64]:
        """Return for each prefix which one goes on where it ends: the next around it that ends later; -1 if none."""
        found: NDArray[np.int64] = self.parents.copy()
        asking = np.flatnonzero(found >= 0)
        while len(asking):
            asking = asking[self.ends[found[asking]] == self.ends[asking]]
            found[asking] = self.parents[found[asking]]
            asking = asking[found[asking] >= 0]
        return found


def _classes(forest: _Forest, own: Lists) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int64]]:
    """Return the class of each prefix, the parent of each class, and for each class but 0 its first prefix."""
    sets = int(own.values.max(initial=0)) + 1
    random = np.frombuffer(token_bytes(16 * sets), np.uint64).reshape(2, sets)
    signatures = [own.xor(bits) for bits in random]
    for level in forest.levels[1:]:
        for signature in signatures:
            signature[level] ^= signature[forest.parents[level]]
    first, numbers = first_appearances(*signatures)
    classes = (numbers + 1).astype(np.uint32)
    around = forest.parents[first]
    parents = np.where(around >= 0, classes[around], 0) if len(first) else around
    return classes, np.concatenate(([0], parents)).astype(np.uint32), first


def _pieces(forest: _Forest, classes: NDArray[np.uint32]) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Return where the class changes, and to which."""
    resumed = forest.resumed()
    behind = np.where(resumed >= 0, classes[resumed], 0) if len(classes) else classes
    # Of what happens at the same address the last one holds: ends before starts, wide prefixes before narrow ones.
    starts = np.concatenate((np.zeros(1, np.uint64), forest.ends, forest.starts))
    inside = np.concatenate((np.zeros(1, np.uint32), behind.astype(np.uint32), classes))
    order = np.argsort(starts, kind="stable")
    starts, inside = starts[order], inside[order]
    last = np.append(starts[1:] != starts[:-1], True) & (starts < _END)
    starts, inside = starts[last], inside[last]
    changes = beginnings(inside)
    return starts[changes], inside[changes]
