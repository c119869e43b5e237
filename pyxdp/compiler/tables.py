"""The tables of a map image: rulesets with their rules and rows, by classes that all of them share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pyxdp import abi
from pyxdp.abi import Field, RuleFlag
from pyxdp.compiler.addresses import AddressClasses, address_classes
from pyxdp.compiler.lists import distinct_rows
from pyxdp.compiler.numbers import NumberClasses, service_classes, sport_classes
from pyxdp.compiler.rows import address_rows, number_rows, row_of, sport_rows, with_aggregates, words_of
from pyxdp.compiler.service import KEYS
from pyxdp.errors import CapacityError
from pyxdp.resolver import Direction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pyxdp.compiler.matches import AddressCondition, Match
    from pyxdp.compiler.ruleset import Ruleset
    from pyxdp.compiler.sequence import CompiledRule

_BOTH: Final = 2
_ALL_SERVICES: Final = ((0, KEYS - 1),)
_FIELDS: Final = (Field.REMOTE, Field.LOCAL, Field.SERVICE, Field.SPORT)
_ADDRESS_FIELDS: Final = (Field.REMOTE, Field.LOCAL)
#: Word numbers of both slots are below 2^31.
_MAX_ROW_WORDS: Final = 1 << 30

NOT_GOVERNED: Final = abi.Ruleset(words=0, aggregates=0, rule_base=0, fields=0, flags=0, row_base=(0,) * Field.FIELDS)


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of all fields, by what the rules of all rulesets ask for."""

    address: AddressClasses
    service: NumberClasses
    sport: NumberClasses


def classes_of(matches: Iterable[Match]) -> Classes:
    """Cut every field by these conjunctions."""
    matches = list(matches)
    sides = dict.fromkeys(side for match in matches for side in (match.source, match.destination))
    return Classes(
        address_classes(one for side in sides for one in (*side.sets, *side.not_sets)),
        service_classes(match.services for match in matches),
        sport_classes(match.source_ports for match in matches if match.source_ports is not None),
    )


class RulesetTables:
    """Appends rulesets to the tables of rules and rows; equal ones are stored once.

    Attributes:
        rules: records of all rules.
        distinct: record, direction and rules of each ruleset that is stored.
    """

    def __init__(self, classes: Classes, counters: Mapping[int, int]) -> None:
        self.rules: list[abi.Rule] = []
        self.distinct: list[tuple[abi.Ruleset, Direction, tuple[CompiledRule, ...]]] = []
        self._classes = classes
        self._counters = counters
        self._rows = Column(np.uint64, "words of rows", _MAX_ROW_WORDS)
        self._index = Column(np.uint32, "classes of addresses in all rulesets", _MAX_ROW_WORDS)
        self._known: dict[tuple[Direction, tuple[CompiledRule, ...]], abi.Ruleset] = {}
        self._by_object: dict[tuple[Direction, int], abi.Ruleset] = {}

    @property
    def rows(self) -> NDArray[np.uint64]:
        """Rows of all rulesets."""
        return self._rows.joined()

    @property
    def row_index(self) -> NDArray[np.uint32]:
        """Where the rows of address classes begin, in rulesets of many words."""
        return self._index.joined()

    def add(self, ruleset: Ruleset) -> abi.Ruleset:
        """Return the record of a ruleset."""
        key = ruleset.direction, id(ruleset.rules)
        record = self._by_object.get(key)
        if record is None:
            record = self._by_object[key] = self._distinct(ruleset)
        return record._replace(flags=ruleset.flags)

    def _distinct(self, ruleset: Ruleset) -> abi.Ruleset:
        key = ruleset.direction, ruleset.rules
        if key not in self._known:
            self._known[key] = self._append(ruleset)
            self.distinct.append((self._known[key], *key))
        return self._known[key]

    def _append(self, ruleset: Ruleset) -> abi.Ruleset:
        rule_base = len(self.rules)
        words = words_of(len(ruleset.rules))
        restricted = 0
        for rule in ruleset.rules:
            counter = 0 if rule.identity is None else self._counters[rule.identity]
            restricts = _restricts(rule.match, ruleset.direction)
            restricted |= restricts
            self.rules.append(abi.Rule(rule.verdict, rule.flags | restricts * RuleFlag.REMOTE, counter, rule.resume))
        everything = with_aggregates(row_of(range(len(ruleset.rules)), len(ruleset.rules)))
        whole = self._rows.append(everything)
        row_base = [
            self._append_field(ruleset, field)
            if restricted >> field & 1
            else self._append_index(np.zeros(1, np.int64), np.array([whole]))
            if words > 1 and field in _ADDRESS_FIELDS
            else whole
            for field in _FIELDS
        ]
        return abi.Ruleset(words, everything.size - words, rule_base, restricted, 0, tuple(row_base))

    def _append_field(self, ruleset: Ruleset, field: Field) -> int:
        """Append the rows of a field that some rule restricts; return what ``row_base`` has for it."""
        matches = [rule.match for rule in ruleset.rules]
        if field is Field.SERVICE:
            return self._rows.append(
                with_aggregates(number_rows(self._classes.service, [one.services for one in matches]))
            )
        if field is Field.SPORT:
            return self._rows.append(
                with_aggregates(sport_rows(self._classes.sport, [one.source_ports for one in matches]))
            )
        source = (field is Field.REMOTE) == (ruleset.direction is Direction.INGRESS)
        return self._append_addresses([one.source if source else one.destination for one in matches])

    def _append_addresses(self, conditions: Sequence[AddressCondition]) -> int:
        classes = self._classes.address
        matrix, places = address_rows(classes, conditions)
        room = classes.room - classes.count
        if matrix.shape[1] == 1:
            return self._rows.append(np.concatenate((matrix[places], np.zeros((room, 1), np.uint64))))
        first, numbers = distinct_rows(matrix.view(np.uint32))
        rows = with_aggregates(matrix[first])
        begins = self._rows.append(rows) + np.arange(len(rows)) * rows.shape[1]
        return self._append_index(np.concatenate((numbers[places], np.zeros(room, np.int64))), begins)

    def _append_index(self, numbers: NDArray[np.int64], begins: NDArray[np.int64]) -> int:
        entries = begins[numbers].astype(np.uint32)
        # In pairs, so that every ruleset begins with a whole one.
        return self._index.append(np.append(entries, np.zeros(len(entries) % 2, np.uint32)))


class Column:
    """Numbers of one table, appended part by part."""

    def __init__(self, kind: type[np.generic], what: str, limit: int) -> None:
        self._parts: list[NDArray[Any]] = [np.empty(0, kind)]
        self._count = 0
        self._what = what
        self._limit = limit

    def append(self, numbers: NDArray[Any]) -> int:
        """Append numbers and return the index of the first."""
        first = self._count
        self._count += numbers.size
        if self._count > self._limit:
            raise CapacityError(self._what, needed=self._count, limit=self._limit)
        self._parts.append(numbers.reshape(-1))
        return first

    def joined(self) -> NDArray[Any]:
        return np.concatenate(self._parts)


def _restricts(match: Match, direction: Direction) -> int:
    """Return which fields a rule restricts, as bits: decided by what it asks for, not by the members that sets have now."""
    ends = (match.source, match.destination)
    remote, local = ends if direction is Direction.INGRESS else ends[::-1]
    return (
        _asks(remote) << Field.REMOTE
        | _asks(local) << Field.LOCAL
        | (match.services != _ALL_SERVICES) << Field.SERVICE
        | (match.source_ports is not None) << Field.SPORT
    )


def _asks(condition: AddressCondition) -> bool:
    return bool(condition.sets or condition.not_sets or len(condition.families) < _BOTH)
