"""What all rules ask of each field, cut into classes, and the tables to look classes up; kept from policy to policy."""

from __future__ import annotations

from operator import eq
from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp.compiler.addresses import address_classes
from pyxdp.compiler.image import as_table
from pyxdp.compiler.ipv6 import ipv6_blocks
from pyxdp.compiler.lists import NO_LISTS
from pyxdp.compiler.numbers import service_classes, sport_classes
from pyxdp.compiler.pages import address_pages, all_pages
from pyxdp.compiler.tables import FIELDS, AddressField, Classes, RuleList
from pyxdp.compiler.terms import SERVICE, SPORT, Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from pyxdp.abi import Field
    from pyxdp.compiler.blocks import CompiledRule
    from pyxdp.compiler.tables import FieldRows
    from pyxdp.resolver import AddressSet, Direction

#: Matches that are remembered although no rule has them any more: so many for each that some rule has, and some more.
_STALE: Final = 4
_STALE_AT_LEAST: Final = 4096


class Fields:
    """The fields of packets, by what the rules of a policy ask.

    Attributes:
        sets: the address sets that rules ask for, by id.
        classes: of all fields.
        tables: in which addresses and numbers are looked up, by map name.
    """

    def __init__(self) -> None:
        self._terms = Terms()
        self._used = 0
        self.sets: dict[str, AddressSet] = {}
        self._names: list[int] = []
        self._services = self._sports = np.empty(0, np.uint32)
        addresses = AddressField(address_classes(()), np.empty(0, np.int64))
        self.classes = Classes(addresses, service_classes(NO_LISTS), sport_classes(NO_LISTS))
        self.tables: dict[str, memoryview] = {}
        self._look_up_addresses()
        self._look_up_numbers()

    @property
    def stale(self) -> bool:
        """Whether it is time to begin anew, since most of what is remembered is of no use."""
        return self._terms.size > _STALE * self._used + _STALE_AT_LEAST

    def rule_list(self, rules: tuple[CompiledRule, ...], direction: Direction) -> RuleList:
        """Put the rules of a list into columns."""
        return RuleList(rules, self._terms.numbers(rules), direction, self._terms)

    def update(self, lists: Iterable[RuleList]) -> None:
        """Cut the fields by what the rules of these lists ask for, unless they are cut so already."""
        matches = np.unique(np.concatenate([np.empty(0, np.int64), *(one.matches for one in lists)]))
        asked = self._terms.asked[matches]
        self._used = len(matches)
        before = self.classes
        self._cut_addresses(self._terms.sets(matches))
        self._cut_numbers(np.unique(asked[:, SERVICE]), np.unique(asked[:, SPORT]))
        if self.classes.address is not before.address:
            self._look_up_addresses()
        if self.classes is not before:
            self._look_up_numbers()

    def rows(self, one: RuleList) -> dict[Field, FieldRows]:
        """Return what a list has in the tables for the fields that it restricts."""
        return {field: one.rows(field, self.classes, self._terms) for field in FIELDS if one.fields >> field & 1}

    def _cut_addresses(self, named: Mapping[int, AddressSet]) -> None:
        before = [one.networks for one in self.sets.values()]
        sets = {one.id: one for one in named.values()}
        names, self._names = self._names, list(named)
        self.sets = sets
        if names == self._names and all(map(eq, before, (one.networks for one in sets.values()))):
            return
        places = np.full(max(named, default=0) + 1, -1)
        places[self._names] = np.arange(len(named))
        self.classes = self.classes._replace(address=AddressField(address_classes(sets.values()), places))

    def _cut_numbers(self, services: NDArray[np.uint32], sports: NDArray[np.uint32]) -> None:
        if not np.array_equal(services, self._services):
            self._services = services
            self.classes = self.classes._replace(service=service_classes(self._terms.services.toggles.take(services)))
        if not np.array_equal(sports, self._sports):
            self._sports = sports
            self.classes = self.classes._replace(sport=sport_classes(self._terms.sports.toggles.take(sports)))

    def _look_up_addresses(self) -> None:
        classes = self.classes.address.classes
        self._pages = address_pages(classes.ipv4)
        self.tables["pieces"] = as_table(self._pages.units)
        self.tables["ipv6"] = as_table(ipv6_blocks(*classes.ipv6))

    def _look_up_numbers(self) -> None:
        self.tables["pages"] = as_table(all_pages(self._pages, self.classes.service.pieces, self.classes.sport.pieces))
