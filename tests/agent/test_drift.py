"""What a stranger changes is found, repaired and counted."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from pyxdp.dataplane import Drift
from pyxdp.enforcer import Enforcer
from pyxdp.manifest import loads
from tests.agent import harms
from tests.agent.running import Running, running, write
from tests.agent.test_following import ALLOW, BLOCKED
from tests.lab.network import connect
from tests.lab.waiting import wait_until
from tests.veth.host import NODE, network_set, open_endpoint, service, untracked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lab.network import Namespace
    from tests.veth.host import Host


@pytest.fixture
def at_work(host: Host, folder: Path) -> Iterator[Running]:
    write(folder, "a.yaml", open_endpoint(host.end.name) + service(7001, "Deny"))
    with running(host, folder) as it:
        it.wait_for(lambda view: view.enforcing and view.status)
        yield it


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (harms.detach_link, {"link"}),
        (harms.remove_link_pin, {"pin"}),
        (harms.remove_program_pin, {"pin"}),
        (harms.remove_programs_symlink, {"pin"}),
        (harms.remove_maps_symlink, {"pin"}),
        (harms.remove_map_pin, {"pin"}),
        (harms.remove_every_map_pin, {"pin"}),
        (harms.remove_the_mark, {"pin"}),
        (harms.remove_everything, {"rules"}),  # and pins, unless the agent looks while they are being removed
        (harms.flush_raw, {"rules"}),
        (harms.delete_a_rule, {"rules"}),
        (harms.flush_ruleset, {"rules"}),
        (harms.change_a_map, {"map"}),
        (harms.empty_questions, {"map"}),
    ],
)
def test_what_a_stranger_does_is_repaired(at_work: Running, harm: Callable[[Host], None], kinds: set[str]) -> None:
    host = at_work.host
    good = host.space.run("iptables-save").stdout.count("PYXDP")
    before = dict(at_work.view.repairs)
    harm(host)
    repaired = at_work.wait_for(lambda view: view.repairs != before and view.enforcing)
    assert kinds <= set(repaired.repairs)
    # The agent may have looked before the stranger was at an end, and looks again then.
    wait_until(lambda: not host.status().drift)
    assert host.is_silent("udp", 7001)
    assert host.can_talk("udp", 7002)
    assert host.space.run("iptables-save").stdout.count("PYXDP") == good
    begun = at_work.view.status_ns
    whole = at_work.wait_for(lambda view: view.status_ns > begun and view.enforcing)
    after = at_work.wait_for(lambda view: view.status_ns > whole.status_ns)
    last = at_work.wait_for(lambda view: view.status_ns > after.status_ns)
    assert last.applies["repair"] == after.applies["repair"], "nothing more is found"


@pytest.mark.parametrize(
    ("harm", "change", "found"),
    [
        (harms.change_a_map, "members", Drift.MAP),
        (harms.remove_map_pin, "members", Drift.PIN),
        (harms.remove_map_pin, "rules", Drift.PIN),
        (harms.detach_link, "rules", Drift.LINK),
        (harms.flush_raw, "members", Drift.RULES),
        (harms.empty_questions, "rules", Drift.MAP),
        (harms.change_names, "rules", Drift.MAP),
    ],
)
def test_an_own_change_hides_nothing(host: Host, harm: Callable[[Host], None], change: str, found: Drift) -> None:
    """What a stranger did before it is found behind it: sets may change many times between two looks."""
    rules = untracked("blocking", ingress=[BLOCKED, ALLOW], egress=[ALLOW]) + network_set("blocked", ["192.0.2.1"])
    policy = open_endpoint(host.end.name) + rules
    with host.space.entered(), Enforcer(host.dataplane(), node=NODE) as enforcer:
        enforcer.apply(loads(policy).resources)
        enforcer.settle()
        assert enforcer.look() == set()
        harm(host)
        if change == "members":
            assert not enforcer.add_members("GlobalNetworkSet", "blocked", ["192.0.2.9"]).rebuilt
        else:
            enforcer.apply(loads(policy + service(7001)).resources)
        enforcer.settle()
        assert enforcer.look() == {found}
        enforcer.distrust()
        enforcer.apply(loads(policy + service(7001)).resources)
        assert enforcer.look() == set()


def test_own_changes_are_no_drift(host: Host) -> None:
    rules = untracked("blocking", ingress=[BLOCKED, ALLOW], egress=[ALLOW]) + network_set("blocked", ["192.0.2.1"])
    policy = open_endpoint(host.end.name) + rules
    with host.space.entered(), Enforcer(host.dataplane(), node=NODE) as enforcer:
        for number in range(4):
            enforcer.apply(loads(policy + service(7001 + number)).resources)
            for _ in range(2):
                members = [f"192.0.2.{number + 2}", f"198.51.{number}.0/28", f"2001:db8:{number}::/64"]
                enforcer.add_members("GlobalNetworkSet", "blocked", members)
                assert enforcer.look() == set()
                enforcer.remove_members("GlobalNetworkSet", "blocked", members)
            enforcer.apply(loads(policy).resources, dry_run=True)
            assert enforcer.look() == set()


def test_drift_is_found_while_a_change_is_refused(host: Host, folder: Path, netns: Callable[[], Namespace]) -> None:
    """The change would do more than fill maps: everything was read back for it."""
    write(folder, "a.yaml", open_endpoint(host.end.name) + service(7001, "Deny"))
    with running(host, folder) as it, ExitStack() as stack:
        it.wait_for(lambda view: view.enforcing)
        stack.enter_context(host.connected(7002))
        end, _ = connect(host.space, netns(), subnet=5)
        it.write("b.yaml", service(7002, "Deny", ("TCP",)) + open_endpoint(end.name, "second"))
        it.wait_for(lambda view: view.problems)
        good = host.space.run("iptables-save").stdout.count("PYXDP")
        harms.flush_raw(host)
        it.wait_for(lambda view: view.repairs.get("rules"))
        wait_until(lambda: host.space.run("iptables-save").stdout.count("PYXDP") == good)
