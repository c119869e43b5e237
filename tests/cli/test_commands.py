"""What each command prints and does when all is well."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.machine import PYXDP, Machine, endpoint, policy
from tests.lab.waiting import wait_until

AT_HOST = ("--node", "host")


# -- apply, status, delete --


def test_apply_tells_what_changes_then_does_it(machine: Machine, manifest: str) -> None:
    done = machine.run("apply", manifest, *AT_HOST)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"+ interface {machine.end.name}: HostEndpoint/hep"
    assert "+ default/redis ingress[0]: Allow" in lines
    assert "+ default/redis egress[0]: Allow" in lines
    assert any(re.fullmatch(r"\+ FelixConfiguration/failsafe ingress: \d+ rules", line) for line in lines)
    assert lines[-2] == f"{machine.end.name}: HostEndpoint/hep, XDP native"
    assert re.fullmatch(r"applied in \d+\.\d\d s", lines[-1])


def test_a_second_apply_has_nothing_to_do(governed: Machine, manifest: str) -> None:
    before = governed.traces()
    done = governed.run("apply", manifest, *AT_HOST)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "nothing to do: this is in force already"
    assert governed.traces() == before
    again = governed.json("apply", manifest, *AT_HOST)
    assert (again["changed"], again["plan"]) == (False, [])


def test_a_rule_that_changes_one_that_comes_and_one_that_goes(governed: Machine) -> None:
    deny = {"action": "Deny", "protocol": "TCP", "destination": {"ports": [6379]}}
    log = {"action": "Log", "protocol": "UDP"}
    edited = governed.write("edited.yaml", endpoint(governed.end.name) + policy(ingress=[deny, log], egress=[]))
    done = governed.run("apply", edited, *AT_HOST)
    assert done.stdout.splitlines()[:3] == [
        "~ default/redis ingress[0]: Allow -> Deny",
        "+ default/redis ingress[1]: Log",
        "- default/redis egress[0]: Allow",
    ]


def test_a_set_with_other_members(machine: Machine) -> None:
    rule = {"action": "Deny", "source": {"selector": "set == 'bad'"}}
    for address, told in (("192.0.2.1", "+ default/redis ingress[0]: Deny"), ("192.0.2.2", "~ the same rules")):
        members = {
            "apiVersion": "projectcalico.org/v3",
            "kind": "GlobalNetworkSet",
            "metadata": {"name": "bad", "labels": {"set": "bad"}},
            "spec": {"nets": [address]},
        }
        text = f"{endpoint(machine.end.name)}{policy(ingress=[rule])}---\n{json.dumps(members)}"
        done = machine.run("apply", machine.write("set.yaml", text), *AT_HOST)
        assert told in done.stdout


def test_a_dry_run_changes_nothing(machine: Machine, manifest: str) -> None:
    before = machine.traces()
    done = machine.run("apply", manifest, *AT_HOST, "--dry-run")
    assert done.returncode == 0
    assert "+ default/redis ingress[0]: Allow" in done.stdout
    assert re.search(r"^ *\d+\. switch to slot \d \(generation 1\)$", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1].endswith("nothing was changed")
    assert machine.traces() == before


def test_apply_repairs_what_somebody_else_changed(governed: Machine, manifest: str) -> None:
    governed.end.namespace.run("iptables", "-t", "raw", "-F", "PYXDP-OUTPUT")
    status = governed.run("status")
    assert "not as it should be; pyxdp apply will:\n  write the rules of" in status.stdout
    assert [it["operation"] for it in governed.json("status")["drift"]] == ["update-rules"]
    done = governed.run("apply", manifest, *AT_HOST)
    assert re.search(r"^ *1\. write the rules of", done.stdout, re.MULTILINE)
    assert governed.json("status")["drift"] == []


def test_manifests_from_everywhere_at_once(machine: Machine) -> None:
    machine.folder.joinpath("more").mkdir()
    machine.write("more/policy.yml", policy("one"))
    machine.write("endpoint.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": []}))
    done = machine.run(
        "check", "more", "-f", "endpoint.json", "-f", "-", *AT_HOST, "--json", stdin=endpoint(machine.end.name)
    )
    found = json.loads(done.stdout)
    assert found["resources"] == {"GlobalNetworkPolicy": 1, "HostEndpoint": 1}
    assert found["endpoints"] == [
        {"name": "hep", "state": "active", "interfaces": [machine.end.name], "detail": ""},
    ]


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_the_iptables_variant(machine: Machine, manifest: str, variant: str) -> None:
    assert machine.run("apply", manifest, *AT_HOST, "--iptables", variant).returncode == 0
    status = machine.json("status", "--iptables", variant)
    assert list(status["tables"]) == [f"IPv{family} tables ({variant})" for family in (4, 6)]
    assert status["drift"] == []


def test_status_counts_what_the_rules_match(governed: Machine) -> None:
    with governed.end.namespace.entered():
        server = socket.create_server((governed.end.ipv4, 6379))
    with server, governed.peer.namespace.entered():
        socket.create_connection((governed.end.ipv4, 6379), timeout=5).close()
    found = governed.json("status")
    (rule,) = [rule for rule in found["rules"] if (rule["policy"], rule["direction"]) == ("redis", "ingress")]
    assert rule["packets"] > 2
    (here,) = found["endpoints"]
    assert (here["interface"], here["endpoint"], here["mode"]) == (governed.end.name, "hep", "native")
    assert here["reasons"]["ingress"]["PASS_ALLOWED"] > 2
    told = governed.run("status").stdout
    assert re.search(r"^generation 1, in force since .* ago\), [0-9a-f]{12}$|just now", told, re.MULTILINE)
    assert re.search(rf"^{governed.end.name} +hep +native +0 +\d+$", told, re.MULTILINE)
    assert re.search(r"^default/redis ingress\[0\] +Allow +\d+ +\d+$", told, re.MULTILINE)
    assert "more without a packet (failsafe ports, defaults): see --all" in told
    assert re.search(r"^conntrack: \d+ of [\d,]+ entries$", told, re.MULTILINE)
    assert re.search(r"^early drop at XDP: (on|off \(.+\))$", told, re.MULTILINE)
    assert len(governed.run("status", "--all").stdout.splitlines()) > len(told.splitlines()) + 10


def test_status_says_why_xdp_is_not_native(machine: Machine) -> None:
    with machine.end.namespace.links() as ip:
        ip.link("add", ifname="br0", kind="bridge")
    manifest = machine.write("bridge.yaml", endpoint("br0") + policy())
    done = machine.run("apply", manifest, *AT_HOST)
    assert done.returncode == 0
    assert "br0: HostEndpoint/hep, XDP generic (driver bridge: no native XDP" in done.stdout
    assert re.search(
        r"^br0 +hep +generic +\d+ +\d+ +driver bridge: no native XDP", machine.run("status").stdout, re.MULTILINE
    )


def test_delete_leaves_nothing_behind(machine: Machine, manifest: str) -> None:
    before = machine.traces()
    machine.run("apply", manifest, *AT_HOST)
    applied = machine.traces()
    assert applied != before
    dry = machine.run("delete", "--dry-run")
    assert (dry.returncode, dry.stdout.splitlines()[-1]) == (0, "dry run: nothing was changed")
    assert machine.traces() == applied
    done = machine.run("delete")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"- detach XDP from {machine.end.name}" in done.stdout
    assert machine.traces() == before
    assert machine.run("delete").stdout == "nothing to do: there is nothing of pyxdp here\n"
    assert machine.run("status").stdout == "no policy is in force\n"
    assert machine.json("status")["applied"] is False


# -- check, compile, version --


def test_check_tells_what_each_endpoint_becomes(machine: Machine) -> None:
    text = endpoint(machine.end.name) + endpoint("eth77", name="lost") + endpoint("eth0", name="other", node="else")
    done = machine.run("check", machine.write("all.yaml", text + policy()), *AT_HOST)
    assert done.returncode == 0
    assert re.search(rf"^hep +active +{machine.end.name}$", done.stdout, re.MULTILINE)
    assert re.search(r"^lost +no interface +no interface is named eth77$", done.stdout, re.MULTILINE)
    assert "other" not in done.stdout
    warning, notice = done.stderr.splitlines()
    assert warning == "warning: HostEndpoint/lost: no interface: no interface is named eth77"
    assert notice.startswith("notice: FelixConfiguration/default: the default failsafe ports are open")
    assert done.stdout.splitlines()[-2:] == [
        "1 GlobalNetworkPolicy, 3 HostEndpoint: valid",
        f"node host: 1 interface governed, {machine.json('check', 'all.yaml', *AT_HOST)['rules']} rules",
    ]


def test_check_asks_for_the_host_name_unless_told(machine: Machine) -> None:
    text = endpoint(machine.end.name, node=socket.gethostname())
    assert machine.json("check", machine.write("here.yaml", text))["endpoints"][0]["state"] == "active"


def test_compile_shows_rules_in_order_and_the_digest(machine: Machine, manifest: str) -> None:
    found = machine.json("compile", manifest, *AT_HOST)
    (here,) = found["endpoints"]
    assert (here["interface"], here["endpoint"], here["number"]) == (machine.end.name, "hep", 0)
    lists = {(one["class"], one["direction"]): one for one in here["rulesets"]}
    assert len(lists) == len(here["rulesets"]) == 7
    ingress = lists["untracked", "ingress"]
    allow, end = ingress["rules"][-2:]
    assert (allow["verdict"], allow["policy"], allow["action"], allow["rule"]) == ("allow", "redis", "Allow", 0)
    assert (end["verdict"], end["identity"]) == ("none", "")
    assert [rule["number"] for rule in ingress["rules"]] == list(range(len(ingress["rules"])))
    assert {rule["verdict"] for rule in ingress["rules"][:-2]} == {"failsafe"}
    assert ingress["classes"]["remote"] == 1
    assert ingress["classes"]["service"] > 2
    assert found["tables"]["rules"]["bytes"] == 16 * found["tables"]["rules"]["entries"]
    told = machine.run("compile", manifest, *AT_HOST).stdout
    assert re.search(
        rf"^ +{allow['number']}  allow +default/redis ingress\[0\] +{allow['identity']}$", told, re.MULTILINE
    )
    assert told.splitlines()[-1] == f"digest {found['digest']}"
    machine.run("apply", manifest, *AT_HOST)
    assert machine.json("status")["digest"] == found["digest"]


def test_version(machine: Machine) -> None:
    found = machine.json("version")
    assert list(found) == ["pyxdp", "abi", "object", "libbpf", "kernel", "machine"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["pyxdp"])
    assert re.fullmatch(r"[0-9a-f]{64}", found["object"])
    assert re.fullmatch(r"[\d.]+", found["libbpf"])
    assert found["kernel"] in Path("/proc/version").read_text()
    assert f"libbpf   {found['libbpf']}" in machine.run("version").stdout


def test_help_tells_the_exit_codes() -> None:
    for arguments in ([], ["--help"], ["apply", "-h"], ["status", "--help"]):
        done = subprocess.run([PYXDP, *arguments], capture_output=True, text=True, check=True)
        assert "Exit codes:" in done.stdout
        assert re.search(r"^ +3 +the machine is not ready", done.stdout, re.MULTILINE)


# -- log --


@pytest.fixture
def logging_machine(machine: Machine) -> Machine:
    """UDP to port 5000 and pings are logged."""
    rules = [
        {"action": "Log", "protocol": "UDP", "destination": {"ports": [5000]}},
        {"action": "Log", "protocol": "ICMPv6", "icmp": {"type": 128}},
    ]
    felix = """
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {logPrefix: "seen %t/%n"}
"""
    text = endpoint(machine.end.name) + policy("watch", ingress=rules, egress=[]) + felix
    done = machine.run("apply", machine.write("log.yaml", text), *AT_HOST)
    assert done.returncode == 0, done.stderr
    return machine


def _send(machine: Machine) -> None:
    with machine.peer.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((machine.peer.ipv4, 4000))
        sender.sendto(b"hello", (machine.end.ipv4, 5000))


def test_log_prints_a_line_for_each_packet(logging_machine: Machine) -> None:
    end, peer = logging_machine.end, logging_machine.peer
    _send(logging_machine)
    with logging_machine.start("log", "log.yaml", *AT_HOST) as process:
        assert process.stdout
        line = process.stdout.readline()
        _send(logging_machine)
        second = process.stdout.readline()
        process.send_signal(2)
        assert process.wait(60) == 0
        assert process.stderr
        assert process.stderr.read() == ""
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z seen default/watch: "
        rf"IN={end.name} OUT= SRC={peer.ipv4} DST={end.ipv4} LEN=\d+ PROTO=UDP SPT=4000 DPT=5000 "
        r"RULE=default/watch/ingress\[0\]\n",
        line,
    )
    assert second.split(" ")[1:] == line.split(" ")[1:]
    assert second > line


def test_log_as_json(logging_machine: Machine) -> None:
    end, peer = logging_machine.end, logging_machine.peer
    _send(logging_machine)
    with logging_machine.start("log", "--json") as process:
        assert process.stdout
        found = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(60) == 0
    del found["time"], found["length"]
    assert found == {
        "interface": end.name,
        "direction": "ingress",
        "source": peer.ipv4,
        "destination": end.ipv4,
        "protocol": "UDP",
        "fragment": False,
        "tier": "default",
        "kind": "GlobalNetworkPolicy",
        "policy": "watch",
        "rule": 0,
        "source_port": 4000,
        "destination_port": 5000,
    }


def test_log_ends_when_the_policy_is_deleted(logging_machine: Machine) -> None:
    _send(logging_machine)
    with logging_machine.start("log") as process:
        assert process.stdout
        assert "calico-packet: " in process.stdout.readline()
        logging_machine.run("delete")
        wait_until(lambda: process.poll() is not None)
        assert process.returncode == 3
        assert process.stderr
        assert "error: no policy is in force" in process.stderr.read()


def test_log_ends_when_nobody_reads(logging_machine: Machine) -> None:
    _send(logging_machine)
    with logging_machine.start("log") as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        _send(logging_machine)
        assert process.wait(60) == 0
        assert process.stderr
        assert process.stderr.read() == ""
