"""What people read."""

from __future__ import annotations

import click
import pytest

from pyxdp.evaluator import Conntrack, Path, Verdict
from pyxdp.explanation import place_of
from pyxdp.explanation.explain import explain
from pyxdp.explanation.text import Style, headline, lines
from pyxdp.net.parse import Content, Frame
from tests.explanation.policies import CLIENT, HOST, IN, OUT, ask, packet, policy, world

MANY = "\n".join(f"action: Allow, protocol: TCP, destination: {{ports: [{port}]}}" for port in range(1000, 1006))
UNTRACKED = {"doNotTrack": "true", "applyOnForward": "true"}
STRICT = policy(f"{MANY}\naction: Log\naction: Deny, source: {{nets: [198.51.100.0/24]}}", name="strict")
SUMMED = "none matches on destination.ports: 80 is not 1000, and so on"


def test_the_whole_text() -> None:
    never = policy("action: Allow", name="never", selector="role == 'db'")
    assert str(ask(world(STRICT, never), packet())).splitlines() == [
        "DENY  default/strict ingress[7] Deny, world.yaml:25",
        "TCP 198.51.100.7:40000 -> 192.0.2.10:80, ingress on eth0 (HostEndpoint/web, world.yaml:2)",
        "untracked (XDP, raw PREROUTING): no verdict, no policy of this class selects the endpoint",
        "pre-DNAT (mangle PREROUTING): no verdict, no policy of this class selects the endpoint",
        "",
        "normal (filter INPUT): DENY",
        "  failsafe ports: none is TCP 80",
        "  tier default",
        "    GlobalNetworkPolicy/strict, world.yaml:12",
        f"      ingress[0] to [5]: 6 rules, {SUMMED}, world.yaml:18 to 23",
        "      ingress[6] Log: matches, world.yaml:24",
        "      ingress[7] Deny: matches, world.yaml:25",
        "",
        "1 more policy was not asked; -v says why",
    ]


def test_verbose_leaves_nothing_out() -> None:
    told = list(lines(ask(world(STRICT, policy("action: Allow", name="zero")), packet()), verbose=True))
    assert [line for line in told if "destination.ports" in line] == [
        f"      ingress[{number}] Allow: destination.ports 80 is not {1000 + number}, world.yaml:{18 + number}"
        for number in range(6)
    ]
    assert "  end: no rule decided: the next class is asked" in told
    assert told[-2:] == [
        "not asked",
        "  GlobalNetworkPolicy/zero: default/strict ingress[7] Deny came first in its tier, world.yaml:27",
    ]


def test_circumstances() -> None:
    explanation = ask(world(), packet(), path=Path.FORWARD, conntrack=Conntrack.INVALID, original_destination_port=8080)
    assert list(lines(explanation))[1].endswith(
        "(HostEndpoint/web, world.yaml:2), forwarded, invalid, port before DNAT: 8080"
    )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "ICMP", "icmp_type": 8, "icmp_code": 0}, f"ICMP type 8 code 0 {CLIENT} -> {HOST}"),
        ({"name": "47"}, f"protocol 47 {CLIENT} -> {HOST}"),
        ({"later_fragment": True}, f"later fragment of TCP {CLIENT} -> {HOST}"),
        ({"src": "2001:db8::1", "dst": "2001:db8::2"}, "TCP [2001:db8::1]:40000 -> [2001:db8::2]:80"),
    ],
)
def test_packets(fields: dict[str, object], told: str) -> None:
    assert list(lines(ask(world(), packet(**fields))))[1].startswith(f"{told}, ")  # type: ignore[arg-type]


def test_untracked_is_told_first() -> None:
    explanation = ask(world(policy("action: Allow", **UNTRACKED)), packet())
    assert headline(explanation) == "ALLOW untracked  default/p ingress[0] Allow, world.yaml:20"


def test_frames() -> None:
    explanation = explain(place_of(world(), "web"), IN, Frame(content=Content.SHORT_IP))
    assert list(lines(explanation)) == [
        "DENY  DROP_SHORT_IP: truncated IP header, or a length that contradicts the frame",
        "frame, ingress on eth0 (HostEndpoint/web, world.yaml:2)",
    ]


def test_styles_change_no_word() -> None:
    style = Style(
        verdict=lambda word, verdict: click.style(word, fg="red" if verdict is Verdict.DENY else "green"),
        strong=lambda text: click.style(text, bold=True),
        faint=lambda text: click.style(text, dim=True),
    )
    explanation = ask(world(STRICT), packet(), OUT)
    styled = list(lines(explanation, style, verbose=True))
    assert [click.unstyle(line) for line in styled] == list(lines(explanation, verbose=True))
    assert styled != list(lines(explanation, verbose=True))
