"""Which packets a rule matches: specification sections 1.9, 1.10, 7 and 8.

Most of it stands in the table of ``tests/verdicts``, which is run on the real programs as well. Here is what manifests
can not say, and the rows of sections 8.1 to 8.4 by name.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from pyxdp.errors import UnsupportedPolicyError
from pyxdp.evaluator import PolicyClass, Verdict
from pyxdp.model import Action, EndpointPort, EntityRule, IcmpMatch, Rule, ServiceAccountMatch, ServiceMatch
from tests.evaluator.factories import (
    DENY,
    IN,
    host,
    host_endpoint,
    nets,
    network_set,
    packet,
    ports,
    profile,
    protocol,
    untracked,
)

if TYPE_CHECKING:
    from pyxdp.model import Resource
    from pyxdp.net import Packet

V6: dict[str, Any] = {"src": "2001:db8:9::7", "dst": "2001:db8::1"}


def matches(rule: dict[str, Any] | Rule, sent: Packet, *items: Resource) -> bool:
    """Whether an untracked Deny of these fields drops the packet."""
    rule = Rule(action=Action.DENY, **rule) if isinstance(rule, dict) else rule
    judge_class = host(*items, untracked("u", ingress=[rule])).judge_class
    return judge_class(PolicyClass.UNTRACKED, IN, sent).verdict is Verdict.DENY


class TestProtocols:
    """Section 8.1."""

    @pytest.mark.parametrize("name", ["TCP", "UDP", "SCTP", "UDPLite"])
    @pytest.mark.parametrize("addresses", [{}, V6])
    def test_names_without_a_family(self, name: str, addresses: dict[str, Any]) -> None:
        assert matches({"protocol": protocol(name)}, packet(name=name, **addresses))
        assert not matches({"protocol": protocol(name)}, packet(name=47, **addresses))

    def test_icmp_by_name_implies_ipv4(self) -> None:
        assert matches({"protocol": protocol("ICMP")}, packet(name=1))
        assert not matches({"protocol": protocol("ICMP")}, packet(name=1, **V6))

    def test_icmpv6_by_name_implies_ipv6(self) -> None:
        assert matches({"protocol": protocol("ICMPv6")}, packet(name=58, **V6))
        assert not matches({"protocol": protocol("ICMPv6")}, packet(name=58))

    @pytest.mark.parametrize("number", [1, 58])
    @pytest.mark.parametrize("addresses", [{}, V6])
    def test_icmp_by_number_implies_no_family(self, number: int, addresses: dict[str, Any]) -> None:
        assert matches({"protocol": protocol(number)}, packet(name=number, **addresses))

    @pytest.mark.parametrize("addresses", [{}, V6])
    def test_not_protocol_by_name_implies_no_family(self, addresses: dict[str, Any]) -> None:
        assert matches({"notProtocol": protocol("ICMP")}, packet(**addresses))
        assert not matches({"notProtocol": protocol("ICMP")}, packet(name=1, **addresses))

    def test_protocol_and_not_protocol_are_anded(self) -> None:
        assert not matches({"protocol": protocol("TCP"), "notProtocol": protocol(6)}, packet())
        assert matches({"protocol": protocol("TCP"), "notProtocol": protocol(17)}, packet())

    @pytest.mark.parametrize("number", [253, 254])
    def test_a_number_without_ports(self, number: int) -> None:
        assert matches({"protocol": protocol(number)}, packet(name=number))
        assert not matches({"protocol": protocol(number)}, packet(name=number - 1))


class TestPorts:
    """Section 8.2."""

    @pytest.mark.parametrize(
        ("written", "port", "expected"),
        [
            (1, 1, True), (1, 0, False), (1, 2, False),
            (65535, 65535, True), (65535, 65534, False),
            ("10:20", 9, False), ("10:20", 10, True), ("10:20", 20, True), ("10:20", 21, False),
            ("7:7", 7, True), ("1:65535", 0, False), ("1:65535", 65535, True),
        ],
    )  # fmt: skip
    def test_single_ports_and_ranges_include_their_ends(self, written: int | str, port: int, *, expected: bool) -> None:
        numbers = EntityRule(ports=ports(written))
        assert matches({"protocol": protocol("TCP"), "destination": numbers}, packet(port)) is expected
        assert matches({"protocol": protocol("TCP"), "source": numbers}, packet(of=port)) is expected
        negated = EntityRule(notPorts=ports(written))
        assert matches({"protocol": protocol("TCP"), "destination": negated}, packet(port)) is not expected

    def test_not_ports_still_need_the_protocol(self) -> None:
        negated = {"protocol": protocol("TCP"), "destination": EntityRule(notPorts=ports(80))}
        assert not matches(negated, packet(81, name="UDP"))

    def test_entries_are_ored(self) -> None:
        entries = {"protocol": protocol("UDP"), "destination": EntityRule(ports=ports(5, "7:9", "no-such-name"))}
        assert [matches(entries, packet(port, name="UDP")) for port in (5, 6, 8)] == [True, False, True]

    def test_both_sides_are_anded(self) -> None:
        both = {
            "protocol": protocol("TCP"),
            "source": EntityRule(ports=ports(1000)),
            "destination": EntityRule(ports=ports(80)),
        }
        assert matches(both, packet(80, of=1000))
        assert not matches(both, packet(80, of=1001))
        assert not matches(both, packet(81, of=1000))


class TestNamedPorts:
    """Section 7.5."""

    PEER = host_endpoint(
        "peer",
        node="node2",
        expectedIPs=(ip_address("192.0.2.10"),),
        ports=(EndpointPort("web", protocol("TCP"), 8080), EndpointPort("web", protocol("UDP"), 8443)),
    )

    @pytest.mark.parametrize(
        ("name", "port", "expected"),
        [("TCP", 8080, True), ("TCP", 8443, False), ("UDP", 8443, True), ("UDP", 8080, False)],
    )
    def test_without_a_protocol_the_endpoint_s_protocol_counts(self, name: str, port: int, *, expected: bool) -> None:
        rule = {"destination": EntityRule(ports=("web",))}
        assert matches(rule, packet(port, name=name, dst="192.0.2.10"), self.PEER) is expected

    def test_the_selector_chooses_the_endpoint_not_the_address(self) -> None:
        lookalike = network_set("lookalike", "192.0.2.10/32", role="chosen")
        rule = {"destination": EntityRule(selector="role == 'chosen'", ports=("web",))}
        assert not matches(rule, packet(8080, dst="192.0.2.10"), self.PEER, lookalike)

    def test_negated_over_the_chosen_endpoints(self) -> None:
        lookalike = network_set("lookalike", "192.0.2.10/32", role="chosen")
        rule = {"destination": EntityRule(selector="role == 'chosen'", notPorts=("web",))}
        assert matches(rule, packet(8080, dst="192.0.2.10"), self.PEER, lookalike)


class TestIcmp:
    """Section 8.3."""

    @pytest.mark.parametrize(
        ("written", "sent", "expected"),
        [
            (IcmpMatch(8), (8, 0), True), (IcmpMatch(8), (8, 255), True), (IcmpMatch(8), (9, 0), False),
            (IcmpMatch(3, 4), (3, 4), True), (IcmpMatch(3, 4), (3, 3), False), (IcmpMatch(3, 4), (4, 3), False),
            (IcmpMatch(0, 0), (0, 0), True), (IcmpMatch(0, 0), (0, 1), False),
            (IcmpMatch(254, 255), (254, 255), True), (IcmpMatch(254), (255, 0), False),
            (IcmpMatch(), (0, 0), True), (IcmpMatch(), (255, 255), True),
        ],
    )  # fmt: skip
    def test_types_and_codes(self, written: IcmpMatch, sent: tuple[int, int], *, expected: bool) -> None:
        for name, addresses in (("ICMP", {}), ("ICMPv6", V6)):
            received = packet(name=name, icmp_type=sent[0], icmp_code=sent[1], **addresses)
            assert matches({"protocol": protocol(name), "icmp": written}, received) is expected
            assert matches({"protocol": protocol(name), "notICMP": written}, received) is not expected

    def test_not_icmp_matches_other_protocols(self) -> None:
        assert matches({"notICMP": IcmpMatch(8)}, packet())
        assert matches({"notICMP": IcmpMatch(8, 0)}, packet(name=47))


class TestFamilies:
    """Section 8.4."""

    @pytest.mark.parametrize("version", [4, 6, None])
    def test_ip_version(self, version: int | None) -> None:
        assert matches({"ipVersion": version}, packet()) is (version != 6)
        assert matches({"ipVersion": version}, packet(**V6)) is (version != 4)

    @pytest.mark.parametrize("side", ["source", "destination"])
    @pytest.mark.parametrize("field", ["nets", "notNets"])
    def test_a_list_of_the_other_family_takes_the_rule_away_even_a_negated_one(self, side: str, field: str) -> None:
        assert not matches({side: EntityRule(**{field: nets("203.0.113.0/24")})}, packet(**V6))
        assert not matches({side: EntityRule(**{field: nets("2001:db8:77::/64")})}, packet())

    def test_a_negated_list_of_the_own_family_does_not(self) -> None:
        assert matches({"source": EntityRule(notNets=nets("203.0.113.0/24"))}, packet())
        assert matches({"source": EntityRule(notNets=nets("2001:db8:77::/64"))}, packet(**V6))

    def test_a_mixed_list_is_filtered_to_the_family(self) -> None:
        mixed = {"source": EntityRule(notNets=nets("203.0.113.0/24", "2001:db8:9::/64"))}
        assert matches(mixed, packet())
        assert not matches(mixed, packet(**V6))

    def test_a_negated_catch_all_never_matches(self) -> None:
        assert not matches({"source": EntityRule(notNets=nets("0.0.0.0/0"))}, packet())
        assert not matches({"source": EntityRule(notNets=nets("0.0.0.0/0"))}, packet(**V6))

    def test_sets_exist_in_each_family(self) -> None:
        four = network_set("four", "0.0.0.0/0", role="four")
        assert matches({"source": EntityRule(selector="role == 'four'")}, packet(), four)
        assert not matches({"source": EntityRule(selector="role == 'four'")}, packet(**V6), four)
        assert not matches({"source": EntityRule(notSelector="role == 'four'")}, packet(), four)
        assert matches({"source": EntityRule(notSelector="role == 'four'")}, packet(**V6), four)


class TestServices:
    RULE = Rule(action=Action.ALLOW, source=EntityRule(services=ServiceMatch("dns", "kube-system")))

    def test_are_refused_with_the_policy_s_name(self) -> None:
        with pytest.raises(UnsupportedPolicyError) as raised:
            matches(self.RULE, packet())
        assert raised.value.policies == (("GlobalNetworkPolicy/u", "rule 0 matches Kubernetes services"),)

    def test_are_refused_even_behind_a_rule_that_decides(self) -> None:
        items = host(untracked("u", ingress=[DENY, self.RULE]))
        with pytest.raises(UnsupportedPolicyError):
            items.judge(IN, packet())

    def test_are_refused_in_profiles(self) -> None:
        items = host(host_endpoint(profiles=("p",)), profile("p", ingress=[self.RULE]))
        with pytest.raises(UnsupportedPolicyError):
            items.judge(IN, packet())

    def test_are_not_looked_at_where_the_policy_does_not_apply(self) -> None:
        elsewhere = untracked("u", ingress=[self.RULE], selector="hep == 'other'")
        assert host(elsewhere).judge_class(PolicyClass.UNTRACKED, IN, packet()).verdict is Verdict.NO_VERDICT


class TestOtherFields:
    def test_an_empty_rule_matches_everything(self) -> None:
        assert matches({}, packet())
        assert matches({}, packet(name=0))
        assert matches({}, packet(name=58, icmp_type=135, icmp_code=0, **V6))

    def test_http_is_not_looked_at(self) -> None:
        assert matches({"http": True}, packet())

    def test_annotations_have_no_effect(self) -> None:
        assert matches({"annotations": {"why": "because"}}, packet())

    def test_empty_service_accounts_restrict_nothing(self) -> None:
        assert matches({"source": EntityRule(serviceAccounts=ServiceAccountMatch())}, packet())

    def test_service_account_selectors_match_no_host(self) -> None:
        every = {"source": EntityRule(serviceAccounts=ServiceAccountMatch(selector="all()"))}
        assert not matches(every, packet(), network_set("all", "0.0.0.0/0"))
