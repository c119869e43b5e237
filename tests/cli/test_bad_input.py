"""What is wrong gives one clear line and a hint, the documented exit code, and changes nothing."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.cli.machine import Machine, endpoint, policy
from tests.lab.network import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.inside import Done
    from tests.lab.network import Namespace

AUTHOR, OPERATOR = 2, 3
AT_HOST = ("--node", "host")
ROOT_WITHOUT_RIGHTS = 'exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
NOBODY = 'exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"'


@dataclass
class Refusal:
    """What a command said that failed."""

    errors: list[str]
    hint: str


def refused(done: Done, exit_code: int) -> Refusal:
    """Errors, then one hint, and no word on stdout; no traceback and no other noise."""
    assert done.returncode == exit_code, done
    told = [line for line in done.stderr.splitlines() if not line.startswith(("warning: ", "notice: "))]
    assert told[-1].startswith("hint: "), done.stderr
    assert all(line.startswith("error: ") for line in told[:-1]), done.stderr
    return Refusal([line.removeprefix("error: ") for line in told[:-1]], told[-1].removeprefix("hint: "))


def apply_refused(machine: Machine, manifest: str, exit_code: int, *options: str, before: str = "") -> Refusal:
    """Apply what must fail, where a policy is in force already; nothing may change."""
    there = machine.traces()
    done = machine.run("apply", *AT_HOST, "-", *options, stdin=manifest, before=before)
    assert machine.traces() == there
    return refused(done, exit_code)


# -- the author's mistakes --


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: [", "-:2:1: $: not YAML: "),
        ("[" * 200, "$: nested deeper than 100 levels"),
        (endpoint("eth0").replace('"eth0"', "[1]"), "HostEndpoint/hep: $.spec.interfaceName: "),
        (policy(order="soon"), "GlobalNetworkPolicy/redis: $.spec.order: "),
        (policy(selector="role == 'a' &&"), "GlobalNetworkPolicy/redis: $.spec.selector: "),
        (policy(ingress=[{"action": "Alow"}]), "GlobalNetworkPolicy/redis: $.spec.ingress[0].action: "),
        (policy(colour="red"), "GlobalNetworkPolicy/redis: $.spec.colour: "),
        (endpoint("eth0").replace("HostEndpoint", "HostEndpiont"), "did you mean `HostEndpoint`?"),
        ("a" * 10_000_000, "-:1:1: $: a resource is a mapping"),
        ("[" * 10_000_000, "$: nested deeper than 100 levels"),
        ("#" * (130 << 20), "larger than 128 MiB"),
    ],
    ids=[
        "broken YAML",
        "nesting",
        "list for text",
        "text for number",
        "selector",
        "action",
        "unknown field",
        "unknown kind",
        "10 MB of text",
        "10 MB of brackets",
        "130 MiB",
    ],
)
def test_a_manifest_that_is_wrong(governed: Machine, text: str, says: str) -> None:
    told = apply_refused(governed, text, AUTHOR)
    assert len(told.errors) == 1
    assert says in told.errors[0]
    assert told.hint == "1 place to correct; nothing was changed"


def test_all_mistakes_of_all_files_at_once(governed: Machine) -> None:
    governed.write("a.yaml", policy(order="soon") + endpoint("e/0"))
    governed.write("b.yaml", policy("b", selector="(("))
    done = governed.run("apply", "a.yaml", "b.yaml", "missing.yaml", *AT_HOST)
    told = refused(done, AUTHOR)
    assert [line.split(":")[0] for line in told.errors] == ["a.yaml", "a.yaml", "b.yaml", "missing.yaml"]
    as_json = governed.run("apply", "a.yaml", "b.yaml", "missing.yaml", *AT_HOST, "--json")
    error = json.loads(as_json.stdout)["error"]
    assert (error["type"], error["exit_code"], as_json.returncode) == ("ManifestError", AUTHOR, AUTHOR)
    assert [it["file"] for it in error["problems"]] == ["a.yaml", "a.yaml", "b.yaml", "missing.yaml"]
    assert error["problems"][0].keys() == {"file", "line", "column", "object", "path", "message"}


@pytest.mark.parametrize("name", ["missing.yaml", "folder"])
def test_a_file_that_can_not_be_read(governed: Machine, name: str) -> None:
    (governed.folder / "folder").mkdir()
    there = governed.traces()
    told = refused(governed.run("apply", name, *AT_HOST), AUTHOR)
    assert name in told.errors[0]
    assert governed.traces() == there


def test_policy_that_can_not_be_known_is_named(governed: Machine) -> None:
    """Which addresses a service has is not in the manifests."""
    services = [{"action": "Allow", "source": {"services": {"name": "dns", "namespace": "kube-system"}}}]
    text = endpoint(governed.end.name) + policy("by-service", ingress=services) + policy("fine")
    told = apply_refused(governed, text, AUTHOR)
    assert len(told.errors) == 1
    assert told.errors[0].startswith("GlobalNetworkPolicy/by-service: ")
    done = governed.run("check", "-", *AT_HOST, "--json", stdin=text)
    error = json.loads(done.stdout)["error"]
    assert error["type"] == "UnsupportedPolicyError"
    assert [it["object"] for it in error["policies"]] == ["GlobalNetworkPolicy/by-service"]


def test_more_rules_than_the_programs_can_handle(governed: Machine) -> None:
    # A rule with a named port is one for each port that the name stands for: 182 of them.
    elsewhere = [
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "HostEndpoint",
            "metadata": {"name": f"other-{number}"},
            "spec": {
                "node": "elsewhere",
                "interfaceName": "eth0",
                "expectedIPs": [f"192.0.2.{number}"],
                "ports": [{"name": "service", "protocol": "TCP", "port": 1000 + number}],
            },
        }
        for number in range(182)
    ]
    rule = {"action": "Allow", "protocol": "TCP", "destination": {"ports": ["service"]}}
    items = {"apiVersion": "v1", "kind": "List", "items": elsewhere}
    many = [{**rule, "source": {"nets": [f"198.51.100.{number}/32"]}} for number in range(182)]
    text = f"{endpoint(governed.end.name)}{policy(ingress=many)}---\n{json.dumps(items)}"
    told = apply_refused(governed, text, AUTHOR)
    assert len(told.errors) == 1
    assert f"{governed.end.name} untracked ingress: rules: 33,1" in told.errors[0]
    assert "at most 32,768 possible" in told.errors[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["aply"], "No such command 'aply'"),
        (["apply"], "no manifests"),
        (["apply", "x.yaml", "--iptables", "old"], "'old' is not one of"),
        (["apply", "x.yaml", "--lock-timeout", "soon"], "'soon' is not a valid float"),
        (["check", "x.yaml", "--dryrun"], "No such option"),
    ],
)
def test_a_command_line_that_makes_no_sense(machine: Machine, arguments: list[str], says: str) -> None:
    told = refused(machine.run(*arguments), AUTHOR)
    assert says in told.errors[0]
    assert told.hint.startswith("see: pyxdp")
    error = json.loads(machine.run(*arguments, "--json").stdout)["error"]
    assert (error["type"], error["exit_code"]) == ("UsageError", AUTHOR)


# -- host endpoints that govern nothing --


def test_an_endpoint_without_interface_is_told_and_the_others_applied(machine: Machine) -> None:
    text = endpoint(machine.end.name) + endpoint("eth77", name="lost") + policy()
    done = machine.run("apply", "-", *AT_HOST, stdin=text)
    assert done.returncode == 0
    assert done.stderr == "warning: HostEndpoint/lost: no interface: no interface is named eth77\n"
    assert [it["endpoint"] for it in machine.json("status")["endpoints"]] == ["hep"]
    found = json.loads(machine.run("apply", "-", *AT_HOST, "--json", stdin=text).stdout)
    assert [(it["name"], it["state"]) for it in found["endpoints"]] == [("hep", "active"), ("lost", "no interface")]


def test_only_endpoints_without_interface(governed: Machine) -> None:
    told = apply_refused(governed, endpoint("eth77", name="lost") + policy(), OPERATOR)
    assert told.errors == [
        "no HostEndpoint of node host governs an interface of this machine (lost: no interface is named eth77)"
    ]
    assert "--node" in told.hint


def test_no_endpoint_for_this_node(governed: Machine) -> None:
    told = apply_refused(governed, endpoint(governed.end.name, node="other") + policy(), OPERATOR)
    assert told.errors == ["no HostEndpoint is for node host"]
    assert "--node" in told.hint
    assert "pyxdp delete" in told.hint


def test_no_endpoint_on_purpose(governed: Machine) -> None:
    done = governed.run("apply", "-", *AT_HOST, "--allow-empty", stdin=policy())
    assert done.returncode == 0
    assert f"- interface {governed.end.name}: HostEndpoint/hep" in done.stdout
    assert governed.json("status")["endpoints"] == []


def test_the_loopback_interface_gets_generic_xdp(machine: Machine) -> None:
    done = machine.run("apply", "-", *AT_HOST, stdin=endpoint("lo") + policy())
    assert done.returncode == 0
    assert "lo: HostEndpoint/hep, XDP generic (driver " in done.stdout


# -- the machine is not ready --


def _as_nobody_works() -> bool:
    """Whether nobody may run this Python at all."""
    command = ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c", "import pyxdp.cli"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


WITHOUT_RIGHTS = [ROOT_WITHOUT_RIGHTS, *([NOBODY] if _as_nobody_works() else [])]


@pytest.mark.parametrize("become", WITHOUT_RIGHTS, ids=["root", "nobody"][: len(WITHOUT_RIGHTS)])
def test_no_privileges(governed: Machine, become: str) -> None:
    manifest = endpoint(governed.end.name) + policy("other")
    told = apply_refused(governed, manifest, OPERATOR, before=become)
    assert len(told.errors) == 1
    assert "capabilities" in told.errors[0]
    assert told.hint.startswith("run as root")
    there = governed.traces()
    for command in ("status", "delete"):
        told = refused(governed.run(command, before=become), OPERATOR)
        assert len(told.errors) == 1
        assert "run as root" in told.hint
    assert governed.traces() == there
    assert governed.run("check", "-", *AT_HOST, stdin=manifest, before=become).returncode == 0


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        ("umount -l /sys/fs/bpf", "No such file or directory"),
        ("mount -t tmpfs none /sys/fs/bpf; mkdir /sys/fs/bpf/{}", "no bpffs is mounted at"),
        ("mount -o remount,ro,bind /sys/fs/bpf", "is not writable"),
    ],
    ids=["not mounted", "another filesystem", "read-only"],
)
def test_no_bpffs(governed: Machine, prepare: str, says: str) -> None:
    before = prepare.format(governed.bpffs.name)
    told = apply_refused(governed, endpoint(governed.end.name) + policy("other"), OPERATOR, before=before)
    assert len(told.errors) == 1
    assert says in told.errors[0]
    assert "mount" in told.hint


def test_a_kernel_that_does_not_describe_its_types(machine: Machine, manifest: str) -> None:
    """The programs need no BTF of the kernel, so without it everything works."""
    done = machine.run("apply", manifest, *AT_HOST, before="mount -t tmpfs none /sys/kernel/btf")
    assert done.returncode == 0, done.stderr
    assert "XDP native" in done.stdout


def test_no_iptables(machine: Machine) -> None:
    manifest = endpoint(machine.end.name) + policy()
    told = apply_refused(machine, manifest, OPERATOR, before="mount -t tmpfs none /usr/sbin")
    assert told.errors == ["iptables is not installed"]
    assert "package iptables" in told.hint


def test_iptables_that_is_too_old(machine: Machine) -> None:
    """As 1.4.21 answers; it is only asked to fail."""
    old = """
mount -t tmpfs none /usr/sbin
for name in iptables ip6tables; do
  printf '#!/bin/sh\\necho "iptables v1.4.21"\\n' >/usr/sbin/$name
  printf '#!/bin/sh\\nexit 0\\n' >/usr/sbin/$name-save
  printf '#!/bin/sh\\necho "%s-restore: unknown option --wait=10" >&2\\nexit 2\\n' $name >/usr/sbin/$name-restore
done
chmod +x /usr/sbin/*"""
    there = machine.traces()
    done = machine.run("apply", "-", *AT_HOST, stdin=endpoint(machine.end.name) + policy(), before=old)
    assert machine.traces() == there
    assert (done.returncode, done.stderr.splitlines()) == (
        OPERATOR,
        ["error: iptables-restore: unknown option --wait=10", "hint: iptables 1.6.2 or newer is needed"],
    )


def test_somebody_else_s_program_at_the_hook(machine: Machine, bpf_object: Callable[[str], os.PathLike[str]]) -> None:
    run = machine.end.namespace.run
    run("bpftool", "prog", "load", str(bpf_object("slow")), str(machine.bpffs / "theirs"), "type", "xdp")
    run("bpftool", "net", "attach", "xdp", "pinned", str(machine.bpffs / "theirs"), "dev", machine.end.name)
    told = apply_refused(machine, endpoint(machine.end.name) + policy(), OPERATOR)
    assert f"interface {machine.end.name} has an XDP program already: 'slow'" in told.errors[0]
    assert "never replaced" in told.hint


def test_the_pins_of_another_namespace(governed: Machine, netns: Callable[[], Namespace]) -> None:
    there = governed.traces()
    end, peer = connect(netns(), netns())
    other = Machine(end, peer, governed.bpffs, governed.folder)
    for command in (["status"], ["apply", "-", *AT_HOST]):
        told = refused(other.run(*command, stdin=endpoint(end.name) + policy()), OPERATOR)
        assert "belong to another network namespace" in told.errors[0]
    assert governed.traces() == there


def test_two_at_once(governed: Machine) -> None:
    """Who holds the lock is waited for; with a timeout, not for ever."""
    manifest = endpoint(governed.end.name) + policy("second")
    folder = os.open(governed.bpffs, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        told = apply_refused(governed, manifest, OPERATOR, "--lock-timeout", "0.1")
        assert "another pyxdp has been changing" in told.errors[0]
        governed.write("second.yaml", manifest)
        with governed.start("apply", "second.yaml", *AT_HOST) as process:
            assert process.stderr
            assert process.stderr.readline() == "notice: another pyxdp is at work: waiting for it\n"
            fcntl.flock(folder, fcntl.LOCK_UN)
            assert process.wait(60) == 0
            assert process.stderr.read() == ""
    finally:
        os.close(folder)
    written = [it for it in governed.json("status")["rules"] if it["kind"] == "GlobalNetworkPolicy"]
    assert {it["policy"] for it in written} == {"second"}


def test_nothing_to_log(machine: Machine) -> None:
    told = refused(machine.run("log"), OPERATOR)
    assert told.errors == ["no policy is in force: there is nothing to log"]


def test_a_full_disk(governed: Machine) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        process = governed.start("status", stdout=full)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (OPERATOR, "error: can not write the output: No space left on device\n")
