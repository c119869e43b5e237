"""Early drop changes where a packet dies, never whether: the same traffic with it and without it.

Each test is a scene: policy, what the host does with packets besides, and a table of flows with what becomes of them.
It runs with early drop on and off.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.lab import packets
from tests.lab.flows import ANSWERED, FORBIDDEN, LOST, REFUSED, SILENT, conversation, expect
from tests.lab.gateway import address, flow, vlan
from tests.lab.waiting import wait_until
from tests.veth.classes import (
    ALLOW,
    DENY,
    GovernedGateway,
    echo_requests,
    endpoint,
    forward,
    policy,
    pre_dnat,
    to_ports,
    untracked,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.flows import Flow, Outcome, Transport
    from tests.lab.network import Interface

FAMILIES = (4, 6)
OPEN, SHUT, NODE_PORT = 8080, 8081, 30080


@pytest.fixture(params=["early", "late"])
def scene(request: pytest.FixtureRequest, either_lab: GovernedGateway) -> Iterator[GovernedGateway]:
    """A lab whose host drops early, or does not."""
    either_lab.early_drop = request.param == "early"
    yield either_lab
    either_lab.early_drop = True


def both(lab: GovernedGateway) -> str:
    return endpoint(lab.net.outside, "outside") + endpoint(lab.net.inside, "inside")


def web() -> str:
    """OPEN may be reached, and everything may be asked for from here."""
    return policy("web", ingress=[*to_ports("Allow", OPEN), *echo_requests("Allow")], egress=[ALLOW])


def local_traffic(lab: GovernedGateway, family: int) -> dict[Flow, Outcome]:
    """What the policy ``web`` lets in and out."""
    net = lab.net
    away = net.outward("udp", OPEN, family)
    return {
        net.inward("tcp", OPEN, family): ANSWERED,
        net.inward("udp", OPEN, family): ANSWERED,
        net.inward("icmp", 0, family): ANSWERED,
        net.inward("tcp", SHUT, family): SILENT,
        net.inward("udp", SHUT, family): SILENT,
        net.inward("tcp", 22, family): ANSWERED,
        net.inward("udp", 68, family): ANSWERED,
        net.outward("tcp", SHUT, family): ANSWERED,
        net.outward("udp", SHUT, family): ANSWERED,
        net.outward("icmp", 0, family): ANSWERED,
        replace(away, served=("", 0)): REFUSED,
    }


def forwarded_traffic(lab: GovernedGateway, family: int) -> dict[Flow, Outcome]:
    """Which needs no policy."""
    net = lab.net
    return {
        net.through("tcp", SHUT, family): ANSWERED,
        net.through("udp", SHUT, family): ANSWERED,
        net.through("icmp", 0, family): ANSWERED,
        net.back("tcp", SHUT, family): ANSWERED,
        net.back("udp", SHUT, family): ANSWERED,
    }


def test_local_and_forwarded_traffic(scene: GovernedGateway) -> None:
    scene.apply(both(scene), web())
    for family in FAMILIES:
        expect(local_traffic(scene, family) | forwarded_traffic(scene, family))


def test_masquerade(scene: GovernedGateway) -> None:
    """Answers to masqueraded packets are addressed to the host, whose policy denies them."""
    net = scene.net
    scene.apply(both(scene), web())
    with ExitStack() as stack:
        for family in FAMILIES:
            words = ["-o", net.inside.name, "-j", "MASQUERADE"]
            stack.enter_context(scene.rule("nat", "POSTROUTING", *words, family=family))
            expect(local_traffic(scene, family) | forwarded_traffic(scene, family))


@contextmanager
def redirected(lab: GovernedGateway, to: str) -> Iterator[None]:
    """NODE_PORT of the host leads to OPEN: of the host itself, or of the server. The rules come after the policy."""
    with ExitStack() as stack:
        for family in FAMILIES:
            place = address(lab.net.outside if to == "host" else lab.net.server, family)
            target = f"{place}:{OPEN}" if family == 4 else f"[{place}]:{OPEN}"
            for protocol in ("tcp", "udp"):
                words = ["-p", protocol, "--dport", str(NODE_PORT), "-j", "DNAT", "--to-destination", target]
                stack.enter_context(lab.rule("nat", "PREROUTING", *words, family=family))
        yield


def node_port(lab: GovernedGateway, transport: Transport, family: int, to: str) -> Flow:
    dialled = lab.net.inward(transport, NODE_PORT, family)
    end, place = (lab.net.outside, dialled.server) if to == "host" else (lab.net.server, lab.net.server.namespace)
    return replace(dialled, server=place, served=(address(end, family), OPEN))


@pytest.mark.parametrize("to", ["host", "server"])
def test_dnat_to_what_is_open(scene: GovernedGateway, to: str) -> None:
    """No rule allows NODE_PORT; what it leads to is allowed."""
    scene.apply(both(scene), web())
    with redirected(scene, to):
        for family in FAMILIES:
            expect(
                {node_port(scene, transport, family, to): ANSWERED for transport in ("tcp", "udp")}
                | {scene.net.inward("tcp", SHUT, family): SILENT, scene.net.inward("udp", SHUT, family): SILENT}
            )


@pytest.mark.parametrize("to", ["host", "server"])
def test_dnat_with_pre_dnat_policy(scene: GovernedGateway, to: str) -> None:
    scene.apply(both(scene), web(), pre_dnat("no", to_ports("Deny", NODE_PORT)))
    with redirected(scene, to):
        for family in FAMILIES:
            expect({node_port(scene, transport, family, to): SILENT for transport in ("tcp", "udp")})
    scene.apply(both(scene), pre_dnat("yes", to_ports("Allow", NODE_PORT)))
    with redirected(scene, to):
        for family in FAMILIES:
            expect({node_port(scene, transport, family, to): ANSWERED for transport in ("tcp", "udp")})


def test_forward_policy(scene: GovernedGateway) -> None:
    """A port that the host itself does not have open is forwarded all the same."""
    net = scene.net
    scene.apply(both(scene), forward("web", selector="side == 'outside'", ingress=to_ports("Allow", OPEN)))
    for family in FAMILIES:
        expect(
            {
                net.through("tcp", OPEN, family): ANSWERED,
                net.through("udp", OPEN, family): ANSWERED,
                net.through("tcp", SHUT, family): SILENT,
                net.inward("udp", OPEN, family): ANSWERED,
                net.inward("udp", SHUT, family): SILENT,
            }
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_established_flows(scene: GovernedGateway, family: int) -> None:
    """In both directions, TCP and UDP, and through the host; then nothing is allowed any more."""
    net = scene.net
    scene.apply(both(scene), policy("all", ingress=[ALLOW], egress=[ALLOW]))
    asked = [
        way(transport, OPEN, family) for transport in ("tcp", "udp") for way in (net.inward, net.outward, net.through)
    ]
    with ExitStack() as stack:
        conversations = [stack.enter_context(conversation(it)) for it in asked]
        scene.change(both(scene), policy("none", ingress=[DENY], egress=[DENY]), forward("nor", ingress=[DENY]))
        assert [it.goes_on() for it in conversations] == [True] * len(asked)
    expect({net.inward("tcp", OPEN, family): SILENT, net.outward("udp", OPEN, family): FORBIDDEN})


def test_untracked_policy_besides(scene: GovernedGateway) -> None:
    """What untracked policy allows has no entry in conntrack, and is not for early drop to judge."""
    net = scene.net
    fast = untracked("fast", ingress=to_ports("Allow", OPEN), egress=[ALLOW])
    scene.apply(both(scene), fast)
    for family in FAMILIES:
        expect({net.inward("udp", OPEN, family): ANSWERED, net.inward("udp", SHUT, family): SILENT})
    scene.apply(both(scene), untracked("half", ingress=to_ports("Allow", OPEN)))
    expect({net.inward("udp", OPEN): LOST, net.inward("tcp", OPEN): SILENT})


def test_expected_connections(scene: GovernedGateway) -> None:
    """The server of an FTP session connects back, which no rule allows: RELATED. The helper is newer than policy."""
    net = scene.net
    scene.apply(both(scene), policy("out", egress=[ALLOW]))
    helper = scene.rule("raw", "OUTPUT", "-p", "tcp", "--dport", "21", "-j", "CT", "--helper", "ftp")
    with helper, conversation(net.outward("tcp", 21)) as control:
        place = ",".join([*net.inside.ipv4.split("."), str(OPEN >> 8), str(OPEN & 255)])
        assert control.carries(f"PORT {place}\r\n".encode())
        back = net.server, net.inside
        expect({flow("tcp", back, OPEN): ANSWERED, flow("tcp", back, SHUT): SILENT})


def test_a_vlan_that_comes_after_the_policy(scene: GovernedGateway) -> None:
    """Nothing governs it, and a veth hides the tags of its frames from XDP."""
    net = scene.net
    scene.apply(both(scene), web())
    with vlan(net.client, net.outside) as tags:
        for family in FAMILIES:
            expect({flow("tcp", tags, SHUT, family): ANSWERED, net.inward("tcp", SHUT, family): SILENT})


def test_a_bridge_that_takes_the_interface(scene: GovernedGateway) -> None:
    """What arrives at a port is the bridge's, which nothing governs."""
    net = scene.net
    scene.apply(both(scene), web())
    with bridged(scene) as way:
        expect({flow("tcp", way, SHUT): ANSWERED, flow("udp", way, SHUT): ANSWERED})
    expect({net.inward("tcp", SHUT): SILENT, net.inward("tcp", OPEN): ANSWERED})


@contextmanager
def bridged(lab: GovernedGateway) -> Iterator[tuple[Interface, Interface]]:
    """The outside interface becomes a port of a bridge: the client's end and the bridge, with own addresses."""
    client, port = lab.net.client, lab.net.outside
    ends = replace(client, ipv4="10.77.50.1"), replace(port, name="bridge", ipv4="10.77.50.2")
    try:
        port.namespace.run("ip", "link", "add", "name", "bridge", "address", port.mac, "up", "type", "bridge")
        port.namespace.run("ip", "link", "set", port.name, "master", "bridge")
        for end in ends:
            end.namespace.run("ip", "address", "add", f"{end.ipv4}/24", "dev", end.name)
        yield ends
    finally:
        port.namespace.run("ip", "link", "del", "bridge", check=False)
        client.namespace.run("ip", "address", "del", "10.77.50.1/24", "dev", client.name, check=False)


def test_options_and_fragments(scene: GovernedGateway) -> None:
    """What early drop does not judge is judged later."""
    scene.apply(both(scene), web())
    timestamp = b"\x44\x0c\x05\0" + bytes(8)
    for port, allowed in ((OPEN, True), (SHUT, False)):
        for family in FAMILIES:
            source, target = (address(end, family) for end in (scene.net.client, scene.net.outside))
            whole = packets.udp((source, 40000), (target, port), bytes(100))
            pieces = packets.fragments(source, target, packets.UDP, whole)
            assert scene.receives((target, port), *pieces) is allowed, (port, family)
            if family == 4:
                with_options = packets.ip(source, target, packets.UDP, whole, options=timestamp)
                assert scene.receives((target, port), with_options) is allowed, port


def test_a_denied_flood_dies_at_xdp(scene: GovernedGateway) -> None:
    """The one thing that differs, and the only one that may: where it is counted."""
    net = scene.net
    scene.apply(both(scene), web())
    flood = [
        packets.ip(source, target, protocol, transport((source, 40000 + number), (target, SHUT)))
        for family in FAMILIES
        for source, target in [(address(net.client, family), address(net.outside, family))]
        for protocol, transport in ((packets.UDP, _datagram), (packets.TCP, _syn))
        for number in range(100)
    ]
    before = _drops(scene)
    packets.send(net.client, net.outside, *flood)
    early, late = wait_until(lambda: _difference(before, _drops(scene), len(flood)), what="all of it is counted")
    assert (early, late) == ((len(flood), 0) if scene.early_drop else (0, len(flood)))


def _datagram(source: packets.Place, destination: packets.Place) -> bytes:
    return packets.udp(source, destination, b"flood")


def _syn(source: packets.Place, destination: packets.Place) -> bytes:
    return packets.tcp(source, destination, packets.SYN)


def _drops(lab: GovernedGateway) -> tuple[int, int]:
    return lab.count("DROP_EARLY", lab.net.outside), lab.count("DROP_POLICY", lab.net.outside)


def _difference(before: tuple[int, int], now: tuple[int, int], total: int) -> tuple[int, int] | None:
    found = now[0] - before[0], now[1] - before[1]
    return found if sum(found) >= total else None
