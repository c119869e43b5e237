"""Sockets of the kernel, as /proc tells of them, and what else must live."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal

import pytest

from pyxdp.evaluator import Direction
from pyxdp.guard import node, sessions
from pyxdp.guard.established import MOST_SESSIONS, of_sessions, sampled
from pyxdp.guard.flows import of_failsafes
from pyxdp.guard.names import Names
from pyxdp.guard.sessions import TCP, UDP, Session, session_of_ssh
from pyxdp.model import FailsafePort
from pyxdp.net import Interface, Protocol
from pyxdp.netlink import interfaces
from pyxdp.netlink.connections import udp_streams, untracked, way_to
from pyxdp.netlink.sockets import connected, printed
from pyxdp.resolver import EffectiveEndpoint, EffectivePolicy
from tests.lab.flows import Flow as Talk
from tests.lab.flows import conversation
from tests.lab.network import connect
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab.network import Interface as End
    from tests.lab.network import Namespace


@pytest.fixture
def watched(veth: tuple[End, End]) -> tuple[End, End]:
    """The first one tracks connections."""
    for tool in ("iptables", "ip6tables"):
        veth[0].namespace.run(tool, "-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
    return veth


def established(*governed: End, space: Namespace | None = None) -> list[tuple[str, Session | None, bool]]:
    """What there is on some interfaces: each with the session, and whether it is only a port."""
    names = [it.name for it in governed]
    with (space or governed[0].namespace).entered():
        found = of_sessions([EffectiveEndpoint(name="it", interface=it) for it in interfaces() if it.name in names])
    assert found.count == len(found.flows)
    return [(flow.interface, flow.session, flow.by_port) for flow in found.flows]


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_established_sessions(veth: tuple[End, End], family: str, transport: Literal["tcp", "udp"]) -> None:
    near, far = veth
    here, there = getattr(near, family), getattr(far, family)
    talk = Talk(transport, far.namespace, near.namespace, (there, 0), (here, 2222), (here, 2222))
    with conversation(talk) as opened:
        port = opened._ends[0].getsockname()[1]
        protocol = TCP if transport == "tcp" else UDP
        expected = Session(ip_address(here), 2222, ip_address(there), port, protocol)
        assert established(near) == [(near.name, expected, False)]
        with near.namespace.entered():
            assert list(connected(protocol)) == list(printed(protocol))
            assert sessions.listening() == ({2222} if protocol == TCP else set())
            assert untracked([expected]) == [True]
        for tool in ("iptables", "ip6tables"):
            near.namespace.run(tool, "-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
        assert opened.goes_on()
        with near.namespace.entered():
            assert untracked([expected, expected._replace(remote_port=1)]) == [False, True]
    said = f"{there}:{port} at {here}:2222" if family == "ipv4" else f"[fd77::2]:{port} at [fd77::1]:2222"
    assert str(expected) == (said if protocol == TCP else f"UDP {said}")


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("began", ["here", "there"])
def test_who_talks_without_a_connected_socket(watched: tuple[End, End], family: str, began: str) -> None:
    """As WireGuard, OpenVPN, mosh: connection tracking knows that both ends have talked for a while."""
    near, far = watched
    here, there = getattr(near, family), getattr(far, family)
    source, target = (here, there) if began == "here" else (there, here)
    entry = ["-p", "udp", "-s", source, "-d", target, "--timeout", "600"]
    ports = [("51820", "51821", "ASSURED,SEEN_REPLY"), ("1", "2", "SEEN_REPLY")]
    for one, other, status in ports:
        near.namespace.run("conntrack", "-I", *entry, "--sport", one, "--dport", other, "--status", status)
    forwarded = ["-p", "udp", "-s", "198.51.100.1", "-d", "198.51.100.2", "--sport", "1", "--dport", "2"]
    near.namespace.run("conntrack", "-I", *forwarded, "--timeout", "600", "--status", "ASSURED,SEEN_REPLY")
    tcp = ["-p", "tcp", "-s", there, "-d", here, "--sport", "51820", "--dport", "51821", "--timeout", "600"]
    near.namespace.run("conntrack", "-I", *tcp, "--state", "ESTABLISHED", "--status", "ASSURED,SEEN_REPLY")
    mine, theirs = (51820, 51821) if began == "here" else (51821, 51820)
    expected = Session(ip_address(here), mine, ip_address(there), theirs, UDP)
    assert established(near) == [(near.name, expected, False)]
    with near.namespace.entered():
        assert untracked([expected]) == [False]
        assert list(udp_streams(most=0)) == []


def test_link_local_addresses_that_interfaces_share(netns: Callable[[], Namespace]) -> None:
    """As those of a VLAN and of what it is made on."""
    host, peer = netns(), netns()
    ends = [connect(host, peer, subnet) for subnet in (1, 2)]
    for near, far in ends:
        near.namespace.run("ip", "address", "add", "fe80::1/64", "dev", near.name, "nodad")
        far.namespace.run("ip", "address", "add", "fe80::2/64", "dev", far.name, "nodad")
    for near, far in ends:
        with far.namespace.entered():
            server = socket.create_server(("fe80::2", 2222, 0, far.ifindex), family=socket.AF_INET6)
        with server, near.namespace.entered():
            client = socket.socket(socket.AF_INET6)
            with client:
                client.bind(("fe80::1", 0, 0, near.ifindex))
                client.connect(("fe80::2", 2222, 0, near.ifindex))
                assert [name for name, *_ in established(*(it for it, _ in ends))] == [near.name]


def test_a_port_of_a_bridge(veth: tuple[End, End]) -> None:
    """Policy of the port decides about what comes in for the bridge."""
    near, far = veth
    space = near.namespace
    space.run("ip", "link", "add", "br0", "type", "bridge")
    for command in (f"addr flush dev {near.name}", f"link set {near.name} master br0", "link set br0 up"):
        space.run("ip", *command.split())
    space.run("ip", "address", "add", f"{near.ipv4}/24", "dev", "br0")
    talk = Talk("tcp", far.namespace, space, (far.ipv4, 0), (near.ipv4, 2222), (near.ipv4, 2222))
    with conversation(talk), space.entered():
        bridge = replace(near, name="br0")
        ((name, session, by_port),) = established(near)
        assert (name, by_port) == (near.name, True)
        assert established(bridge) == [("br0", session, False)]
        assert sorted(established(near, bridge)) == sorted([("br0", session, False), (near.name, session, True)])


def test_listening_and_mapped_addresses(veth: tuple[End, End]) -> None:
    """An IPv6 socket that speaks IPv4 is a session of IPv4."""
    near, far = veth
    with near.namespace.entered():
        server = socket.create_server(("::", 2223), family=socket.AF_INET6, dualstack_ipv6=True)
    with server:
        with far.namespace.entered():
            client = socket.create_connection((near.ipv4, 2223))
        with client, server.accept()[0], near.namespace.entered():
            assert 2223 in sessions.listening()
            ((_, found, _),) = established(near)
            assert found
            assert (found.local, found.remote) == (ip_address(near.ipv4), ip_address(far.ipv4))
            assert list(connected(TCP)) == list(printed(TCP))


def test_sessions_of_the_machine_with_itself_do_not_count(netns: Callable[[], Namespace]) -> None:
    space = netns()
    with (
        space.entered(),
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()),
        server.accept()[0],
    ):
        assert of_sessions([EffectiveEndpoint(name="it", interface=it) for it in interfaces()]).count == 0


def test_a_session_whose_address_is_on_another_interface(veth: tuple[End, End]) -> None:
    """As with an address on lo: the way that its packets take tells."""
    near, far = veth
    near.namespace.run("ip", "address", "add", "192.0.2.77/32", "dev", "lo")
    far.namespace.run("ip", "route", "add", "192.0.2.77", "via", near.ipv4)
    talk = Talk("tcp", far.namespace, near.namespace, (far.ipv4, 0), ("192.0.2.77", 2222), ("192.0.2.77", 2222))
    with conversation(talk):
        assert [name for name, *_ in established(near)] == [near.name]
        assert established(replace(near, name="lo")) == []
        with near.namespace.entered():
            assert of_sessions([EffectiveEndpoint(name="it", interface=Interface("eth9", 99))]).count == 0


def test_the_way_to_somebody(veth: tuple[End, End]) -> None:
    near, far = veth
    with near.namespace.entered():
        for there, here in ((far.ipv4, near.ipv4), (far.ipv6, near.ipv6)):
            way = way_to(ip_address(there))
            assert way
            assert (way.ifindex, way.source) == (near.ifindex, ip_address(here))
        assert way_to(ip_address("198.51.100.1")) is None


@pytest.mark.parametrize(
    ("said", "session"),
    [
        (
            "198.51.100.9 50122 192.0.2.10 22",
            Session(ip_address("192.0.2.10"), 22, ip_address("198.51.100.9"), 50122),
        ),
        ("::ffff:198.51.100.9 1 192.0.2.10 22", Session(ip_address("192.0.2.10"), 22, ip_address("198.51.100.9"), 1)),
        ("2001:db8::1 1 2001:db8::2 22", Session(ip_address("2001:db8::2"), 22, ip_address("2001:db8::1"), 1)),
        ("", None),
        ("UNKNOWN 65535 UNKNOWN 65535", None),
        ("1 2 3", None),
    ],
)
def test_the_session_of_ssh(said: str, session: Session | None) -> None:
    assert session_of_ssh(said) == session


def test_of_many_sessions_some_of_every_service() -> None:
    many = [("redis", number) for number in range(3 * MOST_SESSIONS)]
    few = [("ssh", number) for number in range(3)]
    found = sampled([*many, *few], lambda it: it[0])
    assert len(found) == len(set(found)) == MOST_SESSIONS
    assert set(few) <= set(found)
    assert sampled(few, lambda it: it[0]) == few


def test_failsafe_ports() -> None:
    tcp, udp = Protocol(6, "TCP"), Protocol(17, "UDP")
    interface = Interface("eth0", 2, (ip_address("10.1.2.3"),))
    policy = EffectivePolicy(
        node="n",
        endpoints=(EffectiveEndpoint(name="e", interface=interface),),
        failsafe_inbound=(FailsafePort(tcp, 22),),
        failsafe_outbound=(FailsafePort(udp, 53),),
    )
    inbound, outbound = of_failsafes(policy)
    assert (inbound.what, inbound.direction) == ("failsafe port TCP 22", Direction.INGRESS)
    assert (str(inbound.packet.destination), inbound.packet.destination_port) == ("10.1.2.3", 22)
    assert (outbound.what, outbound.direction) == ("failsafe port UDP 53", Direction.EGRESS)
    assert (str(outbound.packet.source), outbound.packet.destination_port) == ("10.1.2.3", 53)
    assert outbound.answer.source_port == 53


@pytest.fixture
def no_node(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine that knows of no API server."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(node, "_KUBECONFIGS", ())
    return monkeypatch


def test_api_servers(no_node: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert node.api_servers() == frozenset()
    no_node.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert node.api_servers() == {(ip_address("10.96.0.1"), 443)}
    no_node.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    no_node.setenv("KUBERNETES_SERVICE_PORT", "6443")
    assert node.api_servers() == {(ip_address("fd00::1"), 6443)}
    no_node.delenv("KUBERNETES_SERVICE_HOST")
    servers = ["https://192.0.2.1:6443", "https://192.0.2.2", "https://localhost:6443", "https://127.0.0.1:6443"]
    clusters = [{"name": server, "cluster": {"server": server}} for server in servers]
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps({"clusters": clusters}))
    no_node.setenv("KUBECONFIG", f"{path}:{tmp_path / 'missing'}")
    assert node.api_servers() == {(ip_address("192.0.2.1"), 6443), (ip_address("192.0.2.2"), 443)}


def test_an_api_server_with_a_name(no_node: pytest.MonkeyPatch) -> None:
    """DNS that says nothing delays nobody for long; what it says later counts."""
    may_answer = threading.Event()

    def slow(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        assert name == "api.example.org"
        may_answer.wait()
        return [(socket.AF_INET, 0, 0, "", ("192.0.2.7", 0)), (socket.AF_INET6, 0, 0, "", ("2001:db8::7", 0, 0, 0))]

    no_node.setattr(node, "_names", Names())
    no_node.setattr(socket, "getaddrinfo", slow)
    no_node.setenv("KUBERNETES_SERVICE_HOST", "api.example.org")
    assert node.api_servers() == frozenset()
    assert node.api_servers() == frozenset()
    may_answer.set()
    expected = {(ip_address("192.0.2.7"), 443), (ip_address("2001:db8::7"), 443)}
    wait_until(lambda: node.api_servers() == expected)


@pytest.mark.parametrize("content", ["", "[", "clusters: 1", "clusters: [{}]", "\0"])
def test_a_kubeconfig_that_is_none(no_node: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    no_node.setenv("KUBECONFIG", str(path))
    assert node.api_servers() == frozenset()
