"""Whatever the bytes of a frame are: programs and evaluator say the same of it, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyxdp.cases.evaluating import evaluated
from pyxdp.compiler import compile_policy
from pyxdp.evaluator import Context, Direction, Evaluator, Path
from pyxdp.manifest import loads
from pyxdp.net import Interface
from pyxdp.resolver import resolve
from pyxdp.trial import Stage, TrialHost
from tests.kern import frames
from tests.kern.test_frame_reader import damaged_frames

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY = """
{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: host}, spec: {node: n, interfaceName: eth0}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: fast}
spec:
  doNotTrack: true
  applyOnForward: true
  ingress: [{action: Deny, protocol: SCTP}, {action: Allow, protocol: UDP, destination: {ports: [7]}}, {action: Allow, protocol: 50}]
  egress: [{action: Allow, protocol: SCTP}, {action: Deny, protocol: UDP, destination: {ports: [7]}}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: web}
spec:
  applyOnForward: true
  ingress: [{action: Allow, protocol: TCP, destination: {ports: [7]}}, {action: Allow, protocol: UDPLite}]
  egress: [{action: Allow, protocol: TCP, destination: {ports: [7]}}, {action: Allow, protocol: ICMP}]
"""  # noqa: E501
_LOCAL = (Direction.INGRESS, Path.LOCAL, Stage.ALL)
INTERFACES = (Interface("eth0", 2),)
RESOURCES = loads(POLICY).resources


@pytest.fixture(scope="module")
def host(kernel: None) -> Iterator[TrialHost]:
    with TrialHost() as made:
        made.enforce(compile_policy(resolve(RESOURCES, "n", INTERFACES)), "eth0")
        yield made


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(b"", Direction.INGRESS, Path.LOCAL, Stage.ALL)
@example(bytes(13), Direction.EGRESS, Path.FORWARD, Stage.ALL)
@example(bytes(65_000), Direction.INGRESS, Path.LOCAL, Stage.ALL)
@example(frames.ethernet(frames.IPV4, frames.ipv4(frames.UDP, frames.udp(7) + bytes(9_000))), *_LOCAL)
@example(frames.ethernet(frames.IPV6, frames.ipv6(frames.TCP, frames.tcp(8) + bytes(9_000), length=9_999)), *_LOCAL)
@example(bytes(14), Direction.INGRESS, Path.LOCAL, Stage.ALL)
@example(frames.ethernet(frames.IPV4, b""), Direction.EGRESS, Path.LOCAL, Stage.ALL)
@example(frames.ethernet(frames.IPV6, bytes(39)), Direction.EGRESS, Path.LOCAL, Stage.ALL)
@example(frames.ethernet(frames.IPV4, bytes(20)), Direction.EGRESS, Path.FORWARD, Stage.ALL)
@given(damaged_frames(), st.sampled_from(Direction), st.sampled_from(Path), st.sampled_from(Stage))
def test_both_say_the_same(host: TrialHost, frame: bytes, direction: Direction, path: Path, stage: Stage) -> None:
    context = Context(path=path)
    judgement = host.judge(frame, direction=direction, context=context, stage=stage)
    evaluator = Evaluator(RESOURCES, node="n", interfaces=INTERFACES)
    other = evaluated(evaluator, frame, interface="eth0", direction=direction, context=context, stage=stage)
    assert (judgement.verdict, judgement.untracked) == (other.verdict, other.untracked)
    assert judgement.reason == other.reason
