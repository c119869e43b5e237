"""Each kind of finding: what it is said of, and what it is not said of."""

from __future__ import annotations

from typing import Any

import pytest

import pyxdp
from pyxdp.cli.findings import finding_text
from pyxdp.lint import Code, Finding, Severity, lint, packet_text
from tests.lint.manifests import ALLOW, DENY, codes, document, felix, findings, hep, policy, pre_dnat, rule, untracked

ANYTHING = policy("anything", order=9, ingress=[ALLOW], egress=[ALLOW])
ALLOWED = {"profiles": ["projectcalico-default-allow"]}
WEB = rule(to=80)


def only(*documents: str) -> Finding:
    found = findings(*documents)
    assert len(found) == 1, found
    return found[0]


def example(finding: Finding) -> str:
    assert finding.example
    return f"{packet_text(finding.example.packet)} {finding.example.outcome}"


# -- shadowed-rule --


def test_a_rule_that_an_earlier_one_covers() -> None:
    found = only(hep(), felix(), policy("web", ingress=[rule(to="1:100"), rule("Deny", to=80), ALLOW], egress=[ALLOW]))
    assert (found.code, found.severity) == (Code.SHADOWED_RULE, Severity.WARNING)
    assert found.subject == "GlobalNetworkPolicy/web: ingress[1]"
    assert found.origin.line == 5
    assert found.text.startswith("Deny never decides anything: default/web ingress[0]")
    assert example(found).startswith("TCP 198.51.100.7:49152 -> 192.0.2.1:80 is allowed by default/web ingress[0]")


def test_a_rule_that_several_cover_together() -> None:
    halves = [rule("Deny", source={"nets": [half]}) for half in ("0.0.0.0/1", "128.0.0.0/1", "::/0")]
    found = only(hep(), felix(), policy(ingress=[*halves, WEB, ALLOW], egress=[ALLOW]))
    assert found.text.endswith("and 2 more take all its packets before")


def test_a_rule_that_another_policy_and_tier_covers() -> None:
    early = document("Tier", "early", {"order": 1, "defaultAction": "Pass"})
    found = findings(hep(), felix(), early, policy("early.block", tier="early", ingress=[rule("Deny")]), ANYTHING)
    assert found == []
    found = findings(
        hep(),
        felix(),
        early,
        policy("early.a", tier="early", ingress=[rule("Deny")]),
        policy("b", ingress=[WEB]),
        ANYTHING,
    )
    assert [(it.code, it.subject) for it in found] == [(Code.SHADOWED_RULE, "GlobalNetworkPolicy/b: ingress[0]")]
    assert "early/early.a ingress[0]" in found[0].text


def test_log_takes_nothing_and_is_shadowed_itself() -> None:
    log = rule("Log")
    assert codes(hep(), felix(), policy(ingress=[log, WEB, ALLOW], egress=[ALLOW])) == []
    found = only(hep(), felix(), policy(ingress=[ALLOW, log], egress=[ALLOW]))
    assert found.text.startswith("Log never logs anything")


def test_pass_takes_packets_from_its_own_tier_only() -> None:
    early = document("Tier", "early", {"order": 1})
    passing = policy("early.p", tier="early", ingress=[rule("Pass", to=80), rule("Deny")], egress=[ALLOW])
    found = findings(hep(), felix(), early, passing, policy("web", ingress=[WEB]))
    assert found == []
    found = findings(hep(), felix(), early, passing, policy("web", ingress=[WEB, rule(to=443)]))
    assert [(it.code, it.subject) for it in found] == [(Code.SHADOWED_RULE, "GlobalNetworkPolicy/web: ingress[1]")]
    assert "the end of tier early denies" in found[0].text


def test_a_rule_that_decides_at_one_endpoint_is_not_shadowed() -> None:
    blocking = policy("a", selector="is == 'one'", order=1, ingress=[rule("Deny")])
    everywhere = policy("b", ingress=[WEB, ALLOW], egress=[ALLOW])
    assert codes(hep("one"), hep("two", node="m"), felix(), blocking, everywhere) == []
    assert codes(hep("one"), felix(), blocking, everywhere) == ["shadowed-rule"]


def test_rules_of_a_policy_that_selects_nothing_yet() -> None:
    found = only(policy(selector="is == 'nobody'", ingress=[DENY, WEB]))
    assert found.subject == "GlobalNetworkPolicy/p: ingress[1]"
    assert example(found).endswith("is denied by default/p ingress[0] (<string>:1)")


def test_rules_of_a_profile() -> None:
    profile = document("Profile", "mine", {"ingress": [ALLOW, rule("Deny", to=80)], "egress": [ALLOW]})
    found = only(hep(profiles=["mine"]), felix(), profile)
    assert (found.code, found.subject) == (Code.SHADOWED_RULE, "Profile/mine: ingress[1]")


def test_profiles_behind_policy_are_meant_so() -> None:
    profile = document("Profile", "mine", {"ingress": [WEB, DENY], "egress": [ALLOW]})
    assert codes(hep(profiles=["mine"]), felix(), profile, ANYTHING) == []


# -- unreached-policy --


def test_a_policy_behind_a_tier_that_denies() -> None:
    early = document("Tier", "early", {"order": 1})
    found = only(
        hep(),
        felix(),
        early,
        policy("early.p", tier="early", ingress=[WEB], egress=[ALLOW]),
        policy("late", ingress=[rule(to=443), rule(to=8443)]),
    )
    assert (found.code, found.subject) == (Code.UNREACHED_POLICY, "GlobalNetworkPolicy/late")
    assert example(found) == "TCP 198.51.100.7:49152 -> 192.0.2.1:443 is denied at the end of tier early"


# -- never-matches --

NEVER: list[tuple[dict[str, Any], str]] = [
    (rule(source={"selector": "is == 'nobody'"}), "the selector of source, is == 'nobody', selects no address"),
    (rule(to=[80, 81], destination={"notPorts": ["1:100"]}), "destination.notPorts excludes all of destination.ports"),
    (rule(of="web"), "no host endpoint that source.ports is about has expectedIPs and a port named web"),
    ({"action": "Allow", "protocol": "TCP", "notProtocol": 6}, "protocol and notProtocol are both TCP"),
    (
        {"action": "Allow", "source": {"nets": ["10.1.0.0/16"], "notNets": ["10.0.0.0/8"]}},
        "source.notNets excludes every address that source asks for",
    ),
    (
        {"action": "Allow", "source": {"nets": ["10.0.0.0/8"], "selector": "is == 'host'"}},
        "no address is in the nets of source and has what its selector asks for",
    ),
    (
        rule(protocol="ICMP", source={"nets": ["2001:db8::/32"]}),
        "its IP version, protocol and prefixes exclude each other",
    ),
    (
        rule(protocol="ICMP", icmp={"type": 8, "code": 0}, notICMP={"type": 8}),
        "notICMP excludes what icmp asks for",
    ),
]


@pytest.mark.parametrize(("contradictory", "reason"), NEVER)
def test_rules_that_can_never_match(contradictory: dict[str, Any], reason: str) -> None:
    found = only(hep(), felix(), policy(ingress=[contradictory, rule(to=1), rule("Deny")], egress=[ALLOW]))
    assert found.code is Code.NEVER_MATCHES
    assert found.text == f"Allow never matches: {reason}"
    assert found.example


def test_addresses_of_different_versions() -> None:
    six = document("GlobalNetworkSet", "six", {"nets": ["2001:db8::/32"]})
    contradictory = {"action": "Allow", "source": {"nets": ["10.0.0.0/8"]}, "destination": {"selector": "net == 'six'"}}
    labelled = six.replace('"name": "six"', '"name": "six", "labels": {"net": "six"}')
    found = only(hep(), felix(), labelled, policy(ingress=[contradictory, ALLOW], egress=[ALLOW]))
    assert found.text.endswith("the selector of destination, net == 'six', selects no address of IPv4")


# -- cut-direction, log-only, bare-endpoint, one-family --


def test_types_with_a_direction_without_rules() -> None:
    found = only(hep(), felix(), policy(types=["Ingress", "Egress"], ingress=[ALLOW]))
    assert (found.code, found.severity) == (Code.CUT_DIRECTION, Severity.WARNING)
    assert found.subject == "GlobalNetworkPolicy/p"
    assert found.text.startswith("all egress of HostEndpoint/host is denied at the end of tier default")
    assert example(found) == "TCP 192.0.2.1:49152 -> 198.51.100.7:443 is denied at the end of tier default"


def test_another_policy_allows_that_direction() -> None:
    assert (
        codes(hep(), felix(), policy(types=["Ingress", "Egress"], ingress=[ALLOW]), policy("q", egress=[WEB, ALLOW]))
        == []
    )


def test_deny_all_that_is_written_as_such_is_a_notice() -> None:
    found = findings(hep(), felix(), policy(types=["Ingress"]), policy("q", egress=[ALLOW]))
    assert [(it.code, it.severity) for it in found] == [(Code.CUT_DIRECTION, Severity.NOTICE)]


@pytest.mark.parametrize(
    ("ingress", "severity"),
    [([rule("Deny", to=23)], Severity.WARNING), ([rule("Deny", to=23), DENY], Severity.NOTICE)],
)
def test_a_list_of_what_to_deny_denies_the_rest(ingress: list[dict[str, Any]], severity: Severity) -> None:
    found = only(hep(**ALLOWED), felix(), policy(ingress=ingress))
    assert (found.code, found.severity) == (Code.CUT_DIRECTION, severity)


def test_forwarded_traffic_that_nobody_allows() -> None:
    forward = policy("f", applyOnForward=True, types=["Ingress", "Egress"], ingress=[ALLOW])
    found = only(hep(), felix(), forward, policy("g", egress=[ALLOW]))
    assert found.text.startswith("all forwarded egress of HostEndpoint/host is denied")
    assert found.example
    assert found.example.forwarded


def test_no_profile_and_no_policy_in_one_direction() -> None:
    found = only(hep(), felix(), policy(ingress=[ALLOW]))
    assert (found.code, found.subject) == (Code.CUT_DIRECTION, "HostEndpoint/host")
    assert "no policy applies to it, and there is no profile" in found.text
    assert codes(hep(**ALLOWED), felix(), policy(ingress=[ALLOW])) == []


def test_a_policy_that_only_logs() -> None:
    found = only(hep(**ALLOWED), felix(), policy(ingress=[rule("Log")]))
    assert found.code is Code.LOG_ONLY
    assert example(found).endswith("is denied at the end of tier default")


def test_a_host_endpoint_with_nothing_attached() -> None:
    found = only(hep(), felix())
    assert found.code is Code.BARE_ENDPOINT
    assert found.origin.line == 1
    assert "no policy selects it, and it has no profile" in found.text
    found = only(hep(), felix(), untracked(ingress=[rule("Deny", to=80)]))
    assert "only untracked policy selects it" in found.text
    assert example(found).endswith(":443 is denied: no policy allows it")


def test_many_endpoints_that_are_alike_are_one_finding() -> None:
    found = only(*(hep(f"h{number}", node=f"n{number}", expectedIPs=None) for number in range(40)), felix())
    assert found.subject == "HostEndpoint/h0"
    assert found.others == 39
    assert finding_text(found).startswith("<string>:1: HostEndpoint/h0: denies all local traffic")
    assert " (and so 39 more host endpoints); for example TCP " in finding_text(found)


def test_one_ip_version_is_forgotten() -> None:
    only_four = policy(ingress=[rule(source={"nets": ["10.0.0.0/8"]})], egress=[ALLOW])
    found = only(hep(), felix(), only_four)
    assert (found.code, found.severity) == (Code.ONE_FAMILY, Severity.WARNING)
    assert example(found) == ("TCP [2001:db8:1::7]:49152 -> [2001:db8::1]:443 is denied at the end of tier default")
    assert codes(hep(expectedIPs=["192.0.2.1"]), felix(), only_four) == []
    assert only(hep(expectedIPs=None), felix(), only_four).severity is Severity.NOTICE


# -- missing-return --

REQUESTS = rule(to=6379, source={"nets": ["10.0.0.0/8"]})
REPLIES = rule(of=6379, destination={"nets": ["10.0.0.0/8"]})


def test_untracked_in_both_directions() -> None:
    assert codes(hep(**ALLOWED), felix(), untracked(ingress=[REQUESTS], egress=[REPLIES])) == []


def test_untracked_in_one_direction() -> None:
    found = only(hep(**ALLOWED), felix(), untracked(ingress=[REQUESTS]))
    assert (found.code, found.subject) == (Code.MISSING_RETURN, "GlobalNetworkPolicy/u: ingress[0]")
    assert example(found).startswith("TCP 192.0.2.1:6379 -> 10.0.0.1:49152 meets no untracked rule")
    found = only(hep(**ALLOWED), felix(), untracked(egress=[REPLIES]))
    assert found.subject == "GlobalNetworkPolicy/u: egress[0]"


@pytest.mark.parametrize(
    ("egress", "packet"),
    [
        ([rule(of=6380, destination={"nets": ["10.0.0.0/8"]})], "TCP 192.0.2.1:6379 -> 10.0.0.1:49152"),
        ([rule(of=6379, destination={"nets": ["10.1.0.0/16"]})], "TCP 192.0.2.1:6379 -> 10.0.0.1:49152"),
        ([rule("Deny", of=6379), REPLIES], "TCP 192.0.2.1:6379 -> 10.0.0.1:49152"),
        ([rule("Pass"), REPLIES], "TCP 192.0.2.1:6379 -> 10.0.0.1:49152"),
    ],
)
def test_the_rule_for_replies_is_not_the_right_one(egress: list[dict[str, Any]], packet: str) -> None:
    found = findings(hep(**ALLOWED), felix(), untracked(ingress=[REQUESTS], egress=egress))
    missing = [it for it in found if it.code is Code.MISSING_RETURN and it.subject.endswith("ingress[0]")]
    assert len(missing) == 1
    assert example(missing[0]).startswith(packet)


def test_clients_have_high_ports() -> None:
    to_clients = rule(of=6379, to="1024:65535", destination={"nets": ["10.0.0.0/8"]})
    assert codes(hep(**ALLOWED), felix(), untracked(ingress=[REQUESTS], egress=[to_clients])) == []


def test_echo_is_answered_and_errors_are_not() -> None:
    ping = rule(protocol="ICMP", icmp={"type": 8})
    pong = rule(protocol="ICMP", icmp={"type": 0})
    unreachable = rule(protocol="ICMP", icmp={"type": 3})
    assert codes(hep(**ALLOWED), felix(), untracked(ingress=[ping, unreachable], egress=[pong])) == []
    assert codes(hep(**ALLOWED), felix(), untracked(ingress=[ping, unreachable])) == ["missing-return"]


# -- silent-peer --


def test_a_peer_without_addresses() -> None:
    peer = rule(source={"selector": "has(is)"})
    found = findings(
        hep(), hep("other", node="m", expectedIPs=None, **ALLOWED), felix(), policy(ingress=[peer], egress=[ALLOW])
    )
    assert [it.code for it in found] == [Code.SILENT_PEER]
    assert "picks host endpoint other, which has no expectedIPs" in found[0].text
    assert example(found[0]).endswith("is denied at the end of tier default")


def test_a_rule_about_silent_peers_only_never_matches() -> None:
    peer = rule(source={"selector": "is == 'other'"})
    found = findings(
        hep(),
        hep("other", node="m", expectedIPs=None, **ALLOWED),
        felix(),
        policy(ingress=[peer, ALLOW], egress=[ALLOW]),
    )
    assert [it.code for it in found] == [Code.NEVER_MATCHES]
    assert found[0].text.endswith("(host endpoints without expectedIPs: other)")


def test_a_silent_peer_that_is_excluded() -> None:
    stranger = rule(source={"notSelector": "is == 'other'"})
    found = findings(
        hep(), hep("other", node="m", expectedIPs=None, **ALLOWED), felix(), policy(ingress=[stranger], egress=[ALLOW])
    )
    assert [it.code for it in found] == [Code.SILENT_PEER]


# -- open-failsafe, failsafe-wins --


def test_the_default_failsafe_ports_are_one_notice() -> None:
    found = only(hep(), ANYTHING)
    assert (found.code, found.severity) == (Code.OPEN_FAILSAFE, Severity.NOTICE)
    assert example(found) == "TCP 198.51.100.7:49152 -> 192.0.2.1:22 is let through by failsafe port tcp:22"
    assert codes(ANYTHING) == []


@pytest.mark.parametrize(
    ("entry", "open_"),
    [
        ({"protocol": "TCP", "port": 22}, True),
        ({"protocol": "TCP", "port": 22, "net": "0.0.0.0/0"}, True),
        ({"protocol": "TCP", "port": 22, "net": "10.0.0.0/8"}, False),
        ({"protocol": "UDP", "port": 68}, False),
    ],
)
def test_failsafe_ports_that_are_listed(entry: dict[str, Any], *, open_: bool) -> None:
    found = findings(hep(), felix([entry]), ANYTHING)
    assert [(it.code, it.severity) for it in found] == [(Code.OPEN_FAILSAFE, Severity.WARNING)] * open_


def test_outbound_failsafe_ports_are_a_notice() -> None:
    found = findings(hep(), felix([], [{"protocol": "TCP", "port": 443}, {"protocol": "UDP", "port": 53}]), ANYTHING)
    assert [(it.code, it.severity) for it in found] == [(Code.OPEN_FAILSAFE, Severity.NOTICE)]
    assert "opens tcp:443 to every address" in found[0].text


SSH = {"protocol": "TCP", "port": 22, "net": "10.0.0.0/8"}


def test_a_deny_that_names_a_failsafe_port() -> None:
    found = only(hep(), felix([SSH]), policy(ingress=[rule("Deny", to=[22, 23]), ALLOW], egress=[ALLOW]))
    assert found.code is Code.FAILSAFE_WINS
    assert example(found).startswith("TCP 10.0.0.1:49152 -> 192.0.2.1:22 is let through by failsafe port")


def test_a_deny_that_a_failsafe_port_covers() -> None:
    denied = rule("Deny", to=22, source={"nets": ["10.0.0.0/8"]})
    assert codes(hep(), felix([SSH]), policy(ingress=[denied, ALLOW], egress=[ALLOW])) == ["failsafe-wins"]


def test_an_allow_of_a_failsafe_port_is_no_mistake() -> None:
    allowed = rule(to=22, source={"nets": ["10.0.0.0/8"]})
    assert codes(hep(), felix([SSH]), policy(ingress=[allowed, ALLOW], egress=[ALLOW])) == []


def test_an_untracked_allow_of_a_failsafe_port_is_one() -> None:
    there, back = (rule(source={"nets": ["10.0.0.0/8"]}, to=22), rule(destination={"nets": ["10.0.0.0/8"]}, of=22))
    assert codes(hep(**ALLOWED), felix([SSH]), untracked(ingress=[there], egress=[back])) == ["failsafe-wins"] * 2


# -- after-dnat --


@pytest.mark.parametrize(("action", "severity"), [("Deny", Severity.WARNING), ("Allow", Severity.NOTICE)])
def test_node_ports_in_normal_policy(action: str, severity: Severity) -> None:
    found = only(hep(), felix(), policy(ingress=[rule(action, to="30000:32767"), ALLOW], egress=[ALLOW]))
    assert (found.code, found.severity) == (Code.AFTER_DNAT, severity)
    assert found.example
    assert str(found.example.translated and found.example.translated.destination) == "10.244.0.10"
    assert found.example.outcome.startswith("translated to 10.244.0.10:8080, is allowed: no policy with applyOnForward")


def test_node_ports_in_policy_before_dnat() -> None:
    assert codes(hep(**ALLOWED), felix(), pre_dnat(ingress=[rule("Deny", to=30080)])) == []


# -- the rest --


def test_two_endpoints_of_one_interface() -> None:
    found = findings(hep("a"), hep("b"), hep("c", node="m"), hep("d", interfaceName="eth1"), felix(), ANYTHING)
    assert [(it.code, it.subject) for it in found] == [(Code.SHADOWED_ENDPOINT, "HostEndpoint/b")]


def test_too_much_to_look_at_is_told() -> None:
    resources = pyxdp.loads("\n---\n".join([hep(), felix(), policy(ingress=[ALLOW, WEB], egress=[ALLOW])])).resources
    assert [it.code for it in lint(resources, effort=3)] == [Code.GAVE_UP]


def test_policy_that_is_refused_where_it_applies() -> None:
    service = {"action": "Allow", "source": {"services": {"name": "dns", "namespace": "kube-system"}}}
    found = findings(hep(), felix(), ANYTHING, policy("svc", ingress=[service]))
    assert [(it.code, it.subject, it.origin.line) for it in found] == [
        (Code.REFUSED_POLICY, "GlobalNetworkPolicy/svc", 7)
    ]


@pytest.mark.parametrize("value", ["shadowed-rule", "all", "never-matches, shadowed-rule", "log-only  shadowed-rule"])
def test_annotations_that_ask_for_silence(value: str) -> None:
    annotations = {"pyxdp.dev/lint-ignore": value}
    rules = [ALLOW, WEB]
    assert codes(hep(), felix(), policy(annotations=annotations, ingress=rules, egress=[ALLOW])) == []
    silent = {**WEB, "metadata": {"annotations": annotations}}
    assert codes(hep(), felix(), policy(ingress=[ALLOW, silent, WEB], egress=[ALLOW])) == ["shadowed-rule"]


def test_annotations_of_other_resources() -> None:
    bare = document(
        "HostEndpoint",
        "bare",
        {"node": "n", "interfaceName": "eth0"},
        annotations={"pyxdp.dev/lint-ignore": "bare-endpoint"},
    )
    ssh = {"protocol": "TCP", "port": 22}
    assert codes(bare, felix([ssh], annotations={"pyxdp.dev/lint-ignore": "open-failsafe"})) == []
    assert codes(bare, hep("other", node="m"), felix()) == ["bare-endpoint"]


def test_a_code_that_does_not_exist() -> None:
    found = only(
        hep(), felix(), policy(annotations={"pyxdp.dev/lint-ignore": "shadowed"}, ingress=[ALLOW], egress=[ALLOW])
    )
    assert (found.code, found.text) == (Code.UNKNOWN_CODE, "pyxdp.dev/lint-ignore names no code of lint: shadowed")


def test_findings_come_in_the_order_of_the_files() -> None:
    found = findings(hep(), policy("b", ingress=[ALLOW, WEB]), policy("a", egress=[ALLOW, WEB]))
    lines = [(it.origin.file, it.origin.line) for it in found]
    assert lines == sorted(lines)


def test_a_thousand_rules_are_no_effort() -> None:
    rules = [
        rule(
            "Deny" if number % 2 else "Allow",
            to=number + 1,
            source={"nets": [f"10.{number // 256}.{number % 256}.0/24"]},
        )
        for number in range(1000)
    ]
    resources = pyxdp.loads(
        "\n---\n".join([hep(), felix(), policy(ingress=[*rules, ALLOW, WEB], egress=[ALLOW])])
    ).resources
    assert [it.code for it in lint(resources, effort=2_000_000)] == [Code.SHADOWED_RULE]
