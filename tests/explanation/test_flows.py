"""Captures: each flow once, and what answers belong to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pyxdp.evaluator import Conntrack, Context, Verdict
from pyxdp.explanation import place_of
from pyxdp.explanation.flows import Flow, explain_capture
from pyxdp.net.capture import Captured
from pyxdp.net.parse import Content, Frame
from tests.explanation.policies import CLIENT, HOST, IN, OUT, packet, policy, world

if TYPE_CHECKING:
    from pyxdp.net import Packet

REQUEST = packet()
ANSWER = packet(40000, of=80, src=HOST, dst=CLIENT)


def explained(packets: list[Packet | Content], *rules: str, **options: Any) -> list[Flow]:
    frames = [
        Frame(content=it) if isinstance(it, Content) else Frame(content=Content.FLOW, packet=it) for it in packets
    ]
    captured = [Captured(number, frame) for number, frame in enumerate(frames, start=1)]
    egress = policy("", name="out", types="[Egress]")
    return explain_capture(place_of(world(egress, *rules), "web"), captured, **options)


def test_alike_packets_are_one_flow() -> None:
    other = replace(REQUEST, source_port=40001)
    flows = explained([REQUEST, other, REQUEST, Content.NOT_IP, Content.NOT_IP, REQUEST], policy("action: Allow"))
    assert [(it.packets, it.first, it.explanation.packet) for it in flows] == [
        (3, 1, REQUEST),
        (1, 2, other),
        (2, 4, None),
    ]


def test_each_packet() -> None:
    flows = explained([REQUEST, REQUEST], policy("action: Allow"), each=True)
    assert [(it.packets, it.first) for it in flows] == [(1, 1), (1, 2)]


def verdicts(flows: list[Flow]) -> list[tuple[Any, ...]]:
    return [(it.explanation.direction, it.explanation.context.conntrack, it.explanation.verdict) for it in flows]


def test_answers_belong_to_the_connection_that_was_let_in() -> None:
    assert verdicts(explained([REQUEST, ANSWER], policy("action: Allow"))) == [
        (IN, Conntrack.NEW, Verdict.ALLOW),
        (OUT, Conntrack.ESTABLISHED, Verdict.ALLOW),
    ]


def test_answers_to_what_was_dropped_are_new() -> None:
    assert verdicts(explained([REQUEST, ANSWER], policy("action: Deny"))) == [
        (IN, Conntrack.NEW, Verdict.DENY),
        (OUT, Conntrack.NEW, Verdict.DENY),
    ]


def test_answers_to_untracked_packets_are_new() -> None:
    untracked = policy("action: Allow", doNotTrack="true", applyOnForward="true", types="[Ingress]")
    assert verdicts(explained([REQUEST, ANSWER], untracked))[1] == (OUT, Conntrack.NEW, Verdict.DENY)


@pytest.mark.parametrize(("kind", "state"), [(0, Conntrack.ESTABLISHED), (3, Conntrack.NEW), (14, Conntrack.NEW)])
def test_answers_of_icmp(kind: int, state: Conntrack) -> None:
    ping = packet(name="ICMP", icmp_type=8, icmp_code=0)
    answer = packet(name="ICMP", icmp_type=kind, icmp_code=0, src=HOST, dst=CLIENT)
    assert verdicts(explained([ping, answer], policy("action: Allow")))[1][1] is state


def test_what_is_said_of_connections_holds_for_all() -> None:
    flows = explained([REQUEST, ANSWER], policy("action: Allow"), context=Context(conntrack=Conntrack.INVALID))
    assert [it.explanation.context.conntrack for it in flows] == [Conntrack.INVALID] * 2


def test_directions_that_are_given_or_captured() -> None:
    assert [it.explanation.direction for it in explained([REQUEST, ANSWER], direction=OUT)] == [OUT, OUT]
    frame = Frame(content=Content.FLOW, packet=REQUEST)
    captured = [Captured(1, frame, outgoing=True), Captured(2, frame, outgoing=False)]
    flows = explain_capture(place_of(world(), "web"), captured)
    assert [it.explanation.direction for it in flows] == [OUT, IN]
