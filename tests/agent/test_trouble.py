"""What the machine refuses, and what the agent refuses itself."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pyxdp.bpf import Object
from tests.agent.running import running, write
from tests.agent.test_following import denied, start
from tests.lab.waiting import wait_until
from tests.veth.host import Host, network_set, normal, open_endpoint, service, untracked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from pyxdp.agent import AgentView


def test_what_the_kernel_refuses_is_tried_again(host: Host, folder: Path, bpf_object: Callable[[str], Path]) -> None:
    start(host, folder)
    with ExitStack() as stack:
        stranger = stack.enter_context(Object.open(bpf_object("basic"))).load()
        with host.space.entered():
            link = stranger.programs["drop"].attach_xdp(host.end.ifindex)
        with link:
            it = stack.enter_context(running(host, folder, retry_first=0.05, retry_most=0.2))
            view = it.wait_for(lambda view: view.failures.get("AttachError", 0) > 2)
            assert (view.synced, view.enforcing) == (True, False)
            assert "has an XDP program already" in view.degraded[0]
        view = it.wait_for(lambda view: view.enforcing)
        assert view.degraded == ()
        assert denied(host) == {7001}


def test_a_change_that_would_cut_a_session_is_not_made(host: Host, folder: Path) -> None:
    write(folder, "a.yaml", open_endpoint(host.end.name) + service(7001, "Deny"))
    with running(host, folder) as it, ExitStack() as stack:
        it.wait_for(lambda view: view.enforcing)
        client, connection = stack.enter_context(host.connected(7002))

        def refused(view: AgentView) -> bool:
            return any("deny-7002" in problem.message for problem in view.problems)

        it.write("b.yaml", service(7002, "Deny", ("TCP",)))
        view = it.wait_for(refused)
        assert [(problem.key, problem.stands_in) for problem in view.problems] == [
            ("GlobalNetworkPolicy/deny-7002", False)
        ]
        assert "b.yaml:" in view.problems[0].message
        assert denied(host) == {7001}
        assert view.enforcing
        it.wait_for_change(lambda: it.write("c.yaml", service(7003, "Deny")))
        assert denied(host) == {7001, 7003}
        assert refused(it.view)
        connection.close()
        client.close()
        it.wait_for_change(lambda: it.write("c.yaml", service(7004, "Deny")))
        assert denied(host) == {7001, 7002}
        assert it.view.problems == ()


def test_members_do_not_cut_the_way_to_the_api_server(
    host: Host, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are changed in place, without a look at what that cuts; but not those."""
    kubeconfig = {"clusters": [{"name": "c", "cluster": {"server": f"https://{host.peer.ipv4}:6440"}}]}
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    write(folder, "hep.yaml", open_endpoint(host.end.name))
    out = {"action": "Deny", "destination": {"selector": "set == 'blocked'"}}
    write(folder, "a.yaml", untracked("sets", ingress=[], egress=[out]))
    write(folder, "set.yaml", network_set("blocked", ["192.0.2.1"]))
    with running(host, folder) as it:
        it.wait_for(lambda view: view.enforcing)
        it.write("set.yaml", network_set("blocked", ["192.0.2.1", f"{host.peer.ipv4}/31"]))
        view = it.wait_for(lambda view: view.problems)
        assert f"the way to the API server {host.peer.ipv4} port 6440" in view.problems[0].message
        assert [(problem.key, problem.stands_in) for problem in view.problems] == [("GlobalNetworkSet/blocked", True)]
        it.wait_for_change(lambda: it.write("set.yaml", network_set("blocked", ["192.0.2.3"])), "members")
        assert it.view.problems == ()


def test_what_a_session_stood_against_is_made_when_that_has_ended(host: Host, folder: Path) -> None:
    write(folder, "a.yaml", open_endpoint(host.end.name))
    with running(host, folder, reconsider_every=0.1) as it, ExitStack() as stack:
        it.wait_for(lambda view: view.enforcing)
        client, connection = stack.enter_context(host.connected(7002))
        it.write("b.yaml", service(7002, "Deny", ("TCP",)))
        it.wait_for(lambda view: view.problems)
        assert denied(host) == set()
        connection.close()
        client.close()
        it.wait_for(lambda view: not view.problems)
        assert denied(host) == {7002}


def test_rules_of_the_legacy_variant(host: Host, folder: Path) -> None:
    host.variant = "legacy"
    start(host, folder, normal("local", ingress=[{"action": "Allow"}], egress=[{"action": "Allow"}]))
    with running(host, folder) as it:
        it.wait_for(lambda view: view.enforcing)
        good = host.space.run("iptables-legacy-save").stdout.count("PYXDP")
        assert good
        host.space.run("iptables-legacy", "-t", "raw", "-F")
        it.wait_for(lambda view: view.repairs.get("rules"))
        wait_until(lambda: host.space.run("iptables-legacy-save").stdout.count("PYXDP") == good)


def test_what_others_change_of_their_own_is_none_of_ours(host: Host, folder: Path) -> None:
    start(host, folder)
    with running(host, folder) as it:
        it.wait_for(lambda view: view.enforcing and view.status)
        host.space.run("iptables-nft", "-t", "raw", "-A", "PREROUTING", "-p", "icmp", "-j", "ACCEPT")
        host.space.run("iptables-nft", "-N", "MINE")
        for _ in range(2):
            looked = it.view.status_ns
            it.wait_for(lambda view, before=looked: view.status_ns > before)
        assert it.view.repairs == {}
        assert it.view.applies["full"] == 1
