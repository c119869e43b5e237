"""Each condition of a rule says with both values why it failed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.explanation.policies import ask, looks, packet, policy, world

SETS = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: clients, labels: {role: client}}
spec: {nets: [203.0.113.0/24]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: everybody, labels: {role: everybody}}
spec: {nets: [0.0.0.0/0]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: db, labels: {role: db}}
spec: {node: node2, interfaceName: eth0}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: self, labels: {role: self}}
spec: {node: node2, interfaceName: eth1, expectedIPs: [192.0.2.10], ports: [{name: http, protocol: TCP, port: 8080}]}
"""


@pytest.mark.parametrize(
    ("rule", "fields", "why"),
    [
        ("ipVersion: 6", {}, "ipVersion 4 is not 6"),
        ("protocol: UDP", {}, "protocol TCP is not UDP"),
        ("protocol: 47", {}, "protocol TCP is not protocol 47"),
        ("protocol: TCP", {"name": "47"}, "protocol protocol 47 is not TCP"),
        (
            "protocol: ICMP",
            {"name": "ICMP", "src": "2001:db8::1", "dst": "2001:db8::2", "icmp_type": 8, "icmp_code": 0},
            "protocol ICMP is IPv4 only, the packet is IPv6",
        ),
        ("notProtocol: TCP", {}, "notProtocol excludes TCP"),
        (
            "protocol: ICMP, icmp: {type: 3, code: 4}",
            {"name": "ICMP", "icmp_type": 8, "icmp_code": 0},
            "icmp type 8 code 0 is not type 3 code 4",
        ),
        (
            "protocol: ICMP, icmp: {type: 3}",
            {"name": "ICMP", "icmp_type": 8, "icmp_code": 0},
            "icmp type 8 code 0 is not type 3",
        ),
        ("notICMP: {type: 8}", {"name": "ICMP", "icmp_type": 8, "icmp_code": 0}, "notICMP excludes type 8 code 0"),
        ("source: {nets: [10.0.0.0/8]}", {}, "source.nets 198.51.100.7 is not in 10.0.0.0/8"),
        (
            "destination: {nets: [10.0.0.0/8, 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16, 10.4.0.0/16, 10.5.0.0/16]}",
            {},
            "destination.nets 192.0.2.10 is in none of 10.0.0.0/8, 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16 and 2 more",
        ),
        (
            "source: {notNets: [10.0.0.0/8, 198.51.100.0/24]}",
            {},
            "source.notNets excludes 198.51.100.7, which is in 198.51.100.0/24",
        ),
        (
            'source: {notNets: ["2001:db8::/32"]}',
            {},
            "source.notNets 2001:db8::/32 makes the rule one of IPv6, the packet is IPv4",
        ),
        (
            "source: {selector: role == 'client'}",
            {},
            "source.selector 198.51.100.7 is not in what role == 'client' selects: GlobalNetworkSet/clients",
        ),
        (
            "source: {selector: role == 'nobody'}",
            {},
            "source.selector role == 'nobody' selects no network set and no host endpoint",
        ),
        (
            "source: {selector: role == 'db'}",
            {},
            "source.selector role == 'db' selects HostEndpoint/db, without any address (expectedIPs, nets)",
        ),
        (
            "source: {notSelector: role == 'everybody'}",
            {},
            "source.notSelector role == 'everybody' excludes 198.51.100.7: GlobalNetworkSet/everybody",
        ),
        ("protocol: TCP, destination: {ports: [6379]}", {}, "destination.ports 80 is not 6379"),
        (
            "protocol: TCP, destination: {ports: [22, 443, '8000:8010']}",
            {},
            "destination.ports 80 is none of 22, 443, 8000:8010",
        ),
        ("protocol: TCP, source: {ports: [53]}", {}, "source.ports 40000 is not 53"),
        (
            "protocol: TCP, destination: {selector: role == 'self', ports: [http]}",
            {},
            "destination.ports 80 is not http (8080)",
        ),
        (
            "protocol: TCP, destination: {ports: [dns]}",
            {},
            "destination.ports 80 is not dns (which 192.0.2.10 does not have for TCP)",
        ),
        ("protocol: TCP, destination: {notPorts: [22, 80]}", {}, "destination.notPorts excludes 80: 22, 80"),
        (
            "protocol: SCTP, destination: {ports: [dns]}",
            {"name": "SCTP", "later_fragment": True},
            "destination.ports of a later fragment is not dns (which 192.0.2.10 does not have for SCTP)",
        ),
        (
            "protocol: SCTP, destination: {ports: ['80:90'], notPorts: ['80:90']}",
            {"name": "SCTP", "later_fragment": True},
            "destination.notPorts 80:90 leaves none of the ports 80:90",
        ),
    ],
)
def test_why_a_rule_does_not_match(rule: str, fields: dict[str, Any], why: str) -> None:
    untracked = policy(f"action: Allow, {rule}", doNotTrack="true", applyOnForward="true")
    explanation = ask(world(SETS, untracked), packet(**fields))
    asked = explanation.classes[0].stages
    (look,) = [look for stage in asked for rules in stage.lists for look in rules.looks]
    assert (look.matched, look.why) == ("no", why)


def test_a_rule_that_matches_needs_no_reason() -> None:
    (look,) = looks(ask(world(policy("action: Allow, protocol: TCP")), packet()))
    assert (look.matched, look.condition, look.why) == ("yes", "", "")
