"""What is read: values, defaults, inference, origins."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from pyxdp.manifest import loads
from pyxdp.model import (
    Action,
    EndpointPort,
    EntityRule,
    IcmpMatch,
    Origin,
    PolicyType,
    ServiceAccountMatch,
    ServiceMatch,
)
from pyxdp.net import PortRange, Protocol
from pyxdp.net.prefixes import NO_PREFIXES, Prefixes
from tests.manifest.documents import document, gnp, only, text_of

ALLOW = {"action": "Allow"}


def test_host_endpoint() -> None:
    endpoint = only(
        document(
            "HostEndpoint",
            {
                "node": "node1",
                "interfaceName": "eth0",
                "expectedIPs": ["10.0.0.1", "2001:db8::1"],
                "profiles": ["b", "a"],
                "ports": [{"name": "redis", "protocol": 6, "port": 6379}],
            },
            labels={"hep": "redis-host"},
            annotations={"note": "any text: 100%"},
        ),
        "hostEndpoints",
    )
    assert endpoint.metadata.name == "it"
    assert endpoint.metadata.namespace == ""
    assert endpoint.metadata.labels == {"hep": "redis-host"}
    assert endpoint.metadata.annotations == {"note": "any text: 100%"}
    assert (endpoint.node, endpoint.interfaceName) == ("node1", "eth0")
    assert endpoint.expectedIPs == (ip_address("10.0.0.1"), ip_address("2001:db8::1"))
    assert endpoint.profiles == ("b", "a")
    assert endpoint.ports == (EndpointPort("redis", Protocol(6), 6379),)


def test_rule_with_every_field() -> None:
    text = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: all}
spec:
  ingress:
    - action: Allow
      ipVersion: 4
      protocol: TCP
      notProtocol: 17
      notICMP: {type: 8, code: 0}
      metadata: {annotations: {why: because}}
      http: {methods: [GET]}
      source:
        nets: [10.0.0.0/8]
        notNets: [10.1.0.0/16]
        selector: a == "b"
        notSelector: has(c)
        namespaceSelector: global()
        ports: [1, 10:20, http, "30"]
        notPorts: [15]
        serviceAccounts: {names: [x], selector: has(y)}
    - {action: Log, protocol: ICMPv6, icmp: {type: 128}}
    - {action: Pass, source: {services: {name: web, namespace: shop}}}
    - action: Deny
"""
    policy = loads(text, file="p.yaml").resources.globalNetworkPolicies[0]
    first, second, third, last = policy.ingress
    assert first.source == EntityRule(
        nets=(ip_network("10.0.0.0/8"),),
        notNets=(ip_network("10.1.0.0/16"),),
        selector='a == "b"',
        notSelector="has(c)",
        namespaceSelector="global()",
        ports=(PortRange(1, 1), PortRange(10, 20), "http", PortRange(30, 30)),
        notPorts=(PortRange(15, 15),),
        serviceAccounts=ServiceAccountMatch(("x",), "has(y)"),
    )
    assert first.destination == EntityRule()
    assert (first.ipVersion, first.protocol, first.notProtocol) == (4, Protocol(6, "TCP"), Protocol(17))
    assert (first.icmp, first.notICMP) == (None, IcmpMatch(8, 0))
    assert (first.annotations, first.http) == ({"why": "because"}, True)
    assert (second.action, second.icmp, second.protocol) == (Action.LOG, IcmpMatch(128), Protocol(58, "ICMPv6"))
    assert third.source.services == ServiceMatch("web", "shop")
    assert (last.action, last.http) == (Action.DENY, False)
    assert [rule.origin for rule in policy.ingress] == [Origin("p.yaml", line) for line in (7, 23, 24, 25)]
    assert policy.metadata.origin == Origin("p.yaml", 2)


def test_policy_defaults() -> None:
    policy = only(gnp(), "globalNetworkPolicies")
    assert (policy.tier, policy.order, policy.selector) == ("default", None, "")
    assert (policy.doNotTrack, policy.preDNAT, policy.applyOnForward) == (False, False, False)


@pytest.mark.parametrize(
    ("rules", "types"),
    [
        ({}, ["Ingress"]),
        ({"ingress": [ALLOW]}, ["Ingress"]),
        ({"egress": [ALLOW]}, ["Egress"]),
        ({"ingress": [ALLOW], "egress": [ALLOW]}, ["Ingress", "Egress"]),
        ({"ingress": [], "egress": [ALLOW]}, ["Egress"]),
        ({"types": [], "egress": [ALLOW]}, ["Egress"]),
        ({"types": ["Egress", "Ingress"]}, ["Egress", "Ingress"]),
        ({"types": ["Ingress"], "egress": [ALLOW]}, ["Ingress"]),
    ],
)
@pytest.mark.parametrize(
    ("kind", "collection"),
    [("GlobalNetworkPolicy", "globalNetworkPolicies"), ("NetworkPolicy", "networkPolicies")],
)
def test_types_are_inferred(kind: str, collection: str, rules: dict[str, object], types: list[str]) -> None:
    assert only(document(kind, rules), collection).types == tuple(PolicyType(name) for name in types)


def test_staged_policy_holds_the_policy_that_it_would_be() -> None:
    staged = only(document("StagedGlobalNetworkPolicy", {"selector": "has(a)"}), "stagedGlobalNetworkPolicies")
    assert staged.stagedAction == "Set"
    assert staged.policy == only(gnp(selector="has(a)"), "globalNetworkPolicies")


def test_tier_defaults() -> None:
    tier = only(document("Tier"), "tiers")
    assert (tier.order, tier.defaultAction) == (1_000_000.0, Action.DENY)
    other = only(document("Tier", {"order": -0.5, "defaultAction": "Pass"}), "tiers")
    assert (other.order, other.defaultAction) == (-0.5, Action.PASS)


def test_network_set_masks_host_bits_and_drops_repeats_with_a_notice() -> None:
    nets = ["10.1.2.3/8", "192.0.2.1", "2001:db8::1", "2001:db8::1/32", "10.0.0.0/8", "0.0.0.0/0"]
    manifest = loads(text_of(document("GlobalNetworkSet", {"nets": nets})), file="s")
    expected = ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::1/128", "2001:db8::/32", "0.0.0.0/0"]
    assert manifest.resources.globalNetworkSets[0].nets == Prefixes.of(ip_network(net) for net in expected)
    assert manifest.notices == ("s:1: GlobalNetworkSet/it: nets: 1 entries repeat others and count once",)


def test_namespaced_kinds_live_in_default_when_nothing_is_said() -> None:
    assert only(document("NetworkSet"), "networkSets").metadata.namespace == "default"
    assert only(document("NetworkSet", namespace="shop"), "networkSets").metadata.namespace == "shop"


def test_the_same_name_in_other_namespaces_and_kinds_is_another_resource() -> None:
    text = text_of(
        document("NetworkSet", namespace="b"),
        document("NetworkSet", namespace="a"),
        document("GlobalNetworkSet"),
        document("GlobalNetworkSet", name="a"),
    )
    resources = loads(text).resources
    assert [one.metadata.namespace for one in resources.networkSets] == ["a", "b"]
    assert [one.metadata.name for one in resources.globalNetworkSets] == ["a", "it"]


def test_null_is_the_same_as_not_given() -> None:
    written = dict.fromkeys(
        ("tier", "order", "ingress", "egress", "selector", "types", "doNotTrack", "namespaceSelector")
    )
    assert only(gnp(**written), "globalNetworkPolicies") == only(gnp(), "globalNetworkPolicies")
    assert only(document("GlobalNetworkSet", {"nets": None}), "globalNetworkSets").nets == NO_PREFIXES


def test_what_the_server_writes_is_ignored() -> None:
    written = document(
        "GlobalNetworkSet",
        {"nets": ["10.0.0.0/8"]},
        uid="1",
        resourceVersion="2",
        creationTimestamp=None,
        generation=3,
        managedFields=[{"manager": "kubectl", "fieldsV1": {"f:spec": {".": {}}}}],
        selfLink="/x",
        ownerReferences=[{}],
        finalizers=["x"],
        generateName="i",
    )
    assert only({**written, "status": {"any": "thing"}}, "globalNetworkSets").metadata.name == "it"


def test_kubernetes_objects_are_read_leniently() -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1", "labels": {"kubernetes.io/os": "linux"}, "somethingNew": 1},
        "spec": {"podCIDR": "10.0.0.0/24", "taints": [{"key": "x"}]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": "192.0.2.1"},
                {"type": "Hostname", "address": "n1"},
                {"type": "ExternalIP", "address": "2001:db8::1"},
            ]
        },
        "extra": True,
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}, "spec": {"finalizers": ["k"]}}
    resources = loads(text_of(node, namespace)).resources
    assert resources.nodes[0].metadata.labels == {"kubernetes.io/os": "linux"}
    assert resources.nodes[0].addresses == (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
    assert resources.namespaces[0].metadata.name == "ns"


def test_calico_node() -> None:
    spec = {
        "bgp": {"ipv4Address": "192.0.2.1/24", "ipv6Address": "2001:db8::1/64"},
        "addresses": [{"address": "192.0.2.9"}],
    }
    found = only(document("Node", spec), "nodes").addresses
    assert found == (ip_address("192.0.2.9"), ip_address("192.0.2.1"), ip_address("2001:db8::1"))
