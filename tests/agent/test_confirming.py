"""What an agent keeps on disk, and changes that go back unless somebody confirms them."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from pyxdp.bpf import Object
from pyxdp.snapshot import StateFolder, roll_back
from pyxdp.sources import Store
from tests.agent.processes import started
from tests.agent.running import running, write
from tests.agent.test_following import BLOCKED, PORTS, denied, start
from tests.lab.waiting import wait_until
from tests.veth.host import Host, network_set, service, untracked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def kept_policies(state: Path) -> list[str]:
    kept = StateFolder(state).confirmed()
    return [it.metadata.name for it in Store.of(kept.texts).resources().globalNetworkPolicies] if kept else []


def test_what_is_enforced_is_kept(host: Host, folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    start(host, folder)
    with running(host, folder, state=state) as it:
        it.wait_for(lambda view: view.enforcing)
        wait_until(lambda: kept_policies(state) == ["deny-7001"])
        it.wait_for_change(lambda: it.write("a.yaml", service(7002, "Deny")))
        wait_until(lambda: kept_policies(state) == ["deny-7002"])
        kept = StateFolder(state).confirmed()
        assert kept
        assert kept.digest == host.status().digest
        broken = service(7002, "Dney").replace("dney-7002", "deny-7002")
        it.wait_for_change(lambda: it.write("a.yaml", service(7003, "Deny") + broken))
        wait_until(lambda: kept_policies(state) == ["deny-7002", "deny-7003"])
        unsupported = untracked(
            "deny-7003", ingress=[], egress=[{"action": "Deny", "destination": {"services": {"name": "x"}}}]
        )
        it.write("a.yaml", service(7002, "Deny") + unsupported.replace('"name": "x"', '"name": "x", "namespace": "y"'))
        it.wait_for(lambda view: any("services" in problem.message for problem in view.problems))
        it.wait_for_change(lambda: it.write("b.yaml", service(7001, "Deny")))
        wait_until(lambda: kept_policies(state) == ["deny-7001", "deny-7002", "deny-7003"])
        assert denied(host) == {7001, 7002, 7003}


def test_it_begins_with_what_was_in_force_last(host: Host, folder: Path, tmp_path: Path) -> None:
    """Its folder is gone, and so is what was in the kernel; when the folder is there again, that counts."""
    state = tmp_path / "state"
    start(host, folder)
    with running(host, folder, state=state):
        wait_until(lambda: kept_policies(state) == ["deny-7001"])
    folder.rename(tmp_path / "hidden")
    host.delete()
    with running(host, folder, state=state) as it:
        view = it.wait_for(lambda view: view.degraded)
        assert (view.synced, view.enforcing) == (True, False)
        assert denied(host) == {7001}
        (tmp_path / "hidden").rename(folder)
        it.wait_for(lambda view: view.enforcing)
        assert denied(host) == {7001}


def test_a_broken_file_has_its_last_good_version_after_a_restart(host: Host, folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    start(host, folder)
    with running(host, folder, state=state):
        wait_until(lambda: kept_policies(state) == ["deny-7001"])
    write(folder, "a.yaml", service(7002, "Dney").replace("dney-7002", "deny-7001"))
    with running(host, folder, state=state) as it:
        view = it.wait_for(lambda view: view.enforcing)
        assert all(problem.stands_in for problem in view.problems)
        assert view.problems
        assert denied(host) == {7001}


def test_a_change_that_nobody_confirms_goes_back_and_is_not_made_again(
    host: Host, folder: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    start(host, folder)
    with running(host, folder, state=state):
        wait_until(lambda: kept_policies(state) == ["deny-7001"])
    with running(host, folder, state=state, confirm_within=1.0) as it:
        it.wait_for(lambda view: view.enforcing)
        it.wait_for_change(lambda: it.write("a.yaml", service(7002, "Deny")))
        view = it.wait_for(lambda view: view.problems)
        assert "was not confirmed in time" in view.problems[0].message
        wait_until(lambda: denied(host) == {7001})
        assert kept_policies(state) == ["deny-7001"]
        looked = it.view.status_ns
        it.wait_for(lambda view: view.status_ns > looked)
        assert denied(host) == {7001}
    # Nor is it when the agent starts anew, with other members of sets.
    write(folder, "set.yaml", network_set("blocked", ["192.0.2.1"]))
    with running(host, folder, state=state, confirm_within=3600.0) as it:
        view = it.wait_for(lambda view: view.enforcing)
        assert any("was not confirmed in time" in problem.message for problem in view.problems)
        assert StateFolder(state).pending() is None
        assert denied(host) == {7001}
    write(folder, "a.yaml", service(7003, "Deny"))
    with running(host, folder, state=state, confirm_within=3600.0) as it:
        it.wait_for(lambda view: view.enforcing)
        assert denied(host) == {7003}
        with StateFolder(state).locked():
            StateFolder(state).confirm()
        wait_until(lambda: kept_policies(state) == ["deny-7003"])
        for _ in range(2):
            looked = it.view.status_ns
            it.wait_for(lambda view, before=looked: view.status_ns > before)
        assert denied(host, PORTS) == {7003}
        assert not it.view.problems


def test_the_first_change_ever_is_not_made_again_either(host: Host, folder: Path, tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    start(host, folder)
    with running(host, folder, state=state.path, confirm_within=3600.0):
        wait_until(state.unconfirmed)
    with host.space.entered(), state.locked():
        roll_back(state)
    for _ in range(2):
        with running(host, folder, state=state.path, confirm_within=3600.0) as it:
            view = it.wait_for(lambda view: view.synced and view.problems)
            assert "was not confirmed in time" in view.problems[0].message
            looked = view.status_ns
            it.wait_for(lambda view, before=looked: view.status_ns > before)
            assert state.pending() is None
            assert not (host.bpffs / "pyxdp/v1/links" / host.end.name).exists()
    write(folder, "a.yaml", service(7002, "Deny"))
    with running(host, folder, state=state.path, confirm_within=3600.0):
        wait_until(state.unconfirmed)
        assert denied(host) == {7002}
    with host.space.entered(), state.locked():
        roll_back(state)  # or its watchdog would be there for an hour


def test_members_of_sets_need_nobody_to_confirm(host: Host, folder: Path, tmp_path: Path) -> None:
    """They change by themselves, as pods come and go; and what they are is what the next change goes back to."""
    state = tmp_path / "state"
    start(host, folder, untracked("sets", ingress=[BLOCKED], egress=[]))
    write(folder, "set.yaml", network_set("blocked", ["192.0.2.1"]))
    with running(host, folder, state=state):
        wait_until(lambda: kept_policies(state) == ["deny-7001", "sets"])
    with running(host, folder, state=state, confirm_within=3600.0) as it:
        it.wait_for(lambda view: view.enforcing)
        members = network_set("blocked", ["192.0.2.1", f"{host.peer.ipv4}/32"])
        it.wait_for_change(lambda: it.write("set.yaml", members), "members")
        it.wait_for_change(lambda: it.write("more.yaml", network_set("more", ["192.0.2.2"])), "full")
        assert StateFolder(state).pending() is None
        it.wait_for_change(lambda: it.write("a.yaml", service(7002, "Deny")), "full")
        assert it.view.failures == {}
        wait_until(lambda: StateFolder(state).unconfirmed())
        assert kept_policies(state) == ["deny-7001", "sets"]
        with host.space.entered(), StateFolder(state).locked():
            roll_back(StateFolder(state))
        it.wait_for(lambda view: any("was not confirmed" in problem.message for problem in view.problems))
        assert denied(host) == set(PORTS), "the member that had entered before the change still has"
        it.write("set.yaml", network_set("blocked", ["192.0.2.1"]))
        wait_until(lambda: denied(host) == {7001})
        assert kept_policies(state) == ["deny-7001", "sets"]


def test_what_is_being_taken_back_is_not_made_again_meanwhile(host: Host, folder: Path, tmp_path: Path) -> None:
    """The agent has something to do between the last operation of the rollback and its end, or finds it half done."""
    state = StateFolder(tmp_path / "state")
    start(host, folder, untracked("sets", ingress=[BLOCKED], egress=[]))
    write(folder, "set.yaml", network_set("blocked", ["192.0.2.1"]))
    with running(host, folder, state=state.path):
        wait_until(lambda: kept_policies(state.path) == ["deny-7001", "sets"])
    with running(host, folder, state=state.path, confirm_within=3600.0) as it:
        it.wait_for(lambda view: view.enforcing)
        it.wait_for_change(lambda: it.write("a.yaml", service(7002, "Deny")), "full")
        wait_until(state.unconfirmed)
        waiting = {name: (state.path / name).read_bytes() for name in ("pending", "unconfirmed")}
        with host.space.entered(), state.locked():
            changes = it.view.changes
            roll_back(state)
            for name, content in waiting.items():
                (state.path / name).write_bytes(content)
            it.write("set.yaml", network_set("blocked", ["192.0.2.2"]))
            it.wait_for(lambda view: view.failures.get("BusyError") or view.changes > changes)
            assert denied(host) == {7001}
            state.dismiss()
        it.wait_for(lambda view: any("was not confirmed" in problem.message for problem in view.problems))
        it.wait_for(lambda view: view.enforcing)
        assert denied(host) == {7001}


def test_an_overdue_change_is_taken_back_by_the_agent(host: Host, folder: Path, tmp_path: Path) -> None:
    """The process that was to do it ended with the container that it was in."""
    state = tmp_path / "state"
    start(host, folder)
    with running(host, folder, state=state):
        wait_until(lambda: kept_policies(state) == ["deny-7001"])
    with running(host, folder, state=state, confirm_within=3600.0) as it:
        it.wait_for(lambda view: view.enforcing)
        it.wait_for_change(lambda: it.write("a.yaml", service(7002, "Deny")), "full")
        wait_until(lambda: StateFolder(state).unconfirmed())
    with StateFolder(state).locked():
        pending = StateFolder(state).pending()
        assert pending
        os.kill(int(pending.watchdog.split()[0]), signal.SIGKILL)
        (state / "pending").write_bytes(replace(pending, deadline_ns=1).encode())
    folder.rename(tmp_path / "hidden")
    with running(host, folder, state=state) as it:
        it.wait_for(lambda view: view.degraded)
        assert denied(host) == {7001}
        assert StateFolder(state).pending() is None


def test_an_agent_that_is_killed_leaves_its_change_to_go_back(host: Host, folder: Path, tmp_path: Path) -> None:
    """By the process that it has started for that; the next agent knows. The command confirms what an agent did."""
    state = StateFolder(tmp_path / "state")
    start(host, folder)
    with started(host, folder):
        wait_until(lambda: kept_policies(state.path) == ["deny-7001"])
    confirming = ("--confirm-within", "1h")
    with started(host, folder, *confirming) as process:
        write(folder, "a.yaml", service(7002, "Deny"))
        wait_until(state.unconfirmed)
        process.end(signal.SIGKILL)
    assert denied(host) == {7002}
    pending = state.pending()
    assert pending
    os.kill(int(pending.watchdog.split()[0]), signal.SIGTERM)  # as at its time, or when the machine shuts down
    wait_until(lambda: state.pending() is None)
    assert denied(host) == {7001}
    with started(host, folder, *confirming):
        assert denied(host) == {7001}
        assert state.pending() is None
        write(folder, "a.yaml", service(7003, "Deny"))
        wait_until(state.unconfirmed)
        done = host.space.run(sys.executable, "-m", "pyxdp", "confirm", "--state", str(state.path))
        assert done.stdout.startswith("confirmed: generation ")
        wait_until(lambda: kept_policies(state.path) == ["deny-7003"])
    assert denied(host) == {7003}


def test_what_could_not_be_restored_is_tried_again(
    host: Host, folder: Path, tmp_path: Path, bpf_object: Callable[[str], Path]
) -> None:
    """Also while its source says nothing."""
    state = tmp_path / "state"
    start(host, folder)
    with running(host, folder, state=state):
        wait_until(lambda: kept_policies(state) == ["deny-7001"])
    folder.rename(tmp_path / "hidden")
    host.delete()
    with ExitStack() as stack:
        stranger = stack.enter_context(Object.open(bpf_object("basic"))).load()
        with host.space.entered():
            link = stranger.programs["drop"].attach_xdp(host.end.ifindex)
        with link:
            it = stack.enter_context(running(host, folder, state=state, retry_first=0.05, retry_most=0.2))
            it.wait_for(lambda view: view.failures.get("AttachError"))
        it.wait_for(lambda view: view.applies.get("full"))
        assert denied(host) == {7001}
