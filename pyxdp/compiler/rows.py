"""Rows of bits over the rules of one ruleset: for each class of a field, which rules accept it.

A matrix has one row a class and 64 rules a word: rule n is bit ``n % 64`` of word ``n // 64``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyxdp.abi import Limit
from pyxdp.compiler.lists import Lists, beginnings

if TYPE_CHECKING:
    from pyxdp.compiler.addresses import AddressClasses
    from pyxdp.compiler.numbers import NumberClasses
    from pyxdp.compiler.terms import Conditions

Matrix: TypeAlias = NDArray[np.uint64]

_WORD_BITS: Final = int(Limit.WORD_BITS)
_BYTE_BITS: Final = 8
_PLACE_AGGREGATES: Final = int(Limit.PLACE_AGGREGATES)
#: struct pyxdp_row_place
_PLACE: Final = np.dtype([("aggregate", np.uint64, _PLACE_AGGREGATES), ("row", np.uint32), ("pad", np.uint32)])
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


def row_of(rules: NDArray[np.int64], count: int) -> Matrix:
    """Return one row over ``count`` rules, with the bits of these."""
    row = np.zeros((1, words_of(count)), np.uint64)
    _set(row, np.zeros_like(rules), rules)
    return row


def whole_row(count: int) -> Matrix:
    """Return one row with the bits of all rules."""
    return row_of(np.arange(count), count)


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


def row_places(rows: Matrix, aggregates: int, first: int) -> NDArray[np.uint32]:
    """Return the entries of ``pyxdp_row_index`` for rows that follow each other, one row of words an entry.

    Args:
        rows: with their aggregate words.
        aggregates: how many of these each has.
        first: number of the first word of the first one.
    """
    places = np.zeros(len(rows), _PLACE)
    shown = min(aggregates, _PLACE_AGGREGATES)
    places["aggregate"][:, :shown] = rows[:, :shown]
    places["row"] = first + np.arange(len(rows)) * rows.shape[1]
    return places.view(np.uint32).reshape(len(rows), -1)


def number_rows(classes: NumberClasses, toggles: Lists) -> Matrix:
    """Return the rows of the classes from ``classes.first`` on.

    Args:
        classes: cut by everything that rules ask for.
        toggles: for each rule where its condition begins to hold and stops, ascending.
    """
    starts, places = np.unique(np.append(toggles.values, np.uint32(0)), return_inverse=True)
    rules = toggles.owners
    # Words in rows and pieces in columns, so that the running exclusive or is along what is contiguous.
    columns = np.zeros((words_of(toggles.size), len(starts)), np.uint64)
    np.bitwise_xor.at(columns, (rules // _WORD_BITS, places[:-1]), _bits(rules))
    np.bitwise_xor.accumulate(columns, axis=1, out=columns)
    return np.ascontiguousarray(columns[:, np.searchsorted(starts, classes.samples, side="right") - 1].T)


def sport_rows(classes: NumberClasses, toggles: Lists, anything: NDArray[np.int64]) -> Matrix:
    """Return the rows of all classes of source ports.

    A packet without ports satisfies only rules that do not ask; of a later fragment nobody can say that it does not
    satisfy.

    Args:
        classes: cut by everything that rules ask for.
        toggles: as for :func:`number_rows`.
        anything: rules that do not ask, and toggle nothing.
    """
    whatever = row_of(anything, toggles.size)
    return np.concatenate((whatever, whole_row(toggles.size), number_rows(classes, toggles) | whatever))


def address_rows(classes: AddressClasses, asked: Conditions) -> AddressRows:
    """Return the rows of an address field, ``asked`` being what each rule asks."""
    rules = asked.wanted.size
    tree = _Tree(classes, np.concatenate((asked.wanted.values, asked.excluded.values)))
    lengths = asked.wanted.lengths
    matrix: Matrix | None = None
    for place in range(int(lengths.max(initial=0))):
        asking = np.flatnonzero(lengths > place)
        accepted = tree.any_of(asking, asked.wanted.values[asked.wanted.offsets[asking] + place], rules)
        _or_row(accepted, row_of(np.flatnonzero(lengths <= place), rules))
        matrix = accepted if matrix is None else np.bitwise_and(matrix, accepted, out=matrix)
    if matrix is None:
        matrix = np.tile(whole_row(rules), (len(tree.classes), 1))
    if len(asked.excluded.values):
        matrix &= ~tree.any_of(asked.excluded.owners, asked.excluded.values, rules)
    are_ipv6 = classes.are_ipv6[tree.classes]
    for family, rows in ((4, ~are_ipv6), (6, are_ipv6)):
        _clear(matrix, np.flatnonzero(rows), np.flatnonzero(asked.families >> family & 1 == 0))
    return AddressRows(matrix, tree.places)


class _Tree:
    """The classes that rules can tell apart: those that some named set adds something to, and the topmost."""

    def __init__(self, classes: AddressClasses, named: NDArray[np.uint32]) -> None:
        own = classes.own
        interesting = np.zeros(len(classes.sets), np.bool_)
        interesting[named] = True
        entries = interesting[own.values]
        owners = own.owners[entries]
        told = classes.parents == np.arange(classes.count)
        told[owners] = True
        #: Numbers of these classes, ascending; in the same order are their rows.
        self.classes = np.flatnonzero(told)
        # Every other class has the row of the one above it.
        nearest = np.arange(classes.count)
        for level in classes.levels[1:]:
            nearest[level] = np.where(told[level], level, nearest[classes.parents[level]])
        rank = np.cumsum(told) - 1
        self.places: NDArray[np.int64] = rank[nearest]
        self._parents = self.places[classes.parents[self.classes]]
        # Those right below the topmost take nothing over from them.
        self._levels = [rank[level[told[level]]] for level in classes.levels[2:]]
        self._owners = rank[owners]
        self._sets = own.values[entries]
        self._set_count = len(interesting)

    def any_of(self, rules: NDArray[np.int64], sets: NDArray[np.uint32], count: int) -> Matrix:
        """Return for each class the rules, out of ``count``, that are paired with one of its sets."""
        matrix = np.zeros((len(self.classes), words_of(count)), np.uint64)
        lengths = np.bincount(sets, minlength=self._set_count)
        order = np.argsort(sets, kind="stable")
        by_set = Lists(np.concatenate(([0], np.cumsum(lengths))), rules[order])
        if lengths[self._sets].sum() <= matrix.size:
            paired = by_set.take(self._sets)
            _set(matrix, np.repeat(self._owners, paired.lengths), paired.values)
        else:
            self._add(matrix, by_set)
        for level in self._levels:
            matrix[level] |= matrix[self._parents[level]]
        return matrix

    def _add(self, matrix: Matrix, by_set: Lists) -> None:
        """OR the rows of sets into those of the classes that have them and whose parents do not."""
        named = np.flatnonzero(by_set.lengths)
        row = np.full(self._set_count, -1)
        row[named] = np.arange(len(named))
        whole = np.zeros((len(named), matrix.shape[1]), np.uint64)
        _set(whole, row[by_set.owners], by_set.values)
        entries = np.flatnonzero(row[self._sets] >= 0)
        for some in np.array_split(entries, 1 + len(entries) * whole[:1].nbytes // _AT_ONCE):
            first = beginnings(self._owners[some])
            rows = whole[row[self._sets[some]]]
            matrix[self._owners[some[first]]] |= np.bitwise_or.reduceat(rows, first) if len(first) else rows


def _bits(rules: NDArray[np.int64]) -> Matrix:
    bits: Matrix = _ONE << (rules % _WORD_BITS).astype(np.uint64)
    return bits


def _set(matrix: Matrix, rows: NDArray[np.int64], rules: NDArray[np.int64]) -> None:
    np.bitwise_or.at(matrix, (rows, rules // _WORD_BITS), _bits(rules))


def _or_row(matrix: Matrix, row: Matrix) -> None:
    """OR a row into all rows, where it has bits."""
    columns = np.flatnonzero(row[0])
    if len(columns) == matrix.shape[1]:
        matrix |= row
    else:
        matrix[:, columns] |= row[:, columns]


def _clear(matrix: Matrix, rows: NDArray[np.int64], rules: NDArray[np.int64]) -> None:
    """Take some rules out of some rows."""
    row = row_of(rules, matrix.shape[1] * _WORD_BITS)
    columns = np.flatnonzero(row[0])
    matrix[np.ix_(rows, columns)] &= ~row[:, columns]
