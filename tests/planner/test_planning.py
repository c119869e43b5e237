"""Any state, any target, death at any operation: always wholly the old or the new policy, and always a way on."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp import planner
from pyxdp.abi import Name
from pyxdp.errors import CapacityError
from pyxdp.net import HookSettings

from .world import World, intended

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERFACES = ("eth0", "eth1", "eth2", "eth0.100")
PATTERN = "cali+"
INDEXES = {name: 10 + at for at, name in enumerate(INTERFACES)}
TABLES = tuple(planner.TableSet(variant, family) for variant in ("nft", "legacy") for family in (4, 6))


@dataclass(frozen=True)
class Wish:
    """What an operator asks for; becomes a target once numbers are assigned."""

    policy: int
    sizes: tuple[tuple[str, int], ...]
    rules: frozenset[int]
    interfaces: tuple[str, ...]
    variant: str
    build: str
    early: bool = True
    settings: HookSettings = HookSettings()  # noqa: RUF009 -- frozen


WISHES = st.builds(
    Wish,
    policy=st.integers(1, 3),
    sizes=st.lists(
        st.tuples(st.sampled_from(sorted(planner.ENTRY_BYTES)), st.sampled_from([1, 100, 5000, 20_000, 140_000])),
        max_size=3,
    ).map(tuple),
    rules=st.frozensets(st.sampled_from([1, 2, 3, 4, *range(1000, 3000, 7)]), max_size=5),
    interfaces=st.sets(st.sampled_from((*INTERFACES, PATTERN)), max_size=5).map(lambda names: tuple(sorted(names))),
    variant=st.sampled_from(["nft", "legacy"]),
    build=st.sampled_from(["a", "a", "a", "b"]),
    early=st.booleans(),
    settings=st.sampled_from([HookSettings(), HookSettings(), HookSettings(allow="Return"), HookSettings(mark=1)]),
)


def limited(name: str, size: int) -> int:
    return min(size, {"rulesets": 2048, "rules": 20_000, "rows": 20_000, "pages": 1000, "ipv6": 5000}.get(name, size))


def target_for(
    wish: Wish, state: planner.State, ifindexes: Mapping[str, int], *, conntrack: bool = False
) -> planner.Target:
    """The target as the dataplane makes it: numbers are kept, new ones assigned."""
    known = {name.identity: index for index, name in state.names.items()}
    indexes = planner.assign(known, sorted(wish.rules), limit=1 << 20, what="rules")
    names = {
        index: Name("default", "policy", "GlobalNetworkPolicy", "Allow", wish.policy, 0, identity)
        for identity, index in indexes.items()
    }
    there = planner.known_numbers(state, ifindexes)
    wanted = [name for name in wish.interfaces if name in ifindexes or name == PATTERN]
    numbers = planner.assign(there, wanted, limit=256, what="endpoints", taken=state.endpoints)
    tables = dict.fromkeys(planner.ENTRY_BYTES, bytes([wish.policy]) * 16)
    tables |= {
        name: bytes([wish.policy, wish.policy + 100]) * (limited(name, size) * planner.ENTRY_BYTES[name] // 2)
        for name, size in wish.sizes
    }
    # Which numbers an image governs is part of it.
    tables["rulesets"] = (bytes([wish.policy]) + bytes(sorted(numbers.values())) + b"\xff").ljust(32, b"\1")
    return planner.Target(
        build=wish.build,
        tables=tables,
        digest=sha256(b"".join(tables.values())).digest(),
        names=names,
        interfaces={name: planner.Governed(number, ifindexes.get(name, 0), "hep") for name, number in numbers.items()},
        table_sets=tuple(table for table in TABLES if table.variant == wish.variant),
        settings=wish.settings,
        early=wish.early,
        conntrack=conntrack,
        applied_ns=5,
    )


def governs(tables: Mapping[str, bytes], number: int) -> bool:
    return number in tables["rulesets"][1 : tables["rulesets"].find(b"\xff")] if tables["rulesets"] else False


def effective(world: World, ifindexes: Mapping[str, int]) -> dict[tuple[str, int], Mapping[str, bytes] | None]:
    """For every hook and interface with a program: the tables that judge a packet, or None when it passes.

    XDP goes by interface, rules by the name that it has now; a pattern stands for itself, with index 0.
    """
    seen: dict[tuple[str, int], Mapping[str, bytes] | None] = {}
    for hook, name, program in world.programs():
        ifindex = world.links[name].ifindex if hook == "xdp" else {**ifindexes, PATTERN: 0}.get(name)
        assert hook == "xdp" or program.loaded.answers, "a question without an answer denies"
        if ifindex is not None:
            tables, number = world.judged_by(program)
            seen[hook, ifindex] = tables if governs(tables, number) else None
    return seen


def reached(world: World, target: planner.Target) -> None:
    """The world is what the target says, and there is nothing else."""
    state = world.state()
    number = state.current
    assert number is not None
    assert set(state.objects) == {number}
    numbers = {name: planner.Instance(number, it.number) for name, it in target.interfaces.items()}
    assert state.objects[number].build == target.build
    assert state.objects[number].endpoints == frozenset(it.endpoint for it in numbers.values())
    assert dict(state.tables) == intended(target)
    assert state.slots[state.active].digest == target.digest
    assert dict(state.names) == dict(target.names)
    assert {it.interface: number for number, it in state.endpoints.items()} == {
        name: it.number for name, it in target.interfaces.items()
    }
    with_xdp = {name: it for name, it in numbers.items() if name != PATTERN}
    assert dict(state.links) == {
        name: planner.XdpLink(target.interfaces[name].ifindex, it) for name, it in with_xdp.items()
    }
    assert dict(state.programs) == numbers
    rules = dict.fromkeys(target.table_sets, planner.Rules(numbers, target.settings))
    assert dict(state.rules) == (rules if numbers else {})
    early_as_wanted(world, target, bool(with_xdp))


def early_as_wanted(world: World, target: planner.Target, attached: bool) -> None:  # noqa: FBT001
    (loaded,) = world.objects.values()
    wanted = planner.Early.REFUSED if world.refuses_early else planner.Early.ON
    if not target.early:
        assert loaded.early is not planner.Early.ON
    elif attached:
        assert loaded.early is wanted


def apply_until(world: World, target: planner.Target, ifindexes: Mapping[str, int], operations: int) -> None:
    """Carry out so many operations; after each, whatever was judged before is judged by the old or the new policy."""
    before = effective(world, ifindexes)
    wanted = {it.ifindex for it in target.interfaces.values()}
    plan = planner.plan(world.state(), target)
    switched = False
    for operation in plan.operations[:operations]:
        world.carry_out(operation)
        switched = switched or isinstance(operation, planner.Switch)
        now = effective(world, ifindexes)
        if switched:
            for (hook, ifindex), tables in now.items():
                assert tables == (intended(target) if ifindex in wanted else None), (hook, operation)
        elif plan.switches:
            still_old(before, now, operation, {"xdp", *map(str, target.table_sets)})


def still_old(
    before: Mapping[tuple[str, int], Mapping[str, bytes] | None],
    now: Mapping[tuple[str, int], Mapping[str, bytes] | None],
    operation: planner.Operation,
    kept: set[str],
) -> None:
    """What judged packets before still does, by the same tables; what is new judges by them too, or passes."""
    old = {tables["rules"] + tables["rulesets"] for tables in before.values() if tables}
    for key, tables in now.items():
        if before.get(key):
            assert tables == before[key], (key, operation)
        elif tables:
            assert tables["rules"] + tables["rulesets"] in old, (key, operation)
    assert {key for key, tables in before.items() if tables and key[0] in kept} <= set(now), operation


EVENTS = st.sampled_from(["recreate", "detach", "rules", "damage", "symlink", "rename", "early"])


def disturb(world: World, ifindexes: dict[str, int], event: str, which: int) -> None:
    """What others do to our things between two applies."""
    name = INTERFACES[which % len(INTERFACES)]
    table = TABLES[which % len(TABLES)]
    if event == "rename":
        rename(world, ifindexes, name, INTERFACES[which // 7 % len(INTERFACES)])
    elif event == "recreate":
        ifindexes[name] = max(ifindexes.values()) + 10
        if name in world.links and world.links[name].ifindex not in ifindexes.values():
            world.links[name].ifindex = 0
    elif event == "detach" and name in world.links:
        world.links[name].ifindex = 0
    elif event == "rules":
        world.rules.pop(table, None)
    elif event == "damage" and table in world.rules:
        world.damaged.add(table)
    elif event == "early":
        for loaded in world.objects.values():
            loaded.early = planner.Early.OFF
    elif event == "symlink":
        world.symlinks.pop(name, None)


def rename(world: World, ifindexes: dict[str, int], before: str, now: str) -> None:
    """Give an interface a name that nothing of ours has."""
    state = world.state()
    ours = {*state.links, *(name for rules in state.rules.values() for name in rules.programs)}
    ours |= {record.interface for record in state.endpoints.values()}
    if before != now and before in ifindexes and now not in ours:
        ifindexes[now] = ifindexes.pop(before)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(WISHES, st.integers(0, 60), st.none() | EVENTS, st.integers(0, 30)), max_size=6),
    WISHES,
    st.booleans(),
    st.booleans(),
)
def test_every_death_leaves_old_or_new_and_the_next_apply_succeeds(
    history: list[tuple[Wish, int, str | None, int]],
    last: Wish,
    refuses_early: bool,  # noqa: FBT001
    conntrack: bool,  # noqa: FBT001
) -> None:
    world, ifindexes = World(refuses_early, conntrack), dict(INDEXES)
    for wish, operations, event, which in history:
        apply_until(world, target_for(wish, world.state(), ifindexes, conntrack=world.conntrack), ifindexes, operations)
        if event:
            disturb(world, ifindexes, event, which)
    target = target_for(last, world.state(), ifindexes, conntrack=world.conntrack)
    before, plan = world.state(), planner.plan(world.state(), target)
    apply_until(world, target, ifindexes, 1000)
    reached(world, target)
    (loaded,) = world.objects.values()
    after = planner.settled(before, target, plan, world.state().endpoints, loaded.early)
    assert replace(after, tables={}) == replace(world.state(), tables={})
    assert all(planner.same(after.tables[name], table) for name, table in world.state().tables.items())
    again = target_for(last, world.state(), ifindexes, conntrack=target.conntrack)
    assert again == target
    assert not planner.plan(world.state(), again)


@settings(max_examples=60, deadline=None)
@given(WISHES)
def test_plans_can_be_read_by_people_and_programs(wish: Wish) -> None:
    plan = planner.plan(World().state(), target_for(wish, World().state(), INDEXES))
    for operation, told in zip(plan.operations, json.loads(json.dumps(plan.as_json())), strict=True):
        assert told["description"] == str(operation)
        assert "\n" not in told["description"]
        assert len(told["description"]) < 400
        assert told["operation"] == told["operation"].lower()


def wish_for(*interfaces: str, policy: int = 1) -> Wish:
    return Wish(policy, (), frozenset({policy}), interfaces, "nft", "a")


def applied(*wishes: Wish) -> tuple[World, list[list[str]]]:
    world, kinds = World(), []
    for wish in wishes:
        target = target_for(wish, world.state(), INDEXES)
        plan = planner.plan(world.state(), target)
        kinds.append([type(operation).__name__ for operation in plan.operations])
        apply_until(world, target, INDEXES, 1000)
    return world, kinds


def test_a_change_of_policy_touches_no_link_and_no_rule() -> None:
    _, (_, second) = applied(wish_for("eth0"), wish_for("eth0", policy=2))
    assert second == ["WriteNames", "AwaitGrace", "FillSlot", "Switch", "AwaitGrace", "FreeNames"]


def test_growing_keeps_the_maps_that_are_large_enough() -> None:
    grown = replace(wish_for("eth0", policy=2), sizes=(("rows", 20_000),))
    world, (_, second) = applied(wish_for("eth0"), grown)
    assert second[:5] == ["CreateObject", "CopyMaps", "LoadPrograms", "MoveLink", "UpdateRules"]
    assert world.state().objects[2].capacities["rows"] == 32_768
    assert world.state().objects[2].capacities["rules"] == 1024


def test_other_code_moves_to_a_new_object_without_switching() -> None:
    _, (_, second) = applied(wish_for("eth0"), replace(wish_for("eth0"), build="b"))
    assert "Switch" not in second
    assert second[0] == "CreateObject"
    assert second[-1] == "RemoveObject"


def test_the_last_rules_go_after_the_switch() -> None:
    _, (_, second) = applied(wish_for("eth0"), wish_for())
    assert second.index("Switch") < second.index("RemoveRules") < second.index("Detach")


def test_a_pattern_has_rules_only() -> None:
    world, (kinds,) = applied(wish_for(PATTERN))
    assert not {"AttachXdp", "FillEarly"} & set(kinds)
    assert {"LoadPrograms", "UpdateRules", "PointPrograms"} <= set(kinds)
    assert not world.links


def test_other_settings_change_rules_and_nothing_else() -> None:
    _, (_, second) = applied(wish_for("eth0"), replace(wish_for("eth0"), settings=HookSettings(deny="Reject")))
    assert second == ["UpdateRules"]


def test_early_drop_waits_for_rules_unless_connection_tracking_is_there() -> None:
    world = World()
    for conntrack in (False, True):
        target = target_for(wish_for("eth0"), world.state(), INDEXES, conntrack=conntrack)
        kinds = [type(operation).__name__ for operation in planner.plan(world.state(), target).operations]
        assert (kinds.index("FillEarly") < kinds.index("LoadPrograms")) == conntrack
        assert (kinds.index("FillEarly") < kinds.index("UpdateRules")) == conntrack
        assert kinds.index("FillEarly") < kinds.index("Switch")


def test_early_drop_comes_and_goes_without_a_switch() -> None:
    without = replace(wish_for("eth0"), early=False)
    _, kinds = applied(without, wish_for("eth0"), without)
    assert kinds[1:] == [["FillEarly"], ["EmptyEarly"]]


def test_an_answer_that_is_gone_is_put_back() -> None:
    world, _ = applied(wish_for("eth0"))
    world.objects[1].answers = False
    plan = planner.plan(world.state(), target_for(wish_for("eth0"), world.state(), INDEXES))
    assert plan.operations == (planner.LoadPrograms(1, {}, answer=True),)


def test_removal_detaches_before_it_unpins() -> None:
    plan = planner.plan_removal(TABLES[:1], ["eth1", "eth0"], pins=True)
    assert [type(it).__name__ for it in plan.operations] == [
        "RemoveRules",
        "Detach",
        "Detach",
        "AwaitGrace",
        "RemovePins",
    ]
    assert not planner.plan_removal([], [], pins=False)


def test_an_interface_that_was_renamed_keeps_link_and_number() -> None:
    world, _ = applied(wish_for("eth0"))
    ifindexes = {**INDEXES, "eth0.100": INDEXES["eth0"]}
    del ifindexes["eth0"]
    target = target_for(wish_for("eth0.100"), world.state(), ifindexes)
    kinds = [type(operation).__name__ for operation in planner.plan(world.state(), target).operations]
    assert kinds[:2] == ["WriteEndpoints", "RenameLink"]
    assert not {"AttachXdp", "MoveLink", "Switch", "Detach"} & set(kinds)
    apply_until(world, target, ifindexes, 1000)
    reached(world, target)


@pytest.mark.parametrize("died_after", [0, 1, 2, 3, 4, 1000])
@pytest.mark.parametrize("names", [("eth1", "eth0"), ("eth1", "eth2"), ("eth1", "none")])
def test_interfaces_that_take_each_others_names_keep_their_links(names: tuple[str, str], died_after: int) -> None:
    """In a circle, in a row, and where the last of the row is governed no more."""
    world, _ = applied(wish_for("eth0", "eth1"))
    ifindexes = dict(zip(names, (INDEXES["eth0"], INDEXES["eth1"]), strict=True))
    wish = wish_for(*(name for name in sorted(names) if name != "none"))
    target = target_for(wish, world.state(), ifindexes)
    if "none" not in names:
        kinds = [type(operation).__name__ for operation in planner.plan(world.state(), target).operations]
        assert not {"AttachXdp", "MoveLink", "Detach"} & set(kinds)
    apply_until(world, target, ifindexes, died_after)
    target = target_for(wish, world.state(), ifindexes)
    apply_until(world, target, ifindexes, 1000)
    reached(world, target)


def test_numbers_in_use_are_not_given_away() -> None:
    existing = {"a": 0, "b": 2}
    assert planner.assign(existing, ["b", "c", "d"], limit=5, what="things") == {"b": 2, "c": 1, "d": 3}
    with pytest.raises(CapacityError) as caught:
        planner.assign(existing, ["c", "d", "e"], limit=4, what="things")
    assert (caught.value.needed, caught.value.limit) == (5, 4)


def test_a_target_with_somebody_elses_number_is_refused() -> None:
    world, _ = applied(wish_for("eth0"))
    target = target_for(wish_for("eth0"), world.state(), INDEXES)
    stolen = replace(target, interfaces={"eth1": planner.Governed(0, INDEXES["eth1"], "hep")})
    with pytest.raises(ValueError, match="belongs to eth0"):
        planner.plan(world.state(), stolen)
