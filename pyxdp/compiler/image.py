"""The map image: what one slot of every map holds, as bytes."""

from __future__ import annotations

import hashlib
import sys
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyxdp import abi
from pyxdp.abi import Field, Limit, Page
from pyxdp.compiler.classes import (
    AddressClasses,
    NumberClasses,
    address_classes,
    address_rows,
    number_rows,
    service_classes,
    sport_classes,
)
from pyxdp.compiler.lookup import PageBuilder, range_table
from pyxdp.resolver import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyxdp.compiler.intervals import Intervals
    from pyxdp.compiler.matches import AddressCondition, Match
    from pyxdp.compiler.ruleset import Ruleset, Rulesets
    from pyxdp.compiler.sequence import CompiledRule

_WORD_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class MapImage:
    """Everything that a policy puts into the maps.

    Attributes:
        tables: by map name, contents of one slot from its first entry on; the rest of the slot is zero.
        names: record of each identity by counter index.
        endpoints: endpoint number by interface name.
    """

    tables: Mapping[str, bytes]
    names: Mapping[int, abi.Name] = field(default_factory=dict)
    endpoints: Mapping[str, int] = field(default_factory=dict)

    @property
    def digest(self) -> bytes:
        """SHA-256 over everything that decides about packets."""
        digest = hashlib.sha256(f"{abi.AbiVersion.VERSION}".encode())
        for name in sorted(self.tables):
            table = self.tables[name]
            digest.update(f"\n{name} {len(table)}\n".encode())
            digest.update(table)
        return digest.digest()


@dataclass(frozen=True, slots=True)
class _Classes:
    address: AddressClasses
    service: NumberClasses
    sport: NumberClasses


def build_image(rulesets: Rulesets, counters: Mapping[int, int], endpoint_numbers: Mapping[str, int]) -> MapImage:
    """Put rulesets into tables.

    Args:
        rulesets: of all endpoints.
        counters: counter index of every identity in ``rulesets``.
        endpoint_numbers: endpoint number of every interface in ``rulesets``.
    """
    # Interfaces of one host endpoint share their lists of rules; hashing those again and again would take seconds.
    lists = {id(part.rules): part.rules for one in rulesets.endpoints for part in one.rulesets}
    classes = _classes([rule.match for rules in lists.values() for rule in rules])
    pages = PageBuilder()
    pages.place(Page.IPV4, 32, classes.address.ipv4)
    pages.place(Page.SERVICE, 19, classes.service.pieces)
    pages.place(Page.SPORT, 16, classes.sport.pieces)
    ranges = range_table(classes.address.ipv6)
    tables = _RulesetTables(classes, counters)
    records = [_NOT_GOVERNED] * (max(endpoint_numbers.values(), default=-1) + 1) * Limit.RULESETS_PER_ENDPOINT
    for endpoint in rulesets.endpoints:
        base = endpoint_numbers[endpoint.interface] * Limit.RULESETS_PER_ENDPOINT
        for ruleset in endpoint.rulesets:
            records[base + ruleset.policy_class.value * 2 + ruleset.direction.value] = tables.add(ruleset)
    return MapImage(
        {
            "rulesets": abi.encode_array(records),
            "rules": abi.encode_array(tables.rules),
            "rows": bytes(tables.rows),
            "pages": abi.encode_u32(pages.entries),
            "ranges": abi.encode_array(ranges.ranges),
            "range_index": abi.encode_u64(ranges.index),
        },
        {counters[identity]: name for identity, name in rulesets.identities.items()},
        dict(endpoint_numbers),
    )


_NOT_GOVERNED: Final = abi.Ruleset(words=0, aggregates=0, rule_base=0, fields=0, flags=0, row_base=(0,) * Field.FIELDS)


def _classes(matches: Iterable[Match]) -> _Classes:
    matches = list(matches)
    sides = [side for match in matches for side in (match.source, match.destination)]
    return _Classes(
        address_classes(one for side in dict.fromkeys(sides) for one in (*side.sets, *side.not_sets)),
        service_classes(match.services for match in matches),
        sport_classes(match.source_ports for match in matches),
    )


class _RulesetTables:
    """Appends rulesets to the tables of rules and rows; equal ones are stored once."""

    def __init__(self, classes: _Classes, counters: Mapping[int, int]) -> None:
        self.rules: list[abi.Rule] = []
        self.rows = bytearray()
        self._classes = classes
        self._counters = counters
        self._known: dict[tuple[Direction, tuple[CompiledRule, ...]], abi.Ruleset] = {}
        self._by_object: dict[tuple[Direction, int], abi.Ruleset] = {}

    def add(self, ruleset: Ruleset) -> abi.Ruleset:
        key = ruleset.direction, id(ruleset.rules)
        record = self._by_object.get(key)
        if record is None:
            record = self._by_object[key] = self._distinct(ruleset)
        return record._replace(flags=ruleset.flags)

    def _distinct(self, ruleset: Ruleset) -> abi.Ruleset:
        key = ruleset.direction, ruleset.rules
        if key not in self._known:
            self._known[key] = self._append(ruleset)
        return self._known[key]

    def _append(self, ruleset: Ruleset) -> abi.Ruleset:
        rule_base = len(self.rules)
        words = -(-len(ruleset.rules) // Limit.WORD_BITS)
        aggregates = 0 if words == 1 else -(-words // Limit.WORD_BITS)
        for rule in ruleset.rules:
            counter = 0 if rule.identity is None else self._counters[rule.identity]
            self.rules.append(abi.Rule(rule.verdict, rule.flags, counter, rule.resume))
        fields = 0
        row_base = [0] * Field.FIELDS
        ones = (1 << len(ruleset.rules)) - 1
        for number, rows in self._fields(ruleset).items():
            row_base[number] = len(self.rows) // _WORD_BYTES
            if all(row == ones for row in rows):
                rows = [ones]  # noqa: PLW2901 - nobody looks this field up: class 0 stands for all
            else:
                fields |= 1 << number
            for row in rows:
                self.rows += _row_bytes(row, words, aggregates)
        return abi.Ruleset(words, aggregates, rule_base, fields, 0, tuple(row_base))

    def _fields(self, ruleset: Ruleset) -> dict[Field, list[int]]:
        matches = [rule.match for rule in ruleset.rules]
        sources: list[AddressCondition] = [match.source for match in matches]
        destinations = [match.destination for match in matches]
        ingress = ruleset.direction is Direction.INGRESS
        source_ports: list[Intervals | None] = [match.source_ports for match in matches]
        classes = self._classes
        return {
            Field.REMOTE: address_rows(classes.address, sources if ingress else destinations),
            Field.LOCAL: address_rows(classes.address, destinations if ingress else sources),
            Field.SERVICE: number_rows(classes.service, [match.services for match in matches]),
            Field.SPORT: number_rows(classes.sport, source_ports),
        }


def _row_bytes(row: int, words: int, aggregates: int) -> bytes:
    content = row.to_bytes(words * _WORD_BYTES, "little")
    if not aggregates:
        return content
    numbers = array("Q", content)
    if sys.byteorder == "big":
        numbers.byteswap()
    aggregate = sum(1 << index for index, word in enumerate(numbers) if word)
    return aggregate.to_bytes(aggregates * _WORD_BYTES, "little") + content
