"""Members enter and leave sets of a compiled policy: packets are judged as after a fresh compile, store by store."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network
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
    from collections.abc import Iterable, Mapping, Sequence

    from pyxdp.net import Network
    from pyxdp.net.values import Family
    from pyxdp.resolver import EffectivePolicy, EffectiveRule

    #: Names of the sets that an address must be in, and must not be in.
    Asked = tuple[frozenset[str], frozenset[str]]

SPACES = {4: (32, (0, 8, 15, 16, 23, 24, 25, 31, 32)), 6: (128, (0, 3, 32, 63, 64, 65, 127, 128))}
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
@settings(max_examples=25, deadline=None)
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
