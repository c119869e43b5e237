"""What an agent keeps on disk, and changes that go back unless somebody confirms them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.snapshot import StateFolder
from pyxdp.sources import Store
from tests.agent.running import running, write
from tests.agent.test_following import PORTS, denied, start
from tests.lab.waiting import wait_until
from tests.veth.host import Host, service, untracked

if TYPE_CHECKING:
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
