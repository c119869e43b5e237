"""From two lists of rules to what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pyxdp.abi import Direction, Name
from pyxdp.cli.changes import Changes, rule_changes

if TYPE_CHECKING:
    from collections.abc import Iterable


def rule(identity: int, *, number: int = 0, action: str = "Allow", policy: str = "p", tier: str = "default") -> Name:
    return Name(tier, policy, "GlobalNetworkPolicy", action, number, int(Direction.INGRESS), identity)


def told(old: Iterable[Name], new: Iterable[Name]) -> list[str]:
    return list(Changes(rules=rule_changes(old, new)).lines())


def test_nothing() -> None:
    assert told([rule(1)], [rule(1)]) == []


def test_only_the_position_changes() -> None:
    assert told([rule(1, number=0)], [rule(1, number=3)]) == []


def test_another_rule_at_the_same_place_is_a_change() -> None:
    assert told([rule(1)], [rule(2, action="Deny")]) == ["~ default/p ingress[0]: Allow -> Deny"]
    assert told([rule(1)], [rule(2)]) == ["~ default/p ingress[0]: Allow"]


def test_comes_and_goes() -> None:
    assert told([rule(1)], [rule(2, policy="q")]) == ["- default/p ingress[0]: Allow", "+ default/q ingress[0]: Allow"]


def test_many_alike_are_one_line() -> None:
    assert told([], [rule(n, number=n) for n in range(2000)]) == ["+ default/p ingress: 2,000 rules"]


def test_interfaces() -> None:
    changes = Changes(interfaces={"eth0": (None, "a"), "eth1": ("a", None), "eth2": ("a", "b")})
    assert list(changes.lines()) == [
        "+ interface eth0: HostEndpoint/a",
        "- interface eth1: HostEndpoint/a",
        "~ interface eth2: HostEndpoint/a -> b",
    ]
    assert changes
    assert not Changes()


RULES = st.lists(
    st.builds(rule, st.integers(0, 20), number=st.integers(0, 3), action=st.sampled_from(["Allow", "Deny"])),
    unique_by=lambda name: name.identity,
    max_size=12,
)


@given(RULES, RULES)
def test_every_identity_that_comes_or_goes_is_told_once(old: list[Name], new: list[Name]) -> None:
    changes = rule_changes(old, new)
    gone = [name for name in old if name.identity not in {it.identity for it in new}]
    come = [name for name in new if name.identity not in {it.identity for it in old}]
    assert sorted(it.old for it in changes if it.old is not None) == sorted(name.action for name in gone)
    assert sorted(it.new for it in changes if it.new is not None) == sorted(name.action for name in come)
    assert all(it.as_json()["change"] in {"added", "removed", "changed"} for it in changes)
