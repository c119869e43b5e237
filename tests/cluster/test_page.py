"""docs/kubernetes.md: what it says to create is taken by the server, and does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from pyxdp.bpf import Link, Program, XdpAction
from tests.cluster.objects import core, pod
from tests.cluster.running import following_api
from tests.cluster.server import path_of
from tests.lab.waiting import wait_until
from tests.veth.host import tcp_frame

if TYPE_CHECKING:
    from tests.cluster.conftest import Recorder
    from tests.cluster.server import Cluster
    from tests.veth.host import Host

PAGE = Path(__file__).resolve().parents[2] / "docs/kubernetes.md"


def test_redis_reached_by_pods(host: Host, tmp_path: Path, cluster: Cluster, installed: str, admin: Recorder) -> None:
    written = PAGE.read_text().replace("interfaceName: eth0", f"interfaceName: {host.end.name}")
    objects = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", written, re.DOTALL)]
    assert [it["kind"] for it in objects] == ["GlobalNetworkSet", "GlobalNetworkPolicy", "HostEndpoint", "Pod"]
    client = pod("shop-1")
    client["metadata"]["labels"] = {"redis": "client"}
    admin.create(core("Node", "redis-1"), *objects, client)
    with following_api(host, tmp_path, cluster, installed, node="redis-1") as it:
        it.wait_for(lambda view: view.enforcing and view.generation)
        assert (_passes(host, "198.51.100.7"), _passes(host, host.peer.ipv4)) == (True, False)
        status = {"status": {"phase": "Running", "podIPs": [{"ip": host.peer.ipv4}]}}
        admin.client.send("PATCH", f"{path_of(client)}/status", status, "application/merge-patch+json")
        wait_until(lambda: _passes(host, host.peer.ipv4), what="the pod may")
        admin.delete(client)
        wait_until(lambda: not _passes(host, host.peer.ipv4), what="its address may no more")


@pytest.mark.parametrize("name", ["crds.yaml", "crd-status.yaml", "rbac.yaml"])
def test_files_that_it_names_exist(name: str) -> None:
    assert f"deploy/{name}" in PAGE.read_text()
    assert (PAGE.parent.parent / "deploy" / name).exists()


def _passes(host: Host, source: str) -> bool:
    with Link.from_pin(host.bpffs / "pyxdp/v1/links" / host.end.name) as link:
        number = link.info.program_id
    with Program.from_id(number) as program:
        return bool(program.test_run(tcp_frame(source, host.end.ipv4, 6379)).retval == XdpAction.PASS)
