"""Addresses after small changes of sets against looking at every prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.compiler.addresses import address_classes
from pyxdp.compiler.image import as_table
from pyxdp.compiler.ipv6 import ipv6_blocks
from pyxdp.compiler.lists import NO_LISTS
from pyxdp.compiler.numbers import service_classes, sport_classes
from pyxdp.compiler.pages import address_pages, all_pages, changed_pages
from pyxdp.compiler.recut import SetChange, recut
from pyxdp.net.prefixes import NO_PREFIXES, Prefixes
from pyxdp.resolver import AddressSet
from tests.compiler.reader import Lookup, look_up_ipv6
from tests.compiler.test_classes import NETWORKS, SETS, class_of, edges, holds

if TYPE_CHECKING:
    from random import Random

    from pyxdp.compiler.addresses import AddressClasses
    from pyxdp.compiler.pages import AddressPages
    from pyxdp.net import Address

NUMBERS = service_classes(NO_LISTS).pieces, sport_classes(NO_LISTS).pieces


def changed(one: AddressSet, random: Random) -> AddressSet:
    """The set with some prefixes more and some less."""
    prefixes = one.networks.without(random.sample(list(one.networks), min(len(one.networks), random.randrange(3))))
    return AddressSet(one.id, prefixes.with_(random.sample(NETWORKS, random.randrange(3))))


def found(pages: AddressPages, classes: AddressClasses, address: Address) -> int:
    if address.version == 6:
        return look_up_ipv6(as_table(ipv6_blocks(*classes.ipv6)).cast("I"), int(address))
    tables = (all_pages(pages, *NUMBERS), pages.units)
    return Lookup(*(as_table(one).cast("I") for one in tables)).ipv4(int(address))


@given(SETS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=25)
def test_changes_one_after_the_other(sets: list[AddressSet], random: Random) -> None:
    classes = address_classes(sets)
    pages = address_pages(classes.ipv4)
    for step in range(4):
        before = {one.id: one for one in sets}
        chosen = random.sample(sets, random.randrange(len(sets) + 1))
        now = [changed(one, random) if one in chosen else one for one in sets]
        now.append(changed(AddressSet(f"new{step}", NO_PREFIXES), random))
        changes = [
            SetChange(one, before[one.id].networks if one.id in before else NO_PREFIXES)
            for one in now
            if before.get(one.id) != one
        ]
        result = recut(classes, changes)
        assert result
        sets, classes = now, result.classes
        if result.ipv4:
            pages = changed_pages(pages, classes.ipv4, result.ipv4)
        check(sets, classes, pages)


def check(sets: list[AddressSet], classes: AddressClasses, pages: AddressPages) -> None:
    for address in edges(sets):
        number = class_of(classes, address)
        assert classes.family(number) == address.version
        assert classes.members(number) == {one.id for one in sets if holds(one, address)}
        assert found(pages, classes, address) == number
    assert all(parent <= number for number, parent in enumerate(classes.parents.tolist()))
    assert list(classes.sets) == [one.id for one in sets]


def test_what_comes_and_goes_makes_no_more_classes() -> None:
    one, other = (AddressSet(name, Prefixes.of(NETWORKS[2:4])) for name in ("one", "other"))
    more = AddressSet("one", one.networks.with_(NETWORKS[6:8]))
    classes = address_classes([one, other])
    counts = []
    for _ in range(10):
        for change in (SetChange(more, one.networks), SetChange(one, more.networks)):
            result = recut(classes, [change])
            assert result
            classes = result.classes
        counts.append(classes.count)
    assert counts[0] == counts[-1]


def test_many_changes_are_not_worth_it() -> None:
    one = AddressSet("one", Prefixes.of(NETWORKS))
    classes = address_classes([one])
    many = AddressSet("one", Prefixes.of(NETWORKS[0].supernet(new_prefix=0).subnets(new_prefix=10)))
    assert recut(classes, [SetChange(many, one.networks)]) is None
