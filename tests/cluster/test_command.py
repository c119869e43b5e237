"""``pyxdp agent`` as the DaemonSet starts it, on the node of the API server itself."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.processes import Process
from tests.cluster.conftest import documents
from tests.cluster.objects import core, gns
from tests.cluster.server import path_of
from tests.cluster.test_agent import closed, endpoint, is_dropped
from tests.lab.network import connect
from tests.lab.waiting import wait_until
from tests.veth.host import NODE, Host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster.conftest import Recorder
    from tests.cluster.server import Cluster
    from tests.lab.network import Namespace


@pytest.fixture
def node(cluster: Cluster, netns: Callable[[], Namespace], bpffs: Path) -> Iterator[Host]:
    """The namespace of the API server as a host to govern."""
    end, peer = connect(cluster.space, netns())
    made = Host(end, peer, bpffs)
    yield made
    made.delete()


@contextmanager
def started(node: Host, cluster: Cluster, token: str, folder: Path) -> Iterator[Process]:
    """Start the container's command; kill it if it still lives."""
    (container,) = documents("daemonset.yaml")[0]["spec"]["template"]["spec"]["containers"]
    arguments = [it.replace("$(NODE_NAME)", NODE) for it in container["args"]]
    own = ["--kubeconfig", str(cluster.kubeconfig(token)), "--bpffs", str(node.bpffs), "--state", str(folder / "state")]
    log = folder / "log"
    with log.open("w") as errors:
        popen = cluster.space.popen(sys.executable, "-m", "pyxdp", *arguments, *own, stderr=errors, env={**os.environ})
    process = Process(node, log, popen)
    try:
        yield process
    finally:
        if popen.poll() is None:
            process.end(signal.SIGKILL)


def test_from_start_to_start(node: Host, tmp_path: Path, cluster: Cluster, installed: str, admin: Recorder) -> None:
    """Policy comes from the API, stays when the agent ends, and while the next one can not reach the API."""
    hep = endpoint(node)
    admin.create(core("Node", NODE), gns("closed", f"{node.peer.ipv4}/32", set="closed"), closed(7001), hep)
    with started(node, cluster, installed, tmp_path) as first:
        wait_until(first.ready, what="it is ready")
        assert (is_dropped(node, 7001), is_dropped(node, 7002)) == (True, False)
        wait_until(lambda: _enforcing(admin, hep) == "True", what="it is reported")
        assert first.end(signal.SIGTERM) == 0
    assert (is_dropped(node, 7001), is_dropped(node, 7002)) == (True, False)
    admin.merge(closed(7002))
    cluster.cut()
    try:
        with started(node, cluster, installed, tmp_path) as second:
            wait_until(lambda: any("does not answer" in it["message"] for it in second.lines()), what="it says so")
            assert not second.ready()
            assert (is_dropped(node, 7001), is_dropped(node, 7002)) == (True, False)
            cluster.restore()
            wait_until(second.ready, what="it is ready")
            assert (is_dropped(node, 7001), is_dropped(node, 7002)) == (False, True)
    finally:
        cluster.restore()


def _enforcing(admin: Recorder, hep: dict[str, Any]) -> str:
    conditions = (admin.client.get(path_of(hep)).get("status") or {}).get("conditions") or ()
    return next((it["status"] for it in conditions if it["type"] == "Enforcing"), "")
