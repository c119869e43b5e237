"""How large maps are made: small policies take little memory, large ones little more than they need."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyxdp.planner import capacity
from pyxdp.planner.capacity import ENTRY_BYTES, IDENTITY_MAPS, capacities, needed

MIB = 1 << 20
NEEDS = st.fixed_dictionaries({name: st.integers(0, 300_000) for name in (*ENTRY_BYTES, *IDENTITY_MAPS)})


def slotted_bytes(entries: dict[str, int]) -> int:
    return sum(2 * entries[name] * size for name, size in ENTRY_BYTES.items())


def test_maps_of_a_small_policy_take_little_memory() -> None:
    nothing = capacities(needed({}, {}), {})
    assert slotted_bytes(nothing) + nothing["names"] * 376 < 4 * MIB


def test_the_minimum_holds_a_small_policy_and_single_addresses() -> None:
    fixed = capacities(needed({"pages": bytes(265 * 1024)}, {}), {})
    assert fixed["pages"] - 265 >= 128, "pages of as many different /16 networks"


@given(NEEDS)
def test_what_is_made_suffices_and_stays(need: dict[str, int]) -> None:
    made = capacities(need, {})
    assert capacities(need, made) == made
    for name, count in need.items():
        assert made[name] >= count * 9 // 8
        entry = ENTRY_BYTES.get(name, 400)
        assert made[name] * entry <= max(2 * count * entry * 9 // 8, count * entry * 9 // 8 + MIB, 2 * MIB)


@given(NEEDS, NEEDS)
def test_maps_grow_and_never_shrink(before: dict[str, int], after: dict[str, int]) -> None:
    made = capacities(before, {})
    then = capacities(after, made)
    assert all(then[name] >= made[name] for name in made)
    assert all(then[name] >= after[name] for name in made)


def test_a_policy_that_leaves_no_room_for_members_grows() -> None:
    made = capacities({"pieces": 100_000, "rules": 5000}, {})
    full = {"pieces": made["pieces"], "rules": made["rules"]}
    grown = capacities(full, made)
    assert grown["pieces"] > made["pieces"]
    assert grown["rules"] == made["rules"], "nobody adds rules one by one"


def test_sizes_are_those_of_the_structs() -> None:
    assert set(capacity._MINIMUM) == {*ENTRY_BYTES, *IDENTITY_MAPS}
    assert all(size % 8 == 0 for size in ENTRY_BYTES.values()), "elements of an array lie side by side"
