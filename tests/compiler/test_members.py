"""Members enter and leave sets of a compiled policy: packets are judged as after a fresh compile, store by store."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.compiler import compile_policy
from pyxdp.compiler.members import MemberTable, NeedsRebuildError
from pyxdp.model import Action
from pyxdp.net.prefixes import Prefixes
from pyxdp.resolver import AddressSet, Side
from tests.compiler.policies import effective, policy, rule, tier
from tests.compiler.slots import Judged, room_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyxdp.net import Network
    from pyxdp.net.values import Family
    from pyxdp.resolver import EffectivePolicy, EffectiveRule

    #: Names of the sets that an address must be in, and must not be in.
    Asked = tuple[frozenset[str], frozenset[str]]

SPACES = {4: (32, (0, 8, 15, 16, 23, 24, 25, 31, 32)), 6: (128, (0, 3, 32, 63, 64, 65, 127, 128))}
NETWORKS = {4: IPv4Network, 6: IPv6Network}
NAMES = ("s:a", "s:b", "s:c")
#: After so many stores of one delta, and as many of those behind them, addresses are looked up.
MANY = 20


def networks(versions: Sequence[int] = (4, 6)) -> st.SearchStrategy[Network]:
    """Prefixes that often nest, touch and repeat."""

    def made(version: int, length: int, chosen: list[int]) -> Network:
        address = bytes(chosen * 4)[: SPACES[version][0] // 8]
        return ip_network((address, length), strict=False)

    return st.sampled_from(versions).flatmap(
        lambda version: st.builds(
            made,
            st.just(version),
            st.sampled_from(SPACES[version][1]),
            st.lists(st.sampled_from((0, 1, 0x80, 0xFF)), min_size=4, max_size=4),
        )
    )


def sides() -> st.SearchStrategy[Asked]:
    some = st.frozensets(st.sampled_from(NAMES), max_size=2)
    return st.tuples(some, some)


@dataclass
class World:
    """A policy whose sets change: the plain truth."""

    rules: Sequence[tuple[frozenset[Family], Asked, Asked]]
    sets: dict[str, set[Network]]
    seen: set[tuple[int, int]] = field(default_factory=set)

    def policy(self) -> EffectivePolicy:
        sets = {name: AddressSet(name, Prefixes.of(members)) for name, members in self.sets.items()}
        return effective(tier("t", policy("p", *(self._rule(number, sets) for number in range(len(self.rules))))))

    def _rule(self, number: int, sets: Mapping[str, AddressSet]) -> EffectiveRule:
        families, source, destination = self.rules[number]
        action = Action.ALLOW if number % 2 else Action.DENY
        sides = {"source": _side(source, sets), "destination": _side(destination, sets)}
        return rule(action, index=number, families=families, **sides)

    def probes(self, changed: Iterable[Network]) -> set[tuple[int, int]]:
        """Both sides of every edge of some prefixes."""
        found = set()
        for network in changed:
            first, last = int(network[0]), int(network[-1])
            end = 1 << SPACES[network.version][0]
            found |= {(network.version, at) for at in (first - 1, first, last, last + 1) if 0 <= at < end}
        self.seen |= found
        return found


def _side(asked: Asked, sets: Mapping[str, AddressSet]) -> Side:
    wanted, unwanted = (tuple(sets[name] for name in sorted(names)) for names in asked)
    return Side(wanted, unwanted)


@pytest.mark.parametrize("rules", [3, 70])
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_judged_like_a_fresh_compile(rules: int, data: st.DataObject) -> None:
    families = st.sampled_from((frozenset({4}), frozenset({6}), frozenset({4, 6})))
    written = data.draw(st.lists(st.tuples(families, sides(), sides()), min_size=3, max_size=5))
    world = World(
        [written[number % len(written)] for number in range(rules)],
        {name: set(data.draw(st.lists(networks(), max_size=6))) for name in NAMES},
    )
    image = compile_policy(world.policy())
    room = room_of(image)
    judged, table = Judged.of(image, room), MemberTable(image, room)
    for _ in range(data.draw(st.integers(1, 5))):
        name = data.draw(st.sampled_from(NAMES))
        entering = data.draw(st.booleans())
        known = sorted(world.sets[name], key=str)
        some = networks() | st.sampled_from(known) if known else networks()
        changed = data.draw(st.lists(some, min_size=1, max_size=3))
        if not step(world, judged, table, name, changed, entering=entering):
            return
    fresh = compile_policy(world.policy())
    anew = Judged.of(fresh, room_of(fresh))
    for probe in world.seen:
        assert judged.rows(*probe) == anew.rows(*probe), f"{probe[1]:#x}"


def step(  # noqa: PLR0913 - a change, and what it is made to
    world: World, judged: Judged, table: MemberTable, name: str, changed: list[Network], *, entering: bool
) -> bool:
    """Carry out a change, and watch its edges; False when a rebuild is asked for."""
    probes = world.probes(changed)
    old = {probe: judged.rows(*probe) for probe in probes}
    try:
        delta = (table.add if entering else table.remove)(name, changed)
    except NeedsRebuildError:
        return False
    if entering:
        world.sets[name] |= set(changed)
    else:
        world.sets[name] -= set(changed)
    fresh = compile_policy(world.policy())
    anew = Judged.of(fresh, room_of(fresh))
    new = {probe: anew.rows(*probe) for probe in probes}
    stores = len(delta.writes) + sum(len(flips.offsets) for flips in delta.flips)
    for number, _ in enumerate(judged.slot.carried_out(delta)):
        if number < MANY or number % (stores // MANY) == 0:
            for probe in probes:
                assert judged.rows(*probe) in (old[probe], new[probe]), f"{probe[1]:#x}"
    for probe in probes:
        assert judged.rows(*probe) == new[probe], f"{probe[1]:#x}"
    return True


def blocklist(*networks: str) -> World:
    """One set that one rule names, and two that nobody fills."""
    return World([_named("s:a")], {"s:a": {ip_network(it) for it in networks}, "s:b": set(), "s:c": set()})


def _named(name: str) -> tuple[frozenset[Family], Asked, Asked]:
    """A rule for one set of sources."""
    return frozenset({4, 6}), (frozenset({name}), frozenset()), (frozenset(), frozenset())


#: More pieces than a list holds, so the last byte has a page.
DENSE = range(0, 128, 2)


@pytest.mark.parametrize("last_bytes", [[5], [5, 77], DENSE], ids=["a piece", "a list", "a page"])
def test_what_several_entries_lead_to_changes_for_one_only(last_bytes: Sequence[int]) -> None:
    blocks = ("192.0.2", "198.51.2", "100.64.2", "100.64.3")
    world = blocklist(*(f"{block}.{last}" for block in blocks for last in last_bytes))
    image = compile_policy(world.policy())
    room = room_of(image)
    judged, table = Judged.of(image, room), MemberTable(image, room)
    for block in blocks:
        world.probes([ip_network(f"{block}.0/24"), ip_network(f"{block}.200"), ip_network(f"{block}.5")])
    for block in blocks[::2]:
        for entering, changed in ((True, f"{block}.200"), (False, f"{block}.5"), (True, f"{block}.201")):
            assert step(world, judged, table, "s:a", [ip_network(changed)], entering=entering)
            fresh = compile_policy(world.policy())
            anew = Judged.of(fresh, room_of(fresh))
            assert all(judged.rows(*probe) == anew.rows(*probe) for probe in world.seen)


@pytest.mark.parametrize("address", ["192.0.2.7", "203.0.113.7", "2001:db8::7", "2001:db9:1::/48"])
def test_who_comes_and_goes_takes_room_once(address: str) -> None:
    world = blocklist("192.0.2.1", "192.0.2.3", "2001:db8::/64", "2001:db8::1")
    image = compile_policy(world.policy())
    room = room_of(image, more=8)
    judged, table = Judged.of(image, room), MemberTable(image, room)
    for _ in range(50):
        for entering in (True, False):
            assert step(world, judged, table, "s:a", [ip_network(address)], entering=entering)


def test_a_set_that_no_rule_names_changes_nothing() -> None:
    image = compile_policy(blocklist("192.0.2.1").policy())
    assert not MemberTable(image, room_of(image)).add("s:b", [ip_network("192.0.2.2")])


@pytest.mark.parametrize(
    ("more", "added", "why"),
    [
        (0, ["192.0.2.7"], "map pieces is full"),
        (0, ["2001:db8::7"], "map ipv6 is full"),
        (99, [f"10.{it >> 8}.{it & 255}.1" for it in range(1000)], "1,000 prefixes at once"),
    ],
)
def test_what_does_not_fit_is_told(more: int, added: list[str], why: str) -> None:
    image = compile_policy(blocklist().policy())
    table = MemberTable(image, room_of(image, more))
    with pytest.raises(NeedsRebuildError, match=why):
        table.add("s:a", [ip_network(it) for it in added])


def test_classes_have_room_for_so_many_more() -> None:
    """Eight sets have more combinations than there are rows for."""
    names = [f"s:{it}" for it in range(8)]
    world = World([_named(name) for name in names], {name: set() for name in names})
    image = compile_policy(world.policy())
    assert image.addresses
    room, free = room_of(image), image.addresses.room - image.addresses.count
    judged, table = Judged.of(image, room), MemberTable(image, room)
    added = 0
    with pytest.raises(NeedsRebuildError, match="no room for more than"):
        for added in add_to_combinations(world, judged, table):  # noqa: B007 - how far it came is asked below
            pass
    assert added >= free - 1
    fresh = compile_policy(world.policy())
    anew = Judged.of(fresh, room_of(fresh))
    for last in range(1, added):
        assert judged.rows(4, 0xC0000200 + last) == anew.rows(4, 0xC0000200 + last)


def add_to_combinations(world: World, judged: Judged, table: MemberTable) -> Iterator[int]:
    """Put the address n of a network into the sets that the bits of n say, one after the other."""
    for number in range(1, 1 << len(world.sets)):
        address = ip_network(f"192.0.2.{number}")
        for bit, name in enumerate(world.sets):
            if number >> bit & 1:
                for _ in judged.slot.carried_out(table.add(name, [address])):
                    pass
                world.sets[name].add(address)
        yield number


@pytest.mark.parametrize("version", [4, 6])
def test_among_many(version: int) -> None:
    """Tables of every shape: full pages, lists of all lengths, fans and trees of lower halves."""
    bits = SPACES[version][0]
    dice = Random(version)  # noqa: S311 - not a secret
    lengths = (12, 16, 20, 24, 25, 28, 30, 32) if version == 4 else (20, 32, 40, 48, 56, 64, 64, 80, 127, 128)

    def prefix() -> Network:
        """One of a few crowded regions, or anywhere."""
        length = dice.choice(lengths)
        address = dice.getrandbits(bits) >> dice.choice((0, 8, bits // 4, bits // 2))
        address = address % (1 << bits) | dice.choice((0, 5, 0x2001)) << bits - 16
        return NETWORKS[version]((address >> bits - length << bits - length, length))

    members = {prefix() for _ in range(4000)}
    world = blocklist()
    world.sets["s:a"] = members
    image = compile_policy(world.policy())
    room = room_of(image, more=4000)
    judged, table = Judged.of(image, room), MemberTable(image, room)
    known = {(int(it[0]), it.prefixlen) for it in members}
    masks = [(length, (1 << bits) - (1 << bits - length)) for length in sorted(set(lengths))]
    for _ in range(150):
        entering = dice.random() < 0.5
        changed = [
            prefix() if entering else dice.choice(sorted(members, key=str)) for _ in range(dice.choice((1, 1, 3)))
        ]
        delta = (table.add if entering else table.remove)("s:a", changed)
        for _ in judged.slot.carried_out(delta):
            pass
        (members.update if entering else members.difference_update)(changed)
        (known.update if entering else known.difference_update)((int(it[0]), it.prefixlen) for it in changed)
        near = world.probes(changed) | {(version, int(prefix()[0])) for _ in range(20)}
        for probe in near:
            held = any((probe[1] & mask, length) in known for length, mask in masks)
            assert judged.rows(*probe)[0] & 1 == held, f"{probe[1]:#x}"
    fresh = compile_policy(world.policy())
    anew = Judged.of(fresh, room_of(fresh))
    for probe in world.seen:
        assert judged.rows(*probe) == anew.rows(*probe), f"{probe[1]:#x}"
