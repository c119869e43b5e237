"""What packets meet: real sockets, real conntrack, both iptables variants."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, get_args

import pytest

from pyxdp.xtables import Variant
from tests.lab import packets
from tests.lab.flows import PATIENCE, SILENCE
from tests.lab.waiting import wait_until
from tests.veth.host import (
    Host,
    Transport,
    address_of,
    bound,
    endpoint,
    open_endpoint,
    opened,
    ping,
    service,
    untracked,
)

if TYPE_CHECKING:
    from tests.lab.network import Interface

VARIANTS: tuple[Variant, ...] = get_args(Variant)
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)
FLOWS = [(transport, family) for transport in TRANSPORTS for family in (4, 6)]


@pytest.fixture(params=VARIANTS)
def tracked_host(request: pytest.FixtureRequest, host: Host) -> Host:
    """A host whose kernel tracks connections, with rules by either variant."""
    host.variant = request.param
    host.track_everything()
    return host


def test_an_allowed_flow_leaves_conntrack_in_both_directions(tracked_host: Host) -> None:
    host = tracked_host
    for transport, family in FLOWS:
        assert host.can_talk(transport, 6379, family)
    assert len(host.conntrack(6379)) == len(FLOWS)
    host.apply(endpoint(host.end.name) + service(6379))
    host.space.run("conntrack", "-F")
    for transport, family in FLOWS:
        assert host.can_talk(transport, 6379, family), (transport, family)
    assert host.conntrack(6379) == []
    assert host.reason("UNTRACKED") > 0
    assert host.reason("UNTRACKED", "egress") > 0
    host.delete()
    for transport, family in FLOWS:
        assert host.can_talk(transport, 6379, family)
    assert len(host.conntrack(6379)) == len(FLOWS)


def test_an_allowed_flow_that_somebody_keeps_in_conntrack_is_counted(tracked_host: Host) -> None:
    """Rules in front of ours that accept: connection tracking sees what it should not."""
    host = tracked_host
    host.apply(open_endpoint(host.end.name) + service(6379))
    for transport, family in FLOWS:
        assert host.can_talk(transport, 6379, family)
    assert [host.reason("STILL_TRACKED", direction) for direction in ("ingress", "egress")] == [0, 0]
    variant = f"-{host.variant}" if host.variant else ""
    for chain in ("PREROUTING", "OUTPUT"):
        host.space.run(f"iptables{variant}", "-t", "raw", "-I", chain, "-p", "udp", "-j", "ACCEPT")
    for _ in range(5):
        assert host.can_talk("udp", 6379)
        assert host.can_talk("udp", 8080)
    assert [host.reason("STILL_TRACKED", direction) for direction in ("ingress", "egress")] == [5, 5]


def test_what_no_untracked_rule_matches_is_tracked_as_before(tracked_host: Host) -> None:
    host = tracked_host
    host.apply(open_endpoint(host.end.name) + service(6379))
    for transport, family in FLOWS:
        assert host.can_talk(transport, 8080, family)
    assert len(host.conntrack(8080)) == len(FLOWS)
    assert host.reason("PASS_NO_MATCH") > 0


def test_what_no_class_allows_is_denied(tracked_host: Host) -> None:
    host = tracked_host
    host.apply(endpoint(host.end.name) + service(6379))
    for transport, family in FLOWS:
        assert host.can_talk(transport, 6379, family)
        assert host.is_silent(transport, 8080, family)
    assert host.conntrack(8080) == []
    host.apply(open_endpoint(host.end.name) + service(6379))
    for transport, family in FLOWS:
        assert host.can_talk(transport, 8080, family)


def test_a_connection_of_before_stays_when_nothing_else_is_allowed(tracked_host: Host) -> None:
    host = tracked_host
    with host.connected(8080) as (client, connection):
        host.apply(endpoint(host.end.name))
        assert host.is_silent("tcp", 8081)
        client.send(b"still here")
        connection.settimeout(PATIENCE)
        assert connection.recv(16) == b"still here"


def test_connections_from_the_host_leave_conntrack_too(tracked_host: Host) -> None:
    host = tracked_host
    both = [{"action": "Allow", "protocol": "TCP"}]
    host.apply(endpoint(host.end.name) + untracked("all-tcp", ingress=both, egress=both))
    with host.peer.namespace.entered():
        server = bound("tcp", host.peer.ipv4, 9999)
    with server, host.space.entered(), opened("tcp", host.end.ipv4) as client:
        client.settimeout(PATIENCE)
        client.connect((host.peer.ipv4, 9999))
        assert host.conntrack(9999) == []


def test_a_denied_packet_never_reaches_the_stack(host: Host) -> None:
    host.track_everything()
    host.apply(endpoint(host.end.name) + service(7000, "Deny"))
    counted = 0
    for transport, family in FLOWS:
        assert host.is_silent(transport, 7000, family), (transport, family)
        assert host.conntrack(7000) == []
        dropped = host.reason("DROP_POLICY")
        assert dropped > counted, (transport, family)
        counted = dropped
    rules = [it for it in host.status().rules if it.packets and it.direction == "ingress"]
    assert {(it.policy, it.action) for it in rules} == {("deny-7000", "Deny")}
    assert [it.packets > 0 for it in rules] == [True, True]  # of TCP, of UDP
    assert sum(it.packets for it in rules) == counted
    # XDP dropped them: neither the interface's IP counters nor raw PREROUTING have seen one.
    assert host.reason("UNTRACKED") == 0


def test_denied_egress_is_dropped_before_conntrack(tracked_host: Host) -> None:
    host = tracked_host
    out = [{"action": "Deny", "protocol": "UDP", "destination": {"ports": [5353]}}]
    host.apply(open_endpoint(host.end.name) + untracked("no-mdns", ingress=[], egress=out))
    for family in (4, 6):
        target = address_of(host.peer, family)
        with ExitStack() as stack:
            with host.peer.namespace.entered():
                receiver = stack.enter_context(bound("udp", target, 5353))
            with host.space.entered():
                sender = stack.enter_context(opened("udp", address_of(host.end, family)))
            receiver.settimeout(SILENCE)
            with pytest.raises(PermissionError):  # the sender of a packet that OUTPUT drops is told
                sender.sendto(b"x", (target, 5353))
            with pytest.raises(TimeoutError):
                receiver.recv(16)
    assert host.conntrack(5353) == []
    assert host.reason("DROP_POLICY", "egress") == 2


def test_a_deny_holds_where_xdp_is_gone(host: Host) -> None:
    host.apply(endpoint(host.end.name) + service(7000, "Deny"))
    detach(host, host.end)
    assert host.is_silent("tcp", 7000)
    drift = host.status().drift
    assert [str(operation) for operation in drift.operations] == [f"attach XDP to {host.end.name}"]
    assert host.apply(endpoint(host.end.name) + service(7000, "Deny")).plan == drift
    assert host.status().endpoints[0].attachment.mode == "native"


def detach(host: Host, end: Interface) -> None:
    link_id = next(it.attachment.link_id for it in host.status().endpoints if it.attachment.interface == end.name)
    host.space.run("bpftool", "link", "detach", "id", str(link_id))


def test_icmp(host: Host) -> None:
    host.track_everything()
    targets = [address_of(host.end, family) for family in (4, 6)]
    kinds = {"ICMP": (8, 0), "ICMPv6": (128, 129)}
    assert all(ping(host.peer, target) for target in targets)

    def rules(action: str, number: int) -> list[dict[str, object]]:
        return [{"action": action, "protocol": it, "icmp": {"type": kinds[it][number]}} for it in kinds]

    host.apply(endpoint(host.end.name) + untracked("no-ping", ingress=rules("Deny", 0), egress=[]))
    assert not any(ping(host.peer, target, SILENCE) for target in targets)
    assert host.reason("DROP_POLICY") == len(targets)
    host.space.run("conntrack", "-F")
    answers = untracked("ping", ingress=rules("Allow", 0), egress=rules("Allow", 1))
    host.apply(endpoint(host.end.name) + answers)
    assert all(ping(host.peer, target) for target in targets)
    assert host.space.run("conntrack", "-C").stdout.strip() == "0"


def test_a_failsafe_port_stays_open_and_tracked(host: Host) -> None:
    host.track_everything()
    everything = [{"action": "Deny"}]
    host.apply(endpoint(host.end.name) + untracked("nothing", ingress=everything, egress=[]))
    assert host.can_talk("tcp", 22)
    assert host.is_silent("tcp", 23)
    assert host.reason("PASS_FAILSAFE") > 0
    assert len(host.conntrack(22)) == 1


def test_established_connections_survive_a_change_of_policy(host: Host) -> None:
    host.apply(endpoint(host.end.name) + service(6379))
    with host.connected(6379) as (client, connection):
        for port in (6380, 6381):
            host.apply(endpoint(host.end.name) + service(6379) + service(port))
            client.send(b"still here")
            connection.settimeout(PATIENCE)
            assert connection.recv(16) == b"still here"


def test_a_listener_of_packets_sees_no_denied_one(host: Host) -> None:
    """An AF_PACKET socket taps after native XDP: what is dropped there is seen by nobody."""
    host.apply(open_endpoint(host.end.name) + service(7000, "Deny"))
    with host.space.entered():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with tap:
        tap.bind((host.end.name, 0))
        tap.settimeout(SILENCE)
        assert host.is_silent("udp", 7000)
        assert host.can_talk("udp", 7001)
        seen = []
        try:
            while True:
                seen.append(tap.recv(2048))
        except TimeoutError:
            pass
    ports = {int.from_bytes(frame[36:38], "big") for frame in seen if frame[12:14] == b"\x08\x00"}
    assert 7001 in ports
    assert 7000 not in ports


def test_counters_follow_the_rule_through_changes(host: Host) -> None:
    host.apply(endpoint(host.end.name) + service(7000, "Deny"))
    assert host.is_silent("udp", 7000)

    def packets() -> int:
        return next(it.packets for it in host.status().rules if it.packets)

    assert wait_until(lambda: packets() == 1)
    host.apply(endpoint(host.end.name) + service(6379) + service(7000, "Deny"))
    assert packets() == 1
    assert host.is_silent("udp", 7000)
    assert packets() == 2
    host.apply(endpoint(host.end.name) + service(6379))
    host.apply(endpoint(host.end.name) + service(7000, "Deny"))
    assert [it.packets for it in host.status().rules if it.policy == "deny-7000"] == [0, 0, 0, 0]


def test_an_error_about_an_untracked_flow_needs_untracked_policy(host: Host) -> None:
    """Conntrack finds it invalid; normal policy that allows everything does not help path MTU discovery."""
    flow = (host.end.ipv4, 6379), (host.peer.ipv4, 40000)
    quoted = packets.ip(host.end.ipv4, host.peer.ipv4, packets.TCP, packets.tcp(*flow, packets.ACK))
    error = packets.icmp_error(3, 4, 1200, quoted)
    needed = packets.ip(host.peer.ipv4, host.end.ipv4, packets.ICMP, error)

    host.apply(open_endpoint(host.end.name) + service(6379))
    packets.send(host.peer, host.end, needed)
    wait_until(lambda: host.reason("DROP_INVALID") == 1)

    errors = [{"action": "Allow", "protocol": "ICMP", "icmp": {"type": 3, "code": 4}}]
    host.apply(open_endpoint(host.end.name) + service(6379) + untracked("errors", ingress=errors, egress=[]))
    before = host.reason("UNTRACKED")
    packets.send(host.peer, host.end, needed)
    wait_until(lambda: host.reason("UNTRACKED") == before + 1)
    assert host.reason("DROP_INVALID") == 1
