"""Order of tiers and policies, classes, types, staged policies (spec sections 3.2 to 3.5)."""

from __future__ import annotations

from typing import Any

import pytest

from pyxdp.model import Action, GlobalNetworkPolicy, NetworkPolicy, PolicyType, StagedGlobalNetworkPolicy
from pyxdp.resolver import Direction, PolicyClass
from tests.resolver.build import (
    ALLOW,
    DENY,
    effective,
    host,
    metadata,
    only_endpoint,
    policy,
    policy_names,
    tier,
    tiers_of,
)

BOTH = (PolicyType.INGRESS, PolicyType.EGRESS)
INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS


def tracked(name: str = "tracked", **fields: Any) -> GlobalNetworkPolicy:
    return policy(name, **({"doNotTrack": False, "applyOnForward": False} | fields))


def staged(name: str, action: str = "Set", **fields: Any) -> StagedGlobalNetworkPolicy:
    return StagedGlobalNetworkPolicy(metadata=metadata(name), stagedAction=action, policy=tracked(name, **fields))


def tier_names(result: Any) -> list[str]:
    return [one.name for one in tiers_of(result)]


def test_tiers_by_order_then_name() -> None:
    tiers = (tier("c", 1.5), tier("b", -1), tier("z", 0), tier("a", 0))
    result = effective(host(), *tiers, *(policy(f"in-{name}", tier=name) for name in "cbza"))
    assert tier_names(result) == ["b", "a", "z", "c"]


def test_tier_without_order_comes_after_those_with_one() -> None:
    result = effective(
        host(), tier("a", None), tier("z", 1e9), policy("one", tier="a"), policy("two", tier="z"), policy("three")
    )
    assert tier_names(result) == ["default", "z", "a"]


def test_built_in_tiers_exist_without_being_written() -> None:
    result = effective(
        host(),
        tier("before-default", 999_999),
        *(tracked(f"p{name}", tier=name) for name in ("kube-baseline", "default", "kube-admin", "before-default")),
    )
    tiers = tiers_of(result, PolicyClass.NORMAL)
    assert [(one.name, one.defaultAction) for one in tiers] == [
        ("kube-admin", Action.PASS),
        ("before-default", Action.DENY),
        ("default", Action.DENY),
        ("kube-baseline", Action.PASS),
    ]
    assert result.notices == ()


def test_missing_tier_comes_last_and_denies() -> None:
    result = effective(host(), tier("z", None), tracked("one", tier="a-missing"), tracked("two", tier="z"))
    tiers = tiers_of(result, PolicyClass.NORMAL)
    assert [(one.name, one.defaultAction) for one in tiers] == [("z", Action.DENY), ("a-missing", Action.DENY)]
    (notice,) = result.notices
    assert notice.startswith("Tier/a-missing: does not exist")


def test_policies_by_order_and_those_without_one_last() -> None:
    result = effective(
        host(),
        policy("a"),
        policy("b", order=0.5),
        policy("c", order=-2),
        policy("d", order=10),
        policy("e", order=0),
    )
    assert policy_names(result) == ["c", "e", "b", "d", "a"]


def test_ties_are_broken_by_name_namespace_kind_as_one_string() -> None:
    result = effective(
        host(), policy("a", order=1), policy("a-b", order=1), policy("a.b", order=1), policy("a0", order=1)
    )
    assert policy_names(result) == ["a-b", "a.b", "a", "a0"]


def test_untracked_policy_is_in_no_other_class() -> None:
    endpoint = only_endpoint(effective(host(), policy(types=BOTH)))
    assert set(endpoint.tiers) == {(PolicyClass.UNTRACKED, INGRESS), (PolicyClass.UNTRACKED, EGRESS)}


def test_pre_dnat_policy_is_ingress_only() -> None:
    endpoint = only_endpoint(effective(host(), tracked(preDNAT=True, applyOnForward=True, types=BOTH)))
    assert set(endpoint.tiers) == {(PolicyClass.PREDNAT, INGRESS)}


def test_normal_policy_is_also_forward_policy_with_apply_on_forward() -> None:
    assert set(only_endpoint(effective(host(), tracked())).tiers) == {(PolicyClass.NORMAL, INGRESS)}
    both = only_endpoint(effective(host(), tracked(applyOnForward=True))).tiers
    assert set(both) == {(PolicyClass.NORMAL, INGRESS), (PolicyClass.FORWARD, INGRESS)}
    assert both[PolicyClass.NORMAL, INGRESS] == both[PolicyClass.FORWARD, INGRESS]


def test_tier_is_invisible_where_it_has_no_policy() -> None:
    result = effective(host(), tier("t", 1), policy("one", tier="t", types=(PolicyType.EGRESS,)), policy("two"))
    assert tier_names(result) == ["default"]
    assert [one.name for one in tiers_of(result, PolicyClass.UNTRACKED, EGRESS)] == ["t"]


def test_types_decide_and_not_the_rules() -> None:
    result = effective(host(), policy("p", ALLOW, types=(PolicyType.EGRESS,), egress=(DENY,)))
    assert policy_names(result) == []
    (only,) = tiers_of(result, PolicyClass.UNTRACKED, EGRESS)[0].policies
    assert [one.action for one in only.rules] == [Action.DENY]
    assert result.notices == ("GlobalNetworkPolicy/p: its ingress rules are inert: types lacks Ingress",)


@pytest.mark.parametrize("fields", [{}, {"doNotTrack": False, "preDNAT": True}], ids=["untracked", "pre-DNAT"])
def test_early_classes_pass_at_the_end_of_every_tier(fields: dict[str, Any]) -> None:
    policy_class = PolicyClass.PREDNAT if fields else PolicyClass.UNTRACKED
    (only,) = tiers_of(effective(host(), tier("t", 1, Action.DENY), policy(tier="t", **fields)), policy_class)
    assert only.defaultAction is Action.PASS


@pytest.mark.parametrize("action", [Action.DENY, Action.PASS])
@pytest.mark.parametrize("policy_class", [PolicyClass.NORMAL, PolicyClass.FORWARD])
def test_tracked_classes_end_as_the_tier_says(action: Action, policy_class: PolicyClass) -> None:
    result = effective(host(), tier("t", 1, action), tracked(tier="t", applyOnForward=True))
    assert [one.defaultAction for one in tiers_of(result, policy_class)] == [action]


def test_tier_of_staged_policies_only_passes() -> None:
    result = effective(host(), stagedGlobalNetworkPolicies=(staged("one"), staged("two")))
    (only,) = tiers_of(result, PolicyClass.NORMAL)
    assert only.defaultAction is Action.PASS
    assert [(one.kind, one.name, one.staged) for one in only.policies] == [
        ("StagedGlobalNetworkPolicy", "one", True),
        ("StagedGlobalNetworkPolicy", "two", True),
    ]


def test_staged_policy_beside_an_enforced_one_changes_nothing() -> None:
    result = effective(host(), tracked("one"), stagedGlobalNetworkPolicies=(staged("one", ingress=(ALLOW,)),))
    (only,) = tiers_of(result, PolicyClass.NORMAL)
    assert only.defaultAction is Action.DENY
    assert [(one.name, one.staged) for one in only.policies] == [("one", False), ("one", True)]


def test_all_staged_is_asked_for_each_direction() -> None:
    result = effective(host(), tracked("one"), stagedGlobalNetworkPolicies=(staged("two", types=BOTH),))
    assert tiers_of(result, PolicyClass.NORMAL, INGRESS)[0].defaultAction is Action.DENY
    assert tiers_of(result, PolicyClass.NORMAL, EGRESS)[0].defaultAction is Action.PASS


def test_staged_deletion_is_not_listed() -> None:
    result = effective(host(), stagedGlobalNetworkPolicies=(staged("one", "Delete"),))
    assert only_endpoint(result).tiers == {}
    assert result.notices == ("StagedGlobalNetworkPolicy/one: staged (Delete): not enforced",)


def test_policy_applies_where_its_selector_matches() -> None:
    labels = {"role": "db"}
    result = effective(
        host(labels=labels),
        policy("everything"),
        policy("blank", selector=" "),
        policy("db", selector="role == 'db'"),
        policy("web", selector="role == 'web'"),
    )
    assert policy_names(result) == ["blank", "db", "everything"]
    assert result.notices == ("GlobalNetworkPolicy: selects no active host endpoint of this node: web",)


@pytest.mark.parametrize(
    ("field", "selector", "applies"),
    [
        ("namespaceSelector", "all()", False),
        ("namespaceSelector", "env == 'prod'", False),
        ("namespaceSelector", "has(env)", False),
        ("namespaceSelector", "env != 'prod'", True),
        ("namespaceSelector", "!has(env)", True),
        ("namespaceSelector", "!all()", True),
        ("serviceAccountSelector", "all()", False),
        ("serviceAccountSelector", "role == 'x'", False),
        ("serviceAccountSelector", "role not in {'x'}", True),
    ],
)
def test_selectors_on_workloads_keep_a_policy_from_hosts(field: str, selector: str, applies: bool) -> None:  # noqa: FBT001
    result = effective(host(labels={"env": "prod", "role": "x"}), policy("p", **{field: selector}))
    assert policy_names(result) == ["p"] * applies
    assert any("keeps it from host endpoints" in notice for notice in result.notices) is not applies


def test_network_policy_never_applies_to_a_host() -> None:
    namespaced = NetworkPolicy(metadata=metadata("p", namespace="ns"), ingress=(DENY,))
    result = effective(host(), networkPolicies=(namespaced,))
    assert only_endpoint(result).tiers == {}
    assert result.notices == ("NetworkPolicy: never applies to host endpoints: ns/p",)


def test_many_idle_policies_are_one_notice() -> None:
    result = effective(host(), *(policy(f"p{number}", selector="has(x)") for number in range(8)))
    (notice,) = result.notices
    assert notice.endswith("p0, p1, p2, p3, p4 and 3 more")
