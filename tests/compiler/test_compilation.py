"""One policy after the other: what is taken over from the one before changes no verdict."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.abi import Limit
from pyxdp.compiler import Compilation, compile_policy
from pyxdp.errors import CapacityError
from pyxdp.model import Action
from pyxdp.net.prefixes import Prefixes
from pyxdp.resolver import AddressSet, Direction, PolicyClass, Side
from tests.compiler.policies import SSH, effective, policy, rule, tier
from tests.compiler.reader import Reader
from tests.compiler.rules import datagrams, first_fragments, rules

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from pyxdp.compiler import MapImage
    from pyxdp.net import Packet
    from pyxdp.resolver import EffectivePolicy, EffectiveRule

DATAGRAMS: Final = tuple(datagrams())
MEMBERS: Final = ("10.0.0.1/32", "10.0.0.2/32", "10.0.0.0/24", "10.0.0.0/8", "fd00::1/128", "fd00::/64", "0.0.0.0/0")


def judged(image: MapImage, packets: Iterable[Packet]) -> list[object]:
    """What each packet meets in every list, by what identifies a rule wherever it is stored."""
    reader = Reader(image)
    return [
        [
            (one.verdict, one.flags, image.names.get(one.counter), one.resume)
            for one in reader.way(name, way, packet, kind)
        ]
        for packet in packets
        for name in image.endpoints
        for way in Direction
        for kind in (PolicyClass.UNTRACKED, PolicyClass.NORMAL)
    ]


def some_packets(random: Random) -> list[Packet]:
    later = random.sample(DATAGRAMS, 6)
    return [*later, *(random.choice(list(first_fragments(one))) for one in later)]


def policy_of(blocks: list[tuple[EffectiveRule, ...]]) -> EffectivePolicy:
    tiers = tier("t", *(policy(f"p{number}", *block) for number, block in enumerate(blocks)))
    return effective(tiers, interfaces=["eth0", "eth1"], failsafes=[SSH])


class Edits:
    """A policy that somebody edits: what does not change stays the same object."""

    def __init__(self, drawn: list[EffectiveRule], copies: int, random: Random) -> None:
        self._random = random
        self._drawn = drawn
        self._sets: dict[str, AddressSet] = {}
        self.blocks = [tuple(self._fresh() for _ in range(copies)) for _ in range(3)]

    def edit(self) -> None:
        """Do one thing."""
        number = self._random.randrange(len(self.blocks))
        block = list(self.blocks[number])
        place = self._random.randrange(len(block) + 1)
        what = self._random.choice(["insert", "remove", "replace", "move", "members"])
        if what == "insert":
            block.insert(place, self._fresh())
        elif what == "members":
            self._change_members()
            return
        elif block:
            old = block.pop(place % len(block))
            if what == "replace":
                block.insert(place, self._fresh())
            elif what == "move":
                block.insert(self._random.randrange(len(block) + 1), old)
        self.blocks[number] = tuple(block)

    def _fresh(self) -> EffectiveRule:
        """A rule of those that were drawn, its sets being what they are at the moment."""
        one = self._random.choice(self._drawn)
        action = self._random.choice([Action.ALLOW, Action.DENY, Action.PASS])
        content = f"{self._random.getrandbits(64)}"
        return self._with_sets(replace(one, id=replace(one.id, content=content), action=action))

    def _change_members(self) -> None:
        """Give a set other members: a new object, which every rule that names it has then."""
        if not self._sets:
            return
        name = self._random.choice(sorted(self._sets))
        members = self._random.sample(MEMBERS, self._random.randrange(4))
        self._sets[name] = AddressSet(name, Prefixes.of(map(ip_network, members)))
        self.blocks = [tuple(map(self._with_sets, block)) for block in self.blocks]

    def _with_sets(self, one: EffectiveRule) -> EffectiveRule:
        source, destination = (self._of_side(side) for side in (one.source, one.destination))
        if (source, destination) == (one.source, one.destination):
            return one
        return replace(one, source=source, destination=destination)

    def _of_side(self, side: Side) -> Side:
        sets, not_sets = (
            tuple(self._sets.setdefault(one.id, one) for one in sets) for sets in (side.sets, side.notSets)
        )
        return replace(side, sets=sets, notSets=not_sets)


@given(st.lists(rules(), min_size=1, max_size=6), st.sampled_from([1, 8, 40]), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=15)
def test_an_updated_image_judges_like_a_fresh_one(drawn: list[EffectiveRule], copies: int, random: Random) -> None:
    edits = Edits(drawn, copies, random)
    compilation = Compilation()
    for _ in range(6):
        packets = some_packets(random)
        wanted = policy_of(edits.blocks)
        assert judged(compilation.update(wanted), packets) == judged(compile_policy(wanted), packets)
        edits.edit()


def nets(*written: str) -> Side:
    return Side(sets=(AddressSet(f"nets:{','.join(written)}", Prefixes.of(map(ip_network, written))),))


def test_the_same_policy_again_is_the_same_tables() -> None:
    block = tuple(rule(Action.DENY, port, source=nets(f"10.0.{port}.0/24")) for port in range(1, 100))
    compilation = Compilation()
    first, second = (compilation.update(policy_of([block])) for _ in range(2))
    assert [name for name in first.tables if first.tables[name] is not second.tables[name]] == ["rulesets"]
    assert first.tables["rulesets"] == second.tables["rulesets"]


def test_a_rule_with_other_ports_leaves_addresses_alone() -> None:
    block = [rule(Action.DENY, port, source=nets(f"10.0.{port}.0/24")) for port in range(1, 100)]
    compilation = Compilation()
    first = compilation.update(policy_of([tuple(block)]))
    block[50] = rule(Action.DENY, 1000, source=block[50].source)
    second = compilation.update(policy_of([tuple(block)]))
    assert {name for name in first.tables if first.tables[name] is second.tables[name]} == {
        "rules",
        "pieces",
        "ipv6",
    }
    assert first.addresses
    assert second.addresses
    assert first.addresses.classes is second.addresses.classes


def test_a_set_goes_back_to_the_members_it_had() -> None:
    """The rule of before may come back as the same object, with the set of before."""
    later = next(one for one in DATAGRAMS if str(one.source) == "10.0.0.1")
    packet = next(one for one in first_fragments(later) if one.source_port == one.destination_port == 80)
    before, after = (
        (rule(Action.DENY, source=Side(sets=(AddressSet("s:x", Prefixes.of(map(ip_network, members))),))),)
        for members in (["10.0.0.1"], ["10.0.0.2"])
    )
    compilation = Compilation()
    found = [judged(compilation.update(policy_of([one])), [packet]) for one in (before, after, before)]
    assert found[0] == found[2] != found[1]


def test_what_no_rule_asks_for_any_more_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyxdp.compiler.fields._STALE_AT_LEAST", 10)
    compilation = Compilation()
    sizes = []
    for number in range(100):
        block = tuple(rule(Action.DENY, number * 10 + port + 1) for port in range(10))
        image = compilation.update(policy_of([block]))
        sizes.append(compilation._fields._terms.size)
        assert judged(image, DATAGRAMS[:3]) == judged(compile_policy(policy_of([block])), DATAGRAMS[:3])
    assert max(sizes) < 200


@pytest.mark.parametrize("interfaces", [Limit.ENDPOINTS, Limit.ENDPOINTS + 1])
def test_limit_of_endpoints(interfaces: int) -> None:
    wanted = effective(interfaces=[f"eth{number}" for number in range(interfaces)])
    if interfaces <= Limit.ENDPOINTS:
        assert len(compile_policy(wanted).endpoints) == interfaces
    else:
        with pytest.raises(CapacityError, match="endpoints: 257 needed, at most 256 possible"):
            compile_policy(wanted)


def test_limit_of_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyxdp.compiler.addresses.MAX_PREFIXES", 3)
    compile_policy(policy_of([(rule(Action.DENY, source=nets("10.0.0.0/8", "10.1.0.0/16", "fd00::/8")),)]))
    with pytest.raises(
        CapacityError, match="CIDRs of all rules and the sets they select: 4 needed, at most 3 possible"
    ):
        compile_policy(policy_of([(rule(Action.DENY, source=nets("10.0.0.0/8", "10.1.0.0/16", "fd00::/8", "::/0")),)]))


def test_limit_of_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyxdp.compiler.addresses.MAX_CLASSES", 100)
    many = tuple(rule(Action.DENY, source=nets(f"10.0.0.{number}/32")) for number in range(40))
    with pytest.raises(CapacityError, match="classes of addresses: 106 needed, at most 100 possible"):
        compile_policy(policy_of([many]))
    compile_policy(policy_of([many[:20]]))
