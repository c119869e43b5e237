"""Pieces of a line of numbers, each with a class, and what happens to them where classes change."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: ``(first number, class)``, ascending; each reaches to the next.
Pieces: TypeAlias = list[tuple[int, int]]

#: ``(first, last)``, ascending and disjoint.
Spans: TypeAlias = list[tuple[int, int]]


def overlaid(pieces: Pieces, end: int, spans: Spans, renamed: Callable[[int], int]) -> Pieces:
    """Give the numbers of some spans other classes.

    Args:
        pieces: all of the line; no two neighbours with the same class.
        end: of the line: one more than its last number.
        spans: which numbers change.
        renamed: the new class of numbers that have a class now.
    """
    result: Pieces = []

    def begin(start: int, number: int) -> None:
        if not result or result[-1][1] != number:
            result.append((start, number))

    at = 0
    for position, (start, number) in enumerate(pieces):
        until = pieces[position + 1][0] if position + 1 < len(pieces) else end
        while at < len(spans) and spans[at][0] < until:
            first, last = spans[at]
            if first > start:
                begin(start, number)
            begin(max(first, start), renamed(number))
            start = min(last + 1, until)  # noqa: PLW2901 - what is left of the piece
            if last >= until:
                break
            at += 1
        if start < until:
            begin(start, number)
    return result


def without(spans: Spans, taken: Spans) -> Spans:
    """Return what is in some spans and not in others."""
    left: Spans = []
    for low, high in spans:
        begin = low
        for first, last in taken:
            if first <= high and last >= begin:
                if first > begin:
                    left.append((begin, first - 1))
                begin = last + 1
        if begin <= high:
            left.append((begin, high))
    return left


def by_names(spans: Mapping[str, Spans]) -> Iterator[tuple[frozenset[str], Spans]]:
    """Yield the numbers of spans that have names, each number once: with all of its names."""
    if len(spans) == 1:
        yield from ((frozenset({name}), its) for name, its in spans.items() if its)
        return
    edges = sorted((edge, name) for name, its in spans.items() for first, last in its for edge in (first, last + 1))
    found = defaultdict[frozenset[str], Spans](list)
    begin, names = 0, frozenset[str]()
    for edge, group in groupby(edges, itemgetter(0)):
        if names:
            found[names].append((begin, edge - 1))
        for _, name in group:
            names ^= {name}
        begin = edge
    yield from found.items()
