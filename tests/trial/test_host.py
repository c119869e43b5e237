"""The real programs, hook by hook."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from pyxdp.compiler import compile_policy
from pyxdp.errors import CapacityError
from pyxdp.evaluator import Conntrack, Context, Direction, Path
from pyxdp.manifest import loads
from pyxdp.net import HookSettings, Interface, Packet
from pyxdp.net.frame import build_frame
from pyxdp.resolver import resolve
from pyxdp.trial import PolicyClass, Stage, TrialHost, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.compiler import MapImage

pytestmark = pytest.mark.usefixtures("kernel")

POLICY = """
{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: host, labels: {role: all}}, spec: {node: n, interfaceName: "*"}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: fast}, spec: {doNotTrack: true, applyOnForward: true,
  ingress: [{action: Log, protocol: TCP}, {action: Allow, protocol: TCP, destination: {ports: [6379]}}, {action: Deny, protocol: TCP, destination: {ports: [23]}}]}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: early}, spec: {preDNAT: true, applyOnForward: true,
  ingress: [{action: Allow, protocol: UDP, destination: {ports: [30000]}}, {action: Deny, protocol: UDP, destination: {ports: [30001]}}]}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: web}, spec: {applyOnForward: true, types: [Ingress, Egress],
  ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}], egress: [{action: Allow, protocol: TCP}]}}
"""  # noqa: E501
TCP = Packet(
    protocol=6,
    source=ip_address("198.51.100.7"),
    destination=ip_address("192.0.2.1"),
    source_port=40000,
    destination_port=80,
)
UDP = replace(TCP, protocol=17)
FORWARD = Context(path=Path.FORWARD)


@pytest.fixture(scope="module")
def image() -> MapImage:
    interfaces = (Interface("eth0", 2), Interface("cali1", 3))
    return compile_policy(resolve(loads(POLICY).resources, "n", interfaces))


@pytest.fixture(scope="module")
def loaded() -> Iterator[TrialHost]:
    with TrialHost() as host:
        yield host


@pytest.fixture
def host(loaded: TrialHost, image: MapImage) -> TrialHost:
    loaded.enforce(image, "eth0")
    return loaded


def port(packet: Packet, number: int) -> Packet:
    return replace(packet, destination_port=number)


def test_denied_at_xdp(host: TrialHost) -> None:
    found = host.judge(port(TCP, 23))
    assert (found.verdict, found.policy_class, found.reason) == (Verdict.DENY, PolicyClass.UNTRACKED, "DROP_POLICY")
    assert (found.hook, str(found.rule)) == ("xdp", "default/fast/ingress[2]")
    assert [str(log) for log in found.logs] == ["default/fast/ingress[0]"]
    assert [passage.hook for passage in found.passages] == ["xdp"]


def test_denied_in_the_raw_table_where_xdp_is_gone(host: TrialHost) -> None:
    found = host.judge(port(TCP, 23), xdp=False)
    assert (found.verdict, found.hook, str(found.rule)) == (Verdict.DENY, "raw PREROUTING", "default/fast/ingress[2]")


def test_untracked(host: TrialHost) -> None:
    found = host.judge(port(TCP, 6379))
    assert (found.verdict, found.untracked, found.policy_class) == (Verdict.ALLOW, True, PolicyClass.UNTRACKED)
    assert str(found.rule) == "default/fast/ingress[1]"
    assert [passage.hook for passage in found.passages] == [
        "xdp",
        "raw PREROUTING",
        "mangle PREROUTING",
        "filter INPUT",
    ]


def test_pre_dnat(host: TrialHost) -> None:
    found = host.judge(port(UDP, 30000))
    assert (found.verdict, found.policy_class, found.hook) == (Verdict.ALLOW, PolicyClass.PRE_DNAT, "mangle PREROUTING")
    assert host.judge(port(UDP, 30001)).verdict is Verdict.DENY
    assert host.judge(port(UDP, 30002), stage=Stage.PRE_DNAT).verdict is Verdict.NO_MATCH


def test_normal(host: TrialHost) -> None:
    assert str(host.judge(TCP).rule) == "default/web/ingress[0]"
    found = host.judge(port(TCP, 81))
    assert (found.verdict, found.hook, str(found.rule)) == (Verdict.DENY, "filter INPUT", "end of tier default")
    assert str(host.judge(TCP, direction=Direction.EGRESS).rule) == "default/web/egress[0]"


def test_forward(host: TrialHost) -> None:
    found = host.judge(TCP, context=FORWARD)
    assert (found.verdict, found.policy_class, found.hook) == (Verdict.ALLOW, PolicyClass.FORWARD, "filter FORWARD")
    assert host.judge(port(TCP, 22), context=FORWARD).verdict is Verdict.DENY


def test_stages_end_where_they_should(host: TrialHost) -> None:
    hooks = {stage: [passage.hook for passage in host.judge(TCP, stage=stage).passages] for stage in Stage}
    assert hooks == {
        Stage.UNTRACKED: ["xdp", "raw PREROUTING"],
        Stage.PRE_DNAT: ["xdp", "raw PREROUTING", "mangle PREROUTING"],
        Stage.ALL: ["xdp", "raw PREROUTING", "mangle PREROUTING", "filter INPUT"],
    }


def test_egress_after_dnat_is_decided_behind_routing(host: TrialHost) -> None:
    context = Context(original_destination=ip_address("192.0.2.99"))
    found = host.judge(UDP, direction=Direction.EGRESS, context=context)
    assert (found.verdict, found.hook) == (Verdict.DENY, "mangle POSTROUTING")
    found = host.judge(TCP, direction=Direction.EGRESS, context=context)
    assert (found.verdict, found.policy_class, found.hook) == (
        Verdict.ALLOW,
        PolicyClass.NORMAL,
        "mangle POSTROUTING",
    )


def test_forwarded_dnat_is_none_of_the_normal_class(host: TrialHost) -> None:
    context = Context(path=Path.FORWARD, original_destination=ip_address("192.0.2.99"))
    found = host.judge(TCP, direction=Direction.EGRESS, context=context)
    assert (found.verdict, found.policy_class, found.hook) == (Verdict.ALLOW, PolicyClass.FORWARD, "filter FORWARD")


def test_connection_tracking(host: TrialHost) -> None:
    known = host.judge(UDP, context=Context(conntrack=Conntrack.RELATED))
    assert (known.verdict, known.reason, known.rule) == (Verdict.ALLOW, "ESTABLISHED", None)
    invalid = host.judge(TCP, context=Context(conntrack=Conntrack.INVALID))
    assert (invalid.verdict, invalid.reason, invalid.rule) == (Verdict.DENY, "DROP_INVALID", None)


def test_settings(host: TrialHost, image: MapImage) -> None:
    host.enforce(image, "eth0", HookSettings(check_invalid=False, deny="Reject", allow="Return"))
    assert host.judge(TCP, context=Context(conntrack=Conntrack.INVALID)).verdict is Verdict.ALLOW
    assert host.judge(UDP).verdict is Verdict.DENY


def test_interface_that_nothing_governs(host: TrialHost, image: MapImage) -> None:
    host.enforce(image, "eth7")
    for direction in Direction:
        for path in Path:
            found = host.judge(port(TCP, 23), direction=direction, context=Context(path=path))
            assert (found.verdict, found.reason) == (Verdict.NO_MATCH, "PASS_NOT_GOVERNED")


def test_workload_interface(host: TrialHost, image: MapImage) -> None:
    host.enforce(image, "cali1")
    assert host.judge(port(TCP, 23)).verdict is Verdict.NO_MATCH
    assert host.judge(port(UDP, 30001)).verdict is Verdict.DENY
    assert host.judge(UDP, context=FORWARD).verdict is Verdict.DENY
    assert host.judge(TCP, direction=Direction.EGRESS, context=FORWARD).verdict is Verdict.ALLOW


def test_the_short_way_says_the_same(host: TrialHost) -> None:
    for packet in (TCP, UDP, port(TCP, 23), port(TCP, 6379), port(UDP, 30000), port(UDP, 30001)):
        for direction in Direction:
            for path in Path:
                for state in Conntrack:
                    for stage in Stage:
                        context = Context(path=path, conntrack=state)
                        found = host.judge(packet, direction=direction, context=context, stage=stage)
                        short = host.verdict(packet, direction=direction, context=context, stage=stage)
                        assert short == (found.verdict, found.untracked)


def test_frames(host: TrialHost) -> None:
    frame = build_frame(TCP)
    assert host.judge(frame).verdict is Verdict.ALLOW
    priority_tag = frame[:12] + bytes.fromhex("8100 6000") + frame[12:]
    assert str(host.judge(priority_tag).rule) == "default/web/ingress[0]"
    vlan = frame[:12] + bytes.fromhex("8100 0007") + frame[12:]
    assert (host.judge(vlan).verdict, host.judge(vlan).reason) == (Verdict.NO_MATCH, "PASS_VLAN")
    arp = frame[:12] + bytes.fromhex("0806") + bytes(28)
    assert (host.judge(arp).verdict, host.judge(arp).reason) == (Verdict.NO_MATCH, "PASS_NOT_IP")
    egress = host.judge(arp, direction=Direction.EGRESS)
    assert (egress.verdict, egress.reason, egress.passages) == (Verdict.NO_MATCH, "PASS_NOT_IP", ())
    assert (host.judge(frame[:40]).verdict, host.judge(frame[:40]).reason) == (Verdict.DENY, "DROP_SHORT_IP")


@pytest.mark.parametrize("length", [0, 1, 13])
def test_shorter_than_an_ethernet_header(host: TrialHost, length: int) -> None:
    frame = build_frame(TCP)[:length]
    found = host.judge(frame)
    assert (found.verdict, found.reason, found.hook) == (Verdict.DENY, "DROP_SHORT_ETHERNET", "xdp")
    assert host.judge(frame, direction=Direction.EGRESS).verdict is Verdict.NO_MATCH


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("tag", ["", "8100 0000", "8100 0000 88a8 0000"])
@pytest.mark.parametrize("size", [3_500, 3_501, 9_000, 65_400])
def test_jumbo_frames(host: TrialHost, family: int, tag: str, size: int) -> None:
    """They are judged by their headers, which is where programs look."""
    packet = (
        TCP if family == 4 else replace(TCP, source=ip_address("2001:db8::7"), destination=ip_address("2001:db8::1"))
    )
    frame = bytearray(build_frame(packet) + bytes(size))
    position, beside = (16, 0) if family == 4 else (18, 40)
    frame[position : position + 2] = (len(frame) - 14 - beside).to_bytes(2, "big")
    frame[12:12] = bytes.fromhex(tag)
    for direction in Direction:
        found = host.judge(bytes(frame), direction=direction)
        assert str(found.rule) == f"default/web/{direction.value.lower()}[0]"
    assert host.judge(bytes(frame[:-1])).reason == "DROP_SHORT_IP"
    assert str(host.judge(bytes([*frame, 0])).rule) == "default/web/ingress[0]"


def test_later_fragments_wait_for_the_datagram(host: TrialHost) -> None:
    later = Packet(protocol=6, source=TCP.source, destination=TCP.destination, later_fragment=True)
    found = host.judge(later)
    assert (found.verdict, found.untracked) == (Verdict.NO_MATCH, False)
    assert [passage.hook for passage in found.passages] == ["xdp", "raw PREROUTING"]


def test_an_image_that_is_too_large(image: MapImage) -> None:
    capacities = {"rules": 1, "rows": 64, "row_index": 8, "pages": 512, "pieces": 8, "ipv6": 8}
    with TrialHost(capacities=capacities) as small, pytest.raises(CapacityError):
        small.enforce(image, "eth0")
