"""Failsafe ports: specification section 5, with its functional expectations for two hosts."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from pyxdp.evaluator import Conntrack, Direction, Path, PolicyClass, Reason, Verdict
from pyxdp.model import Action, EntityRule, FailsafePort, FelixConfiguration, Rule
from pyxdp.net import Interface
from tests.evaluator.factories import (
    ALLOW,
    DENY,
    IN,
    OTHER,
    OUT,
    Host,
    failsafes,
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
    protocol,
    resources,
    untracked,
)

if TYPE_CHECKING:
    from pyxdp.model import Resource
    from pyxdp.net import Packet

HOST0, HOST1, CLIENT = "192.0.2.10", "192.0.2.11", "198.51.100.99"


class TwoHosts:
    """Two hosts with default failsafe ports and a host endpoint each, by default on deny."""

    def __init__(self, *items: Resource) -> None:
        endpoints = [host_endpoint(node, node=node) for node in ("host0", "host1")]
        everything = resources(*endpoints, *items)
        self._hosts = {
            address: Host(everything, node=node, interfaces=(Interface("eth0", 1, (ip_address(address),)),))
            for address, node in ((HOST0, "host0"), (HOST1, "host1"))
        }

    def connects(self, source: str, destination: str, port: int) -> bool:
        """Whether a request and its reply get through all host endpoints on their way."""
        request = packet(port, src=source, dst=destination)
        reply = packet(40000, of=port, src=destination, dst=source)
        tracked: set[str] = set()
        return self._arrives(request, tracked) and self._arrives(reply, tracked)

    def _arrives(self, sent: Packet, tracked: set[str]) -> bool:
        for direction, address in ((OUT, str(sent.source)), (IN, str(sent.destination))):
            if address in self._hosts and not self._passes(address, direction, sent, tracked):
                return False
        return True

    def _passes(self, address: str, direction: Direction, sent: Packet, tracked: set[str]) -> bool:
        state = Conntrack.ESTABLISHED if address in tracked else Conntrack.NEW
        result = self._hosts[address].judge(direction, sent, conntrack=state)
        if result.passes and not result.untracked:
            tracked.add(address)
        return result.passes


class TestTwoHosts:
    """Flows of the specification's table, row by row."""

    def test_an_ordinary_port_is_blocked(self) -> None:
        assert not TwoHosts().connects(HOST0, HOST1, 8055)

    def test_a_port_in_both_lists_is_allowed(self) -> None:
        assert TwoHosts().connects(HOST0, HOST1, 2379)

    def test_a_port_in_the_inbound_list_only_is_blocked_by_missing_egress(self) -> None:
        assert not TwoHosts().connects(HOST0, HOST1, 22)

    def test_an_external_client_reaches_a_port_in_the_inbound_list(self) -> None:
        assert TwoHosts().connects(CLIENT, HOST1, 22)

    @pytest.mark.parametrize("port", [8055, 2379, 22])
    def test_symmetric_untracked_allows_let_everything_through(self, port: int) -> None:
        hosts = TwoHosts(untracked("open", ingress=[ALLOW], egress=[ALLOW]))
        assert hosts.connects(HOST0, HOST1, port)
        assert hosts.connects(HOST1, HOST0, port)

    def test_one_missing_untracked_egress_rule_breaks_both_ways(self) -> None:
        hosts = TwoHosts(untracked("in", ingress=[ALLOW]), untracked("out", egress=[ALLOW], selector="on == 'host1'"))
        assert not hosts.connects(HOST0, HOST1, 8055)
        assert not hosts.connects(HOST1, HOST0, 8055)
        assert hosts.connects(HOST1, HOST0, 22)
        assert not hosts.connects(HOST0, HOST1, 22)

    def test_an_untracked_deny_in_ingress_blocks_both_ways_but_no_failsafe_port(self) -> None:
        to_host0 = Rule(action=Action.DENY, destination=EntityRule(nets=nets(f"{HOST0}/32")))
        hosts = TwoHosts(
            untracked("deny", order=1, ingress=[to_host0]), untracked("open", order=2, ingress=[ALLOW], egress=[ALLOW])
        )
        assert not hosts.connects(HOST0, HOST1, 8055)
        assert not hosts.connects(HOST1, HOST0, 8055)
        assert hosts.connects(CLIENT, HOST0, 22)
        assert hosts.connects(HOST1, HOST0, 22)
        assert hosts.connects(HOST0, HOST1, 2379)
        assert hosts.connects(HOST1, HOST0, 2379)


class TestClasses:
    """Where failsafe ports stand, class by class."""

    def test_untracked_lets_them_by_and_leaves_them_tracked(self) -> None:
        result = host(untracked("u", ingress=[DENY])).judge_class(PolicyClass.UNTRACKED, IN, packet(22))
        assert (result.verdict, result.reason) == (Verdict.NO_VERDICT, Reason.FAILSAFE)
        assert str(result.rule) == "FelixConfiguration/failsafe/ingress[0]"

    def test_untracked_allow_does_not_take_them_out_of_tracking(self) -> None:
        result = host(untracked("u", ingress=[ALLOW])).judge(IN, packet(22))
        assert (result.verdict, result.untracked) == (Verdict.ALLOW, False)

    def test_a_mirrored_one_faces_normal_policy(self) -> None:
        result = host(untracked("u", ingress=[DENY])).judge(IN, packet(of=53, name="UDP"))
        assert (result.verdict, result.deciding.policy_class) == (Verdict.DENY, PolicyClass.NORMAL)

    def test_pre_dnat_lets_them_by(self) -> None:
        assert host(pre_dnat("p", ingress=[DENY])).judge(IN, packet(22)).verdict is Verdict.ALLOW

    def test_pre_dnat_lets_them_by_but_forward_policy_still_applies(self) -> None:
        items = (pre_dnat("p", ingress=[DENY]), forward("f", ingress=[DENY]))
        result = host(*items).judge(IN, packet(22), path=Path.FORWARD)
        assert (result.verdict, policy_of(result)) == (Verdict.DENY, "f")

    def test_pre_dnat_compares_the_original_port_and_normal_the_final_one(self) -> None:
        judge = host(pre_dnat("p", ingress=[DENY])).judge
        assert judge(IN, packet(8022), original_destination_port=22).reason is Reason.END_OF_PROFILES
        assert policy_of(judge(IN, packet(22), original_destination_port=8022)) == "p"

    def test_normal_cannot_close_them(self) -> None:
        closed = policy("closed", ingress=[DENY], egress=[DENY])
        assert host(closed).judge(IN, packet(22)).verdict is Verdict.ALLOW
        assert host(closed).judge(OUT, outgoing(53, name="UDP")).verdict is Verdict.ALLOW

    def test_normal_has_no_mirror_images(self) -> None:
        assert host().judge(IN, packet(of=53, name="UDP")).verdict is Verdict.DENY
        assert host().judge(OUT, outgoing(of=22)).verdict is Verdict.DENY

    def test_forward_has_none(self) -> None:
        closed = forward("closed", ingress=[DENY], egress=[DENY])
        assert host(closed).judge(IN, packet(22), path=Path.FORWARD).verdict is Verdict.DENY


class TestLists:
    """What the entries of the lists say."""

    def test_the_node_s_list_replaces_the_default_list(self) -> None:
        judge = host(failsafes(["tcp:22"], ["udp:53"]), failsafes(["tcp:2022"], ["udp:5353"], of="node.node1")).judge
        assert judge(IN, packet(2022)).reason is Reason.FAILSAFE
        assert judge(IN, packet(22)).reason is Reason.END_OF_PROFILES

    def test_another_node_s_list_does_not_count(self) -> None:
        judge = host(failsafes(["tcp:2022"], of="node.node2"), failsafes(["tcp:2023"], of="other")).judge
        assert judge(IN, packet(22)).reason is Reason.FAILSAFE
        assert judge(IN, packet(2022)).verdict is Verdict.DENY
        assert judge(IN, packet(2023)).verdict is Verdict.DENY

    def test_a_list_that_is_not_given_falls_back_by_itself(self) -> None:
        only_outbound = FelixConfiguration(metadata=named("node.node1"), failsafeOutboundHostPorts=())
        judge = host(failsafes(["tcp:2022"], ["udp:53"]), only_outbound).judge
        assert judge(IN, packet(2022)).reason is Reason.FAILSAFE
        assert judge(OUT, outgoing(53, name="UDP")).verdict is Verdict.DENY

    @pytest.mark.parametrize(
        ("prefix", "passes"), [("198.51.100.0/24", True), ("203.0.113.0/24", False), ("::/0", False)]
    )
    def test_a_prefix_narrows_an_entry_and_one_of_the_other_family_removes_it(
        self, prefix: str, *, passes: bool
    ) -> None:
        entry = FailsafePort(protocol("TCP"), 22, nets(prefix)[0])
        config = FelixConfiguration(metadata=named("default"), failsafeInboundHostPorts=(entry,))
        assert host(config).judge(IN, packet(22, src=OTHER)).passes is passes

    def test_sctp_and_port_0_are_possible(self) -> None:
        judge = host(failsafes(["sctp:3868", "udp:0"])).judge
        assert judge(IN, packet(3868, name="SCTP")).passes
        assert judge(IN, packet(0, name="UDP")).passes
        assert not judge(IN, packet(3868)).passes
