"""Real sessions between two namespaces, and policies that would cut them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.cli.machine import Machine, endpoint, policy
from tests.lab.flows import SILENT, Flow, conversation, expect
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.lab.flows import Conversation

AT_HOST = ("--node", "host")
PORT = 2222
DENY_ALL = [{"action": "Deny"}]


def session(
    machine: Machine,
    port: int = PORT,
    *,
    family: int = 4,
    out: bool = False,
    transport: Literal["tcp", "udp"] = "tcp",
) -> AbstractContextManager[Conversation]:
    """A session of the host's: somebody has come to its port, or it has gone to somebody's."""
    client, server = (machine.end, machine.peer) if out else (machine.peer, machine.end)
    source, target = (client.ipv4, server.ipv4) if family == 4 else (client.ipv6, server.ipv6)
    return conversation(
        Flow(transport, client.namespace, server.namespace, (source, 0), (target, port), (target, port))
    )


def tracked(machine: Machine) -> None:
    """Let connection tracking be at work on the host, as with any stateful firewall."""
    for tool in ("iptables", "ip6tables"):
        machine.end.namespace.run(tool, "-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")


def normal(name: str = "closed", **spec: Any) -> str:
    """A policy of the normal class that allows nothing."""
    return policy(name, doNotTrack=False, applyOnForward=False, **({"ingress": [], "egress": []} | spec))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("way", ["in", "out"])
def test_untracked_deny(governed: Machine, family: int, way: str) -> None:
    """Untracked policy asks nobody whether a session is established."""
    text = endpoint(governed.end.name) + policy("lockdown", ingress=[{"action": "Allow", "protocol": "UDP"}, *DENY_ALL])
    governed.write("lockdown.yaml", text)
    before = governed.traces()
    with session(governed, family=family, out=way == "out") as talk:
        done = governed.run("apply", "lockdown.yaml", *AT_HOST)
        assert done.returncode == 2
        line = next(number for number, it in enumerate(text.splitlines(), 1) if '"Deny"' in it)
        assert f"error: lockdown.yaml:{line}" in done.stderr
        assert "default/lockdown/ingress[1] (Deny) would cut the established session of " in done.stderr
        assert f"ingress on {governed.end.name}" in done.stderr
        assert "--force" in done.stderr
        assert governed.traces() == before
        assert talk.goes_on()
        found = governed.run("apply", "lockdown.yaml", *AT_HOST, "--json")
        assert len(json.loads(found.stdout)["error"]["cuts"]) == 1


@pytest.mark.parametrize("out", [False, True])
def test_untracked_deny_of_udp(governed: Machine, *, out: bool) -> None:
    governed.write("lockdown.yaml", endpoint(governed.end.name) + policy("lockdown", ingress=DENY_ALL))
    with session(governed, transport="udp", out=out) as talk:
        done = governed.run("apply", "lockdown.yaml", *AT_HOST)
        assert done.returncode == 2
        assert "default/lockdown/ingress[0] (Deny) would cut the established session of UDP " in done.stderr
        assert talk.goes_on()


def test_a_udp_socket_that_nobody_uses(machine: Machine) -> None:
    """It is connected, and connection tracking, which would know, has forgotten."""
    machine.write("closed.yaml", endpoint(machine.end.name) + normal())
    tracked(machine)
    with session(machine, transport="udp"), session(machine, PORT + 1):
        assert machine.run("apply", "closed.yaml", *AT_HOST, "--dry-run").returncode == 0
        machine.end.namespace.run("conntrack", "-D", "-p", "udp")
        done = machine.run("apply", "closed.yaml", *AT_HOST)
        assert done.returncode == 0, done.stderr


def test_a_port_of_a_bridge(machine: Machine) -> None:
    """The session is the bridge's; untracked policy of the port ends it, and no other policy of the port does."""
    space, name = machine.end.namespace, machine.end.name
    space.run("ip", "link", "add", "br0", "type", "bridge")
    for command in (f"addr flush dev {name}", f"link set {name} master br0", "link set br0 up"):
        space.run("ip", *command.split())
    space.run("ip", "address", "add", f"{machine.end.ipv4}/24", "dev", "br0")
    machine.write("closed.yaml", endpoint(name) + normal())
    machine.write("lockdown.yaml", endpoint(name) + policy("lockdown", ingress=DENY_ALL))
    with session(machine) as talk:
        done = machine.run("apply", "lockdown.yaml", *AT_HOST)
        assert done.returncode == 2, done.stderr
        assert "default/lockdown/ingress[0] (Deny) would cut the established session of " in done.stderr
        assert machine.run("apply", "closed.yaml", *AT_HOST).returncode == 0
        assert talk.goes_on()
        assert machine.run("apply", "lockdown.yaml", *AT_HOST, "--force").returncode == 0
    here, there = (machine.end.ipv4, PORT + 1), (machine.peer.ipv4, 0)
    expect({Flow("tcp", machine.peer.namespace, space, there, here, here): SILENT})


def test_forced(governed: Machine) -> None:
    governed.write("lockdown.yaml", endpoint(governed.end.name) + policy("lockdown", ingress=DENY_ALL))
    with session(governed):
        dry = governed.json("apply", "lockdown.yaml", *AT_HOST, "--dry-run")
        assert len(dry["cuts"]) == 1
        done = governed.run("apply", "lockdown.yaml", *AT_HOST, "--force")
        assert done.returncode == 0
        assert "warning: lockdown.yaml:" in done.stderr
        assert {it["policy"] for it in governed.json("status")["rules"] if it["tier"]} >= {"lockdown"}


def test_what_is_cut_already_is_no_cut(governed: Machine) -> None:
    governed.write("lockdown.yaml", endpoint(governed.end.name) + policy("lockdown", ingress=DENY_ALL))
    governed.write("other.yaml", endpoint(governed.end.name) + policy("other", ingress=DENY_ALL))
    with session(governed):
        assert governed.run("apply", "lockdown.yaml", *AT_HOST, "--force").returncode == 0
        assert governed.run("apply", "other.yaml", *AT_HOST).returncode == 0


def test_an_established_session_lives_through_normal_policy(machine: Machine) -> None:
    machine.write("closed.yaml", endpoint(machine.end.name) + normal())
    tracked(machine)
    with session(machine) as talk:
        done = machine.run("apply", "closed.yaml", *AT_HOST)
        assert done.returncode == 0, done.stderr
        assert talk.goes_on()


def test_a_session_that_conntrack_does_not_know(machine: Machine) -> None:
    """Where nothing has tracked connections before, normal policy takes its next packet for a new connection."""
    text = endpoint(machine.end.name) + normal()
    machine.write("closed.yaml", text)
    with session(machine):
        done = machine.run("apply", "closed.yaml", *AT_HOST)
        assert done.returncode == 2
        assert "would cut the established session of" in done.stderr
        assert machine.json("status")["applied"] is False


def test_a_session_that_conntrack_does_not_know_and_policy_allows_one_way(machine: Machine) -> None:
    """The first packet that passes makes it known."""
    allowed = [{"action": "Allow", "protocol": "TCP", "destination": {"ports": [PORT]}}]
    machine.write("open.yaml", endpoint(machine.end.name) + normal(ingress=allowed))
    with session(machine) as talk:
        done = machine.run("apply", "open.yaml", *AT_HOST)
        assert done.returncode == 0, done.stderr
        assert talk.goes_on()


def test_a_session_that_was_untracked(machine: Machine) -> None:
    """What left connection tracking until now is new to it, and to normal policy, when it does no longer."""
    both = [{"action": "Allow", "protocol": "TCP"}]
    tracked(machine)
    machine.write("free.yaml", endpoint(machine.end.name) + policy("free", ingress=both, egress=both))
    machine.write("closed.yaml", endpoint(machine.end.name) + normal())
    assert machine.run("apply", "free.yaml", *AT_HOST).returncode == 0
    with session(machine) as talk:
        done = machine.run("apply", "closed.yaml", *AT_HOST)
        assert done.returncode == 2, done.stderr
        assert "would cut the established session of" in done.stderr
        assert talk.goes_on()


def test_sessions_that_the_same_rule_cuts_are_one_line(governed: Machine) -> None:
    governed.write("lockdown.yaml", endpoint(governed.end.name) + policy("lockdown", ingress=DENY_ALL))
    with session(governed), session(governed, PORT + 1), session(governed, PORT + 2):
        told = governed.run("apply", "lockdown.yaml", *AT_HOST).stderr.splitlines()
    errors = [line for line in told if line.startswith("error:")]
    assert len(errors) == 1
    assert " and 2 more: ingress on" in errors[0]


def failsafes(*ports: int) -> str:
    listed = [{"protocol": "TCP", "port": port} for port in ports]
    spec = {"failsafeInboundHostPorts": listed, "failsafeOutboundHostPorts": listed}
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "FelixConfiguration",
        "metadata": {"name": "default"},
        "spec": spec,
    }
    return f"\n---\n{json.dumps(document)}\n"


def test_a_session_that_only_a_failsafe_port_kept_alive(machine: Machine) -> None:
    text = endpoint(machine.end.name) + policy("lockdown", ingress=DENY_ALL, egress=DENY_ALL)
    machine.write("safe.yaml", text + failsafes(PORT))
    machine.write("unsafe.yaml", text + failsafes())
    assert machine.run("apply", "safe.yaml", *AT_HOST).returncode == 0
    with session(machine) as talk:
        done = machine.run("apply", "unsafe.yaml", *AT_HOST)
        assert done.returncode == 2
        assert "default/lockdown/ingress[0] (Deny) would cut" in done.stderr
        assert talk.goes_on()
    done = machine.run("apply", "unsafe.yaml", *AT_HOST)
    assert done.returncode == 0
    assert "failsafeInboundHostPorts is empty now: no port stays open whatever policy says" in done.stderr


def test_the_own_ssh_session(machine: Machine) -> None:
    """It lives, but nobody could come in again. What sudo keeps from the command is known from who called it."""
    tracked(machine)
    machine.write("closed.yaml", endpoint(machine.end.name) + normal())
    with session(machine) as talk:
        remote, port = talk._ends[0].getsockname()[:2]
        said = {"SSH_CONNECTION": f"{remote} {port} {machine.end.ipv4} {PORT}"}
        command = ["env", "-u", "SSH_CONNECTION", *machine.arguments("apply", "closed.yaml", *AT_HOST)]
        done = machine.end.namespace.run(
            *("sh", "-c", '"$@"; exit $?', "sh", *command), cwd=machine.folder, env={**os.environ, **said}, check=False
        )
        assert done.returncode == 0, done.stderr
        assert f"would deny another session like yours, {remote}:{port} at {machine.end.ipv4}:{PORT}" in done.stderr
        assert talk.goes_on()


def test_the_way_to_the_api_server(machine: Machine) -> None:
    kubeconfig = {"clusters": [{"name": "c", "cluster": {"server": f"https://{machine.peer.ipv4}:6440"}}]}
    machine.write("kubeconfig", json.dumps(kubeconfig))
    machine.write(
        "open.yaml",
        endpoint(machine.end.name) + normal("open", ingress=[{"action": "Allow"}], egress=[{"action": "Allow"}]),
    )
    machine.write("closed.yaml", endpoint(machine.end.name) + normal())
    env = {"KUBECONFIG": str(machine.folder / "kubeconfig")}
    assert machine.run("apply", "open.yaml", *AT_HOST, env=env).returncode == 0
    done = machine.run("apply", "closed.yaml", *AT_HOST, env=env)
    assert done.returncode == 2
    assert f"would cut the way to the API server {machine.peer.ipv4} port 6440: egress" in done.stderr
    assert machine.run("apply", "closed.yaml", *AT_HOST).returncode == 0


def test_the_way_to_an_api_server_with_a_name(machine: Machine) -> None:
    kubeconfig = {"clusters": [{"name": "c", "cluster": {"server": "https://api.test:6440"}}]}
    machine.write("kubeconfig", json.dumps(kubeconfig))
    machine.write("hosts", f"{machine.peer.ipv4} api.test\n")
    machine.write("closed.yaml", endpoint(machine.end.name) + normal())
    env = {"KUBECONFIG": str(machine.folder / "kubeconfig")}
    line = f"would cut the way to the API server {machine.peer.ipv4} port 6440: egress"

    def told() -> bool:
        arguments = ("apply", "closed.yaml", *AT_HOST, "--dry-run")
        return line in machine.run(*arguments, env=env, before="mount --bind hosts /etc/hosts").stderr

    wait_until(told, what="a name is waited for, but not for long")


def test_the_way_to_an_api_server_that_is_a_service(machine: Machine) -> None:
    """As a pod is told of it: rewritten before policy of the host sees a packet."""
    service, real = ("10.96.0.1", 443), (machine.peer.ipv4, 6440)
    space = machine.end.namespace
    space.run("ip", "route", "add", "10.96.0.0/12", "dev", machine.end.name)
    rewrite = (
        "-p",
        "tcp",
        "-d",
        service[0],
        "--dport",
        "443",
        "-j",
        "DNAT",
        "--to-destination",
        f"{real[0]}:{real[1]}",
    )
    space.run("iptables", "-t", "nat", "-A", "OUTPUT", *rewrite)

    def closed(net: str, port: int) -> str:
        there = {"action": "Allow", "protocol": "TCP", "destination": {"nets": [net], "ports": [port]}}
        return endpoint(machine.end.name) + normal(ingress=[{"action": "Allow"}], egress=[there])

    machine.write("right.yaml", closed(f"{real[0]}/32", real[1]))
    machine.write("wrong.yaml", closed("10.96.0.1/32", 443))
    env = {"KUBERNETES_SERVICE_HOST": service[0], "KUBERNETES_SERVICE_PORT": str(service[1])}
    with conversation(Flow("tcp", space, machine.peer.namespace, (machine.end.ipv4, 0), service, real)) as talk:
        done = machine.run("apply", "wrong.yaml", *AT_HOST, env=env)
        assert done.returncode == 2
        assert f"would cut the way to the API server {real[0]} port {real[1]}: egress" in done.stderr
        done = machine.run("apply", "right.yaml", *AT_HOST, env=env)
        assert done.returncode == 0, done.stderr
        assert talk.goes_on()


def test_nothing_is_loaded_when_nothing_is_at_stake(governed: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("pyxdp.guard.guard.TrialHost", refused)
    governed.write("lockdown.yaml", endpoint(governed.end.name) + policy("lockdown", ingress=DENY_ALL))
    assert governed.run("apply", "lockdown.yaml", *AT_HOST).returncode == 0
