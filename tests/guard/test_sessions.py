"""Sockets of the kernel, as /proc tells of them, and what else must live."""

from __future__ import annotations

import json
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from pyxdp.evaluator import Direction
from pyxdp.guard import node, sessions
from pyxdp.guard.flows import MOST_SESSIONS, Flow, of_failsafes, of_sessions, sampled
from pyxdp.guard.sessions import Session, session_of_ssh
from pyxdp.model import FailsafePort
from pyxdp.net import Interface, Packet, Protocol
from pyxdp.netlink import interfaces
from pyxdp.netlink.connections import untracked_tcp, way_to
from pyxdp.resolver import EffectiveEndpoint, EffectivePolicy
from tests.lab.flows import Flow as Talk
from tests.lab.flows import conversation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab.network import Interface as End
    from tests.lab.network import Namespace


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_established_sessions(veth: tuple[End, End], family: str) -> None:
    near, far = veth
    here, there = getattr(near, family), getattr(far, family)
    talk = Talk("tcp", far.namespace, near.namespace, (there, 0), (here, 2222), (here, 2222))
    with conversation(talk) as opened:
        port = opened._ends[0].getsockname()[1]
        with near.namespace.entered():
            expected = Session(ip_address(here), 2222, ip_address(there), port)
            assert list(sessions.established()) == [expected]
            assert sessions.listening() == {2222}
            assert untracked_tcp([expected]) == [True]
            near.namespace.run("iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
            near.namespace.run("ip6tables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
        assert opened.goes_on()
        with near.namespace.entered():
            assert untracked_tcp([expected, expected._replace(remote_port=1)]) == [False, True]
    assert str(expected) == (
        f"{there}:{port} at {here}:2222" if family == "ipv4" else f"[fd77::2]:{port} at [fd77::1]:2222"
    )


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
            (found,) = sessions.established()
            assert (found.local, found.remote) == (ip_address(near.ipv4), ip_address(far.ipv4))


def test_sessions_of_the_machine_with_itself_do_not_count(netns: Callable[[], Namespace]) -> None:
    space = netns()
    with (
        space.entered(),
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()),
        server.accept()[0],
    ):
        assert list(sessions.established()) == []


def test_a_session_whose_address_is_on_another_interface(veth: tuple[End, End]) -> None:
    """As with an address on lo: the way that its packets take tells."""
    near, far = veth
    near.namespace.run("ip", "address", "add", "192.0.2.77/32", "dev", "lo")
    far.namespace.run("ip", "route", "add", "192.0.2.77", "via", near.ipv4)
    talk = Talk("tcp", far.namespace, near.namespace, (far.ipv4, 0), ("192.0.2.77", 2222), ("192.0.2.77", 2222))
    with conversation(talk), near.namespace.entered():
        governed = [EffectiveEndpoint(name="it", interface=it) for it in interfaces() if it.name == near.name]
        assert [flow.interface for flow in of_sessions(governed)] == [near.name]
        other = [EffectiveEndpoint(name="it", interface=it) for it in interfaces() if it.name == "lo"]
        assert of_sessions([EffectiveEndpoint(name="it", interface=Interface("eth9", 99))]) == []
        assert of_sessions(other) == []


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
    def flow(port: int, number: int) -> Flow:
        packet = Packet(
            protocol=6,
            source=ip_address("10.0.0.0") + number,
            source_port=50_000,
            destination=ip_address("192.0.2.1"),
            destination_port=port,
        )
        return Flow(what="", interface="eth0", packet=packet, direction=Direction.INGRESS)

    many = [flow(6379, number) for number in range(3 * MOST_SESSIONS)]
    few = [flow(22, number) for number in range(3)]
    found = sampled([*many, *few])
    assert len(found) == len(set(found)) == MOST_SESSIONS
    assert set(few) <= set(found)
    assert sampled(few) == few


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
    servers = ["https://192.0.2.1:6443", "https://192.0.2.2", "https://api.example.org:6443", "https://127.0.0.1:6443"]
    clusters = [{"name": server, "cluster": {"server": server}} for server in servers]
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps({"clusters": clusters}))
    no_node.setenv("KUBECONFIG", f"{path}:{tmp_path / 'missing'}")
    assert node.api_servers() == {(ip_address("192.0.2.1"), 6443), (ip_address("192.0.2.2"), 443)}


@pytest.mark.parametrize("content", ["", "[", "clusters: 1", "clusters: [{}]", "\0"])
def test_a_kubeconfig_that_is_none(no_node: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    no_node.setenv("KUBECONFIG", str(path))
    assert node.api_servers() == frozenset()
