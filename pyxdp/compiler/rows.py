"""Rows of bits over the rules of one ruleset: for each class of a field, which rules accept it.

A matrix has one row a class and 64 rules a word: rule n is bit ``n % 64`` of word ``n // 64``.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyxdp.abi import Limit
from pyxdp.compiler.lists import beginnings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyxdp.compiler.addresses import AddressClasses
    from pyxdp.compiler.intervals import Intervals
    from pyxdp.compiler.matches import AddressCondition
    from pyxdp.compiler.numbers import NumberClasses
    from pyxdp.net.values import Family

Matrix: TypeAlias = NDArray[np.uint64]

_WORD_BITS: Final = int(Limit.WORD_BITS)
_BYTE_BITS: Final = 8
_ONE: Final = np.uint64(1)
#: Bytes of rows that are ORed into others at once.
_AT_ONCE: Final = 1 << 26


class AddressRows(NamedTuple):
    """The rows of an address field.

    Attributes:
        matrix: for the classes that rules can tell apart.
        places: for each class the number of its row.
    """

    matrix: Matrix
    places: NDArray[np.int64]


def words_of(rules: int) -> int:
    """Return how many words a row over so many rules has."""
    return -(-rules // _WORD_BITS)


def row_of(rules: Iterable[int], count: int) -> Matrix:
    """Return one row over ``count`` rules, with the bits of these."""
    row = np.zeros((1, words_of(count)), np.uint64)
    numbers = np.fromiter(rules, np.int64)
    _set(row, np.zeros_like(numbers), numbers)
    return row


def with_aggregates(matrix: Matrix) -> Matrix:
    """Return the rows as the programs read them: more than one word have aggregate words before them."""
    count, words = matrix.shape
    if words == 1:
        return matrix
    aggregates = words_of(words)
    filled = np.packbits(matrix != 0, axis=1, bitorder="little")
    whole = np.zeros((count, aggregates * _BYTE_BITS), np.uint8)
    whole[:, : filled.shape[1]] = filled
    return np.concatenate((whole.view("<u8"), matrix), axis=1)


def number_rows(classes: NumberClasses, conditions: Sequence[Intervals | None]) -> Matrix:
    """Return the rows of the classes from ``classes.first`` on, rule n having the condition number n, or none that holds."""
    asked = [(rule, classes.numbers[one]) for rule, one in enumerate(conditions) if one is not None]
    rules, numbers = np.array(asked, np.int64).reshape(-1, 2).T
    toggles = classes.toggles.take(numbers)
    rules = rules[toggles.owners]
    starts, places = np.unique(np.append(toggles.values, np.uint32(0)), return_inverse=True)
    # Words in rows and pieces in columns, so that the running exclusive or is along what is contiguous.
    columns = np.zeros((words_of(len(conditions)), len(starts)), np.uint64)
    np.bitwise_xor.at(columns, (rules // _WORD_BITS, places[:-1]), _bits(rules))
    np.bitwise_xor.accumulate(columns, axis=1, out=columns)
    return np.ascontiguousarray(columns[:, np.searchsorted(starts, classes.samples, side="right") - 1].T)


def sport_rows(classes: NumberClasses, conditions: Sequence[Intervals | None]) -> Matrix:
    """Return the rows of all classes of source ports, rule n having the condition number n.

    A packet without ports satisfies only ``None``; of a later fragment nobody can say that it does not satisfy.
    """
    anything = row_of((number for number, one in enumerate(conditions) if one is None), len(conditions))
    everything = row_of(range(len(conditions)), len(conditions))
    ports = number_rows(classes, conditions) | anything
    return np.concatenate((anything, everything, ports))


def address_rows(classes: AddressClasses, conditions: Sequence[AddressCondition]) -> AddressRows:
    """Return the rows of an address field, rule n having the condition number n."""
    literals = _Literals(conditions, classes.numbers)
    tree = _Tree(classes, literals.named)
    matrix = np.full((len(tree.classes), words_of(len(conditions))), ~np.uint64(0))
    for place, pairs in enumerate(literals.wanted):
        accepted = tree.any_of(pairs, len(conditions))
        accepted |= row_of((n for n, count in enumerate(literals.counts) if count <= place), len(conditions))
        matrix &= accepted
    if literals.excluded:
        matrix &= ~tree.any_of(literals.excluded, len(conditions))
    for family, one in zip(
        (4, 6), (tree.classes < classes.first_ipv6, tree.classes >= classes.first_ipv6), strict=True
    ):
        matrix[one] &= literals.of_family(family)
    return AddressRows(matrix, tree.places)


class _Literals:
    """What conditions say of sets, in pairs (rule, set).

    Attributes:
        wanted: first the first set that each rule wants the address to be in, then each second one, and so on.
        counts: how many sets each rule wants.
        excluded: sets that the address must not be in.
    """

    def __init__(self, conditions: Sequence[AddressCondition], numbers: Mapping[str, int]) -> None:
        self.wanted: list[list[tuple[int, int]]] = []
        self.counts: list[int] = []
        self.excluded: list[tuple[int, int]] = []
        self._families = [one.families for one in conditions]
        for rule, one in enumerate(conditions):
            sets = {numbers[part.id] for part in one.sets}
            self.counts.append(len(sets))
            self.wanted += ([] for _ in range(len(sets) - len(self.wanted)))
            for pairs, number in zip(self.wanted, sets, strict=False):
                pairs.append((rule, number))
            self.excluded += {(rule, numbers[part.id]) for part in one.not_sets}

    @property
    def named(self) -> NDArray[np.int64]:
        """The sets that occur."""
        return np.fromiter({number for _, number in chain(self.excluded, *self.wanted)}, np.int64)

    def of_family(self, family: Family) -> Matrix:
        """Return a row with the rules that exist in an IP version."""
        return row_of((rule for rule, one in enumerate(self._families) if family in one), len(self._families))


class _Tree:
    """The classes that rules can tell apart: those that some set with a name adds something to, and the topmost."""

    def __init__(self, classes: AddressClasses, named: NDArray[np.int64]) -> None:
        own = classes.own
        interesting = np.zeros(len(classes.numbers), np.bool_)
        interesting[named] = True
        entries = interesting[own.values]
        told = classes.parents == np.arange(classes.count)
        told[own.owners[entries]] = True
        #: Numbers of these classes, ascending; in the same order are their rows.
        self.classes = np.flatnonzero(told)
        # Every other class has the row of the one above it.
        nearest = np.arange(classes.count)
        for level in classes.levels[1:]:
            nearest[level] = np.where(told[level], level, nearest[classes.parents[level]])
        rank = np.cumsum(told) - 1
        self.places: NDArray[np.int64] = rank[nearest]
        self._parents = self.places[classes.parents[self.classes]]
        self._levels = [rank[level[told[level]]] for level in classes.levels[1:]]
        self._owners = rank[own.owners[entries]]
        self._sets = own.values[entries]
        self._set_count = len(interesting)

    def any_of(self, pairs: Sequence[tuple[int, int]], rules: int) -> Matrix:
        """Return for each class the rules that are paired with one of its sets."""
        paired = np.array(pairs, np.int64).reshape(-1, 2)
        sets, places = np.unique(paired[:, 1], return_inverse=True)
        by_set = np.zeros((len(sets), words_of(rules)), np.uint64)
        _set(by_set, places, paired[:, 0])
        matrix = np.zeros((len(self.classes), words_of(rules)), np.uint64)
        self._add(matrix, sets, by_set)
        for level in self._levels:
            matrix[level] |= matrix[self._parents[level]]
        return matrix

    def _add(self, matrix: Matrix, sets: NDArray[np.int64], by_set: Matrix) -> None:
        """OR the rows of sets into those of the classes that have them and whose parents do not."""
        row = np.full(self._set_count, -1)
        row[sets] = np.arange(len(sets))
        rows = row[self._sets]
        owners, rows = self._owners[rows >= 0], rows[rows >= 0]
        step = max(1, _AT_ONCE // by_set[:1].nbytes) if len(rows) else 1
        for begin in range(0, len(rows), step):
            some = owners[begin : begin + step]
            first = beginnings(some)
            matrix[some[first]] |= np.bitwise_or.reduceat(by_set[rows[begin : begin + step]], first)


def _bits(rules: NDArray[np.int64]) -> NDArray[np.uint64]:
    return _ONE << (rules % _WORD_BITS).astype(np.uint64)


def _set(matrix: Matrix, rows: NDArray[np.int64], rules: NDArray[np.int64]) -> None:
    np.bitwise_or.at(matrix, (rows, rules // _WORD_BITS), _bits(rules))
