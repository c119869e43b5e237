"""Early drop changes where a packet dies, never whether: the same traffic with it and without it.

Each test is a scene: policy, what the host does with packets besides, and a table of flows with what becomes of them.
It runs with early drop on and off.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from tests.lab import packets
from tests.lab.flows import ANSWERED, FORBIDDEN, LOST, REFUSED, SILENT, conversation, expect, patience
from tests.lab.gateway import Gateway, address, flow
from tests.lab.waiting import wait_until
from tests.veth.classes import (
    ALLOW,
    DENY,
    FAMILIES,
    GovernedGateway,
    both,
    echo_requests,
    forward,
    policy,
    pre_dnat,
    to_ports,
    untracked,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.flows import Flow, Outcome
    from tests.lab.network import Interface

OPEN, SHUT = 8080, 8081
TO_HOST, TO_SERVER = 30080, 30081
#: OPEN may be reached, and the host may ask for anything.
WEB = policy("web", ingress=[*to_ports("Allow", OPEN), *echo_requests("Allow")], egress=[ALLOW])


@dataclass(frozen=True)
class Scene:
    """A host that drops early, or does not.

    Attributes:
        lab: the host between client and server.
        early: whether it drops early.
    """

    lab: GovernedGateway
    early: bool

    @property
    def net(self) -> Gateway:
        return self.lab.net

    def apply(self, *documents: str) -> None:
        """Govern both interfaces by these policies."""
        self.lab.apply(self._endpoints, *documents, early_drop=self.early)

    def change(self, *documents: str) -> None:
        """Like :meth:`apply`, but connections live on."""
        self.lab.change(self._endpoints, *documents, early_drop=self.early)

    @property
    def _endpoints(self) -> str:
        return both(self.lab)


@pytest.fixture(params=["early", "late"], scope="module")
def early(request: pytest.FixtureRequest) -> bool:
    """Whether the host drops early; of the module, so that pytest switches it seldom."""
    return bool(request.param == "early")


@pytest.fixture
def scene(lab: GovernedGateway, *, early: bool) -> Scene:
    return Scene(lab, early)


@pytest.fixture
def either_scene(either_lab: GovernedGateway, *, early: bool) -> Scene:
    """Like ``scene``, for each variant of iptables."""
    return Scene(either_lab, early)


def local_traffic(net: Gateway, family: int) -> dict[Flow, Outcome]:
    """Under WEB. A connection of the host is unreplied when the answer comes, which no rule allows in."""
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
        replace(net.outward("udp", OPEN, family), served=("", 0)): REFUSED,
    }


def forwarded_traffic(net: Gateway, family: int) -> dict[Flow, Outcome]:
    """Which needs no policy."""
    return {
        net.through("tcp", SHUT, family): ANSWERED,
        net.through("udp", SHUT, family): ANSWERED,
        net.through("icmp", 0, family): ANSWERED,
        net.back("tcp", SHUT, family): ANSWERED,
        net.back("udp", SHUT, family): ANSWERED,
    }


def all_traffic(net: Gateway) -> dict[Flow, Outcome]:
    return {
        it: outcome
        for family in FAMILIES
        for traffic in (local_traffic, forwarded_traffic)
        for it, outcome in traffic(net, family).items()
    }


def test_local_and_forwarded_traffic(scene: Scene) -> None:
    scene.apply(WEB)
    expect(all_traffic(scene.net))


def test_masquerade(either_scene: Scene) -> None:
    """Answers to masqueraded packets are addressed to the host, whose policy denies them."""
    scene = either_scene
    scene.apply(WEB)
    rule = f"POSTROUTING -o {scene.net.inside.name} -j MASQUERADE"
    with scene.lab.rules("nat", {4: [rule], 6: [rule]}):
        expect(all_traffic(scene.net))


@contextmanager
def redirected(scene: Scene) -> Iterator[list[Flow]]:
    """Two ports lead to OPEN, of the host itself and of the server: flows of a client that dials them at the host."""
    net = scene.net
    places = {TO_HOST: net.outside, TO_SERVER: net.server}
    with ExitStack() as stack:
        for port, place in places.items():
            stack.enter_context(scene.lab.dnat("PREROUTING", port, place, OPEN))
        yield [
            flow(transport, (net.client, net.outside), port, family, (place, OPEN))
            for port, place in places.items()
            for transport in ("tcp", "udp")
            for family in FAMILIES
        ]


def test_dnat_to_what_is_open(either_scene: Scene) -> None:
    """No rule allows the ports that are dialled; what they lead to is. The DNAT rules are newer than the policy."""
    scene, net = either_scene, either_scene.net
    scene.apply(WEB)
    with redirected(scene) as flows:
        denied = {net.inward(transport, SHUT, family): SILENT for transport in ("tcp", "udp") for family in FAMILIES}
        expect(dict.fromkeys(flows, ANSWERED) | denied)


def test_dnat_under_pre_dnat_policy(scene: Scene) -> None:
    for action, outcome in (("Deny", SILENT), ("Allow", ANSWERED)):
        scene.apply(WEB, pre_dnat("dialled", to_ports(action, TO_HOST, TO_SERVER)))
        with redirected(scene) as flows:
            expect(dict.fromkeys(flows, outcome))


def test_a_prefix_that_is_translated(scene: Scene) -> None:
    """NPTv6 (RFC 6296) rewrites destinations without NAT's hook; this one has no route before."""
    net = scene.net
    scene.apply(WEB)
    rule = "PREROUTING -d 2001:db8:ff::/64 -j DNPT --src-pfx 2001:db8:ff::/64 --dst-pfx fd77:2::/64"
    with scene.lab.rules("mangle", {6: [rule]}):
        asked = net.through("udp", SHUT, 6)
        outside = "2001:db8:ff:0:cec1::2"  # is net.server.ipv6 then: the translation leaves checksums as they are
        expect({replace(asked, dialled=(outside, SHUT)): LOST})


def test_forward_policy(scene: Scene) -> None:
    """It is normal policy too: OPEN passes and is reached, SHUT neither."""
    net = scene.net
    scene.apply(forward("web", selector="side == 'outside'", ingress=to_ports("Allow", OPEN)))
    expect(
        *(
            {
                net.through("tcp", OPEN, family): ANSWERED,
                net.through("udp", OPEN, family): ANSWERED,
                net.through("tcp", SHUT, family): SILENT,
                net.inward("udp", OPEN, family): ANSWERED,
                net.inward("udp", SHUT, family): SILENT,
            }
            for family in FAMILIES
        )
    )


def test_established_flows(scene: Scene) -> None:
    """Of both directions and through the host; then nothing is allowed any more."""
    net = scene.net
    scene.apply(policy("all", ingress=[ALLOW], egress=[ALLOW]))
    asked = [
        way(transport, port, family)
        for port, way in ((1, net.inward), (2, net.outward), (3, net.through))
        for transport in ("tcp", "udp")
        for family in FAMILIES
    ]
    with ExitStack() as stack:
        conversations = [stack.enter_context(conversation(it)) for it in asked]
        scene.change(policy("none", ingress=[DENY], egress=[DENY]), forward("nor", ingress=[DENY]))
        assert [it.goes_on() for it in conversations] == [True] * len(asked)
    expect(*({net.inward("tcp", OPEN, it): SILENT, net.outward("udp", OPEN, it): FORBIDDEN} for it in FAMILIES))


def test_untracked_policy_besides(scene: Scene) -> None:
    """What untracked policy allows has no entry in conntrack, and is not for early drop to judge."""
    net = scene.net
    scene.apply(untracked("fast", ingress=to_ports("Allow", OPEN), egress=[ALLOW]))
    expect(*({net.inward("udp", OPEN, it): ANSWERED, net.inward("udp", SHUT, it): SILENT} for it in FAMILIES))
    scene.apply(untracked("half", ingress=to_ports("Allow", OPEN)))
    expect({net.inward("udp", OPEN): LOST, net.inward("tcp", OPEN): SILENT})


def test_expected_connections(scene: Scene) -> None:
    """The server of an FTP session connects back: RELATED, no rule allows it. The helper is newer than the policy."""
    net = scene.net
    scene.apply(policy("out", egress=[ALLOW]))
    helper = {4: ["OUTPUT -p tcp --dport 21 -j CT --helper ftp"]}
    with scene.lab.rules("raw", helper), conversation(net.outward("tcp", 21)) as control:
        place = ",".join([*net.inside.ipv4.split("."), str(OPEN >> 8), str(OPEN & 255)])
        for line in ("NOOP", f"PORT {place}"):  # the helper looks at the beginning of lines, so one has to have ended
            assert control.carries(f"{line}\r\n".encode())
        back = net.server, net.inside
        expect({flow("tcp", back, OPEN): ANSWERED, flow("tcp", back, SHUT): SILENT})


def test_a_bridge_that_takes_the_interface(scene: Scene) -> None:
    """What arrives at a port is the bridge's, which nothing governs."""
    net = scene.net
    scene.apply(WEB)
    with bridged(net) as way:
        expect({flow("tcp", way, SHUT): ANSWERED, flow("udp", way, SHUT): ANSWERED})
    expect({net.inward("tcp", SHUT): SILENT, net.inward("tcp", OPEN): ANSWERED})


@contextmanager
def bridged(net: Gateway) -> Iterator[tuple[Interface, Interface]]:
    """The outside interface becomes a port of a bridge: the client's end and the bridge, with addresses for it."""
    client, port = net.client, net.outside
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


def test_options_and_fragments(scene: Scene) -> None:
    """What early drop does not judge is judged later."""
    scene.apply(WEB)
    timestamp = b"\x44\x0c\x05\0" + bytes(8)
    for port in (OPEN, SHUT):
        for family in FAMILIES:
            source, target = (address(end, family) for end in (scene.net.client, scene.net.outside))
            whole = packets.udp((source, 40000), (target, port), bytes(100))
            pieces = packets.fragments(source, target, packets.UDP, whole)
            wait = patience(expected=port == OPEN)
            assert scene.lab.receives((target, port), *pieces, patience=wait) == (port == OPEN), (port, family)
            if family == 4:
                with_options = packets.ip(source, target, packets.UDP, whole, options=timestamp)
                assert scene.lab.receives((target, port), with_options, patience=wait) == (port == OPEN), port


def test_a_denied_flood_dies_at_xdp(scene: Scene) -> None:
    """The one thing that differs, and the only one that may: where it is counted."""
    net = scene.net
    scene.apply(WEB)
    flood = [
        packets.ip(source, target, protocol, transport((source, 40000 + number), (target, SHUT)))
        for family in FAMILIES
        for source, target in [(address(net.client, family), address(net.outside, family))]
        for protocol, transport in ((packets.UDP, _datagram), (packets.TCP, _syn))
        for number in range(100)
    ]
    before, where = _drops(scene), 0 if scene.early else 1
    packets.send(net.client, net.outside, *flood)
    # Late stragglers of other tests may be counted besides.
    wait_until(lambda: _drops(scene)[where] >= before[where] + len(flood), what="all of it is counted")
    assert scene.early or _drops(scene)[0] == before[0]


def _datagram(source: packets.Place, destination: packets.Place) -> bytes:
    return packets.udp(source, destination, b"flood")


def _syn(source: packets.Place, destination: packets.Place) -> bytes:
    return packets.tcp(source, destination, packets.SYN)


def _drops(scene: Scene) -> tuple[int, int]:
    """Early ones, and those of netfilter."""
    return scene.lab.count("DROP_EARLY", scene.net.outside), scene.lab.count("DROP_POLICY", scene.net.outside)
