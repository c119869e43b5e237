"""What all rules ask of each field, cut into classes, and the tables to look classes up; kept from policy to policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp.compiler.addresses import address_classes, is_too_large
from pyxdp.compiler.image import as_table
from pyxdp.compiler.ipv6 import ipv6_blocks
from pyxdp.compiler.lists import NO_LISTS
from pyxdp.compiler.numbers import service_classes, sport_classes
from pyxdp.compiler.pages import address_pages, all_pages, changed_pages
from pyxdp.compiler.recut import SetChange, recut
from pyxdp.compiler.tables import FIELDS, AddressField, Classes, RuleList
from pyxdp.compiler.terms import SERVICE, SPORT, Terms
from pyxdp.net.prefixes import NO_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from pyxdp.abi import Field
    from pyxdp.compiler.addresses import AddressClasses
    from pyxdp.compiler.blocks import CompiledRule
    from pyxdp.compiler.recut import Recut
    from pyxdp.compiler.tables import FieldRows
    from pyxdp.resolver import AddressSet, Direction

#: Matches that are remembered although no rule has them any more: so many for each that some rule has, and some more.
_STALE: Final = 4
_STALE_AT_LEAST: Final = 4096

#: Prefixes of sets that no rule asks for, and classes and pages that small changes added: so many, and a part of all
#: pieces.
_LITTLE: Final = 256
_SHARE: Final = 16


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
        self._sets = np.empty(0, np.uint32)
        self._names: list[int] = []
        self._services = self._sports = np.empty(0, np.uint32)
        addresses = AddressField(address_classes(()), np.empty(0, np.int64))
        self.classes = Classes(addresses, service_classes(NO_LISTS), sport_classes(NO_LISTS))
        self.tables: dict[str, memoryview] = {}
        self._look_up_all()
        self._join_pages()

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
        sets = self._terms.set_numbers(matches)
        if not np.array_equal(sets, self._sets):
            self._sets = sets
            self._cut_addresses(self._terms.sets(sets))
        self._cut_numbers(np.unique(asked[:, SERVICE]), np.unique(asked[:, SPORT]))
        if self.classes is not before:
            self._join_pages()

    def rows(self, one: RuleList) -> dict[Field, FieldRows]:
        """Return what a list has in the tables for the fields that it restricts."""
        return {field: one.rows(field, self.classes, self._terms) for field in FIELDS if one.fields >> field & 1}

    def _cut_addresses(self, named: Mapping[int, AddressSet]) -> None:
        """Cut addresses by the sets that rules ask for. Sets that none asks for any more do no harm for a while."""
        classes = self.classes.address.classes
        changes = [
            SetChange(one, NO_PREFIXES if known is None else known.networks)
            for one in named.values()
            for known in [classes.sets.get(one.id)]
            if known is None or (known.networks is not one.networks and known.networks != one.networks)
        ]
        self._names += (name for name, one in named.items() if one.id not in classes.sets)
        changed = recut(classes, changes) if classes.sets and self._is_worth_keeping(named) else None
        if changed is None or is_too_large(changed.classes):
            self._names = list(named)
            self._take(address_classes(named.values()))
            self._look_up_all()
        elif changes:
            self._take(changed.classes)
            self._look_up_again(changed)
        self.sets = {**self.classes.address.classes.sets, **{one.id: one for one in named.values()}}

    def _is_worth_keeping(self, named: Mapping[int, AddressSet]) -> bool:
        """Tell whether most of what addresses are cut by is still asked for, and little was added since."""
        classes = self.classes.address.classes
        asked = {one.id for one in named.values()}
        stale = sum(len(one.networks) for name, one in classes.sets.items() if name not in asked)
        added = len(classes.made) + self._pages.size - self._fresh_pages
        return stale + added <= _LITTLE + (len(classes.ipv4.starts) + len(classes.ipv6.high)) // _SHARE

    def _take(self, classes: AddressClasses) -> None:
        places = np.full(max(self._names, default=0) + 1, -1)
        places[self._names] = np.arange(len(self._names))
        self.classes = self.classes._replace(address=AddressField(classes, places))

    def _look_up_all(self) -> None:
        classes = self.classes.address.classes
        self._pages = address_pages(classes.ipv4)
        self._fresh_pages = self._pages.size
        self._store(ipv6=True)

    def _look_up_again(self, changed: Recut) -> None:
        if changed.ipv4:
            self._pages = changed_pages(self._pages, changed.classes.ipv4, changed.ipv4)
        self._store(ipv6=bool(changed.ipv6))

    def _join_pages(self) -> None:
        pages = all_pages(self._pages, self.classes.service.pieces, self.classes.sport.pieces)
        self._pages = self._pages.within(pages)
        self.tables["pages"] = as_table(pages)

    def _store(self, *, ipv6: bool) -> None:
        self.tables["pieces"] = as_table(self._pages.units)
        if ipv6:
            self.tables["ipv6"] = as_table(ipv6_blocks(*self.classes.address.classes.ipv6))

    def _cut_numbers(self, services: NDArray[np.uint32], sports: NDArray[np.uint32]) -> None:
        if not np.array_equal(services, self._services):
            self._services = services
            self.classes = self.classes._replace(service=service_classes(self._terms.services.toggles.take(services)))
        if not np.array_equal(sports, self._sports):
            self._sports = sports
            self.classes = self.classes._replace(sport=sport_classes(self._terms.sports.toggles.take(sports)))
