"""Addresses enter and leave network sets of a host under policy, while packets arrive."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from pyxdp import planner
from pyxdp.bpf import Map
from pyxdp.enforcer import Enforcer
from pyxdp.manifest import loads
from tests.lab.waiting import wait_until
from tests.veth.host import NODE, SILENCE, address_of, network_set, open_endpoint, opened, untracked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyxdp.dataplane import Report
    from pyxdp.enforcer import MembersReport
    from pyxdp.model import Resources
    from tests.veth.host import Host

PORT = 7100
FAMILIES = (4, 6)
REFILL = (planner.AwaitGrace, planner.FillSlot, planner.Switch)


@dataclass
class Enforced:
    """An enforcer of a host; every call is made in the host's namespace."""

    host: Host
    enforcer: Enforcer

    def apply(self, resources: Resources) -> Report:
        with self.host.space.entered():
            return self.enforcer.apply(resources)

    def add(self, name: str, *members: object, kind: str = "GlobalNetworkSet") -> MembersReport:
        with self.host.space.entered():
            return self.enforcer.add_members(kind, name, members)  # type: ignore[arg-type]

    def remove(self, name: str, *members: object, kind: str = "GlobalNetworkSet") -> MembersReport:
        with self.host.space.entered():
            return self.enforcer.remove_members(kind, name, members)  # type: ignore[arg-type]

    def hears(self, family: int = 4) -> bool:
        """Whether the next datagram of the peer's reaches a socket of the host."""
        with self.host.serving("udp", PORT, family) as server, self.host.peer.namespace.entered():
            server.settimeout(SILENCE)
            with opened("udp", address_of(self.host.peer, family)) as client:
                client.sendto(b"heard?", (address_of(self.host.end, family), PORT))
                try:
                    return server.recv(64) == b"heard?"
                except TimeoutError:
                    return False


@pytest.fixture
def enforced(host: Host) -> Iterator[Enforced]:
    with host.space.entered():
        enforcer = Enforcer(host.dataplane(), node=NODE)
    with enforcer:
        yield Enforced(host, enforcer)


def deny_from(selector: str, *, name: str = "deny") -> str:
    return untracked(name, ingress=[{"action": "Deny", "source": {"selector": selector}}], egress=[])


def blocklist(host: Host, nets: Sequence[str] = ("198.51.100.0/24", "2001:db8:bad::/48"), more: str = "") -> Resources:
    """Whoever is in the set ``blocked`` gets nothing through."""
    manifest = open_endpoint(host.end.name) + network_set("blocked", list(nets)) + deny_from("set == 'blocked'") + more
    return loads(manifest).resources


def test_the_next_packet_is_dropped_and_passes_again(enforced: Enforced) -> None:
    host = enforced.host
    enforced.apply(blocklist(host))
    for family in FAMILIES:
        peer = address_of(host.peer, family)
        for _ in range(3):
            assert enforced.hears(family)
            added = enforced.add("blocked", peer)
            assert (added.changed, added.rebuilt) == ((ip_network(peer),), "")
            assert not enforced.hears(family)
            removed = enforced.remove("blocked", peer)
            assert (removed.changed, removed.rebuilt) == ((ip_network(peer),), "")
        assert enforced.hears(family)
    assert enforced.enforcer.resources == blocklist(host)


def test_counters_survive(enforced: Enforced) -> None:
    enforced.apply(blocklist(enforced.host))
    peer = enforced.host.peer.ipv4
    for dropped in range(1, 4):
        enforced.add("blocked", peer)
        assert not enforced.hears()
        assert enforced.host.reason("DROP_POLICY") == dropped
        enforced.remove("blocked", peer)
        assert enforced.hears()
    (rule,) = (it for it in enforced.host.status().rules if it.policy == "deny" and it.action == "Deny")
    assert rule.packets == 3


def test_what_is_there_already_or_not_there_is_told(enforced: Enforced) -> None:
    enforced.apply(blocklist(enforced.host))
    generation = enforced.enforcer._session.generation
    twice = enforced.add("blocked", "198.51.100.0/24", "198.51.100.9/24", ip_address("203.0.113.7"))
    assert twice.changed == (ip_network("203.0.113.7"),)
    assert twice.unchanged == (ip_network("198.51.100.0/24"),)
    assert twice.generation == generation + 1
    again = enforced.add("blocked", "203.0.113.7")
    assert not again
    assert again.generation == generation + 1
    inside = enforced.remove("blocked", "198.51.100.9")
    assert not inside
    assert inside.unchanged == (ip_network("198.51.100.9"),)


def test_larger_prefixes_and_other_sets_still_hold_an_address(enforced: Enforced) -> None:
    host, peer = enforced.host, enforced.host.peer.ipv4
    around = str(ip_network(f"{peer}/24", strict=False))
    both = network_set("others", [peer]) + deny_from("has(set)", name="every-set")
    enforced.apply(blocklist(host, [around], both))
    enforced.add("blocked", peer)
    enforced.remove("blocked", around)
    assert not enforced.hears()
    enforced.remove("others", peer)
    assert not enforced.hears()
    enforced.add("others", peer)
    enforced.remove("blocked", peer)
    assert not enforced.hears()
    enforced.remove("others", peer)
    assert enforced.hears()


def test_sets_in_namespaces_and_sets_that_nobody_selects(enforced: Enforced) -> None:
    host, peer = enforced.host, enforced.host.peer.ipv4
    own = """
---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: bad, namespace: ops, labels: {set: own}}
spec: {nets: []}
"""
    enforced.apply(blocklist(host, (), own + network_set("idle", []) + deny_from("set == 'own'", name="own")))
    idle = enforced.add("idle", peer)
    assert idle.changed
    assert not idle.rebuilt
    assert enforced.hears()
    enforced.add("ops/bad", peer, kind="NetworkSet")
    assert not enforced.hears()
    enforced.remove("ops/bad", peer, kind="NetworkSet")
    assert enforced.hears()


def test_a_set_that_came_later_and_empty(enforced: Enforced) -> None:
    """It changes what a selector selects, but no address and no rule."""
    host, peer = enforced.host, enforced.host.peer.ipv4
    written = blocklist(host, more=deny_from("has(set)", name="every-set"))
    enforced.apply(written)
    later = loads(network_set("later", [])).resources.globalNetworkSets
    enforced.apply(replace(written, globalNetworkSets=(*written.globalNetworkSets, *later)))
    enforced.add("later", peer)
    assert not enforced.hears()
    enforced.remove("later", peer)
    assert enforced.hears()


def test_a_flow_that_is_not_concerned_loses_nothing(enforced: Enforced) -> None:
    host = enforced.host
    enforced.apply(blocklist(host))
    around = [f"{host.peer.ipv4.rpartition('.')[0]}.{last}" for last in range(100, 200)]
    with streaming(host) as stream:
        for address in around:
            enforced.add("blocked", address)
        enforced.add("blocked", *(f"203.0.{it}.0/24" for it in range(100)))
        for address in around:
            enforced.remove("blocked", address)
        wait_until(lambda: stream.sent > 500, what="packets sent")
    assert stream.received == stream.sent
    assert host.reason("DROP_POLICY") == 0


def test_many_at_once_and_what_does_not_fit_are_applied_as_a_whole(enforced: Enforced) -> None:
    host, peer = enforced.host, enforced.host.peer.ipv4
    enforced.apply(blocklist(host))
    many = [f"10.{it // 256}.{it % 256}.1" for it in range(3000)]
    added = enforced.add("blocked", peer, *many)
    assert "3,001 prefixes" in added.rebuilt
    assert not enforced.hears()
    removed = enforced.remove("blocked", peer)
    assert (removed.rebuilt, enforced.hears()) == ("", True)
    assert not host.status().drift


def test_another_apply_meanwhile_is_noticed(enforced: Enforced) -> None:
    host, peer = enforced.host, enforced.host.peer.ipv4
    enforced.apply(blocklist(host))
    host.apply(open_endpoint(host.end.name))
    added = enforced.add("blocked", peer)
    assert "another pyxdp" in added.rebuilt
    assert not enforced.hears()
    assert enforced.remove("blocked", peer).rebuilt == ""
    assert enforced.hears()


def test_applying_the_same_resources_again_only_fills(enforced: Enforced) -> None:
    host, peer = enforced.host, enforced.host.peer.ipv4
    written = blocklist(host)
    enforced.apply(written)
    assert not enforced.apply(written).plan
    enforced.add("blocked", peer)
    now = enforced.enforcer.resources
    assert now
    refilled = enforced.apply(now)
    assert {type(it) for it in refilled.plan.operations} <= set(REFILL)
    assert not enforced.hears()
    assert not enforced.apply(now).plan
    enforced.apply(written)
    assert enforced.hears()
    assert in_force(host) == expected(enforced.apply(written))


def test_slots_hold_what_was_compiled_after_member_changes(enforced: Enforced) -> None:
    """The halves are written in turn, and one that members changed becomes the spare one."""
    host = enforced.host
    one, other = blocklist(host), blocklist(host, ["192.0.2.0/25", "2001:db8::/33"])
    for number, resources in enumerate((one, other, one, one, other)):
        report = enforced.apply(resources)
        if report.plan:
            assert in_force(host) == expected(report)
        enforced.add("blocked", f"203.0.113.{number}", f"2001:db8:{number}::/48")
        enforced.remove("blocked", "192.0.2.0/25")


def expected(report: Report) -> dict[str, bytes]:
    return {name: bytes(table).rstrip(b"\0") for name, table in report.image.tables.items()}


def in_force(host: Host) -> dict[str, bytes]:
    """The tables of the active slot, without zeros at the end."""
    state = host.dataplane()
    found = {}
    maps = state.pins / "maps"
    with Map.from_pin(maps / "control") as control:
        active = int.from_bytes(control.read()[:4], "little")
    for name in planner.ENTRY_BYTES:
        with Map.from_pin(maps / name) as its_map:
            half = its_map.info.max_entries // 2
            found[name] = bytes(its_map.read(active * half, half)).rstrip(b"\0")
    return found


@dataclass
class Stream:
    """Datagrams of the peer's, counted where they start and where they end."""

    sent: int = 0
    received: int = 0


@contextmanager
def streaming(host: Host) -> Iterator[Stream]:
    """Send all the time, a packet at a time; at the end everything that was under way has arrived, or never will."""
    stream, done = Stream(), threading.Event()
    with host.serving("udp", PORT) as server, host.peer.namespace.entered():
        client = opened("udp", host.peer.ipv4)
        server.settimeout(SILENCE)

        def send() -> None:
            while not done.wait(0.0005):
                client.sendto(b"steady", (host.end.ipv4, PORT))
                stream.sent += 1

        def receive() -> None:
            ended = False
            while not ended:  # once more after the last was sent: the sender may not have had its turn for long
                ended = not threads[0].is_alive()
                with suppress(TimeoutError):
                    while server.recv(64):
                        stream.received += 1

        threads = [threading.Thread(target=it) for it in (send, receive)]
        with client:
            for thread in threads:
                thread.start()
            try:
                yield stream
            finally:
                done.set()
                for thread in threads:
                    thread.join()
