"""Which classes a packet meets and how they act together: specification sections 3.6, 3.8, 3.9 and 3.10."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from pyxdp.evaluator import Conntrack, Direction, Evaluation, Path, PolicyClass, Reason, Verdict
from pyxdp.model import Action, FelixConfiguration
from tests.evaluator.factories import (
    ALLOW,
    DENY,
    IN,
    OUT,
    forward,
    host,
    host_endpoint,
    named,
    nets,
    outgoing,
    packet,
    policy,
    policy_of,
    pre_dnat,
    to_port,
    untracked,
)

WILDCARD = host_endpoint("everything", interfaceName="*")
ALL_CLASSES = (
    untracked("u", ingress=[], egress=[]),
    pre_dnat("p", ingress=[]),
    forward("f", ingress=[ALLOW], egress=[ALLOW]),
)


def asked(result: Evaluation) -> list[str]:
    """The classes that had anything to say."""
    return [each.policy_class.value for each in result.classes if each.reason is not Reason.NOT_GOVERNED]


class TestPaths:
    def test_wire_to_local_process(self) -> None:
        assert asked(host(*ALL_CLASSES).judge(IN, packet())) == ["untracked", "pre-DNAT", "normal"]

    def test_local_process_to_wire(self) -> None:
        assert asked(host(*ALL_CLASSES).judge(OUT, outgoing())) == ["untracked", "normal"]

    def test_wire_to_wire_comes_in(self) -> None:
        result = host(*ALL_CLASSES).judge(IN, packet(), path=Path.FORWARD)
        assert asked(result) == ["untracked", "pre-DNAT", "forward"]

    def test_wire_to_wire_goes_out(self) -> None:
        assert asked(host(*ALL_CLASSES).judge(OUT, packet(), path=Path.FORWARD)) == ["forward"]

    def test_local_workload_to_wire_meets_pre_dnat_and_forward_of_a_wildcard_on_its_interface(self) -> None:
        result = host(WILDCARD, *ALL_CLASSES, interface="cali0123").judge(IN, packet(), path=Path.FORWARD)
        assert asked(result) == ["pre-DNAT", "forward"]

    def test_local_workload_to_own_host_meets_pre_dnat_of_a_wildcard_only(self) -> None:
        result = host(WILDCARD, *ALL_CLASSES, interface="cali0123").judge(IN, packet())
        assert asked(result) == ["pre-DNAT"]
        assert result.passes

    def test_local_process_to_own_workload_is_not_policed(self) -> None:
        closed = policy("closed", ingress=[DENY], egress=[DENY])
        assert asked(host(WILDCARD, closed, interface="cali0123").judge(OUT, outgoing())) == []

    def test_a_named_endpoint_never_governs_a_workload_interface(self) -> None:
        named = host_endpoint(interfaceName="cali0123")
        assert asked(host(named, *ALL_CLASSES, interface="cali0123").judge(IN, packet(), path=Path.FORWARD)) == []


class TestUntracked:
    def test_allow_in_skips_pre_dnat_and_normal(self) -> None:
        result = host(
            untracked("u", ingress=[ALLOW]), pre_dnat("p", ingress=[DENY]), policy("n", ingress=[DENY])
        ).judge(IN, packet())
        assert (result.verdict, result.untracked, asked(result)) == (Verdict.ALLOW, True, ["untracked"])

    def test_allow_out_skips_normal(self) -> None:
        result = host(untracked("u", egress=[ALLOW]), policy("n", egress=[DENY])).judge(OUT, outgoing())
        assert (result.verdict, result.untracked) == (Verdict.ALLOW, True)

    def test_allow_in_skips_forward_of_the_same_interface_but_not_of_the_other(self) -> None:
        items = (untracked("u", ingress=[ALLOW]), forward("f", ingress=[DENY], egress=[DENY]))
        assert host(*items).judge(IN, packet(), path=Path.FORWARD).verdict is Verdict.ALLOW
        assert host(*items).judge(OUT, packet(), path=Path.FORWARD).verdict is Verdict.DENY

    def test_deny_is_final(self) -> None:
        result = host(untracked("u", ingress=[DENY]), policy("n", ingress=[ALLOW])).judge(IN, packet())
        assert (result.verdict, result.untracked, asked(result)) == (Verdict.DENY, False, ["untracked"])

    def test_deny_reaches_established_connections(self) -> None:
        result = host(untracked("u", ingress=[DENY])).judge(IN, packet(), conntrack=Conntrack.ESTABLISHED)
        assert result.verdict is Verdict.DENY

    def test_no_match_falls_through_to_tracked_classes(self) -> None:
        result = host(untracked("u", ingress=[to_port(80)]), policy("n", ingress=[ALLOW])).judge(IN, packet(81))
        assert (result.verdict, result.untracked, policy_of(result)) == (Verdict.ALLOW, False, "n")

    def test_there_is_no_state_the_reply_needs_a_rule_of_its_own(self) -> None:
        judge = host(untracked("u", ingress=[to_port(80)], egress=[])).judge
        assert judge(IN, packet(80)).verdict is Verdict.ALLOW
        assert judge(OUT, outgoing(40000, of=80)).verdict is Verdict.DENY

    def test_every_untracked_tier_is_enforced(self) -> None:
        kube_admin = untracked("kube-admin.a", tier="kube-admin", ingress=[to_port(80)])
        default = untracked("b", ingress=[to_port(81)])
        judge = host(kube_admin, default).judge
        assert policy_of(judge(IN, packet(80))) == "kube-admin.a"
        assert policy_of(judge(IN, packet(81))) == "b"

    def test_a_wildcard_endpoint_supports_untracked_policy(self) -> None:
        assert host(WILDCARD, untracked("u", ingress=[ALLOW]), interface="eth1").judge(IN, packet()).untracked

    def test_what_was_sent_before_dnat_counts(self) -> None:
        to_80 = untracked("u", ingress=[to_port(80)])
        result = host(to_80).judge(IN, packet(8080), original_destination_port=80)
        assert (result.verdict, result.untracked) == (Verdict.ALLOW, True)


class TestPreDnat:
    def test_allow_skips_normal_and_forward(self) -> None:
        items = (pre_dnat("p", ingress=[ALLOW]), forward("f", ingress=[DENY]))
        for path in Path:
            result = host(*items).judge(IN, packet(), path=path)
            assert (result.verdict, result.untracked, policy_of(result)) == (Verdict.ALLOW, False, "p")

    def test_no_match_goes_on(self) -> None:
        result = host(pre_dnat("p", ingress=[to_port(80)]), policy("n", ingress=[ALLOW])).judge(IN, packet(81))
        assert policy_of(result) == "n"

    def test_matches_the_original_destination_and_normal_the_final_one(self) -> None:
        to_original = pre_dnat("p", ingress=[to_port(80, action=Action.DENY)])
        to_final = policy("n", ingress=[to_port(8080)])
        judge = host(to_original, to_final).judge
        original = {"original_destination": ip_address("203.0.113.1")}
        assert policy_of(judge(IN, packet(8080), original_destination_port=80, **original)) == "p"
        assert policy_of(judge(IN, packet(8080), original_destination_port=81, **original)) == "n"

    def test_matches_the_original_address(self) -> None:
        rule = replace(ALLOW, destination=replace(ALLOW.destination, nets=nets("203.0.113.1/32")))
        judge = host(pre_dnat("p", ingress=[rule])).judge
        assert judge(IN, packet(), original_destination=ip_address("203.0.113.1")).verdict is Verdict.ALLOW
        assert judge(IN, packet()).verdict is Verdict.DENY

    def test_established_connections_are_not_asked(self) -> None:
        result = host(pre_dnat("p", ingress=[DENY])).judge(IN, packet(), conntrack=Conntrack.ESTABLISHED)
        assert result.verdict is Verdict.ALLOW


class TestConnectionTracking:
    @pytest.mark.parametrize("path", list(Path))
    @pytest.mark.parametrize("direction", [IN, OUT])
    def test_invalid_is_dropped_before_failsafe_ports_and_allow_rules(self, path: Path, direction: Direction) -> None:
        items = (forward("f", ingress=[ALLOW], egress=[ALLOW]), pre_dnat("p", ingress=[ALLOW]))
        result = host(*items).judge(direction, packet(22), path=path, conntrack=Conntrack.INVALID)
        assert (result.verdict, result.reason) == (Verdict.DENY, Reason.INVALID)

    def test_invalid_is_not_looked_at_without_a_host_endpoint(self) -> None:
        assert host(interface="eth1").judge(IN, packet(), conntrack=Conntrack.INVALID).passes

    @pytest.mark.parametrize("path", list(Path))
    def test_invalid_is_left_to_policy_where_the_check_is_disabled(self, path: Path) -> None:
        unchecked = FelixConfiguration(metadata=named("default"), disableConntrackInvalidCheck=True)
        to_80 = forward("f", ingress=[to_port(80)], egress=[to_port(80)])
        judge = host(unchecked, to_80).judge
        assert policy_of(judge(IN, packet(80), path=path, conntrack=Conntrack.INVALID)) == "f"
        assert judge(IN, packet(81), path=path, conntrack=Conntrack.INVALID).reason is Reason.END_OF_TIER
        assert judge(OUT, packet(81), path=path, conntrack=Conntrack.INVALID).reason is Reason.END_OF_TIER

    @pytest.mark.parametrize("state", [Conntrack.ESTABLISHED, Conntrack.RELATED])
    def test_policy_does_not_cut_established_connections(self, state: Conntrack) -> None:
        closed = forward("f", ingress=[DENY], egress=[DENY])
        assert host(closed).judge(IN, packet(), conntrack=state).verdict is Verdict.ALLOW
        assert host(closed).judge(OUT, packet(), path=Path.FORWARD, conntrack=state).verdict is Verdict.ALLOW


class TestWildcard:
    def test_a_specific_endpoint_replaces_it_entirely(self) -> None:
        judge = host(WILDCARD, host_endpoint("z"), policy("n", ingress=[ALLOW])).judge
        assert judge(IN, packet()).endpoint == "z"

    def test_governs_every_other_host_interface_in_all_classes(self) -> None:
        result = host(WILDCARD, *ALL_CLASSES, interface="eth1").judge(IN, packet())
        assert (result.endpoint, asked(result)) == ("everything", ["untracked", "pre-DNAT", "normal"])

    def test_leaves_loopback_out(self) -> None:
        assert asked(host(WILDCARD, *ALL_CLASSES, interface="lo").judge(IN, packet())) == []


class TestNeighbourDiscovery:
    @pytest.mark.parametrize("icmp_type", [130, 131, 132, 133, 135, 136])
    @pytest.mark.parametrize("direction", [IN, OUT])
    def test_passes_the_normal_class(self, icmp_type: int, direction: Direction) -> None:
        sent = packet(name="ICMPv6", src="fe80::1", dst="ff02::1", icmp_type=icmp_type, icmp_code=0)
        result = host().judge(direction, sent)
        assert (result.verdict, result.reason) == (Verdict.ALLOW, Reason.NEIGHBOUR_DISCOVERY)

    @pytest.mark.parametrize("icmp_type", [128, 129, 134, 137])
    def test_other_types_do_not(self, icmp_type: int) -> None:
        sent = packet(name="ICMPv6", src="fe80::1", dst="ff02::1", icmp_type=icmp_type, icmp_code=0)
        assert host().judge(IN, sent).verdict is Verdict.DENY

    def test_icmp_of_that_number_does_not(self) -> None:
        assert host().judge(IN, packet(name="ICMP", icmp_type=135, icmp_code=0)).verdict is Verdict.DENY

    def test_does_not_pass_an_untracked_deny(self) -> None:
        sent = packet(name="ICMPv6", src="fe80::1", dst="ff02::1", icmp_type=135, icmp_code=0)
        assert host(untracked("u", ingress=[DENY])).judge(IN, sent).verdict is Verdict.DENY


def test_a_class_can_be_asked_alone() -> None:
    judge_class = host(untracked("u", ingress=[ALLOW]), policy("n", ingress=[DENY])).judge_class
    assert judge_class(PolicyClass.UNTRACKED, IN, packet()).verdict is Verdict.ALLOW
    assert judge_class(PolicyClass.PRE_DNAT, IN, packet()).verdict is Verdict.NO_VERDICT
    assert judge_class(PolicyClass.NORMAL, IN, packet()).verdict is Verdict.DENY
