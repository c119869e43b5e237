"""What the schemas of deploy/crds.yaml take and refuse (spec section 1.12), and that pyxdp refuses it as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pyxdp.errors import ManifestError
from pyxdp.manifest import loads
from tests.cluster.objects import V3, calico
from tests.cluster.server import collection_of

if TYPE_CHECKING:
    from tests.cluster.conftest import Recorder

ROOT = Path(__file__).resolve().parent.parent.parent
AOF = {"applyOnForward": True}
WEB = {"name": "web", "protocol": "TCP", "port": 80}


def endpoint(**spec: Any) -> dict[str, Any]:
    return calico("HostEndpoint", "x", {"node": "n", "interfaceName": "eth0", **spec})


def policy(**spec: Any) -> dict[str, Any]:
    return calico("GlobalNetworkPolicy", "x", spec)


def rule(action: str | None = "Allow", **rest: Any) -> dict[str, Any]:
    return policy(ingress=[{**({"action": action} if action else {}), **rest}])


def staged(**spec: Any) -> dict[str, Any]:
    return calico("StagedGlobalNetworkPolicy", "x", spec)


def felix(**spec: Any) -> dict[str, Any]:
    return calico("FelixConfiguration", "default", spec)


TAKEN = {
    "endpoint of an interface": endpoint(ports=[WEB]),
    "two ports of a name": endpoint(ports=[WEB, {**WEB, "protocol": 17}]),
    "endpoint of all": endpoint(interfaceName="*", expectedIPs=["10.0.0.1", "fd00::1"]),
    "endpoint by address": calico("HostEndpoint", "x", {"node": "n", "expectedIPs": ["10.0.0.1"]}),
    "profiles": endpoint(profiles=["knp.default.fun", "knp.default.funner.11234-a", "fun-funner1234"]),
    "interface of all letters": endpoint(interfaceName="Valid_If.0-9"),
    "name with a tier": calico("GlobalNetworkPolicy", "th.ing"),
    "internal name": calico("NetworkPolicy", "knp.default.a.b", namespace="default"),
    "forward": policy(**AOF),
    "untracked": policy(doNotTrack=True, **AOF),
    "before DNAT": policy(preDNAT=True, types=["Ingress"], ingress=[{"action": "Deny"}], egress=[], **AOF),
    "not before DNAT": policy(preDNAT=False, egress=[{"action": "Deny"}]),
    "order": policy(order=-1.5, tier="default"),
    "hint": policy(performanceHints=["AssumeNeededOnEveryNode"]),
    **{f"protocol {it}": rule(protocol=it) for it in ("TCP", "UDPLite", "ICMPv6", 1, 255, "1", "255")},
    "icmp": rule(protocol="ICMP", icmp={"type": 254, "code": 255}),
    "icmp of any type": rule(protocol=58, icmp={}),
    "nets": rule(source={"nets": ["10.0.0.0/8"]}, destination={"notNets": ["10.1.0.0/16"]}),
    "ports": rule(protocol="TCP", destination={"ports": [80, "1000:2000", "http"]}),
    "service": rule(source={"services": {"name": "web", "namespace": "default"}}),
    "http": rule(protocol="TCP", http={"methods": ["GET"], "paths": [{"exact": "/"}]}),
    "staged": staged(stagedAction="Set", selector="all()"),
    "staged deletion": staged(stagedAction="Delete", tier="default"),
    "tier": calico("Tier", "x", {"order": 1, "defaultAction": "Pass"}),
    "tier of 63 characters": calico("Tier", "x" * 63),
    "set": calico("GlobalNetworkSet", "x", {"nets": ["10.0.0.1", "10.0.0.0/8", "fd00::/8"]}),
    "failsafes": felix(failsafeInboundHostPorts=[{"protocol": "tcp", "port": 20}, {"protocol": "UDP", "port": 0}]),
    "no failsafes": felix(failsafeInboundHostPorts=[]),
    "what else Felix knows": felix(bpfEnabled=False, iptablesFilterDenyAction="reject"),
    "profile": calico("Profile", "x", {"labelsToApply": {"a": "b"}, "ingress": [{"action": "Allow"}]}),
}

REFUSED = {
    "endpoint without a node": calico("HostEndpoint", "x", {"interfaceName": "eth0"}),
    "endpoint of nothing": calico("HostEndpoint", "x", {"node": "n"}),
    "endpoint of an empty name": endpoint(interfaceName=""),
    "pattern": endpoint(interfaceName="eth*"),
    "long interface": endpoint(interfaceName="x" * 16),
    "prefix as address": calico("HostEndpoint", "x", {"node": "n", "expectedIPs": ["10.0.0.0/24"]}),
    "address twice": endpoint(expectedIPs=["10.0.0.1", "10.0.0.1"]),
    "port without a name": endpoint(ports=[{"protocol": "TCP", "port": 80}]),
    "port of no port": endpoint(ports=[{**WEB, "port": 0}]),
    "port of ICMP": endpoint(ports=[{**WEB, "protocol": "ICMP"}]),
    "name of a profile": endpoint(profiles=[".fun"]),
    "three parts": calico("GlobalNetworkPolicy", "t.h.ing"),
    "both classes": policy(preDNAT=True, doNotTrack=True, **AOF),
    "untracked and not forward": policy(doNotTrack=True),
    "before DNAT and not forward": policy(preDNAT=True, applyOnForward=False),
    "egress before DNAT": policy(preDNAT=True, egress=[{"action": "Deny"}], **AOF),
    "type egress before DNAT": policy(preDNAT=True, types=["Egress"], **AOF),
    "type twice": policy(types=["Ingress", "Ingress"]),
    "type in lower case": policy(types=["ingress"]),
    "long selector": policy(selector=f"a == '{'x' * 1020}'"),
    "hint unheard of": policy(performanceHints=["Maybe"]),
    "rule without action": rule(None),
    "action in lower case": rule("allow"),
    "version 5": rule(ipVersion=5),
    **{f"protocol {it}": rule(protocol=it) for it in ("tcp", "tcpfoo", 0, 256, "0")},
    "code without type": rule(protocol="ICMP", icmp={"code": 0}),
    "type 255": rule(protocol="ICMP", icmp={"type": 255}),
    "icmp without protocol": rule(icmp={"type": 8}),
    "address as net": rule(source={"nets": ["10.0.0.1"]}),
    "port 0": rule(protocol="TCP", destination={"ports": [0]}),
    "51 ports": rule(protocol="TCP", destination={"ports": list(range(1, 52))}),
    "257 nets": rule(source={"nets": [f"10.0.{number}.0/24" for number in range(256)] + ["10.1.0.0/24"]}),
    "service and nets": rule(source={"services": {"name": "a", "namespace": "b"}, "nets": ["10.0.0.0/8"]}),
    "http denied": rule("Deny", protocol="TCP", http={"methods": ["GET"]}),
    "staged action": staged(stagedAction="Remove"),
    "staged deletion with a selector": staged(stagedAction="Delete", selector="all()"),
    "staged deletion untracked": staged(stagedAction="Delete", doNotTrack=True, **AOF),
    "tier with a dot": calico("Tier", "a.b"),
    "tier of 64 characters": calico("Tier", "x" * 64),
    "tier that allows": calico("Tier", "x", {"defaultAction": "Allow"}),
    "no CIDR": calico("GlobalNetworkSet", "x", {"nets": ["10.0.0.0/8/8"]}),
    "failsafe of ICMP": felix(failsafeInboundHostPorts=[{"protocol": "ICMP", "port": 1}]),
    "failsafe without port": felix(failsafeInboundHostPorts=[{"protocol": "TCP"}]),
}


@pytest.mark.parametrize("case", TAKEN)
def test_taken(case: str, admin: Recorder) -> None:
    admin.create(TAKEN[case])
    loads(json.dumps(TAKEN[case]))


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, admin: Recorder) -> None:
    written = REFUSED[case]
    answer = admin.client.ask("POST", collection_of(written), written)
    assert answer.status == 422, answer.body
    with pytest.raises(ManifestError):
        loads(json.dumps(written))


def test_examples_are_taken(admin: Recorder) -> None:
    files = sorted(ROOT.glob("examples/**/*.yaml"))
    documents = [one for path in files for one in yaml.safe_load_all(path.read_text()) if one and "kind" in one]
    ours = {json.dumps(one["metadata"]) + one["kind"]: one for one in documents if one.get("apiVersion") == V3}
    assert ours
    for one in ours.values():
        admin.create(one)
