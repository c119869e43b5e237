"""What is counted besides verdicts on headers: policy, Log rules, interfaces that nothing governs, damaged maps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pyxdp import abi
from pyxdp.abi import Limit, Reason, RuleFlag, Verdict
from pyxdp.compiler import CompiledRule, EndpointRulesets, MapImage, Ruleset, Rulesets, build_image
from pyxdp.compiler.matches import AddressCondition, Match
from pyxdp.compiler.service import KEYS
from pyxdp.resolver import Direction, PolicyClass
from tests.kern.conftest import ALLOWED, DENIED, FAILSAFE, INTERFACE, POLICY, image_of
from tests.kern.frames import ARP, IPV4, IPV6, TCP, UDP, ethernet, ipv4, ipv6, tcp, udp

if TYPE_CHECKING:
    from tests.kern.conftest import Bench

LOG = POLICY.replace("  ingress: &rules\n", "  ingress: &rules\n    - {action: Log, protocol: UDP}\n")


def tcp_to(port: int) -> bytes:
    return ethernet(IPV4, ipv4(TCP, tcp(port)))


@pytest.mark.parametrize(
    ("port", "reason"),
    [
        (ALLOWED, Reason.PASS_ALLOWED),
        (DENIED, Reason.DROP_POLICY),
        (FAILSAFE, Reason.PASS_FAILSAFE),
        (8080, Reason.PASS_NO_MATCH),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_verdict_of_a_rule(bench: Bench, port: int, reason: Reason) -> None:
    """A rule that decides is counted with the whole frame; where none does, none is."""
    frame = tcp_to(port) + bytes(100)
    result = bench.xdp(frame)
    assert result.reasons == {reason: 1}
    assert list(result.rules.values()) == ([] if reason is Reason.PASS_NO_MATCH else [(1, len(frame))])


@pytest.mark.parametrize(
    "frame",
    [tcp_to(DENIED), ethernet(IPV4, ipv4(TCP, b"", ihl=4)), ethernet(ARP, bytes(46)), ethernet(IPV6, ipv6(TCP, b""))],
    ids=["whole", "malformed", "ARP", "no transport header"],
)
def test_interface_that_nothing_governs(bench: Bench, frame: bytes) -> None:
    bench.fill(image_of(POLICY), "eth1")
    for result in (bench.xdp(frame), bench.raw("out_deny", frame)):
        assert (result.reasons, result.rules) == ({Reason.PASS_NOT_GOVERNED: 1}, {})
    for program in ("in_allow", "in_deny", "out_allow"):
        result = bench.raw(program, frame)
        assert (result.action, result.reasons, result.rules) == (0, {}, {})


def test_log_beyond_the_rate(bench: Bench) -> None:
    """The Log rule is counted, its event left out; and the packet goes on to the rule that decides."""
    bench.fill(image_of(LOG))
    often = 300  # within a moment, of which each CPU may tell 100 a second
    result = bench.xdp(ethernet(IPV4, ipv4(UDP, udp(DENIED))), repeat=often)
    assert result.action == "drop"
    assert result.reasons[Reason.DROP_POLICY] == often
    assert [packets for packets, _ in result.rules.values()] == [often, often]
    assert result.reasons[Reason.LOG_SUPPRESSED]


def chain_of_logs(count: int, verdict: Verdict) -> MapImage:
    """A ruleset of ``count`` Log rules before one with a verdict; the compiler refuses more than the limit."""
    anything = AddressCondition(frozenset({4, 6}))
    match = Match(anything, anything, ((0, KEYS - 1),), None, by_ports=False)
    logs = [CompiledRule(match, Verdict.CONTINUE, RuleFlag.LOG, number, resume=number + 1) for number in range(count)]
    rules = (*logs, CompiledRule(match, verdict, identity=count), CompiledRule(match, Verdict.NONE))
    ruleset = Ruleset(PolicyClass.UNTRACKED, Direction.INGRESS, rules)
    name = abi.Name(tier="", policy="", kind="", action="Log", rule=0, direction=0, identity=0)
    names = {number: name._replace(identity=number) for number in range(count + 1)}
    rulesets = Rulesets((EndpointRulesets(INTERFACE, "host", (ruleset,)),), names)
    return build_image(rulesets, {number: number for number in names}, {INTERFACE: 0})


def test_as_many_log_rules_as_allowed(bench: Bench) -> None:
    bench.fill(chain_of_logs(int(Limit.MAX_CONTINUES), Verdict.ALLOW))
    result = bench.xdp(tcp_to(1))
    assert result.action == "pass"
    assert result.reasons[Reason.PASS_ALLOWED] == 1
    assert [packets for packets, _ in result.rules.values()] == [1] * (Limit.MAX_CONTINUES + 1)


def test_one_log_rule_too_many(bench: Bench) -> None:
    bench.fill(chain_of_logs(Limit.MAX_CONTINUES + 1, Verdict.ALLOW))
    result = bench.xdp(tcp_to(1))
    assert (result.action, result.reasons[Reason.DROP_CONTINUES]) == ("drop", 1)
    assert result.reasons.keys() <= {Reason.DROP_CONTINUES, Reason.LOG_SUPPRESSED}


def damaged(image: MapImage, **changes: Any) -> MapImage:
    """The image with another first ruleset."""
    table = image.tables["rulesets"]
    width = len(abi.encode(abi.Ruleset(0, 0, 0, 0, 0, (0, 0, 0, 0))))
    broken = abi.decode(abi.Ruleset, table[:width])._replace(**changes)
    return replace(image, tables={**image.tables, "rulesets": abi.encode(broken) + table[width:]})


@pytest.mark.parametrize(
    "changes",
    [{"rule_base": 1 << 30}, {"row_base": (1 << 30,) * 4}, {"row_base": (0, 0, 1 << 30, 0)}],
    ids=["rules", "rows", "rows of one field"],
)
def test_ruleset_that_points_nowhere(bench: Bench, changes: dict[str, Any]) -> None:
    bench.fill(damaged(image_of(POLICY), **changes))
    assert bench.xdp(tcp_to(ALLOWED)).is_drop(Reason.DROP_INTERNAL)


def test_page_that_points_nowhere(bench: Bench) -> None:
    image = image_of(POLICY)
    pages = abi.encode_u32([1 << 30] * (len(image.tables["pages"]) // 4))
    bench.fill(replace(image, tables={**image.tables, "pages": pages}))
    assert bench.xdp(tcp_to(ALLOWED)).is_drop(Reason.DROP_INTERNAL)
