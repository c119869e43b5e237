"""Changes of files become changes of verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.bpf import Link, Program, XdpAction
from pyxdp.sources.kubernetes.conditions import of_node
from tests.agent.running import running, write
from tests.lab.waiting import wait_until
from tests.veth.host import Host, network_set, open_endpoint, service, tcp_frame, untracked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PORTS = (7001, 7002, 7003)
BLOCKED = {"action": "Deny", "source": {"selector": "set == 'blocked'"}}
ALLOW = {"action": "Allow"}


def denied(host: Host, ports: Iterable[int] = PORTS, source: str = "") -> set[int]:
    """The ports at which the XDP program of the host's interface drops a client."""
    pin = host.bpffs / "pyxdp/v1/links" / host.end.name
    with Link.from_pin(pin) as link, Program.from_id(link.info.program_id) as program:
        frames = {port: tcp_frame(source or host.peer.ipv4, host.end.ipv4, port) for port in ports}
        return {port for port, frame in frames.items() if program.test_run(frame).retval == XdpAction.DROP}


def start(host: Host, folder: Path, *more: str) -> None:
    write(folder, "hep.yaml", open_endpoint(host.end.name))
    write(folder, "a.yaml", "".join([service(7001, "Deny"), *more]))


def test_a_change_of_a_file_is_enforced(host: Host, folder: Path) -> None:
    start(host, folder)
    with running(host, folder) as it:
        it.wait_for(lambda view: view.enforcing)
        assert denied(host) == {7001}
        for port in (7002, 7003) * 3:
            it.wait_for_change(lambda at=port: it.write("a.yaml", service(at, "Deny")), "full")
            assert denied(host) == {port}
        view = it.view
        assert (view.synced, view.problems, view.degraded, dict(view.failures)) == (True, (), (), {})
        assert view.changes == len(view.seconds) == 7
        assert view.sources[str(folder)].texts == 2
        print(f"enforced after {sorted(view.seconds)} s")  # noqa: T201
    assert denied(host) == {7003}, "policy stays in force"


def test_what_kubernetes_is_told(host: Host, folder: Path) -> None:
    start(host, folder)
    with running(host, folder) as it:
        it.wait_for(lambda view: view.enforcing and view.status and view.status.applied)
        found = {condition.type: condition.status for condition in of_node(it.view)}
        assert found == {"Enforcing": "True", "ConntrackBypass": "True", "Degraded": "False"}


def test_nothing_is_enforced_before_a_source_has_said_everything(host: Host, folder: Path) -> None:
    folder.rmdir()
    with running(host, folder) as it:
        view = it.wait_for(lambda view: view.degraded)
        assert (view.synced, view.enforcing, view.generation) == (False, False, 0)
        assert "there is no such file or folder" in view.degraded[0]
        folder.mkdir()
        start(host, folder)
        it.wait_for(lambda view: view.enforcing and denied(host) == {7001})


def test_what_is_wrong_keeps_its_last_good_version(host: Host, folder: Path) -> None:
    start(host, folder)
    with running(host, folder) as it:
        it.wait_for(lambda view: view.enforcing)
        for broken in ("kind: [", service(7002, "Dney").replace("dney-7002", "deny-7001"), "\0"):
            it.write("a.yaml", broken)
            view = it.wait_for(lambda view: view.problems)
            assert view.problems[0].stands_in
            assert (view.enforcing, denied(host)) == (True, {7001})
            it.write("a.yaml", service(7001, "Deny"))
            it.wait_for(lambda view: not view.problems)
        good = service(7001, "Deny") + service(7003, "Deny").replace("deny-7003", "other")
        it.wait_for_change(lambda: it.write("a.yaml", good))
        assert denied(host) == {7001, 7003}
        half = service(7002, "Deny").replace("deny-7002", "deny-7001") + service(7003, "Dney").replace(
            "dney-7003", "other"
        )
        it.wait_for_change(lambda: it.write("a.yaml", half))
        assert denied(host) == {7002, 7003}
        assert [(problem.key, problem.stands_in) for problem in it.view.problems] == [
            ("GlobalNetworkPolicy/other", True)
        ] * len(it.view.problems)
        (folder / "a.yaml").unlink()
        it.wait_for(lambda _: denied(host) == set())


def test_members_change_in_place(host: Host, folder: Path) -> None:
    rules = untracked("blocking", ingress=[BLOCKED, ALLOW], egress=[ALLOW])
    start(host, folder)
    write(folder, "a.yaml", rules)
    write(folder, "set.yaml", network_set("blocked", ["192.0.2.1/32", "192.0.2.7/32"]))
    with running(host, folder) as it:
        it.wait_for(lambda view: view.enforcing)
        assert denied(host) == set()
        nets = [f"{host.peer.ipv4}/32", "192.0.2.7/32"]
        it.wait_for_change(lambda: it.write("set.yaml", network_set("blocked", nets)), "members")
        assert denied(host) == set(PORTS)
        assert denied(host, source="192.0.2.1") == set()
        assert denied(host, source="192.0.2.7") == set(PORTS)
        it.wait_for_change(lambda: it.write("set.yaml", network_set("blocked", ["192.0.2.7/32"])), "members")
        assert denied(host) == set()
        it.wait_for_change(lambda: it.write("a.yaml", rules + service(7002, "Deny")), "full")
        assert denied(host, source="192.0.2.7") == set(PORTS)
        it.wait_for_change(lambda: it.write("set.yaml", network_set("blocked", nets)), "members")
        assert denied(host) == set(PORTS)
        assert it.view.applies["full"] == 2


def test_what_can_not_be_enforced_does_not_keep_the_rest_out(host: Host, folder: Path) -> None:
    start(host, folder)
    with running(host, folder) as it:
        it.wait_for(lambda view: view.enforcing)
        services = {"action": "Deny", "destination": {"services": {"name": "x", "namespace": "y"}}}
        it.write("b.yaml", untracked("services", ingress=[], egress=[services]))
        view = it.wait_for(lambda view: view.problems)
        assert (view.problems[0].key, view.problems[0].stands_in) == ("GlobalNetworkPolicy/services", False)
        it.wait_for_change(lambda: it.write("a.yaml", service(7002, "Deny")))
        assert denied(host) == {7002}
        assert it.view.problems
        it.wait_for_change(lambda: it.write("b.yaml", service(7003, "Deny").replace("deny-7003", "services")))
        assert denied(host) == {7002, 7003}
        assert it.view.problems == ()
        it.write("b.yaml", untracked("services", ingress=[], egress=[services]))
        view = it.wait_for(lambda view: view.problems)
        assert view.problems[0].stands_in
        assert denied(host) == {7002, 7003}


def test_a_burst_is_one_change(host: Host, folder: Path) -> None:
    start(host, folder)
    with running(host, folder, quiet=0.3, patience=30.0) as it:
        it.wait_for(lambda view: view.enforcing)
        for number in range(30):
            it.write(f"n{number}.yaml", service(8000 + number, "Deny"))
        wait_until(lambda: denied(host, [8029]))
        assert denied(host, range(8000, 8030)) == set(range(8000, 8030))
        assert it.view.applies["full"] < 5
