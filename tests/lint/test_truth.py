"""What lint says is true, by the evaluator, which shares nothing with it."""

from __future__ import annotations

import re
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from pyxdp import evaluator
from pyxdp.evaluator import Context, PolicyClass, Verdict, evaluate, evaluate_class
from pyxdp.lint import Code, Example, Finding, lint
from pyxdp.lint.survey import Survey
from pyxdp.lint.world import make_world
from pyxdp.net import Packet
from pyxdp.resolver import Direction
from tests.lint.random_policies import INTERFACES, NODE, Dice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.evaluator import ClassResult, Evaluation
    from pyxdp.model import Resources

SEEDS = range(20)
POLICIES = 4
PACKETS = 40
WITHOUT_PACKETS = {Code.SHADOWED_RULE, Code.NEVER_MATCHES, Code.UNREACHED_POLICY}
DIRECTIONS = {Direction.INGRESS: evaluator.Direction.INGRESS, Direction.EGRESS: evaluator.Direction.EGRESS}


def rolled(seed: int) -> Dice:
    return Dice(Random(seed))  # noqa: S311 - reproducible


def judge(resources: Resources, interface: str, example: Example) -> Evaluation:
    packet = example.translated or example.packet
    context = Context(
        path=evaluator.Path.FORWARD if example.forwarded else evaluator.Path.LOCAL,
        original_destination=example.packet.destination if example.translated else None,
        original_destination_port=example.packet.destination_port if example.translated else None,
    )
    return evaluate(
        resources,
        node=NODE,
        interfaces=INTERFACES,
        interface=interface,
        direction=DIRECTIONS[example.direction],
        packet=packet,
        context=context,
    )


def answers(resources: Resources, packet: Packet) -> Iterator[ClassResult]:
    """Every class, direction and endpoint; of the untracked class also a later fragment of the same datagram."""
    fragment = Packet(
        protocol=packet.protocol, source=packet.source, destination=packet.destination, later_fragment=True
    )
    for interface in INTERFACES:
        for direction in evaluator.Direction:
            for policy_class in PolicyClass:
                packets = (packet, fragment) if policy_class is PolicyClass.UNTRACKED else (packet,)
                for one in packets:
                    yield evaluate_class(
                        resources,
                        node=NODE,
                        interfaces=INTERFACES,
                        interface=interface.name,
                        direction=direction,
                        packet=one,
                        policy_class=policy_class,
                    )


def named(finding: Finding, text: str) -> bool:
    """Whether ``tier/policy/ingress[0]`` of the evaluator is a rule that the finding is about."""
    kind, policy, *rule = re.split(r"/|: ", finding.subject)
    written = text.split("/")
    if finding.code is Code.UNREACHED_POLICY:
        direction = "ingress" if "its ingress" in finding.text else "egress"
        return kind != "Profile" and written[-2] == policy and written[-1].startswith(direction)
    return written[-2:] == [policy, *rule]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_without_packets_decides_none(seed: int) -> None:
    dice = rolled(seed)
    for _ in range(POLICIES):
        resources = dice.resources()
        findings = [finding for finding in lint(resources) if finding.code in WITHOUT_PACKETS]
        if not findings:
            continue
        packets = [dice.packet() for _ in range(PACKETS)]
        packets += [finding.example.packet for finding in findings if finding.example]
        for packet in packets:
            for result in answers(resources, packet):
                for rule in (*([result.rule] if result.rule else []), *result.logs):
                    assert not [finding for finding in findings if named(finding, str(rule))], (packet, resources)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_example_gets_what_is_said(seed: int) -> None:
    dice = rolled(1000 + seed)
    for _ in range(POLICIES):
        resources = dice.resources()
        interfaces = {endpoint.metadata.name: endpoint.interfaceName for endpoint in resources.hostEndpoints}
        for finding in lint(resources):
            example = finding.example
            if example is None or not example.endpoint or finding.code is Code.MISSING_RETURN:
                continue
            found = judge(resources, interfaces[example.endpoint], example)
            assert found.passes == ("is denied" not in example.outcome), (finding, found)
            if found.reason is evaluator.Reason.RULE and found.rule:
                *place, rule = str(found.rule).split("/")
                assert f"by {'/'.join(place)} {rule}" in example.outcome, (finding, found)
            if found.reason is evaluator.Reason.FAILSAFE and found.verdict is Verdict.ALLOW:
                assert "failsafe port" in example.outcome


@pytest.mark.parametrize("seed", SEEDS)
def test_an_unanswered_packet_is_untracked_one_way_only(seed: int) -> None:
    dice = rolled(2000 + seed)
    for _ in range(POLICIES):
        resources = dice.resources()
        interfaces = {endpoint.metadata.name: endpoint.interfaceName for endpoint in resources.hostEndpoints}
        for finding in lint(resources):
            if finding.code is not Code.MISSING_RETURN:
                continue
            assert finding.example
            reply = finding.example
            assert not judge(resources, interfaces[reply.endpoint], reply).untracked, finding
            there = Direction.EGRESS if reply.direction is Direction.INGRESS else Direction.INGRESS
            asked = judge(resources, interfaces[reply.endpoint], Example(turned(reply.packet), there, reply.endpoint))
            assert asked.untracked
            assert named(finding, str(asked.rule)), finding


def turned(packet: Packet) -> Packet:
    """The packet that this one replies to."""
    kind = {(1, 0): 8, (58, 128): 129, (58, 129): 128}.get((packet.protocol, packet.icmp_type or 0))
    return Packet(
        protocol=packet.protocol,
        source=packet.destination,
        destination=packet.source,
        source_port=packet.destination_port,
        destination_port=packet.source_port,
        icmp_type=kind,
        icmp_code=packet.icmp_code,
    )


@pytest.mark.parametrize("seed", range(8))
def test_the_course_of_a_packet_is_the_evaluator_s(seed: int) -> None:
    dice = rolled(3000 + seed)
    for _ in range(POLICIES):
        resources = dice.resources()
        views = Survey(make_world(resources), 1_000_000).views
        for packet in (dice.packet() for _ in range(PACKETS)):
            for view in views:
                for endpoint in view.shape.endpoints:
                    for direction in Direction:
                        for forwarded in (False, True):
                            outcome = view.judge(packet, direction, forwarded=forwarded)
                            example = Example(packet, direction, endpoint.metadata.name, forwarded)
                            found = judge(resources, endpoint.interfaceName, example)
                            assert outcome.passes == found.passes, (packet, outcome, found)
                            assert outcome.untracked == found.untracked
                            assert ("left alone" in outcome.text) == (found.verdict is Verdict.NO_VERDICT)


def test_the_dice_find_something_of_most_kinds() -> None:
    found: Counter[Code] = Counter()
    for seed in SEEDS:
        dice = rolled(seed)
        found.update(finding.code for _ in range(POLICIES) for finding in lint(dice.resources()))
    assert min(found[code] for code in WITHOUT_PACKETS | {Code.MISSING_RETURN, Code.CUT_DIRECTION}) > 2
