"""From a change in the API to the verdict of the program at XDP, by the agent as it runs on nodes."""

from __future__ import annotations

import time
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import pytest

from pyxdp.bpf import Link, Program, XdpAction
from tests.cluster.objects import calico, core, gnp, gns
from tests.cluster.running import following_api
from tests.cluster.server import path_of
from tests.lab.waiting import wait_until
from tests.veth.host import NODE, tcp_frame

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Recorder
    from tests.cluster.server import Cluster
    from tests.veth.host import Host

CHANGES = 100


def closed(port: int) -> dict[str, Any]:
    """Return a policy that closes a port, untracked, to the addresses of a set."""
    rule = {"action": "Deny", "protocol": "TCP", "source": {"selector": "set == 'closed'"}}
    ingress = [{**rule, "destination": {"ports": [port]}}]
    return gnp("closed", doNotTrack=True, applyOnForward=True, types=["Ingress", "Egress"], ingress=ingress)


def endpoint(host: Host) -> dict[str, Any]:
    spec = {"node": NODE, "interfaceName": host.end.name, "profiles": ["projectcalico-default-allow"]}
    return calico("HostEndpoint", "hep", spec)


def is_dropped(host: Host, port: int, source: str = "") -> bool:
    """Ask the program on the interface."""
    with Link.from_pin(host.bpffs / "pyxdp/v1/links" / host.end.name) as link:
        number = link.info.program_id
    with Program.from_id(number) as program:
        return bool(program.test_run(tcp_frame(source or host.peer.ipv4, host.end.ipv4, port)).retval == XdpAction.DROP)


def test_policy_of_the_api_is_enforced_and_reported(
    host: Host, tmp_path: Path, cluster: Cluster, installed: str, admin: Recorder
) -> None:
    hep, node = endpoint(host), core("Node", NODE)
    admin.create(node, gns("closed", f"{host.peer.ipv4}/32", set="closed"), closed(7001), hep)
    with following_api(host, tmp_path, cluster, installed) as it:
        it.wait_for(lambda view: view.enforcing and view.generation)
        assert it.view.status  # what was not seen since can not be reported
        assert [one.attachment.host_endpoint for one in it.view.status.endpoints] == ["hep"]
        assert (is_dropped(host, 7001), is_dropped(host, 7002)) == (True, False)
        wait_until(lambda: _status(admin, hep, "Enforcing") == "True", what="it is reported")
        wait_until(lambda: _status(admin, node, "HostPolicyEnforcing") == "True", what="it is reported")
        admin.merge(closed(7002))
        wait_until(lambda: (is_dropped(host, 7001), is_dropped(host, 7002)) == (False, True))
        admin.merge(gns("closed", "192.0.2.1", set="closed"))
        wait_until(lambda: not is_dropped(host, 7002), what="the set is another")


def test_another_agent_changes_no_condition(
    host: Host, tmp_path: Path, cluster: Cluster, installed: str, admin: Recorder
) -> None:
    """While it starts it knows less than what stands there, and that is no news."""
    hep, node = endpoint(host), core("Node", NODE)
    admin.create(node, closed(7001), hep)
    found: list[dict[str, Any]] = []
    for _ in range(2):
        before = admin.client.status_writes()
        with following_api(host, tmp_path, cluster, installed):
            wait_until(lambda seen=before: admin.client.status_writes() >= seen + 2, what="both are written")
            found.append({one["kind"]: admin.client.get(path_of(one))["status"] for one in (node, hep)})
    assert found[0] == found[1]
    assert (_status(admin, node, "HostPolicyEnforcing"), _status(admin, hep, "Enforcing")) == ("True", "True")


def test_nodes_have_host_endpoints(
    host: Host, tmp_path: Path, cluster: Cluster, installed: str, admin: Recorder
) -> None:
    """Policy selects them by the labels of the nodes, and finds the other nodes by their addresses."""
    other = core("Node", "other", status={"addresses": [{"type": "InternalIP", "address": host.peer.ipv4}]})
    ours = core("Node", NODE, status={"addresses": [{"type": "InternalIP", "address": host.end.ipv4}]})
    ours["metadata"]["labels"], other["metadata"]["labels"] = {"rack": "1"}, {"rack": "2"}
    deny = {"action": "Deny", "protocol": "TCP", "source": {"selector": "rack == '2'"}}
    ingress = [{**deny, "destination": {"ports": [7001]}}]
    admin.create(ours, other, gnp("racks", "rack == '1'", doNotTrack=True, applyOnForward=True, ingress=ingress))
    with following_api(host, tmp_path, cluster, installed, auto_host_endpoints=True) as it:
        it.wait_for(lambda view: view.enforcing and view.generation)
        assert (is_dropped(host, 7001), is_dropped(host, 7002)) == (True, False)
        admin.merge(other | {"metadata": {"name": "other", "labels": {"rack": "3"}}})
        wait_until(lambda: not is_dropped(host, 7001), what="the other node is in another rack")
        admin.merge(other | {"metadata": {"name": "other", "labels": {"rack": "2"}}})
        wait_until(lambda: is_dropped(host, 7001), what="it is back")
        admin.merge(ours | {"metadata": {"name": NODE, "labels": {"rack": "4"}}})
        wait_until(lambda: not is_dropped(host, 7001), what="the policy is not for this node any more")


def test_a_thousand_sets_and_two_hundred_policies_at_once(  # noqa: PLR0913, PLR0917 -- fixtures
    host: Host,
    tmp_path: Path,
    cluster: Cluster,
    installed: str,
    admin: Recorder,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All come while the agent is cut off, and so at one time. Each policy closes a port to five of the sets."""
    sets = [gns(f"set-{it}", f"10.{it // 250}.{it % 250}.0/24", of=f"p{it % 200}") for it in range(1000)]
    policies = [_closed_to(number) for number in range(200)]
    admin.create(endpoint(host))
    with following_api(host, tmp_path, cluster, installed) as it:
        it.wait_for(lambda view: view.enforcing and view.generation)
        before = it.view
        try:
            cluster.cut()
            it.wait_for(lambda view: not view.sources["kubernetes"].connected)
            admin.create(*sets, *policies)
        finally:
            cluster.restore()
        begin = time.monotonic()
        it.wait_for(lambda view: view.sources["kubernetes"].texts >= before.sources["kubernetes"].texts + 1200)
        wait_until(lambda: is_dropped(host, 7199, "10.3.249.7"), what="the last of them is enforced")
        took = time.monotonic() - begin
        for number in range(0, 1000, 7):
            port, source = 7000 + number % 200, f"10.{number // 250}.{number % 250}.7"
            assert is_dropped(host, port, source), number
            assert not is_dropped(host, port + 1, source), number
        ways = {kind: count - before.applies.get(kind, 0) for kind, count in it.view.applies.items()}
    with capsys.disabled():
        print(f"\n1,000 sets and 200 policies at once: enforced {took:.1f} s after the connection; {ways}")  # noqa: T201


def test_an_outage_changes_no_verdict(
    host: Host, tmp_path: Path, cluster: Cluster, installed: str, admin: Recorder
) -> None:
    admin.create(gns("closed", f"{host.peer.ipv4}/32", set="closed"), closed(7001), endpoint(host))
    with following_api(host, tmp_path, cluster, installed) as it:
        it.wait_for(lambda view: view.enforcing and view.generation)
        try:
            cluster.stop_server()
            it.wait_for(lambda view: not view.sources["kubernetes"].connected)
            assert is_dropped(host, 7001)
            assert any("does not answer" in reason for reason in it.view.degraded)
        finally:
            cluster.start_server()
        it.wait_for(lambda view: view.sources["kubernetes"].connected)
        admin.merge(closed(7002))
        wait_until(lambda: is_dropped(host, 7002))


@pytest.mark.parametrize("what", ["members of a set", "rules of a policy"])
def test_how_long_a_change_takes(  # noqa: PLR0913, PLR0917 -- fixtures
    what: str,
    host: Host,
    tmp_path: Path,
    cluster: Cluster,
    installed: str,
    admin: Recorder,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A figure, not a bound: the machine may be busy. The aim is a median below 200 ms."""
    many = [gns(f"set-{number}", *(f"10.{number}.{it}.0/24" for it in range(100))) for number in range(20)]
    by_members = what == "members of a set"
    peer = [f"{host.peer.ipv4}/32"]
    admin.create(gns("closed", *peer * (not by_members), set="closed"), closed(7001), endpoint(host), *many)
    took = []
    with following_api(host, tmp_path, cluster, installed) as it:
        it.wait_for(lambda view: view.enforcing and view.generation)
        for number in range(CHANGES):
            enters = number % 2 == 0
            port, drops = (7001, enters) if by_members else (8000 + number, True)
            change = gns("closed", *peer * enters, set="closed") if by_members else closed(port)
            before, changes = time.monotonic(), it.view.changes
            admin.merge(change)
            it.wait_for(lambda view, seen=changes: view.changes > seen)
            took.append(time.monotonic() - before)
            assert is_dropped(host, port) == drops
        inside = it.view.seconds[-CHANGES:]
        ways = dict(it.view.applies)
    slow = quantiles(took, n=10)[-1]
    figures = f"median {median(took) * 1000:.0f} ms, 90 % within {slow * 1000:.0f} ms"
    inside = f"{median(inside) * 1000:.0f} ms of it in the agent"
    with capsys.disabled():
        print(f"\n{what}: API to enforced, {CHANGES} changes: {figures}; {inside}; {ways}")  # noqa: T201


def _closed_to(number: int) -> dict[str, Any]:
    rule = {"action": "Deny", "protocol": "TCP", "source": {"selector": f"of == 'p{number}'"}}
    ingress = [{**rule, "destination": {"ports": [7000 + number]}}]
    return gnp(f"policy-{number}", doNotTrack=True, applyOnForward=True, order=number, ingress=ingress)


def _status(admin: Recorder, written: dict[str, Any], type_: str) -> str:
    conditions = (admin.client.get(path_of(written)).get("status") or {}).get("conditions") or ()
    return next((it["status"] for it in conditions if it["type"] == type_), "")
