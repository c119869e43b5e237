"""The tables of rulesets: rules and rows, by classes that all rulesets share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from pyxdp import abi
from pyxdp.abi import Field, RuleFlag
from pyxdp.compiler.image import as_table
from pyxdp.compiler.lists import distinct_rows
from pyxdp.compiler.rows import address_rows, number_rows, row_places, sport_rows, whole_row, with_aggregates, words_of
from pyxdp.compiler.terms import WHATEVER
from pyxdp.errors import CapacityError
from pyxdp.resolver import Direction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pyxdp.compiler.addresses import AddressClasses
    from pyxdp.compiler.blocks import CompiledRule
    from pyxdp.compiler.numbers import NumberClasses
    from pyxdp.compiler.rows import Matrix
    from pyxdp.compiler.terms import Terms

FIELDS: Final = (Field.REMOTE, Field.LOCAL, Field.SERVICE, Field.SPORT)

#: Word numbers of both slots are below 2^31.
_MAX_ENTRIES: Final = 1 << 30


class AddressField(NamedTuple):
    """Both address fields.

    Attributes:
        classes: of all addresses.
        names: number of each set in ``classes``, by the number that its id has in terms.
    """

    classes: AddressClasses
    names: NDArray[np.int64]


class Classes(NamedTuple):
    """The classes of all fields, by what the rules of all lists ask for."""

    address: AddressField
    service: NumberClasses
    sport: NumberClasses

    @property
    def counts(self) -> dict[Field, int]:
        """How many classes each field has."""
        addresses = self.address.classes.count
        return dict(zip(FIELDS, (addresses, addresses, self.service.count, self.sport.count), strict=True))


class FieldRows(NamedTuple):
    """What a ruleset has in the tables for one field.

    Attributes:
        rows: with their aggregate words.
        places: for each class the number of its row; ``None`` where there is one word, and a row for each class.
    """

    rows: Matrix
    places: NDArray[np.int64] | None

    @classmethod
    def in_order(cls, matrix: Matrix) -> FieldRows:
        """Return what a field with a row for each class has."""
        count, words = matrix.shape
        return cls(with_aggregates(matrix), np.arange(count) if words > 1 else None)


class RuleList:
    """The rules of a list, column by column.

    Attributes:
        rules: the list.
        asked: numbers of their conditions (see :class:`Terms`), one row a rule, one column a field.
        restricts: which fields each rule restricts, as bits; decided by what it asks for, not by the members that
            sets have now.
        fields: which fields some rule restricts.
    """

    def __init__(
        self, rules: tuple[CompiledRule, ...], matches: NDArray[np.int64], direction: Direction, terms: Terms
    ) -> None:
        asked = terms.asked[matches]
        self.rules = rules
        self.matches = matches
        self.direction = direction
        self.asked = asked if direction is Direction.INGRESS else asked[:, [1, 0, 2, 3]]
        self.restricts = ((self.asked != WHATEVER) << np.arange(Field.FIELDS)).sum(axis=1)
        self.fields = int(np.bitwise_or.reduce(self.restricts))
        self._identities = [rule.identity for rule in rules]
        self._verdicts = np.array([rule.verdict for rule in rules], np.uint32)
        self._flags = np.array([rule.flags for rule in rules]) | self.restricts * RuleFlag.REMOTE
        self._resumes = np.array([rule.resume for rule in rules], np.uint32)
        self._rows: dict[Field, tuple[object, FieldRows]] = {}

    @property
    def words(self) -> int:
        """Words of a row without aggregates."""
        return words_of(len(self.rules))

    def records(self, counters: Mapping[int | None, int]) -> NDArray[np.uint32]:
        """Return the records of ``pyxdp_rules``, one row a rule; ``counters`` has one for ``None``, too."""
        counter = np.array(list(map(counters.__getitem__, self._identities)), np.uint32)
        columns = {"verdict": self._verdicts, "flags": self._flags, "counter": counter, "resume": self._resumes}
        return np.stack([columns[name] for name in abi.Rule._fields], axis=1).astype(np.uint32)

    def rows(self, field: Field, classes: Classes, terms: Terms) -> FieldRows:
        """Return what the list has for a field that some rule restricts; the same object for the same classes."""
        of_field = (classes.address, classes.address, classes.service, classes.sport)[field]
        known = self._rows.get(field)
        if known is None or known[0] is not of_field:
            known = self._rows[field] = of_field, self._made(field, classes, terms)
        return known[1]

    def _made(self, field: Field, classes: Classes, terms: Terms) -> FieldRows:
        asked = self.asked[:, field]
        if field == Field.SERVICE:
            return FieldRows.in_order(number_rows(classes.service, terms.services.toggles.take(asked)))
        if field == Field.SPORT:
            anything = np.flatnonzero(asked == WHATEVER)
            return FieldRows.in_order(sport_rows(classes.sport, terms.sports.toggles.take(asked), anything))
        return self._address_rows(asked, classes.address, terms)

    def _address_rows(self, asked: NDArray[np.uint32], field: AddressField, terms: Terms) -> FieldRows:
        matrix, places = address_rows(field.classes, terms.addresses.conditions(asked, field.names))
        room = field.classes.room - field.classes.count
        if self.words == 1:
            return FieldRows(np.concatenate((matrix[places], np.zeros((room, 1), np.uint64))), None)
        first, numbers = distinct_rows(matrix.view(np.uint32))
        return FieldRows(with_aggregates(matrix[first]), np.concatenate((numbers[places], np.zeros(room, np.int64))))


class RulesetTables:
    """Puts lists into the tables of rules and rows.

    Attributes:
        columns: the tables, by name.
    """

    def __init__(self) -> None:
        self.columns = {
            "rules": Column(np.uint32, "rules of all endpoints"),
            "rows": Column(np.uint64, "words of rows of all endpoints"),
            "row_index": Column(np.uint32, "places of rows of all rulesets"),
        }

    def finished(self, before: RulesetTables) -> dict[str, memoryview]:
        """Return the tables by name; those of another image where they are the same."""
        return {name: column.finished(before.columns[name]) for name, column in self.columns.items()}

    def append(self, rules: RuleList, records: NDArray[np.uint32], rows: Mapping[Field, FieldRows]) -> abi.Ruleset:
        """Append a list; ``rows`` has the fields that it restricts.

        Returns:
            Its record, without flags.

        Raises:
            CapacityError: the rows of all lists are too many.
        """
        rule_base = self.columns["rules"].append(records) // records.shape[1]
        everything = FieldRows.in_order(whole_row(len(rules.rules)))
        aggregates = everything.rows.size - rules.words
        shared = self._append_field(everything, aggregates)
        bases = [self._append_field(rows[field], aggregates) if field in rows else shared for field in FIELDS]
        return abi.Ruleset(rules.words, aggregates, rule_base, rules.fields, 0, tuple(bases))

    def _append_field(self, field: FieldRows, aggregates: int) -> int:
        first = self.columns["rows"].append(field.rows)
        if field.places is None:
            return first
        entries = row_places(field.rows, aggregates, first)[field.places]
        place: int = self.columns["row_index"].append(entries) // entries.shape[1]
        return place


class Column:
    """One table, appended part by part.

    Attributes:
        parts: what was appended.
        table: all of it, when it is finished.
    """

    def __init__(self, kind: type[np.generic], what: str) -> None:
        self.parts: list[NDArray[Any]] = [np.empty(0, kind)]
        self.table: memoryview | None = None
        self._count = 0
        self._what = what

    def append(self, numbers: NDArray[Any]) -> int:
        """Append numbers and return the index of the first.

        Raises:
            CapacityError: there are more than the programs can count.
        """
        first = self._count
        self._count += numbers.size
        if self._count > _MAX_ENTRIES:
            raise CapacityError(self._what, needed=self._count, limit=_MAX_ENTRIES)
        self.parts.append(numbers.reshape(-1))
        return first

    def finished(self, before: Column) -> memoryview:
        """Join all parts, or return what they were joined to before."""
        known = before.table if len(before.parts) == len(self.parts) else None
        if known is None or not all(map(_is_same, before.parts, self.parts)):
            known = as_table(np.concatenate(self.parts))
        self.table = known
        return known


def _is_same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one is other or one.base is other.base is not None or np.array_equal(one, other)
