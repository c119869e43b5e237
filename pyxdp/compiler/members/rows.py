"""Rows of classes that member changes make.

Whether a rule accepts a class hangs on the sets that the rule names. So the row of a class that came from another one
by entering or leaving some sets differs only in the bits of rules that name one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from pyxdp import abi
from pyxdp.abi import Field, Limit
from pyxdp.compiler.rows import row_places
from pyxdp.resolver import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from pyxdp.compiler.blocks import CompiledRule
    from pyxdp.compiler.matches import AddressCondition
    from pyxdp.compiler.members.classes import AddressClass
    from pyxdp.compiler.members.growing import GrowingTable

    #: Number of a rule, and what it asks of the address.
    Asking: TypeAlias = tuple[int, AddressCondition]
    Rules: TypeAlias = Sequence[CompiledRule]

_BITS: Final = int(Limit.WORD_BITS)
_ADDRESS_FIELDS: Final = (Field.REMOTE, Field.LOCAL)


@dataclass(frozen=True, slots=True)
class _AddressField:
    """A field of addresses that the rules of one ruleset restrict.

    Attributes:
        words: of a row, without aggregates.
        aggregates: words in front of those.
        base: row of class 0, or its entry in the row index.
        conditions: of all its rules.
    """

    words: int
    aggregates: int
    base: int
    conditions: Conditions


class Conditions:
    """What the rules of a list ask of their source, or of their destination."""

    def __init__(self, rules: Rules, *, of_source: bool) -> None:
        self._rules = rules
        self._of_source = of_source
        self._naming: dict[str, list[Asking]] = {}

    def naming(self, name: str) -> list[Asking]:
        """Return those that name a set, each with the number of its rule."""
        if name not in self._naming:
            ends = (one.match.source if self._of_source else one.match.destination for one in self._rules)
            self._naming[name] = [
                (number, one)
                for number, one in enumerate(ends)
                if any(it.id == name for it in one.sets) or any(it.id == name for it in one.not_sets)
            ]
        return self._naming[name]


class ClassRows:
    """The rows of address classes in all rulesets."""

    def __init__(
        self,
        rulesets: Iterable[tuple[abi.Ruleset, Direction, Rules]],
        rows: GrowingTable,
        row_index: GrowingTable,
    ) -> None:
        self._rows = rows
        self._row_index = row_index
        self._fields = list(_address_fields(rulesets))
        self._known: dict[bytes, int] = {}

    def add(self, number: int, made: AddressClass, before: int, changed: frozenset[str]) -> None:
        """Write the rows of a new class.

        Args:
            number: of the class; there must be room for its rows.
            made: what it stands for.
            before: the class that differs from it by some sets.
            changed: those sets.

        Raises:
            NeedsRebuildError: there is no room for a row.
        """
        for one in self._fields:
            naming = (asking for name in changed for asking in one.conditions.naming(name))
            answers = [(rule, _accepts(condition, made)) for rule, condition in naming]
            if one.aggregates:
                self._add_indirect(one, number, before, answers)
            else:
                row = self._rows.element(one.base + before).copy()
                _set_bits(row, answers)
                self._rows.place(one.base + number, row)

    def _add_indirect(self, one: _AddressField, number: int, before: int, answers: list[tuple[int, bool]]) -> None:
        place = self._row_index.element(one.base + before)
        if answers:
            at = abi.decode(abi.RowPlace, place.tobytes()).row
            row = self._rows.words(at, one.aggregates + one.words).copy()
            _set_bits(row[one.aggregates :], answers)
            row[: one.aggregates] = _aggregated(row[one.aggregates :], one.aggregates)
            content = row.tobytes()
            if content not in self._known:
                self._known[content] = self._rows.append(row)
            place = row_places(row.reshape(1, -1), one.aggregates, self._known[content])
        self._row_index.place(one.base + number, place.reshape(-1))


def _address_fields(rulesets: Iterable[tuple[abi.Ruleset, Direction, Rules]]) -> Iterator[_AddressField]:
    known: dict[tuple[int, bool], Conditions] = {}
    for record, direction, rules in rulesets:
        for field in _ADDRESS_FIELDS:
            if record.fields & 1 << field:
                of_source = (field is Field.REMOTE) is (direction is Direction.INGRESS)
                conditions = known.setdefault((id(rules), of_source), Conditions(rules, of_source=of_source))
                yield _AddressField(record.words, record.aggregates, record.row_base[field], conditions)


def _accepts(condition: AddressCondition, made: AddressClass) -> bool:
    return (
        made.family in condition.families
        and all(one.id in made.sets for one in condition.sets)
        and not any(one.id in made.sets for one in condition.not_sets)
    )


def _set_bits(words: NDArray[Any], answers: Iterable[tuple[int, bool]]) -> None:
    for rule, accepted in answers:
        bit = np.uint64(1 << rule % _BITS)
        words[rule // _BITS] = words[rule // _BITS] | bit if accepted else words[rule // _BITS] & ~bit


def _aggregated(words: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    bits = np.packbits(words != 0, bitorder="little")
    padded = np.zeros(count * _BITS // 8, np.uint8)
    padded[: len(bits)] = bits
    return np.frombuffer(padded.tobytes(), "<u8").astype(np.uint64)
