"""A resolver that remembers says what one without memory says, and says it with the same objects."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.errors import UnsupportedPolicyError
from pyxdp.model import Origin, Resources, ServiceMatch
from pyxdp.resolver import Resolver, resolve
from tests.resolver.build import (
    DENY,
    ETH0,
    ETH1,
    LO,
    NODE,
    entity,
    global_set,
    host,
    metadata,
    networks,
    policy,
    profile,
    rule,
)
from tests.resolver.test_properties import worlds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxdp.resolver import EffectivePolicy, EffectivePolicyRules

INTERFACES = (LO, ETH0, ETH1)

WORLD = Resources(
    hostEndpoints=(host("a", interface="eth0", ips="10.0.0.1", labels={"a": "1"}, profiles=("p",)),),
    globalNetworkPolicies=(
        policy("listed", rule(source=entity("10.0.0.0/8")), rule(source=entity("11.0.0.0/8"), http=True), DENY),
        policy("of-x", *(rule(protocol=name, source=entity(selector="set == 'x'")) for name in ("TCP", "UDP"))),
        policy("of-y", rule(source=entity(selector="set == 'y'"))),
        policy("of-none", rule(source=entity(selector="set == 'z'"))),
        policy("of-ports", rule(protocol="TCP", destination=entity(ports=("web",)))),
    ),
    globalNetworkSets=(global_set("x", "192.0.2.0/24", {"set": "x"}), global_set("y", "198.51.100.0/24", {"set": "y"})),
    profiles=(profile("p", DENY),),
)  # fmt: skip


def everything(result: EffectivePolicy) -> str:
    """All that is in a result but the members of large sets; where things were written is no part of equality."""
    return repr(result)


def lists(result: EffectivePolicy) -> Iterator[tuple[str, EffectivePolicyRules]]:
    for endpoint in result.endpoints:
        for where, tiers in endpoint.tiers.items():
            for tier in tiers:
                for one in tier.policies:
                    yield f"{endpoint.interface.name} {where} {tier.name} {one.name}", one
        for direction, profiles in endpoint.profiles.items():
            for one in profiles:
                yield f"{endpoint.interface.name} {direction} {one.name}", one


@st.composite
def histories(draw: st.DrawFn) -> list[Resources]:
    """Draw worlds that share parts with the ones before."""
    now = draw(worlds())
    history = [now]
    for _ in range(draw(st.integers(1, 4))):
        other = draw(worlds())
        taken = draw(st.sets(st.sampled_from([one.name for one in fields(Resources)]), max_size=3))
        mixed: dict[str, Any] = {}
        for name in sorted(taken):
            pairs = zip(getattr(now, name), getattr(other, name), strict=False)
            mixed[name] = tuple(draw(st.sampled_from(pair)) for pair in pairs)
        now = replace(now, **mixed)
        history.append(now)
    return history + draw(st.sampled_from([[], history]))


@given(histories())
@settings(deadline=None, max_examples=40)
def test_what_is_remembered_is_what_is_fresh(history: list[Resources]) -> None:
    resolver = Resolver()
    for resources in history:
        remembered, fresh = resolver.resolve(resources, NODE, INTERFACES), resolve(resources, NODE, INTERFACES)
        assert remembered == fresh
        assert everything(remembered) == everything(fresh)


@given(worlds())
@settings(deadline=None, max_examples=50)
def test_nothing_changed_is_the_same_object(resources: Resources) -> None:
    resolver = Resolver()
    assert resolver.resolve(resources, NODE, INTERFACES) is resolver.resolve(replace(resources), NODE, INTERFACES)


def with_policy(resources: Resources, number: int, change: Callable[[Any], Any]) -> Resources:
    policies = list(resources.globalNetworkPolicies)
    policies[number] = change(policies[number])
    return replace(resources, globalNetworkPolicies=tuple(policies))


def changed(before: Resources, after: Resources) -> tuple[set[str], EffectivePolicy, EffectivePolicy]:
    """Return the names of the lists of rules that are other objects after a change, and both results."""
    resolver = Resolver()
    one, other = (resolver.resolve(resources, NODE, INTERFACES) for resources in (before, after))
    assert everything(other) == everything(resolve(after, NODE, INTERFACES))
    known = dict(lists(one))
    return {where.split()[-1] for where, it in lists(other) if known.get(where) is not it}, one, other


def test_a_rule_that_changed_is_the_only_new_one() -> None:
    def swap(it: Any) -> Any:
        return replace(it, ingress=(it.ingress[0], DENY, it.ingress[2]))

    names, before, after = changed(WORLD, with_policy(WORLD, 0, swap))
    assert names == {"listed"}
    rules = [next(one.rules for _, one in lists(result) if one.name == "listed") for result in (before, after)]
    assert [one is other for one, other in zip(*rules, strict=True)] == [True, False, True]


def test_a_rule_that_changed_keeps_the_prefixes_that_it_spells_out() -> None:
    resolver = Resolver()
    world, found = WORLD, []
    for number in range(4):
        found.append(resolver.resolve(world, NODE, INTERFACES))
        allowed = rule(protocol=number + 20, source=entity("10.0.0.0/8"))
        world = with_policy(world, 0, lambda it, one=allowed: replace(it, ingress=(one, *it.ingress[1:])))
        resolver.resolve(world, NODE, INTERFACES)
        assert resolver.resolve(world, NODE, INTERFACES) is resolver.resolve(world, NODE, INTERFACES)
    sets = [it for one in found for name, rules in lists(one) if "listed" in name for it in rules.rules[0].source.sets]
    assert len({id(one) for one in sets}) == 1


def test_rules_behind_an_added_one_keep_what_they_match() -> None:
    names, before, after = changed(WORLD, with_policy(WORLD, 0, lambda it: replace(it, ingress=(DENY, *it.ingress))))
    assert names == {"listed"}
    rules = [next(one.rules for _, one in lists(result) if one.name == "listed") for result in (before, after)]
    assert [one.source for one in rules[1][1:]] == [one.source for one in rules[0]]
    assert all(one.source is other.source for one, other in zip(rules[0], rules[1][1:], strict=True))
    assert [one.id.index for one in rules[1]] == [0, 1, 2, 3]


def test_members_of_a_set_touch_only_who_selects_it() -> None:
    x, y = WORLD.globalNetworkSets
    more = replace(x, nets=x.nets.with_(networks("203.0.113.0/24")))
    names, _, after = changed(WORLD, replace(WORLD, globalNetworkSets=(more, y)))
    assert names == {"of-x"}
    sets = {id(it) for where, one in lists(after) if "of-x" in where for rule in one.rules for it in rule.source.sets}
    assert len(sets) == 1


def test_addresses_of_hosts_touch_only_who_selects_them() -> None:
    (endpoint,) = WORLD.hostEndpoints
    moved = replace(endpoint, metadata=metadata("a", {"a": "1", "set": "z"}))
    names, before, after = changed(WORLD, replace(WORLD, hostEndpoints=(moved,)))
    assert names == {"of-none"}
    assert any("selects no address" in notice for notice in before.notices)
    assert not any("selects no address" in notice for notice in after.notices)


def test_labels_that_sets_inherit_or_have_count() -> None:
    x, y = WORLD.globalNetworkSets
    swapped = (replace(x, metadata=metadata("x", {"set": "y"})), replace(y, metadata=metadata("y", {"set": "x"})))
    assert changed(WORLD, replace(WORLD, globalNetworkSets=swapped))[0] == {"of-x", "of-y"}


def test_an_order_or_place_that_changed_keeps_the_rules() -> None:
    names, before, after = changed(WORLD, with_policy(WORLD, 1, lambda it: replace(it, order=7.0)))
    assert names == set()
    assert before.endpoints[0] is not after.endpoints[0]


def test_a_line_that_moved_is_told_anew() -> None:
    def move(it: Any) -> Any:
        return replace(it, metadata=replace(it.metadata, origin=Origin("f", 9)))

    names, _, after = changed(WORLD, with_policy(WORLD, 1, move))
    assert names == {"of-x"}
    assert {one.origin for _, one in lists(after) if one.name == "of-x"} == {Origin("f", 9)}


def test_a_policy_that_is_refused_leaves_nothing_behind() -> None:
    resolver = Resolver()
    good = resolver.resolve(WORLD, NODE, INTERFACES)
    bad = with_policy(WORLD, 0, lambda it: replace(it, ingress=(rule(source=entity(services=ServiceMatch("s"))),)))
    for _ in range(2):
        with pytest.raises(UnsupportedPolicyError, match="services are not known"):
            resolver.resolve(bad, NODE, INTERFACES)
    assert everything(resolver.resolve(WORLD, NODE, INTERFACES)) == everything(good)


def test_another_node_and_other_interfaces() -> None:
    resolver = Resolver()
    for node, interfaces in ((NODE, INTERFACES), ("other", INTERFACES), (NODE, (ETH1,)), (NODE, INTERFACES)):
        assert resolver.resolve(WORLD, node, interfaces) == resolve(WORLD, node, interfaces)


def test_what_is_not_used_is_forgotten() -> None:
    resolver = Resolver()
    for number in range(5):
        selected = rule(source=entity(selector=f"set == 'x' && n{number} != 'y'"))
        resolver.resolve(with_policy(WORLD, 1, lambda it, one=selected: replace(it, ingress=(one,))), NODE, INTERFACES)
    peers = resolver._resolver._peers
    assert len(peers._selected._now) + len(peers._selected._before) <= 2 * 4
