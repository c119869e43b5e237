"""What is in the image, and what the agent in it does to a node."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.image.containers import TAG, Pod, Podman
from tests.lab.waiting import wait_until
from tests.veth.host import Host, endpoint, service

if TYPE_CHECKING:
    from pathlib import Path

#: Of what seccomp forbids, this would need no capability.
TRACE = "import ctypes; print(ctypes.CDLL(None, use_errno=True).ptrace(0, 0, 0, 0), ctypes.get_errno())"
EPERM = 1


def ask(host: Host, path: str) -> tuple[int, str]:
    """Ask the agent of a node, from the node."""
    with host.space.entered():
        connection = HTTPConnection("127.0.0.1", 9469, timeout=60)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except ConnectionError as error:
            return 0, str(error)
        finally:
            connection.close()


@pytest.fixture
def folder(host: Host, tmp_path: Path) -> Path:
    """The node's policy: Redis, without conntrack, and nothing else."""
    made = tmp_path / "policy"
    made.mkdir()
    (made / "policy.yaml").write_text(endpoint(host.end.name) + service(6379))
    return made


def test_there_is_nothing_to_build_or_install_with(pod: Pod) -> None:
    tools = "cc gcc clang ld make cmake pip pip3 git"
    done = pod.command("-c", f"for it in {tools}; do command -v $it; done; true", entrypoint="sh")
    assert done.stdout == ""
    assert pod.command("-m", "pip", entrypoint="/opt/pyxdp/bin/python", check=False).returncode == 1


def test_its_description(podman: Podman) -> None:
    found = podman.inspect(TAG)["Config"]
    assert (found["Entrypoint"], found["Cmd"]) == (["pyxdp"], ["agent"])
    assert found["Labels"]["org.opencontainers.image.title"] == "pyxdp"


def test_it_has_what_the_manifest_gives_it_and_no_more(pod: Pod) -> None:
    status = pod.command("/proc/self/status", entrypoint="cat").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    net_admin, net_raw, perfmon, bpf = (1 << number for number in (12, 13, 38, 39))
    assert int(fields["CapEff"], 16) == net_admin | net_raw | perfmon | bpf
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert pod.command("/opt/pyxdp/new", entrypoint="touch", check=False).returncode == 1
    assert pod.command("-c", TRACE, entrypoint="python3").stdout.split() == ["-1", str(EPERM)]


def test_the_agent_governs_the_node(pod: Pod, host: Host, folder: Path) -> None:
    host.track_everything()
    with pod.agent(f"{folder}:/etc/pyxdp:ro", arguments=["agent", "--node", "host"]) as name:
        wait_until(lambda: ask(host, "/readyz")[0] == 200, what="it is ready")
        assert ask(host, "/healthz") == (200, "ok\n")
        assert host.can_talk("tcp", 6379)
        assert host.conntrack(6379) == []
        assert host.is_silent("tcp", 8080)
        (attached,) = host.status().endpoints
        assert (attached.attachment.interface, attached.attachment.mode) == (host.end.name, "native")
        samples = [it for family in text_string_to_metric_families(ask(host, "/metrics")[1]) for it in family.samples]
        assert [it.value for it in samples if it.name == "pyxdp_agent_enforcing"] == [1]
        shown = json.loads(pod.command("status", "--json").stdout)
        assert (shown["generation"], shown["drift"]) == (1, [])
        pod.podman.run("stop", "--time", "30", name)
        assert pod.podman.inspect(name)["State"]["ExitCode"] == 0
    assert host.can_talk("tcp", 6379)
    assert host.is_silent("tcp", 8080)


def test_another_one_goes_on_with_what_is_in_force(pod: Pod, host: Host, folder: Path) -> None:
    arguments = ["agent", "--node", "host"]
    links = []
    for _ in range(2):
        with pod.agent(f"{folder}:/etc/pyxdp:ro", arguments=arguments):
            wait_until(lambda: ask(host, "/readyz")[0] == 200, what="it is ready")
            status = host.status()
            links.append((status.generation, status.endpoints[0].attachment.link_id))
    assert links[0] == links[1]


def test_a_boot_brings_the_policy_back(pod: Pod, host: Host, folder: Path) -> None:
    """The init container, without and with something to restore."""
    assert "nothing to restore" in pod.restore().stdout
    with pod.agent(f"{folder}:/etc/pyxdp:ro", arguments=["agent", "--node", "host"]):
        wait_until(lambda: ask(host, "/readyz")[0] == 200, what="it is ready")
    host.delete()
    assert not host.status().applied
    assert "restored: the policy of" in pod.restore().stdout
    assert host.can_talk("tcp", 6379)
    assert host.is_silent("tcp", 8080)
