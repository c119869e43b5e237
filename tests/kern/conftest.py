"""The programs with one policy that tells by its verdict whether they read a packet's ports and types."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pytest

from pyxdp.abi import Limit, Reason
from pyxdp.compiler import MapImage, compile_policy
from pyxdp.dataplane.code import Code
from pyxdp.dataplane.trial import Trial
from pyxdp.manifest import loads
from pyxdp.net import Interface
from pyxdp.resolver import Direction, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERFACE: Final = "eth0"
DENIED: Final = 666
ALLOWED: Final = 6379
FAILSAFE: Final = 22
_COUNTERS: Final = 64
_ACTIONS: Final = {1: "drop", 2: "pass"}

POLICY: Final = f"""
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: host, labels: {{hep: host}}}}
spec: {{node: node1, interfaceName: {INTERFACE}}}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {{name: default}}
spec:
  failsafeInboundHostPorts: [{{protocol: TCP, port: {FAILSAFE}}}]
  failsafeOutboundHostPorts: []
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: ports}}
spec:
  selector: has(hep)
  doNotTrack: true
  applyOnForward: true
  ingress: &rules
    - {{action: Deny, protocol: TCP, destination: {{ports: [{DENIED}]}}}}
    - {{action: Deny, protocol: UDP, destination: {{ports: [{DENIED}]}}}}
    - {{action: Deny, protocol: SCTP, destination: {{ports: [{DENIED}]}}}}
    - {{action: Allow, protocol: TCP, destination: {{ports: [{ALLOWED}]}}}}
    - {{action: Deny, protocol: ICMP, icmp: {{type: 13}}}}
    - {{action: Deny, protocol: ICMPv6, icmp: {{type: 139, code: 2}}}}
    - {{action: Deny, protocol: 50}}
    - {{action: Deny, protocol: 59}}
    - {{action: Deny, protocol: 135}}
    - {{action: Deny, source: {{nets: [203.0.113.0/24]}}}}
    - {{action: Deny, source: {{nets: ["2001:db8:dead::/48"]}}}}
    - {{action: Deny, destination: {{nets: [203.0.113.0/24]}}}}
    - {{action: Deny, destination: {{nets: ["2001:db8:dead::/48"]}}}}
  egress: *rules
"""


def image_of(text: str, *interfaces: Interface) -> MapImage:
    """Compile a manifest for node1, which has one interface unless others are named."""
    return compile_policy(resolve(loads(text).resources, "node1", interfaces or (Interface(INTERFACE, 2),)))


@dataclass(frozen=True)
class Result:
    """What a program did with a frame.

    Attributes:
        action: ``pass`` or ``drop`` at XDP; what iptables is told, 0 or 1, in the raw table.
        reasons: every reason that was counted, and how often.
        rules: identities that were counted: packets and bytes by counter index.
    """

    action: str | int
    reasons: dict[Reason, int]
    rules: dict[int, tuple[int, ...]]

    def is_drop(self, reason: Reason) -> bool:
        """Dropped at XDP, and counted for exactly one reason."""
        return self.action == "drop" and self._counts_once(reason)

    def is_pass(self, reason: Reason) -> bool:
        """Passed at XDP, and counted for exactly one reason."""
        return self.action == "pass" and self._counts_once(reason)

    def _counts_once(self, reason: Reason) -> bool:
        """One packet for the reason, and one for the rule where a rule decides."""
        by_rule = reason in {Reason.PASS_ALLOWED, Reason.PASS_FAILSAFE, Reason.DROP_POLICY, Reason.DROP_EARLY}
        return self.reasons == {reason: 1} and [packets for packets, _ in self.rules.values()] == [1] * by_rule


class Bench:
    """Runs frames and reads what was counted."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self._image: MapImage | None = None

    def fill(self, image: MapImage, interface: str = INTERFACE) -> None:
        """Judge by this image from now on, as if on this interface."""
        if image is not self._image or interface != INTERFACE:
            self.trial.fill(image, interface)
        self._image = image if interface == INTERFACE else None

    def xdp(self, frame: bytes, ifindex: int = 0, *, repeat: int = 1) -> Result:
        """Run the XDP program: ``pass`` or ``drop``. The frame came in by a device, or else by the loopback device."""
        result = self._run("xdp", frame, Direction.INGRESS, ifindex, repeat)
        return replace(result, action=_ACTIONS[int(result.action)])

    def raw(self, program: str, frame: bytes) -> Result:
        """Run a program that iptables asks; its name says the direction."""
        egress = program.startswith("out_") or "_out" in program or program == "local_dnat_deny"
        return self._run(program, frame, Direction.EGRESS if egress else Direction.INGRESS)

    def _run(self, program: str, frame: bytes, direction: Direction, ifindex: int = 0, repeat: int = 1) -> Result:
        before = self._reasons(), self._counts("counters", _COUNTERS)
        action = self.trial.object.programs[f"pyxdp_{program}"].test_run(frame, ifindex=ifindex, repeat=repeat).retval
        reasons = _risen(before[0], self._reasons())
        rules = _risen(before[1], self._counts("counters", _COUNTERS))
        start = direction.value * Limit.REASONS
        assert all(start <= index < start + Limit.REASONS for index in reasons), "counted in the other direction"
        return Result(action, {Reason(index - start): rise[0] for index, rise in reasons.items()}, rules)

    def _reasons(self) -> list[tuple[int, ...]]:
        return [(packets,) for packets in self.trial.reasons()]

    def _counts(self, name: str, count: int) -> list[tuple[int, ...]]:
        return self.trial.object.maps[f"pyxdp_{name}"].read_sums(0, count)


def _risen(before: list[tuple[int, ...]], after: list[tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    """By how much each entry has risen, without those that have not."""
    pairs = enumerate(zip(before, after, strict=True))
    return {
        index: tuple(new - old for old, new in zip(olds, news, strict=True))
        for index, (olds, news) in pairs
        if olds != news
    }


@pytest.fixture(scope="session")
def loaded() -> Iterator[tuple[Bench, MapImage]]:
    """The programs, loaded once, and the usual policy."""
    with Trial(Code.shipped(0).data) as trial:
        yield Bench(trial), image_of(POLICY)


@pytest.fixture
def bench(kernel: None, loaded: tuple[Bench, MapImage]) -> Bench:
    """The programs, judging by :data:`POLICY`."""
    bench, image = loaded
    bench.fill(image)
    return bench
