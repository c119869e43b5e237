"""XDP of an interface with VLANs on it: hardware may hide the tag, so that it drops nothing and the raw table does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from pyxdp.abi import Reason
from pyxdp.dataplane.code import Code
from pyxdp.net import Interface
from tests.kern.conftest import ALLOWED, DENIED, FAILSAFE, INTERFACE, POLICY, image_of
from tests.kern.early import HOST_POLICY, with_early
from tests.kern.frames import HOST, IPV4, IPV6, TCP, UDP, ethernet, ipv4, ipv6, tcp, udp

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kern.conftest import Bench
    from tests.lab.network import Namespace

WITH_VLAN: Final = (Interface(INTERFACE, 2), Interface(f"{INTERFACE}.5", 3, kind="vlan", parent=2))
LOGGED: Final = POLICY.replace("  ingress: &rules\n", "  ingress: &rules\n    - {action: Log, protocol: UDP}\n")


@pytest.fixture
def parent(bench: Bench) -> Bench:
    bench.fill(image_of(LOGGED, *WITH_VLAN))
    return bench


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (ethernet(IPV4, ipv4(TCP, tcp(DENIED))), Reason.DROP_POLICY),
        (ethernet(IPV6, ipv6(TCP, tcp(DENIED))), Reason.DROP_POLICY),
        (ethernet(IPV4, ipv4(TCP, tcp(DENIED)[:3])), Reason.DROP_SHORT_L4),
    ],
    ids=["denied", "denied IPv6", "malformed"],
)
def test_drops_are_left_to_the_raw_table(parent: Bench, frame: bytes, reason: Reason) -> None:
    """Which counts them: XDP counts nothing."""
    result = parent.xdp(frame)
    assert (result.action, result.reasons, result.rules) == ("pass", {}, {})
    result = parent.raw("in_deny", frame)
    assert (result.action, result.reasons) == (1, {reason: 1})


def test_log_rules_are_met_once(parent: Bench) -> None:
    frame = ethernet(IPV4, ipv4(UDP, udp(DENIED)))
    counted = [parent.xdp(frame).rules, parent.raw("in_allow", frame).rules, parent.raw("in_deny", frame).rules]
    assert [len(rules) for rules in counted] == [1, 0, 1]
    assert counted[0].keys().isdisjoint(counted[2])


@pytest.mark.parametrize(
    ("port", "reason"),
    [(ALLOWED, Reason.PASS_ALLOWED), (FAILSAFE, Reason.PASS_FAILSAFE), (8080, Reason.PASS_NO_MATCH)],
    ids=["allowed", "failsafe", "no match"],
)
def test_what_passes_is_counted_as_ever(parent: Bench, port: int, reason: Reason) -> None:
    assert parent.xdp(ethernet(IPV4, ipv4(TCP, tcp(port)))).is_pass(reason)


def test_nothing_is_dropped_early(kernel: None, netns: Callable[[], Namespace]) -> None:
    """Neither is what belongs to nobody knows whom."""
    frame = ethernet(IPV4, ipv4(TCP, tcp(9999)))
    host = netns()
    host.run("ip", "addr", "add", HOST[4], "dev", "lo")
    with with_early(Code.shipped(0)) as bench, host.entered():
        bench.fill(image_of(HOST_POLICY))
        assert bench.xdp(frame).is_drop(Reason.DROP_EARLY)
        bench.fill(image_of(HOST_POLICY, *WITH_VLAN))
        assert bench.xdp(frame).is_pass(Reason.PASS_NO_MATCH)
