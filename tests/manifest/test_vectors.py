"""What is accepted and what is refused: a test for each row of the validation vectors (spec sections 1.12, 8.2, 8.3).

A refused document must be refused for one reason only, at the given path: so no row passes by accident.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.manifest.documents import complaints, document, egress, gnp, hep, ingress

if TYPE_CHECKING:
    from tests.manifest.documents import Document

PORT = {"name": "a-valid-port", "protocol": "TCP", "port": 1234}
NODE = {"node": "node1"}
ETH0 = {"interfaceName": "eth0", **NODE}
RULE = "$.spec.ingress[0]"
TCP = {"protocol": "TCP"}
INGRESS_RULES = {"ingress": [{"action": "Allow"}]}
EGRESS_RULES = {"egress": [{"action": "Allow"}]}


def tier(name: str, **spec: object) -> Document:
    return document("Tier", spec, name=name)


def named(kind: str, name: str) -> Document:
    return document(kind, {}, name=name)


def failsafe(**port: object) -> Document:
    return document("FelixConfiguration", {"failsafeInboundHostPorts": [port]}, name="default")


ACCEPTED = {
    # host endpoints
    "hep eth0, node, port": hep(**ETH0, ports=[PORT]),
    "hep two ports of one name, TCP and UDP": hep(**ETH0, ports=[PORT, {**PORT, "protocol": "UDP"}]),
    "hep port protocol by number": hep(**ETH0, ports=[{**PORT, "protocol": 132}]),
    "hep interface *": hep(interfaceName="*", **NODE),
    "hep interface and expectedIPs": hep(**ETH0, expectedIPs=["10.0.0.1", "2001:db8::1"]),
    "hep expectedIPs alone": hep(expectedIPs=["10.0.0.1"], **NODE),
    "hep profiles": hep(**ETH0, profiles=["knp.default.fun", "knp.default.funner.11234-a", "fun-funner1234"]),
    "hep interface Valid_Iface.0-9": hep(interfaceName="Valid_Iface.0-9", **NODE),
    # protocols
    **{f"protocol {name}": ingress(protocol=name) for name in ("TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "UDPLite")},
    **{f"protocol {number!r}": ingress(protocol=number) for number in (1, 255, "1", "255")},
    "notProtocol beside protocol": ingress(protocol=6, notProtocol="UDP"),
    # ICMP
    "icmp {}": ingress(protocol="ICMP", icmp={}),
    "icmp type 0": ingress(protocol="ICMP", icmp={"type": 0}),
    "icmp type 254": ingress(protocol="ICMP", icmp={"type": 254}),
    "icmp type 128 code 0": ingress(protocol="ICMPv6", icmp={"type": 128, "code": 0}),
    "icmp type 128 code 255": ingress(protocol="ICMPv6", icmp={"type": 128, "code": 255}),
    "icmp protocol 1": ingress(protocol=1, icmp={"type": 8}),
    "icmp protocol 58": ingress(protocol=58, icmp={"type": 128}),
    "notICMP without protocol": ingress(notICMP={"type": 8, "code": 0}),
    # ports of rules
    "source port with protocol 6": ingress(protocol=6, source={"ports": [80]}),
    **{f"source port name with {p}": ingress(protocol=p, source={"ports": ["http"]}) for p in (6, "TCP", "UDP")},
    "notPorts with 17": ingress(protocol=17, source={"notPorts": [80]}),
    "destination port with TCP": ingress(**TCP, destination={"ports": [80]}),
    "destination port with SCTP": ingress(protocol="SCTP", destination={"ports": [80]}),
    **{
        f"empty ports with {p}": ingress(protocol=p, source={"ports": [], "notPorts": []})
        for p in (7, 100, "SCTP", "ICMPv6")
    },
    "destination port name without protocol": ingress(destination={"ports": ["http"]}),
    "negated source port name without protocol": ingress(source={"notPorts": ["http"]}),
    **{f"port {port!r}": ingress(**TCP, source={"ports": [port]}) for port in (1, 65535, "80", "1:65535", "80:80")},
    "50 ports": ingress(**TCP, source={"ports": list(range(1, 51))}),
    # IP versions of rules
    "icmp with ipVersion 4": ingress(protocol="ICMP", ipVersion=4),
    "icmpv6 with ipVersion 6": ingress(protocol="ICMPv6", ipVersion=6),
    "icmp by number with ipVersion 4": ingress(protocol=1, ipVersion=4),
    "not icmp with ipVersion 4": ingress(notProtocol="ICMP", ipVersion=4),
    "nets of ipVersion": ingress(ipVersion=6, source={"nets": ["2001:db8::/32"]}),
    "256 nets": ingress(source={"nets": [f"10.0.{n}.0/24" for n in range(256)]}),
    # HTTP and services of rules
    "http with TCP": ingress(**TCP, http={"methods": ["GET"], "paths": [{"exact": "/"}, {"prefix": "/a"}]}),
    "http with 6": ingress(protocol=6, http={"methods": ["GET"]}),
    "http without protocol": ingress(http={"methods": ["GET"]}),
    "services: egress destination": egress(destination={"services": {"name": "web", "namespace": "default"}}),
    "services: ingress source": ingress(source={"services": {"name": "web", "namespace": "default"}}),
    "services: ingress source with ports": ingress(
        **TCP, source={"services": {"name": "web", "namespace": "default"}, "ports": [80]}
    ),
    "services: NetworkPolicy without namespace": document(
        "NetworkPolicy", {"egress": [{"action": "Allow", "destination": {"services": {"name": "web"}}}]}
    ),
    "global() as whole namespaceSelector": ingress(source={"namespaceSelector": "global()"}),
    "serviceAccounts": ingress(source={"serviceAccounts": {"names": ["a"], "selector": "role == 'x'"}}),
    # policies
    "gnp name": named("GlobalNetworkPolicy", "thing"),
    "gnp name with tier": named("GlobalNetworkPolicy", "th.ing"),
    "np name knp.default.": named("NetworkPolicy", "knp.default.some.thing"),
    "np name ossg.default.": named("NetworkPolicy", "ossg.default.some-thing"),
    "gnp applyOnForward alone": gnp(applyOnForward=True),
    "gnp applyOnForward and preDNAT": gnp(applyOnForward=True, preDNAT=True, types=["Ingress"], **INGRESS_RULES),
    "gnp applyOnForward and doNotTrack": gnp(applyOnForward=True, doNotTrack=True, **INGRESS_RULES, **EGRESS_RULES),
    "gnp none of the three": gnp(applyOnForward=False, preDNAT=False, doNotTrack=False),
    "gnp preDNAT with an empty egress": gnp(applyOnForward=True, preDNAT=True, egress=[]),
    "gnp types Egress, ingress rules": gnp(types=["Egress"], **INGRESS_RULES),
    "gnp types Ingress, egress rules": gnp(types=["Ingress"], **EGRESS_RULES),
    "gnp performanceHints": gnp(performanceHints=["AssumeNeededOnEveryNode"]),
    **{f"gnp order {order}": gnp(order=order) for order in (-1, 0, 1.5, 1e6, None)},
    "1024 rules": gnp(ingress=[{"action": "Deny"}] * 1024),
    "staged Delete with tier": document("StagedGlobalNetworkPolicy", {"stagedAction": "Delete", "tier": "default"}),
    "staged Set": document("StagedGlobalNetworkPolicy", {"stagedAction": "Set", "selector": "all()"}),
    "staged without action": document("StagedGlobalNetworkPolicy", {"selector": "all()"}),
    # tiers
    "tier 63 characters": tier("a" * 63),
    "tier default": tier("default", order=1000000, defaultAction="Deny"),
    "tier default, nothing written": tier("default"),
    "tier kube-admin": tier("kube-admin", order=1000, defaultAction="Pass"),
    "tier kube-baseline": tier("kube-baseline", order=10000000, defaultAction="Pass"),
    # sets
    "nets: CIDRs and addresses": document(
        "GlobalNetworkSet",
        {"nets": ["10.0.0.0/8", "10.1.2.3", "10.1.2.3/8", "2001:db8::1", "2001:db8::/32", "0.0.0.0/0"]},
    ),
    "network set without nets": document("NetworkSet"),
    # failsafes
    "failsafe UDP 0": failsafe(protocol="UDP", port=0),
    "failsafe TCP 20": failsafe(protocol="TCP", port=20),
    "failsafe SCTP 20": failsafe(protocol="SCTP", port=20),
    "failsafe lower case, with net": failsafe(protocol="tcp", port=20, net="10.0.0.1/8"),
    "failsafe without protocol": failsafe(port=20),
    # profiles
    "profile": document("Profile", {**INGRESS_RULES, **EGRESS_RULES, "labelsToApply": {"role": "db"}}),
    "profile projectcalico-default-allow": document(
        "Profile", {**INGRESS_RULES, **EGRESS_RULES}, name="projectcalico-default-allow"
    ),
}


@pytest.mark.parametrize("accepted", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepts(accepted: Document) -> None:
    assert complaints(accepted) == []


SERVICE = {"services": {"name": "web", "namespace": "default"}}

REFUSED: dict[str, tuple[Document, str, str]] = {
    # host endpoints
    "hep port without name": (
        hep(**ETH0, ports=[{"protocol": "TCP", "port": 1}]), "$.spec.ports[0].name", "is required",
    ),
    "hep port name with capitals": (
        hep(**ETH0, ports=[{**PORT, "name": "Http"}]), "$.spec.ports[0].name", "lower-case",
    ),
    "hep port 0": (hep(**ETH0, ports=[{**PORT, "port": 0}]), "$.spec.ports[0].port", "from 1 to 65535"),
    "hep port 65536": (hep(**ETH0, ports=[{**PORT, "port": 65536}]), "$.spec.ports[0].port", "from 1 to 65535"),
    "hep port as text": (hep(**ETH0, ports=[{**PORT, "port": "80"}]), "$.spec.ports[0].port", "remove the quotes"),
    "hep port protocol ICMP": (
        hep(**ETH0, ports=[{**PORT, "protocol": "ICMP"}]), "$.spec.ports[0].protocol", "no named ports",
    ),
    "hep without node": (hep(interfaceName="eth0"), "$.spec.node", "is required"),
    "hep node not a name": (hep(interfaceName="eth0", node="Node_1"), "$.spec.node", "lower-case"),
    "hep without interface and IPs": (hep(interfaceName="", **NODE), "$.spec.interfaceName", "is required"),
    "hep with empty IPs": (hep(expectedIPs=[], **NODE), "$.spec.interfaceName", "is required"),
    "hep profile .fun": (hep(**ETH0, profiles=[".fun"]), "$.spec.profiles[0]", "lower-case"),
    "hep profile twice": (hep(**ETH0, profiles=["a", "a"]), "$.spec.profiles[1]", "same value"),
    "hep IP with mask": (hep(**NODE, expectedIPs=["10.0.0.0/24"]), "$.spec.expectedIPs[0]", "no mask"),
    "hep IP twice": (hep(**NODE, expectedIPs=["::1", "0::1"]), "$.spec.expectedIPs[1]", "same value"),
    **{
        f"interface {name}": (hep(interfaceName=name, **NODE), "$.spec.interfaceName", "at most 15")
        for name in ("a" * 16, "eth&", "eth#", "eth:0", "eth*", "averylonginterface")
    },
    # protocols
    **{
        f"protocol {value!r}": (ingress(protocol=value), f"{RULE}.protocol", "must be one of")
        for value in ("tcp", "tcpfoo", "footcp", 0, "0", 256, "256", -1, 6.5)
    },
    "notProtocol tcp": (ingress(notProtocol="tcp"), f"{RULE}.notProtocol", "did you mean `TCP`?"),
    # ICMP
    "icmp code without type": (ingress(protocol="ICMP", icmp={"code": 0}), f"{RULE}.icmp.code", "needs a type"),
    "notICMP code without type": (ingress(notICMP={"code": 0}), f"{RULE}.notICMP.code", "needs a type"),
    "icmp type 255": (ingress(protocol="ICMP", icmp={"type": 255}), f"{RULE}.icmp.type", "from 0 to 254"),
    "icmp code 256": (ingress(protocol="ICMP", icmp={"type": 0, "code": 256}), f"{RULE}.icmp.code", "from 0 to 255"),
    "icmp without protocol": (ingress(icmp={"type": 8}), f"{RULE}.icmp", "protocol: ICMP"),
    "icmp with TCP": (ingress(**TCP, icmp={"type": 8}), f"{RULE}.icmp", "protocol: ICMP"),
    # rules
    "action missing": (gnp(ingress=[{}]), f"{RULE}.action", "is required"),
    "action lower case": (gnp(ingress=[{"action": "allow"}]), f"{RULE}.action", "did you mean `Allow`?"),
    "1025 rules": (gnp(egress=[{"action": "Deny"}] * 1025), "$.spec.egress", "at most 1,024"),
    "source port with protocol 7": (ingress(protocol=7, source={"ports": [80]}), f"{RULE}.source.ports[0]", "no ports"),
    "notPorts with 100": (ingress(protocol=100, source={"notPorts": [80]}), f"{RULE}.source.notPorts[0]", "no ports"),
    "notPorts with ICMP": (
        ingress(protocol="ICMP", source={"notPorts": [80]}), f"{RULE}.source.notPorts[0]", "no ports",
    ),
    "destination port without protocol": (
        ingress(destination={"ports": [80]}), f"{RULE}.destination.ports[0]", "needs a protocol",
    ),
    "destination range without protocol": (
        ingress(destination={"notPorts": ["1:2"]}), f"{RULE}.destination.notPorts[0]", "needs a protocol",
    ),
    "port name with ICMP": (
        ingress(protocol="ICMP", source={"ports": ["http"]}), f"{RULE}.source.ports[0]", "no ports",
    ),
    **{
        f"port {port!r}": (ingress(**TCP, source={"ports": [port]}), f"{RULE}.source.ports[0]", "65535")
        for port in (
            0, 65536, "0", "200:100", "0:100", "10:1", "1:", ":1", "1:2:3", "http:80", "a" * 16, "Http", "-a", "a--b",
        )
    },
    "port true": (ingress(**TCP, source={"ports": [True]}), f"{RULE}.source.ports[0]", "is a boolean"),
    "port 1.5": (ingress(**TCP, source={"ports": [1.5]}), f"{RULE}.source.ports[0]", "65535"),
    "51 ports": (ingress(**TCP, source={"ports": list(range(1, 52))}), f"{RULE}.source.ports", "at most 50"),
    "icmp with ipVersion 6": (ingress(protocol="ICMP", ipVersion=6), f"{RULE}.protocol", "IPv4"),
    "icmpv6 with ipVersion 4": (ingress(protocol="ICMPv6", ipVersion=4), f"{RULE}.protocol", "IPv6"),
    "icmp by number with ipVersion 6": (ingress(protocol=1, ipVersion=6), f"{RULE}.protocol", "IPv4"),
    "icmpv6 by number with ipVersion 4": (ingress(protocol="58", ipVersion=4), f"{RULE}.protocol", "IPv6"),
    "not icmp with ipVersion 6": (ingress(notProtocol="ICMP", ipVersion=6), f"{RULE}.notProtocol", "IPv4"),
    "ipVersion 5": (ingress(ipVersion=5), f"{RULE}.ipVersion", "4 or 6"),
    "ipVersion as text": (ingress(ipVersion="4"), f"{RULE}.ipVersion", "without quotes"),
    "v4 source, v6 destination": (
        ingress(source={"nets": ["10.0.0.0/8"]}, destination={"nets": ["2001:db8::/32"]}),
        f"{RULE}.destination.nets[0]", "one rule for each IP version",
    ),
    "v6 source, v4 destination": (
        ingress(source={"nets": ["2001:db8::/32"]}, destination={"notNets": ["10.0.0.0/8"]}),
        f"{RULE}.destination.notNets[0]", "one rule for each IP version",
    ),
    "both versions in one list": (
        ingress(source={"nets": ["10.0.0.0/8", "2001:db8::/32"]}),
        f"{RULE}.source.nets[1]", "one rule for each IP version",
    ),
    "net against ipVersion": (
        ingress(ipVersion=6, source={"nets": ["10.0.0.0/8"]}), f"{RULE}.source.nets[0]", "ipVersion is 6",
    ),
    "net without length": (ingress(source={"nets": ["10.0.0.1"]}), f"{RULE}.source.nets[0]", "write 10.0.0.1/32"),
    "net with host bits": (ingress(source={"nets": ["10.0.0.1/8"]}), f"{RULE}.source.nets[0]", "write 10.0.0.0/8"),
    "net with a mask": (ingress(source={"nets": ["10.0.0.0/255.0.0.0"]}), f"{RULE}.source.nets[0]", "must be a prefix"),
    "net with a zone": (ingress(source={"nets": ["fe80::%eth0/64"]}), f"{RULE}.source.nets[0]", "must be a prefix"),
    "net too long": (ingress(source={"nets": ["10.0.0.0/33"]}), f"{RULE}.source.nets[0]", "must be a prefix"),
    "notNets with all of IPv4": (
        ingress(source={"notNets": ["0.0.0.0/0"]}), f"{RULE}.source.notNets[0]", "every address",
    ),
    "notNets with all of IPv6": (ingress(source={"notNets": ["::/0"]}), f"{RULE}.source.notNets[0]", "every address"),
    "257 nets": (ingress(source={"nets": ["10.0.0.0/8"] * 257}), f"{RULE}.source.nets", "at most 256"),
    # selectors of rules
    "selector": (ingress(source={"selector": "a = 'b'"}), f"{RULE}.source.selector", 'write "=="'),
    "selector with 1025 characters": (
        ingress(source={"selector": "has(" + "a" * 1020 + ")"}), f"{RULE}.source.selector", "at most 1,024",
    ),
    "global() in selector": (ingress(source={"selector": "global()"}), f"{RULE}.source.selector", "namespaceSelector"),
    "global() in notSelector": (
        ingress(source={"notSelector": "!global()"}), f"{RULE}.source.notSelector", "namespaceSelector",
    ),
    "global() as part of a namespaceSelector": (
        ingress(source={"namespaceSelector": "global() || has(a)"}),
        f"{RULE}.source.namespaceSelector", "must be the whole selector",
    ),
    "serviceAccounts selector": (
        ingress(source={"serviceAccounts": {"selector": "a"}}), f"{RULE}.source.serviceAccounts.selector", "operator",
    ),
    # HTTP of rules
    "http with Deny": (ingress(action="Deny", http={"methods": ["GET"]}), f"{RULE}.http", "action: Allow"),
    "http with UDP": (ingress(protocol="UDP", http={"methods": ["GET"]}), f"{RULE}.http", "protocol: TCP"),
    "http with 17": (ingress(protocol=17, http={"methods": ["GET"]}), f"{RULE}.http", "protocol: TCP"),
    "http in egress": (egress(http={"methods": ["GET"]}), "$.spec.egress[0].http", "only allowed in ingress"),
    "http path with both": (
        ingress(http={"paths": [{"exact": "/", "prefix": "/"}]}), f"{RULE}.http.paths[0]", "either `exact` or `prefix`",
    ),
    "21 http methods": (ingress(http={"methods": ["GET"] * 21}), f"{RULE}.http.methods", "at most 20"),
    "http path of 1025 characters": (
        ingress(http={"paths": [{"exact": "/" * 1025}]}), f"{RULE}.http.paths[0].exact", "at most 1,024",
    ),
    # services of rules
    "services: egress source": (egress(source=SERVICE), "$.spec.egress[0].source.services", "only as its destination"),
    "services: ingress destination": (
        ingress(destination=SERVICE), f"{RULE}.destination.services", "only as its source",
    ),
    "services with destination ports": (
        egress(**TCP, destination={**SERVICE, "ports": [80]}), "$.spec.egress[0].destination.ports", "combined",
    ),
    **{
        f"services with {field}": (ingress(source={**SERVICE, field: value}), f"{RULE}.source.{field}", "combined")
        for field, value in {
            "selector": "has(a)",
            "notSelector": "has(a)",
            "namespaceSelector": "has(a)",
            "serviceAccounts": {"names": ["a"]},
            "nets": ["10.0.0.0/8"],
            "notNets": ["10.0.0.0/8"],
        }.items()
    },
    "services without namespace in a gnp": (
        ingress(source={"services": {"name": "web"}}), f"{RULE}.source.services.namespace", "is required",
    ),
    "services without name": (
        ingress(source={"services": {"namespace": "default"}}), f"{RULE}.source.services.name", "is required",
    ),
    # annotations of rules
    "annotations of 256 KiB and more": (
        ingress(metadata={"annotations": {"a": "x" * 262144}}), f"{RULE}.metadata.annotations", "at most 262,144",
    ),
    # policies
    **{
        f"gnp name {name}": (named("GlobalNetworkPolicy", name), "$.metadata.name", "must be")
        for name in ("t.h.i.ng", "tHiNg", "t~!s.h.i.ng", "knp.default.thing", "a" * 254, "-a", "a.", "")
    },
    "np name with two dots": (named("NetworkPolicy", "a.b.c"), "$.metadata.name", "at most one dot"),
    "gnp preDNAT and doNotTrack": (
        gnp(preDNAT=True, doNotTrack=True, applyOnForward=True), "$.spec.preDNAT", "can not be both",
    ),
    "gnp preDNAT without applyOnForward": (gnp(preDNAT=True), "$.spec.preDNAT", "applyOnForward: true"),
    "gnp doNotTrack without applyOnForward": (
        gnp(doNotTrack=True, applyOnForward=False), "$.spec.doNotTrack", "applyOnForward: true",
    ),
    "gnp preDNAT with egress rules": (
        gnp(preDNAT=True, applyOnForward=True, types=["Ingress"], **EGRESS_RULES), "$.spec.egress", "no egress rules",
    ),
    "gnp preDNAT with type Egress": (
        gnp(preDNAT=True, applyOnForward=True, types=["Ingress", "Egress"]), "$.spec.types", "[Ingress]",
    ),
    "gnp types twice": (gnp(types=["Ingress", "Ingress"]), "$.spec.types[1]", "same value"),
    "gnp types lower case": (gnp(types=["ingress"]), "$.spec.types[0]", "did you mean `Ingress`?"),
    "gnp performanceHints junk": (gnp(performanceHints=["Junk"]), "$.spec.performanceHints[0]", "must be one of"),
    "gnp performanceHints twice": (
        gnp(performanceHints=["AssumeNeededOnEveryNode"] * 2), "$.spec.performanceHints[1]", "same value",
    ),
    "gnp order as text": (gnp(order="10"), "$.spec.order", "remove the quotes"),
    "gnp selector with global()": (gnp(selector="global()"), "$.spec.selector", "namespaceSelector of a rule"),
    "gnp namespaceSelector with global()": (
        gnp(namespaceSelector="global()"), "$.spec.namespaceSelector", "namespaceSelector of a rule",
    ),
    "gnp serviceAccountSelector": (gnp(serviceAccountSelector="a"), "$.spec.serviceAccountSelector", "operator"),
    "gnp selector of 1025 characters": (gnp(selector="has(" + "a" * 1020 + ")"), "$.spec.selector", "at most 1,024"),
    "gnp tier with a dot": (gnp(tier="a.b"), "$.spec.tier", "no dot"),
    "np doNotTrack": (document("NetworkPolicy", {"doNotTrack": True}), "$.spec.doNotTrack", "only a GlobalNetwork"),
    "staged Delete with selector": (
        document("StagedGlobalNetworkPolicy", {"stagedAction": "Delete", "selector": "all()", "tier": "default"}),
        "$.spec.selector", "no field but `tier`",
    ),
    "staged action junk": (
        document("StagedGlobalNetworkPolicy", {"stagedAction": "set"}), "$.spec.stagedAction", "did you mean `Set`?",
    ),
    # tiers
    "tier name with a dot": (tier("a.b"), "$.metadata.name", "no dot"),
    "tier name of 64 characters": (tier("a" * 64), "$.metadata.name", "at most 63"),
    "tier name with punctuation": (tier("a!b"), "$.metadata.name", "lower-case"),
    "tier default with order": (tier("default", order=5), "$.spec.order", "its order is 1000000"),
    "tier default with Pass": (tier("default", defaultAction="Pass"), "$.spec.defaultAction", "its defaultAction Deny"),
    "tier kube-admin with order": (
        tier("kube-admin", order=5, defaultAction="Pass"), "$.spec.order", "its order is 1000",
    ),
    "tier kube-admin without action": (tier("kube-admin", order=1000), "$.spec", "its defaultAction Pass"),
    "tier kube-baseline with Deny": (
        tier("kube-baseline", order=10000000, defaultAction="Deny"), "$.spec.defaultAction", "its defaultAction Pass",
    ),
    "tier defaultAction Allow": (tier("a", defaultAction="Allow"), "$.spec.defaultAction", "must be one of Pass, Deny"),
    # sets
    "nets: malformed": (
        document("GlobalNetworkSet", {"nets": ["10.0.0.0/8", "10.0.0.256"]}), "$.spec.nets[1]", "must be an address",
    ),
    "network set with Calico's label": (
        document("NetworkSet", {}, labels={"projectcalico.org/namespace": "x"}),
        '$.metadata.labels["projectcalico.org/namespace"]', "only Calico",
    ),
    # failsafes
    "failsafe protocol": (
        failsafe(protocol="ICMP", port=1), "$.spec.failsafeInboundHostPorts[0].protocol", "TCP, UDP or SCTP",
    ),
    "failsafe port 65536": (
        failsafe(protocol="TCP", port=65536), "$.spec.failsafeInboundHostPorts[0].port", "0 to 65535",
    ),
    "failsafe without port": (failsafe(protocol="TCP"), "$.spec.failsafeInboundHostPorts[0].port", "is required"),
    "failsafe net": (failsafe(port=1, net="10.0.0.0/99"), "$.spec.failsafeInboundHostPorts[0].net", "prefix"),
    # profiles
    "profile projectcalico-default-allow changed": (
        document("Profile", INGRESS_RULES, name="projectcalico-default-allow"), "$.spec", "built in",
    ),
    "profile labelsToApply": (
        document("Profile", {"labelsToApply": {"role": "a b"}}), "$.spec.labelsToApply.role", "label value",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("refused", "path", "part"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses(refused: Document, path: str, part: str) -> None:
    ((found_path, message),) = complaints(refused)
    assert found_path == path
    assert part in message
