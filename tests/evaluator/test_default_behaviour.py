"""What happens to a packet that no policy speaks of: the table of specification section 3.7, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.evaluator import Conntrack, Direction, Path, Reason, Verdict
from pyxdp.model import Action, GlobalNetworkPolicy, StagedGlobalNetworkPolicy
from tests.evaluator.factories import (
    ALLOW,
    DENY,
    IN,
    LOG,
    OUT,
    PASS,
    forward,
    host,
    host_endpoint,
    named,
    outgoing,
    packet,
    policy,
    policy_of,
    pre_dnat,
    profile,
    tier,
    to_port,
    untracked,
)

if TYPE_CHECKING:
    from pyxdp.net import Packet

BOTH = [(IN, packet()), (OUT, outgoing())]
ALLOW_PROFILE = profile("open", ingress=[ALLOW], egress=[ALLOW])
OPEN_ENDPOINT = host_endpoint(profiles=("open",))


def test_no_host_endpoint_on_the_interface_leaves_the_packet_alone() -> None:
    result = host(policy("deny", ingress=[DENY]), interface="eth1").judge(IN, packet())
    assert (result.verdict, result.reason, result.passes) == (Verdict.NO_VERDICT, Reason.NOT_GOVERNED, True)
    assert result.endpoint == ""


@pytest.mark.parametrize(("direction", "sent"), BOTH)
def test_local_without_policy_and_profile_is_dropped(direction: Direction, sent: Packet) -> None:
    result = host().judge(direction, sent)
    assert (result.verdict, result.reason) == (Verdict.DENY, Reason.END_OF_PROFILES)


def test_local_without_policy_still_passes_failsafe_ports() -> None:
    assert host().judge(IN, packet(22)).reason is Reason.FAILSAFE
    assert host().judge(IN, packet(22)).verdict is Verdict.ALLOW


@pytest.mark.parametrize("state", [Conntrack.ESTABLISHED, Conntrack.RELATED])
def test_local_without_policy_still_passes_established(state: Conntrack) -> None:
    result = host().judge(IN, packet(), conntrack=state)
    assert (result.verdict, result.reason) == (Verdict.ALLOW, Reason.ESTABLISHED)


@pytest.mark.parametrize(("direction", "sent"), BOTH)
def test_local_without_policy_in_this_direction_and_a_profile_that_allows_is_allowed(
    direction: Direction, sent: Packet
) -> None:
    result = host(OPEN_ENDPOINT, ALLOW_PROFILE).judge(direction, sent)
    assert (result.verdict, policy_of(result)) == (Verdict.ALLOW, "open")


def test_local_with_a_normal_policy_that_does_not_match_is_dropped_without_asking_profiles() -> None:
    result = host(OPEN_ENDPOINT, ALLOW_PROFILE, policy("web", ingress=[to_port(80)])).judge(IN, packet(81))
    assert (result.verdict, result.reason, result.deciding.tier) == (Verdict.DENY, Reason.END_OF_TIER, "default")


def test_local_egress_with_ingress_only_policies_falls_to_profiles() -> None:
    web = policy("web", ingress=[to_port(80)])
    assert host(web).judge(OUT, outgoing()).reason is Reason.END_OF_PROFILES
    assert host(OPEN_ENDPOINT, ALLOW_PROFILE, web).judge(OUT, outgoing()).verdict is Verdict.ALLOW


@pytest.mark.parametrize("early", [untracked("early", ingress=[to_port(80)]), pre_dnat("early", ingress=[to_port(80)])])
def test_local_with_only_untracked_or_pre_dnat_policies_and_no_match_there_falls_to_profiles(
    early: GlobalNetworkPolicy,
) -> None:
    assert host(early).judge(IN, packet(81)).reason is Reason.END_OF_PROFILES
    assert host(OPEN_ENDPOINT, ALLOW_PROFILE, early).judge(IN, packet(81)).verdict is Verdict.ALLOW


def test_local_with_only_forward_policies_is_the_same_as_normal() -> None:
    judge = host(forward("web", ingress=[to_port(80)])).judge
    assert judge(IN, packet(80)).verdict is Verdict.ALLOW
    assert judge(IN, packet(81)).reason is Reason.END_OF_TIER


@pytest.mark.parametrize("direction", [IN, OUT])
def test_forwarded_without_any_forward_policy_is_allowed(direction: Direction) -> None:
    result = host(policy("normal", ingress=[DENY], egress=[DENY])).judge(direction, packet(), path=Path.FORWARD)
    assert (result.verdict, result.reason) == (Verdict.ALLOW, Reason.NO_FORWARD_POLICY)


def test_forwarded_with_forward_policies_only_in_the_other_direction_is_not_dropped() -> None:
    result = host(forward("out", egress=[DENY])).judge(IN, packet(), path=Path.FORWARD)
    assert (result.verdict, result.reason) == (Verdict.NO_VERDICT, Reason.NO_MATCH)


def test_forwarded_without_a_match_in_a_forward_policy_is_dropped() -> None:
    result = host(forward("web", ingress=[to_port(80)])).judge(IN, packet(81), path=Path.FORWARD)
    assert (result.verdict, result.reason) == (Verdict.DENY, Reason.END_OF_TIER)


def test_forwarded_without_a_match_passes_a_tier_that_passes_by_default() -> None:
    web = forward("web", tier="lenient", ingress=[to_port(80)])
    result = host(tier("lenient", action=Action.PASS), web).judge(IN, packet(81), path=Path.FORWARD)
    assert (result.verdict, result.passes) == (Verdict.NO_VERDICT, True)


@pytest.mark.parametrize("path", list(Path))
def test_a_tier_with_staged_policies_only_denies_nothing(path: Path) -> None:
    trial = StagedGlobalNetworkPolicy(
        metadata=named("trial"), stagedAction="Set", policy=forward("trial", ingress=[DENY])
    )
    assert host(OPEN_ENDPOINT, ALLOW_PROFILE, trial).judge(IN, packet(), path=path).verdict is Verdict.ALLOW


def test_forwarded_passed_out_of_the_last_tier_is_not_dropped() -> None:
    result = host(forward("web", ingress=[PASS])).judge(IN, packet(), path=Path.FORWARD)
    assert (result.verdict, result.passes) == (Verdict.NO_VERDICT, True)


def test_normal_passed_out_of_the_last_tier_reaches_profiles() -> None:
    passing = policy("pass", ingress=[PASS])
    assert host(passing).judge(IN, packet()).reason is Reason.END_OF_PROFILES
    assert host(OPEN_ENDPOINT, ALLOW_PROFILE, passing).judge(IN, packet()).verdict is Verdict.ALLOW


def test_a_policy_of_log_rules_only_drops_at_the_end_of_its_tier() -> None:
    result = host(policy("audit", ingress=[LOG])).judge(IN, packet())
    assert (result.verdict, result.reason) == (Verdict.DENY, Reason.END_OF_TIER)
    assert [str(rule) for rule in result.logs] == ["default/audit/ingress[0]"]


def test_types_without_rules_deny_that_direction() -> None:
    both = policy("both", ingress=[ALLOW], egress=[])
    assert host(both).judge(OUT, outgoing()).reason is Reason.END_OF_TIER


def test_a_policy_of_a_tier_that_does_not_exist_is_enforced_last_and_denies_at_its_end() -> None:
    lost = policy("lost.p", tier="lost", order=-1, ingress=[to_port(80)])
    first = policy("first", order=5, ingress=[to_port(81, action=Action.DENY), PASS])
    judge = host(lost, first).judge
    assert policy_of(judge(IN, packet(80))) == "lost.p"
    assert policy_of(judge(IN, packet(81))) == "first"
    assert judge(IN, packet(82)).deciding.tier == "lost"


class TestProfiles:
    def test_a_profile_that_does_not_exist_denies(self) -> None:
        result = host(host_endpoint(profiles=("nothing", "open")), ALLOW_PROFILE).judge(IN, packet())
        assert (result.verdict, result.reason) == (Verdict.DENY, Reason.MISSING_PROFILE)

    def test_an_earlier_profile_that_allows_is_enough(self) -> None:
        endpoint = host_endpoint(profiles=("open", "nothing"))
        assert host(endpoint, ALLOW_PROFILE).judge(IN, packet()).verdict is Verdict.ALLOW

    def test_profiles_go_by_the_order_of_the_endpoint(self) -> None:
        endpoint = host_endpoint(profiles=("z-closed", "a-open"))
        closed, opened = profile("z-closed", ingress=[DENY]), profile("a-open", ingress=[ALLOW])
        result = host(endpoint, closed, opened).judge(IN, packet())
        assert (result.verdict, policy_of(result)) == (Verdict.DENY, "z-closed")

    def test_pass_in_a_profile_goes_on_with_the_next_profile(self) -> None:
        endpoint = host_endpoint(profiles=("pass", "open"))
        skipping = profile("pass", ingress=[PASS, DENY])
        assert policy_of(host(endpoint, skipping, ALLOW_PROFILE).judge(IN, packet())) == "open"

    def test_log_in_a_profile_logs_and_goes_on(self) -> None:
        endpoint = host_endpoint(profiles=("log",))
        result = host(endpoint, profile("log", ingress=[LOG, ALLOW])).judge(IN, packet())
        assert (result.verdict, len(result.logs)) == (Verdict.ALLOW, 1)

    def test_the_built_in_profile_allows_both_ways(self) -> None:
        judge = host(host_endpoint(profiles=("projectcalico-default-allow",))).judge
        assert judge(IN, packet()).verdict is Verdict.ALLOW
        assert judge(OUT, outgoing()).verdict is Verdict.ALLOW

    def test_profiles_are_not_asked_in_other_classes(self) -> None:
        endpoint = host_endpoint(profiles=("closed",))
        result = host(endpoint, profile("closed", ingress=[DENY])).judge(IN, packet(), path=Path.FORWARD)
        assert result.verdict is Verdict.ALLOW
