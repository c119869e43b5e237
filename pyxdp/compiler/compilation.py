"""From effective policy to a map image, once and again.

What a policy has in common with the one before is found by identity: the resolver returns the same objects for what did
not change. Then only the rest is translated, classes are cut only of fields that are asked for something else, and rows
are made only of lists and fields that changed. An image may number classes otherwise than one that is made anew; it
judges the same.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from pyxdp import abi
from pyxdp.abi import Field, Limit
from pyxdp.compiler.blocks import KnownRules
from pyxdp.compiler.fields import Fields
from pyxdp.compiler.image import ImageAddresses, MapImage
from pyxdp.compiler.ruleset import Rulesets, compile_rulesets
from pyxdp.compiler.tables import RulesetTables
from pyxdp.resolver.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyxdp.compiler.ruleset import Ruleset
    from pyxdp.compiler.tables import RuleList
    from pyxdp.resolver import Direction, EffectivePolicy

_NOT_GOVERNED: Final = abi.Ruleset(words=0, aggregates=0, rule_base=0, fields=0, flags=0, row_base=(0,) * Field.FIELDS)


class Numbers(Protocol):
    """Numbers that stay from one policy to the next."""

    def counters(self, identities: Iterable[int]) -> dict[int, int]:
        """Return the counter index of each identity."""

    def endpoints(self, interfaces: Iterable[str]) -> dict[str, int]:
        """Return the endpoint number of each interface."""


class FreshNumbers:
    """Numbers for empty maps: in order."""

    def counters(self, identities: Iterable[int]) -> dict[int, int]:
        """Return the counter index of each identity."""
        return {identity: number for number, identity in enumerate(identities)}

    def endpoints(self, interfaces: Iterable[str]) -> dict[str, int]:
        """Return the endpoint number of each interface."""
        return {interface: number for number, interface in enumerate(interfaces)}


FRESH: Final = FreshNumbers()


class Compilation:
    """Compiles one policy after the other.

    Attributes:
        rulesets: of the policy that was compiled last.
    """

    def __init__(self) -> None:
        self.rulesets = Rulesets(())
        self._known = KnownRules()
        self._fields = Fields()
        self._lists: Memory[tuple[Direction, int], RuleList] = Memory()
        self._image = MapImage({})
        self._tables = RulesetTables()

    def update(self, effective: EffectivePolicy, numbers: Numbers = FRESH) -> MapImage:
        """Compile a policy.

        Raises:
            CapacityError: more than the programs and maps can handle.
        """
        self.rulesets = compile_rulesets(effective, self._known)
        counters = numbers.counters(self.rulesets.identities)
        return self.image(self.rulesets, counters, numbers.endpoints(one.interface for one in self.rulesets.endpoints))

    def image(self, rulesets: Rulesets, counters: Mapping[int, int], endpoints: Mapping[str, int]) -> MapImage:
        """Put rulesets into tables.

        Args:
            rulesets: of all endpoints.
            counters: counter index of every identity in ``rulesets``.
            endpoints: endpoint number of every interface in ``rulesets``.

        Raises:
            CapacityError: more than the maps can have.
        """
        if self._fields.stale:
            self._fields, self._lists = Fields(), Memory()
        self._lists.turn()
        lists = {
            (part.direction, id(part.rules)): self._list(part) for one in rulesets.endpoints for part in one.rulesets
        }
        self._fields.update(lists.values())
        stored, ruleset_tables = self._stored(lists.values(), counters)
        records = [_NOT_GOVERNED] * (max(endpoints.values(), default=-1) + 1) * Limit.RULESETS_PER_ENDPOINT
        for endpoint in rulesets.endpoints:
            base = endpoints[endpoint.interface] * Limit.RULESETS_PER_ENDPOINT
            for part in endpoint.rulesets:
                record = stored[lists[part.direction, id(part.rules)]]
                records[base + part.policy_class.value * 2 + part.direction.value] = record._replace(flags=part.flags)
        tables = {
            "rulesets": memoryview(abi.encode_array(records)),
            **ruleset_tables.finished(self._tables),
            **self._fields.tables,
        }
        self._tables = ruleset_tables
        self._image = MapImage(
            tables,
            {counters[identity]: name for identity, name in rulesets.identities.items()},
            dict(endpoints),
            self._fields.classes.counts,
            ImageAddresses(
                self._fields.classes.address.classes,
                self._fields.sets,
                tuple((record, one.direction, one.rules) for one, record in stored.items()),
            ),
            dict(self._image.hashed),
        )
        return self._image

    def _list(self, part: Ruleset) -> RuleList:
        return self._lists.get(
            (part.direction, id(part.rules)), partial(self._fields.rule_list, part.rules, part.direction)
        )

    def _stored(
        self, lists: Iterable[RuleList], counters: Mapping[int, int]
    ) -> tuple[dict[RuleList, abi.Ruleset], RulesetTables]:
        """Store every list, equal ones once; return their records, and the tables that they are in."""
        counter_of = {None: 0} | dict(counters)
        known: dict[tuple[bytes, bytes], abi.Ruleset] = {}
        stored: dict[RuleList, abi.Ruleset] = {}
        tables = RulesetTables()
        for one in lists:
            records = one.records(counter_of)
            key = one.asked.tobytes(), records.tobytes()
            if key not in known:
                known[key] = tables.append(one, records, self._fields.rows(one))
            stored[one] = known[key]
        return stored, tables
