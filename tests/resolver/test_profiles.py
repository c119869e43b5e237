"""Profiles: labels they give and rules they bring (spec sections 1.8, 3.7 and 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.model import Action
from pyxdp.resolver import Direction
from tests.resolver.build import ALLOW, DENY, effective, host, only_endpoint, policy, policy_names, profile

if TYPE_CHECKING:
    from pyxdp.resolver import EffectivePolicy


def actions(result: EffectivePolicy, direction: Direction = Direction.INGRESS) -> list[tuple[str, list[Action]]]:
    profiles = only_endpoint(result).profiles[direction]
    return [(one.name, [rule.action for rule in one.rules]) for one in profiles]


def test_endpoints_order_is_kept() -> None:
    result = effective(host(profiles=("b", "a")), profile("a", DENY), profile("b", ALLOW, egress=(DENY, ALLOW)))
    assert actions(result) == [("b", [Action.ALLOW]), ("a", [Action.DENY])]
    assert actions(result, Direction.EGRESS) == [("b", [Action.DENY, Action.ALLOW]), ("a", [])]


def test_endpoint_without_profiles() -> None:
    assert actions(effective(host())) == actions(effective(host()), Direction.EGRESS) == []


@pytest.mark.parametrize("direction", Direction)
def test_missing_profile_denies_everything(direction: Direction) -> None:
    result = effective(host(profiles=("gone",)))
    assert actions(result, direction) == [("gone", [Action.DENY])]
    assert result.notices == ("Profile/gone: does not exist: denies everything where a host endpoint names it",)


@pytest.mark.parametrize("direction", Direction)
def test_built_in_profile_allows_everything(direction: Direction) -> None:
    result = effective(host(profiles=("projectcalico-default-allow",)))
    assert actions(result, direction) == [("projectcalico-default-allow", [Action.ALLOW])]
    assert result.notices == ()


def test_rules_are_known_by_their_profile() -> None:
    (only,) = only_endpoint(effective(host(profiles=("p",)), profile("p", ALLOW, DENY))).profiles[Direction.INGRESS]
    assert [(one.id.tier, one.id.kind, one.id.policy, one.id.index) for one in only.rules] == [
        ("", "Profile", "p", 0),
        ("", "Profile", "p", 1),
    ]


def test_policy_sees_inherited_labels() -> None:
    result = effective(host(profiles=("p",)), profile("p", labels={"role": "db"}), policy(selector="role == 'db'"))
    assert policy_names(result) == ["policy"]


def test_own_label_wins_over_the_profile() -> None:
    result = effective(
        host(profiles=("p",), labels={"role": "web"}),
        profile("p", labels={"role": "db"}),
        policy("db", selector="role == 'db'"),
        policy("web", selector="role == 'web'"),
    )
    assert policy_names(result) == ["web"]


def test_earlier_profile_wins_over_the_later() -> None:
    result = effective(
        host(profiles=("b", "a")),
        profile("a", labels={"role": "a", "only": "a"}),
        profile("b", labels={"role": "b"}),
        policy("first", selector="role == 'b' && only == 'a'"),
        policy("second", selector="role == 'a'"),
    )
    assert policy_names(result) == ["first"]
