"""The command ``pyxdp agent``, asked over HTTP while policy comes, is wrong, and is tampered with."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.agent.running import write
from tests.cli.machine import PYXDP
from tests.lab.waiting import wait_until
from tests.metrics.scraping import Answer, Samples, get
from tests.veth.host import NODE, open_endpoint, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.veth.host import Host

PORT = 19469


@dataclass
class Process:
    """An agent in a process of its own.

    Attributes:
        host: its node.
        folder: of its manifests.
    """

    host: Host
    folder: Path

    def get(self, path: str) -> Answer:
        """Ask it."""
        return get(self.host.space, ("127.0.0.1", PORT), path)

    def samples(self) -> Samples:
        """Scrape it."""
        return Samples(text_string_to_metric_families(self.get("/metrics").body))

    def wait_for(self, name: str, value: float, **labels: str) -> Samples:
        """Scrape until a sample has a value."""

        def found() -> Samples | None:
            samples = self.samples()
            return samples if samples.all(name, **labels) == [value] else None

        return wait_until(found, what=f"{name} {labels} is {value}")


@pytest.fixture
def process(host: Host, tmp_path: Path) -> Iterator[Process]:
    """An agent whose folder holds an endpoint and a policy; it has begun to listen."""
    folder = tmp_path / "policy"
    folder.mkdir()
    write(folder, "a.yaml", open_endpoint(host.end.name) + service(6379))
    place = ["--bpffs", str(host.bpffs), "--state", str(tmp_path / "state")]
    listen = ["--node", NODE, "--listen", f"127.0.0.1:{PORT}"]
    with (tmp_path / "log").open("w") as log:
        started = host.space.popen(PYXDP, "agent", str(folder), *place, *listen, stderr=log)
    made = Process(host, folder)
    try:
        wait_until(lambda: started.poll() is not None or _listens(made), what="it listens")
        assert started.poll() is None, (tmp_path / "log").read_text()
        yield made
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 0, (tmp_path / "log").read_text()
    finally:
        started.kill()
        started.wait()


def _listens(process: Process) -> bool:
    try:
        return process.get("/healthz").status == 200
    except ConnectionRefusedError:
        return False


def test_a_life(process: Process) -> None:
    wait_until(lambda: process.get("/readyz")[::2] == (200, "ok\n"), what="it is ready")
    _a_change(process)
    _something_wrong(process)
    _a_source_that_is_gone(process)


def _a_change(process: Process) -> None:
    first = process.wait_for("pyxdp_agent_apply_seconds_count", 1)
    assert first.value("pyxdp_agent_enforcing") == first.value("pyxdp_agent_synced") == 1
    assert first.value("pyxdp_source_texts") == 1
    assert first.value("pyxdp_policy_generation") == 1
    write(process.folder, "b.yaml", service(7000, "Deny", ("TCP",)))
    second = process.wait_for("pyxdp_policy_generation", 2)
    assert second.value("pyxdp_rule_position", policy="deny-7000", direction="ingress") == 0
    process.wait_for("pyxdp_agent_apply_seconds_count", 2)


def _something_wrong(process: Process) -> None:
    write(process.folder, "c.yaml", "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {}\n")
    samples = process.wait_for("pyxdp_agent_problems", 1)
    assert samples.value("pyxdp_agent_enforcing") == 1
    (process.folder / "c.yaml").unlink()
    process.wait_for("pyxdp_agent_problems", 0)


def _a_source_that_is_gone(process: Process) -> None:
    process.wait_for("pyxdp_source_connected", 1)
    process.folder.rename(process.folder.with_name("elsewhere"))
    samples = process.wait_for("pyxdp_source_connected", 0)
    assert samples.value("pyxdp_agent_enforcing") == 1
    status, _, body = process.get("/readyz")
    assert (status, body.splitlines()[0]) == (200, "ok")
    assert re.search(rf"^but: .*{process.folder}", body, re.MULTILINE)
