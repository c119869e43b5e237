"""Many changes by one process: what nobody else has touched is not read back, and whatever somebody has is noticed."""

from __future__ import annotations

from contextlib import contextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from pyxdp import planner
from pyxdp.bpf import Map
from pyxdp.compiler.members import MemberTable
from pyxdp.errors import StaleError
from tests.veth.classes import felix
from tests.veth.host import endpoint, network_set, open_endpoint, service, untracked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxdp.compiler.members import Delta
    from pyxdp.dataplane import Report, Session
    from pyxdp.dataplane.execution import Step
    from tests.veth.host import Host

#: What an apply does that changes nothing but maps.
SWAP = ["AwaitGrace", "FillSlot", "Switch"]


class Changes:
    """A session of a host's dataplane, in its namespace."""

    def __init__(self, host: Host, session: Session) -> None:
        self.host = host
        self.session = session

    def apply(self, manifest: str, on_progress: Callable[[Step], None] = lambda _: None) -> Report:
        policy = self.host.resolve(manifest)
        with self.host.space.entered():
            return self.session.apply(policy, on_progress=on_progress)

    def write(self, *deltas: Delta) -> int:
        with self.host.space.entered():
            return self.session.write_members(deltas)

    def intact(self) -> bool:
        with self.host.space.entered():
            return self.session.intact()

    def table(self, report: Report) -> MemberTable:
        return MemberTable(report.image, self.session.room)


@contextmanager
def session(host: Host) -> Iterator[Changes]:
    with host.dataplane().session() as opened:
        yield Changes(host, opened)


@pytest.fixture
def changes(host: Host) -> Iterator[Changes]:
    with session(host) as made:
        yield made


def kinds(report: Report) -> list[str]:
    return [type(operation).__name__ for operation in report.plan.operations]


def read_back(report: Report) -> bool:
    """Whether what there is was read, iptables and all."""
    return "read" in report.durations


def matched(host: Host) -> dict[tuple[str, int], int]:
    """Packets of each rule that somebody wrote."""
    return {
        (it.policy, it.rule): it.packets
        for it in host.status().rules
        if it.kind == "GlobalNetworkPolicy" and it.direction == "ingress"
    }


def manifest(host: Host, *denied: int) -> str:
    return open_endpoint(host.end.name) + "".join(service(port, "Deny") for port in denied)


def test_a_change_of_rules_reads_nothing_back_and_is_enforced(host: Host, changes: Changes) -> None:
    assert not changes.intact()
    assert read_back(changes.apply(manifest(host, 7001)))
    assert host.is_silent("udp", 7001)
    second = changes.apply(manifest(host, 7001, 7002))
    assert not read_back(second)
    assert kinds(second) == ["WriteNames", *SWAP]
    assert host.is_silent("udp", 7001)
    assert host.is_silent("udp", 7002)
    third = changes.apply(manifest(host, 7002))
    assert not read_back(third)
    assert kinds(third) == [*SWAP, "AwaitGrace", "FreeNames"]
    assert host.can_talk("udp", 7001)
    assert host.is_silent("udp", 7002)
    assert not changes.apply(manifest(host, 7002)).plan
    status = host.status()
    assert not status.drift
    assert (status.generation, changes.session.generation) == (3, 3)
    assert status.digest == third.image.digest.hex()
    assert changes.session.room == read(host).objects[1].capacities


def test_counters_of_rules_and_reasons_survive_every_kind_of_change(host: Host, changes: Changes) -> None:
    nets = network_set("bad", ["192.0.2.0/24"])
    rule = {"action": "Deny", "protocol": "UDP", "source": {"selector": "set == 'bad'"}}
    base = nets + untracked("set", ingress=[rule], egress=[])
    report = changes.apply(manifest(host, 7001) + base)
    assert host.is_silent("udp", 7001)
    told, reason = matched(host), host.reason("DROP_POLICY")
    assert told["deny-7001", 1] == 1
    assert reason == 1

    def kept() -> bool:
        return matched(host)["deny-7001", 1] == told["deny-7001", 1] and host.reason("DROP_POLICY") == reason

    changes.write(changes.table(report).add(*only_set(report, "198.51.100.7/32")))
    assert kept()
    assert not read_back(changes.apply(manifest(host, 7001, 7002) + base))
    assert kept()
    assert host.is_silent("udp", 7001)
    told, reason = matched(host), host.reason("DROP_POLICY")
    assert told["deny-7001", 1] == 2
    wide = network_set("bad", [f"{20 + n % 100}.{n // 100}.{n & 255}.7" for n in range(1000)])
    grown = changes.apply(manifest(host, 7001, 7002) + base.replace(nets, wide))
    assert "CreateObject" in kinds(grown)
    assert kept()
    assert not read_back(changes.apply(manifest(host, 7001) + base))
    assert kept()


def test_settings_of_another_process_are_noticed(host: Host, changes: Changes) -> None:
    changes.apply(manifest(host, 7001))
    with session(host) as other:
        changed = other.apply(manifest(host, 7001) + felix(iptablesFilterAllowAction="Return"))
        assert kinds(changed) == ["UpdateRules"]
        assert other.intact()
        assert not changes.intact()
        assert not read_back(other.apply(manifest(host, 7001) + felix(iptablesFilterAllowAction="Return")))
    assert host.status().settings.allow == "Return"
    assert read_back(changes.apply(manifest(host, 7001)))
    assert host.status().settings.allow == "Accept"


def only_set(report: Report, *members: str) -> tuple[str, list[object]]:
    """The one set of the image with members, and prefixes for it."""
    (name,) = report.image.addresses.sets
    return name, [ip_network(member) for member in members]


def test_what_another_process_applies_is_noticed(host: Host, changes: Changes) -> None:
    changes.apply(manifest(host, 7001))
    host.apply(manifest(host, 7002))
    assert not changes.intact()
    report = changes.apply(manifest(host, 7003))
    assert read_back(report)
    assert "FreeNames" in kinds(report)
    assert host.can_talk("udp", 7001)
    assert host.can_talk("udp", 7002)
    assert host.is_silent("udp", 7003)
    assert not host.status().drift


def test_two_sessions_take_turns(host: Host, changes: Changes) -> None:
    with session(host) as other:
        for round_number in range(3):
            one, two = 7001 + 2 * round_number, 7002 + 2 * round_number
            assert read_back(changes.apply(manifest(host, one)))
            assert host.is_silent("udp", one)
            assert read_back(other.apply(manifest(host, two)))
            assert host.is_silent("udp", two)
            assert not read_back(other.apply(manifest(host, one, two)))
    assert not host.status().drift


def test_delete_is_noticed(host: Host, changes: Changes) -> None:
    changes.apply(manifest(host, 7001))
    host.delete()
    assert not changes.intact()
    assert "AttachXdp" in kinds(changes.apply(manifest(host, 7001)))
    assert host.is_silent("udp", 7001)
    host.delete()
    host.apply(manifest(host, 7001))
    assert not changes.intact(), "the same generation of the same policy, on other maps"


def test_another_process_that_died_half_way_is_noticed(host: Host, changes: Changes) -> None:
    changes.apply(manifest(host, 7001))
    half = host.bpffs / "pyxdp/v1/objects/2/maps"
    half.mkdir(parents=True)
    assert not changes.intact()
    assert "RemoveObject" in kinds(changes.apply(manifest(host, 7002)))
    assert not half.exists()
    assert changes.intact()


@pytest.mark.parametrize("kind", ["AwaitGrace", "FillSlot", "Switch"])
def test_a_failure_before_the_switch_leaves_the_old_policy(host: Host, changes: Changes, kind: str) -> None:
    class RefusedError(Exception):
        pass

    def refuse(step: Step) -> None:
        if type(step.operation).__name__ == kind:
            raise RefusedError

    changes.apply(manifest(host, 7001))
    with pytest.raises(RefusedError):
        changes.apply(manifest(host, 7002), refuse)
    assert host.is_silent("udp", 7001)
    assert not host.status().drift
    assert read_back(changes.apply(manifest(host, 7002)))
    assert host.can_talk("udp", 7001)
    assert host.is_silent("udp", 7002)


def test_drift_is_left_to_status_and_to_a_first_apply(host: Host, changes: Changes) -> None:
    changes.apply(manifest(host, 7001))
    host.space.run("iptables", "-t", "raw", "-F", "PYXDP-OUTPUT")
    assert not read_back(changes.apply(manifest(host, 7002)))
    assert host.status().drift
    with session(host) as fresh:
        assert "UpdateRules" in kinds(fresh.apply(manifest(host, 7002)))
    assert not host.status().drift


def test_what_is_more_than_a_change_of_maps_reads_back(host: Host, changes: Changes) -> None:
    changes.apply(manifest(host, 7001))
    report = changes.apply(endpoint(host.end.name, "renamed"))
    assert read_back(report)
    assert "WriteEndpoints" in kinds(report)
    assert not read_back(changes.apply(endpoint(host.end.name, "renamed") + service(7001)))
    assert read_back(changes.apply(""))
    assert "AttachXdp" in kinds(changes.apply(manifest(host, 7001)))
    assert host.is_silent("udp", 7001)


def test_a_session_belongs_to_a_network_namespace(host: Host, changes: Changes) -> None:
    changes.apply(manifest(host, 7001))
    assert changes.intact()
    assert not changes.session.intact()


def blocking(host: Host, *nets: str) -> str:
    rule = {"action": "Deny", "protocol": "UDP", "source": {"selector": "set == 'bad'"}}
    policy = untracked("set", ingress=[rule], egress=[])
    return open_endpoint(host.end.name) + network_set("bad", list(nets)) + policy


def test_members_are_enforced_and_a_later_apply_takes_them_away(host: Host, changes: Changes) -> None:
    report = changes.apply(blocking(host, "192.0.2.1/32"))
    assert host.can_talk("udp", 7001)
    table, digest = changes.table(report), host.status().digest
    generation = changes.write(table.add(*only_set(report, f"{host.peer.ipv4}/32")))
    assert host.is_silent("udp", 7001)
    status = host.status()
    assert status.generation == generation == changes.session.generation == 2
    assert status.digest != digest
    assert not status.drift
    assert changes.intact()
    changes.write(table.remove(*only_set(report, f"{host.peer.ipv4}/32")))
    assert host.can_talk("udp", 7001)
    changes.write(table.add(*only_set(report, f"{host.peer.ipv4}/32")))
    again = changes.apply(blocking(host, "192.0.2.1/32"))
    assert kinds(again) == SWAP
    assert host.can_talk("udp", 7001)
    assert host.status().digest == digest


def test_members_are_refused_after_a_change_of_somebody_else_s(host: Host, changes: Changes) -> None:
    with pytest.raises(StaleError):
        changes.write()
    report = changes.apply(blocking(host, "192.0.2.1/32"))
    delta = changes.table(report).add(*only_set(report, f"{host.peer.ipv4}/32"))
    host.apply(blocking(host, "192.0.2.2/32"))
    before = contents(host)
    with pytest.raises(StaleError) as caught:
        changes.write(delta)
    assert caught.value.hint
    assert contents(host) == before
    assert host.can_talk("udp", 7001)


def test_members_of_another_session_are_noticed(host: Host, changes: Changes) -> None:
    report = changes.apply(blocking(host, "192.0.2.1/32"))
    with session(host) as other:
        same = other.apply(blocking(host, "192.0.2.1/32"))
        assert not same.plan
        other.write(other.table(same).add(*only_set(same, f"{host.peer.ipv4}/32")))
    with pytest.raises(StaleError):
        changes.write(changes.table(report).add(*only_set(report, "192.0.2.7/32")))
    assert host.is_silent("udp", 7001)
    assert kinds(changes.apply(blocking(host, "192.0.2.1/32"))) == SWAP
    assert host.can_talk("udp", 7001)


def test_a_slot_that_members_were_written_to_is_filled_as_compiled(host: Host, changes: Changes) -> None:
    """Both slots in turn become spare with members in them that no image has."""
    first = changes.apply(blocking(host, "192.0.2.1/32"))
    for round_number in range(4):
        wanted = blocking(host, f"192.0.2.{round_number}/32")
        changes.write(changes.table(first).add(*only_set(first, f"198.51.100.{round_number}/32")))
        first = changes.apply(wanted)
        assert kinds(first) == SWAP
        state = read(host)
        assert all(planner.same(state.tables[name], table) for name, table in first.image.tables.items())
    assert not host.status().drift


def read(host: Host) -> planner.State:
    with host.space.entered():
        return host.dataplane().read()


def contents(host: Host) -> dict[str, bytes]:
    found = {}
    for pin in (host.bpffs / "pyxdp/v1/maps").resolve().iterdir():
        if pin.name in {*planner.ENTRY_BYTES, "slots", "control"}:
            with Map.from_pin(pin) as its_map:
                found[pin.name] = its_map.read()
    return found
