"""What is told of each stop on the way of a packet, and where it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pyxdp.errors import UnknownEndpointError
from pyxdp.evaluator import Conntrack, Path, PolicyClass, Verdict
from pyxdp.explanation import Place, explain, place_of
from pyxdp.explanation.wording import decision
from pyxdp.model import Origin
from pyxdp.net import Interface, Packet
from pyxdp.net.parse import Content, Frame
from tests.explanation.policies import ENDPOINT, FILE, IN, OUT, PROFILE, ask, packet, policy, stage, world

NEEDED = "HostEndpoint/wild, and workload interfaces need a pre-DNAT or forward policy for *"
UNTRACKED = {"doNotTrack": "true", "applyOnForward": "true"}
PRE_DNAT = {"preDNAT": "true", "applyOnForward": "true", "types": "[Ingress]"}


def test_the_deciding_rule_has_its_file_and_line() -> None:
    document = policy("action: Allow, protocol: UDP\naction: Deny, protocol: TCP")
    explanation = ask(world(document), packet())
    lines = f"{ENDPOINT}---{PROFILE}---{document}".splitlines()
    number = next(at for at, line in enumerate(lines, start=1) if "action: Deny" in line)
    assert explanation.origin == Origin(FILE, number)
    assert decision(explanation) == f"default/p ingress[1] Deny, {FILE}:{number}"


def test_classes_in_order_up_to_the_one_that_decides() -> None:
    documents = (
        policy("action: Allow, protocol: UDP", name="a", **UNTRACKED),
        policy("action: Allow, protocol: UDP", name="b", **PRE_DNAT),
        policy("action: Allow, protocol: TCP", name="c"),
    )
    explanation = ask(world(*documents), packet())
    assert [(it.policy_class.value, it.verdict.value, it.hooks) for it in explanation.classes] == [
        ("untracked", "no verdict", ("XDP", "raw PREROUTING")),
        ("pre-DNAT", "no verdict", ("mangle PREROUTING",)),
        ("normal", "allow", ("filter INPUT",)),
    ]
    assert [it.policy_class for it in ask(world(*documents), packet(name="UDP")).classes] == [PolicyClass.UNTRACKED]


@pytest.mark.parametrize(
    ("state", "verdict", "told"),
    [
        (Conntrack.ESTABLISHED, Verdict.ALLOW, "established: allowed before policy is asked"),
        (Conntrack.RELATED, Verdict.ALLOW, "related to an established connection: allowed before policy is asked"),
        (Conntrack.INVALID, Verdict.DENY, "invalid: dropped before policy is asked, even to a failsafe port"),
    ],
)
def test_connection_tracking(state: Conntrack, verdict: Verdict, told: str) -> None:
    explanation = ask(world(policy("action: Deny")), packet(22), conntrack=state)
    assert explanation.verdict is verdict
    found = stage(explanation, "connection tracking")
    assert (found.outcome, found.decides) == (told, True)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (packet(22), "failsafe port inbound TCP 22, built in"),
        (packet(to=22, src="198.51.100.7"), "failsafe port inbound TCP 22, built in"),
    ],
)
def test_failsafe_ports(asked: Packet, said: str) -> None:
    explanation = ask(world(policy("action: Deny", **UNTRACKED)), asked)
    assert decision(explanation) == said
    assert [it.stages[0].outcome for it in explanation.classes] == [
        "inbound TCP 22: passes this class",
        "inbound TCP 22: passes this class",
        "inbound TCP 22: allowed",
    ]


def test_failsafe_ports_that_were_written() -> None:
    config = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: node.node1}
spec: {failsafeInboundHostPorts: [{protocol: TCP, port: 2222, net: 198.51.100.0/24}]}
"""
    explanation = ask(world(config), packet(2222))
    assert decision(explanation).startswith(f"failsafe port inbound TCP 2222 with 198.51.100.0/24, {FILE}:")
    missed = ask(world(config), packet(22))
    assert missed.classes[0].stages[0].outcome == "none is TCP 22, none answers from 40000"
    assert str(missed.classes[0].stages[0].origin).startswith(f"{FILE}:")


def test_an_answer_from_a_failsafe_port() -> None:
    explanation = ask(world(policy("action: Deny", **UNTRACKED)), packet(to=40000, of=53, name="UDP"))
    assert explanation.classes[0].stages[0].outcome == "an answer from outbound UDP 53: passes this class"


def test_neighbour_discovery() -> None:
    fields: dict[str, Any] = {"name": "ICMPv6", "src": "fe80::1", "dst": "ff02::1:ff00:1", "icmp_code": 0}
    found = ask(world(), packet(icmp_type=135, **fields))
    assert found.verdict is Verdict.ALLOW
    assert stage(found, "neighbour discovery").outcome == "ICMPv6 type 135 code 0: always allowed"
    assert decision(found) == "neighbour discovery is always allowed"
    other = stage(ask(world(), packet(icmp_type=128, **fields)), "neighbour discovery")
    assert (other.outcome, other.decides) == ("ICMPv6 type 128 code 0 is not part of it", False)


@pytest.mark.parametrize(
    ("tier", "outcome"),
    [
        ("{order: 5}", "no rule matched, and the tier's default action is Deny"),
        ("{order: 5, defaultAction: Pass}", "no rule matched, and the tier's default action is Pass"),
    ],
)
def test_the_end_of_a_tier(tier: str, outcome: str) -> None:
    document = f"\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {{name: sec}}\nspec: {tier}\n"
    explanation = ask(world(document, policy("action: Allow, protocol: UDP", name="sec.p", tier="sec")), packet())
    found = stage(explanation, "tier sec")
    assert (found.outcome, found.decides) == (outcome, "Deny" in outcome)
    assert found.origin.line > 0
    if found.decides:
        assert decision(explanation) == f"end of tier sec: no rule matched in sec.p, {found.origin}"


def test_the_end_of_tiers_that_nobody_wrote() -> None:
    resources = world(policy("action: Allow, protocol: UDP"))
    assert decision(ask(resources, packet())) == f"end of tier default: no rule matched in p, {FILE}:12"
    (written,) = resources.globalNetworkPolicies
    missing = replace(resources, globalNetworkPolicies=(replace(written, tier="gone"),))
    found = stage(ask(missing, packet()), "tier gone")
    assert found.outcome == "no rule matched, and the tier's default action is Deny (the tier does not exist)"


def test_pass_goes_on_to_the_next_tier_and_to_the_profiles() -> None:
    explanation = ask(world(policy("action: Pass")), packet())
    assert stage(explanation, "tier default").outcome == "Pass ends the tier"
    profiles = stage(explanation, "profiles")
    assert [(rules.kind, rules.name, len(rules.looks)) for rules in profiles.lists] == [("Profile", "open", 1)]
    assert profiles.outcome == "none of their rules allowed it: denied"
    assert decision(explanation) == f"no tier decided and no profile allowed it, {FILE}:2"


@pytest.mark.parametrize(
    ("profiles", "outcome"),
    [
        ("[]", "the host endpoint has none, and nothing before allowed it: denied"),
        ("[gone]", "Profile/gone does not exist: denied"),
    ],
)
def test_the_end_of_the_profiles(profiles: str, outcome: str) -> None:
    document = f"""
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: db}}
spec: {{node: node2, interfaceName: eth0, profiles: {profiles}}}
"""
    place = place_of(world(document), "db")
    explanation = explain(place, IN, packet())
    assert stage(explanation, "profiles").outcome == outcome
    assert explanation.origin.line == explanation.endpoint_origin.line > 0


def test_forwarded_packets() -> None:
    quiet = ask(world(policy("action: Deny", name="normal")), packet(), path=Path.FORWARD)
    assert (quiet.verdict, decision(quiet)) == (
        Verdict.ALLOW,
        "no policy with applyOnForward selects the host endpoint",
    )
    assert [(it.name, it.why) for it in quiet.bystanders] == [
        ("normal", "the packet is forwarded, and applyOnForward is not set")
    ]
    strict = ask(world(policy("action: Deny", applyOnForward="true")), packet(), path=Path.FORWARD)
    assert [it.policy_class for it in strict.classes][-1] is PolicyClass.FORWARD
    assert strict.classes[-1].hooks == ("filter FORWARD",)
    assert strict.verdict is Verdict.DENY


def test_before_and_after_dnat() -> None:
    documents = (
        policy("action: Allow, protocol: TCP, destination: {ports: [8080]}", name="a", **PRE_DNAT),
        policy("action: Allow, protocol: TCP, destination: {ports: [9090]}", name="b"),
    )
    explanation = ask(world(*documents), packet(80), original_destination_port=30080)
    told = [look.why for it in explanation.classes for st in it.stages for rules in st.lists for look in rules.looks]
    assert told == ["destination.ports 30080 is not 8080", "destination.ports 80 is not 9090"]


def test_where_dnat_of_the_hosts_own_packets_is_judged() -> None:
    for dnat, hook in ((None, "filter OUTPUT"), (8080, "mangle POSTROUTING")):
        explanation = ask(world(), packet(), OUT, original_destination_port=dnat)
        assert [it.hooks for it in explanation.classes] == [("raw OUTPUT",), (hook,)]


def test_log_rules_are_told() -> None:
    explanation = ask(world(policy("action: Log\naction: Allow")), packet())
    assert [rule.number for rule in explanation.classes[-1].logs] == [0]


def test_policies_that_were_not_asked() -> None:
    documents = (
        policy("action: Allow", name="a-decides", **UNTRACKED),
        policy("action: Allow", name="b-unselected", selector="role == 'db'"),
        policy("", name="c-egress", types="[Egress]"),
        policy("action: Allow", name="d-normal"),
        policy("action: Allow", name="e-untracked", **UNTRACKED),
        policy("action: Allow", name="f-staged", kind="StagedGlobalNetworkPolicy"),
        policy("action: Allow", name="g-forward", order=1, applyOnForward="true"),
    )
    explanation = ask(world(*documents), packet())
    assert {it.name: it.why for it in explanation.bystanders} == {
        "b-unselected": "its selector does not select the endpoint: role == 'db'",
        "c-egress": "it has no type Ingress",
        "d-normal": "the untracked class decided before it was asked",
        "e-untracked": "default/a-decides ingress[0] Allow came first in its tier",
        "f-staged": "staged: never enforced",
        "g-forward": "the untracked class decided before it was asked",
    }
    assert all(it.origin.line for it in explanation.bystanders)


def test_policies_behind_what_decides_before_them() -> None:
    tier = "\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: sec}\nspec: {order: 5}\n"
    documents = (
        policy("action: Allow, protocol: TCP", name="p"),
        policy("action: Allow, protocol: UDP", name="sec.p", tier="sec"),
    )
    told = [it.why for it in ask(world(tier, *documents), packet()).bystanders]
    assert told == ["tier sec decided before its tier was asked"]
    told = [it.why for it in ask(world(tier, *documents), packet(22)).bystanders]
    assert told == ["something before the tiers decided: a failsafe port"] * 2


def test_pre_dnat_policy_of_what_goes_out() -> None:
    explanation = ask(world(policy("action: Allow", name="a", **PRE_DNAT)), packet(), OUT)
    assert [it.why for it in explanation.bystanders] == ["it has no type Egress"]


@pytest.mark.parametrize(
    ("interface", "told"),
    [
        ("eth7", "no HostEndpoint of node node1 is for eth7; there are: web (eth0)"),
        ("kube-ipvs0", f"interfacePrefix or interfaceExclude keep kube-ipvs0 out of {NEEDED}"),
        ("cali1", f"interfacePrefix or interfaceExclude keep cali1 out of {NEEDED}"),
        ("lo", "HostEndpoint/wild (*) leaves lo out, and no other one names it"),
    ],
)
def test_interfaces_that_nothing_governs(interface: str, told: str) -> None:
    wild = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: wild}
spec: {node: node1, interfaceName: "*"}
"""
    resources = world(*([] if interface == "eth7" else [wild]))
    place = Place(resources=resources, node="node1", interfaces=(Interface(interface, 1),), interface=interface)
    explanation = explain(place, IN, packet())
    assert (explanation.verdict, decision(explanation), explanation.classes) == (Verdict.NO_VERDICT, told, ())


def test_a_node_without_endpoints() -> None:
    place = Place(resources=world(), node="node9", interfaces=(Interface("eth0", 1),), interface="eth0")
    assert decision(explain(place, IN, packet())) == "no HostEndpoint is for node node9"


def test_endpoints_that_compete() -> None:
    rival = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: zweb}
spec: {node: node1, expectedIPs: [192.0.2.10]}
"""
    explanation = ask(world(rival), packet())
    assert explanation.endpoint == "web"
    assert explanation.governance == "HostEndpoint/zweb would govern it too, but web comes first by name"


def test_a_wildcard_endpoint_on_a_workload_interface() -> None:
    wild = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: wild}
spec: {node: node2, interfaceName: "*"}
"""
    resources = world(wild, policy("action: Allow, protocol: UDP", selector="all()", **PRE_DNAT))
    place = Place(resources=resources, node="node2", interfaces=(Interface("cali1", 1),), interface="cali1")
    explanation = explain(place, IN, packet())
    assert explanation.deciding
    assert explanation.deciding.policy_class is PolicyClass.PRE_DNAT
    assert decision(explanation) == "no rule decided: host policy leaves it alone"
    assert explanation.classes[0].stages[0].outcome == "it does not govern this interface in this class"


@pytest.mark.parametrize("action", ["Allow", "Deny"])
def test_fragments(action: str) -> None:
    resources = world(policy(f"action: {action}, protocol: SCTP, destination: {{ports: [80]}}", **UNTRACKED))
    explanation = ask(resources, packet(name="SCTP", later_fragment=True))
    assert decision(explanation).startswith("a later fragment: the first one decides")
    assert stage(explanation, "tier default").outcome.endswith("so the first one decides")
    assert not explanation.untracked


def test_a_fragment_that_leaves_a_forwarding_host() -> None:
    leaving = ask(world(), packet(later_fragment=True), OUT, path=Path.FORWARD)
    assert (leaving.verdict, leaving.classes) == (Verdict.NO_VERDICT, ())
    assert decision(leaving).startswith("a later fragment")


@pytest.mark.parametrize("content", [it for it in Content if it is not Content.FLOW])
def test_frames_without_a_flow(content: Content) -> None:
    explanation = explain(place_of(world(), "web"), IN, Frame(content=content))
    dropped = content.value.startswith("DROP_")
    assert explanation.verdict is (Verdict.DENY if dropped else Verdict.NO_VERDICT)
    assert decision(explanation).startswith(f"{content.value}: ")


def test_a_malformed_frame_passes_where_nothing_governs() -> None:
    place = Place(resources=world(), node="node1", interfaces=(Interface("eth7", 1),), interface="eth7")
    assert explain(place, IN, Frame(content=Content.BAD_IP)).verdict is Verdict.NO_VERDICT


def test_places_of_endpoints() -> None:
    more = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: by-address}
spec: {node: node1, expectedIPs: [192.0.2.11]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: wild}
spec: {node: node1, interfaceName: "*"}
"""
    resources = world(more)
    assert place_of(resources, "web").interface == "eth0"
    for name in ("web", "by-address", "wild"):
        governance = place_of(resources, name).governance
        assert governance is not None
        assert governance.endpoint.metadata.name == name
    config = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {interfacePrefix: eth, interfaceExclude: "/^ens/"}
"""
    elsewhere = place_of(world(more, config), "by-address")
    assert elsewhere.interface == "test0"
    assert elsewhere.governance
    assert place_of(world(more, config), "web").governance is None
    with pytest.raises(UnknownEndpointError, match="no HostEndpoint 'wbe'") as caught:
        place_of(resources, "wbe")
    assert caught.value.hint == "there are: by-address, web, wild"


def test_the_place_of_an_endpoint_that_shares_an_address() -> None:
    both = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: a}
spec: {node: node1, expectedIPs: [10.0.0.1]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: b}
spec: {node: node1, expectedIPs: [10.0.0.1, 10.0.0.2]}
"""
    governance = place_of(world(both), "b").governance
    assert governance is not None
    assert governance.endpoint.metadata.name == "b"


@pytest.mark.parametrize(
    ("asked", "direction"),
    [
        (packet(), IN),
        (packet(src="192.0.2.10", dst="198.51.100.7"), OUT),
        (packet(src="192.0.2.10", dst="192.0.2.10"), IN),
        (packet(src="198.51.100.1", dst="198.51.100.2"), IN),
    ],
)
def test_the_direction_that_addresses_tell(asked: Packet, direction: Any) -> None:
    assert place_of(world(), "web").direction_of(asked) is direction
