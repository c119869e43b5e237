"""The cable: frames are counted by what becomes of them, and firewalls are only believed if they drop."""

from __future__ import annotations

import pytest

from bench.cable import LeakError, cable
from bench.rivals import RIVALS, Kind
from pyxdp.bench import rulesets
from pyxdp.bench.traffic import Traffic, encoded
from pyxdp.bpf import features
from pyxdp.bpf._types import XdpAction

RULESETS = {"prefixes": rulesets.blocklist(30), "rules": rulesets.denials(30)}
#: Those that the tests' packages have.
TESTED = [rival for rival in RIVALS if rival.name in {"pyxdp", "lpm", "iptables"}]


@pytest.fixture(autouse=True)
def live_frames(kernel: None) -> None:
    supported = features.probe().live_frames
    if not supported:
        pytest.skip(f"frames can not be generated: {supported}")


def test_what_an_empty_program_drops_does_not_come_through() -> None:
    flows = encoded(RULESETS["prefixes"].flows[:16])
    with cable(flows) as made, Traffic(flows) as empty:
        with made.host.entered():
            link = empty.drop.attach_xdp(made.receiver.ifindex)
        with link:
            rate = made.measure()
    assert (rate.lost, rate.passed) == (0, 0)
    assert rate.sent == 1024
    assert rate.nanoseconds > 0


def test_a_firewall_that_drops_nothing_has_no_figure() -> None:
    with cable(encoded(RULESETS["prefixes"].flows[:16])) as made, pytest.raises(LeakError, match="1,024 of 1,024"):
        made.checked()


@pytest.mark.parametrize(
    ("name", "kind"), [(rival.name, kind) for rival in TESTED for kind in ("prefixes", "rules") if kind in rival.kinds]
)
def test_a_firewall_drops_the_flows(name: str, kind: Kind) -> None:
    (rival,) = (it for it in TESTED if it.name == name)
    ruleset = RULESETS[kind]
    flows = encoded(ruleset.flows)
    with cable(flows) as made, Traffic(flows) as traffic, rival.set_up(made, ruleset) as program:
        assert made.checked() > 0
        if program is not None:
            traffic.measure(program)
            assert {traffic.each.test_run(traffic.frame).retval for _ in range(32)} == {XdpAction.DROP}


def test_what_is_not_measured_says_why() -> None:
    by_name = {rival.name: rival for rival in RIVALS}
    assert "knows no ports" in by_name["lpm"].obstacle("rules", 10)
    assert "every packet" in by_name["iptables"].obstacle("prefixes", 1_000_000)
    assert not by_name["pyxdp"].obstacle("prefixes", 4_000_000)
