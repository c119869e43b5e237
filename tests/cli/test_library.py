"""``import pyxdp``: light, typed, and the same steps as the command."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

import pyxdp
import pyxdp.steps
from pyxdp.errors import OperatorError, UnknownInterfaceError
from tests.cli.machine import endpoint, policy

if TYPE_CHECKING:
    from tests.cli.machine import Machine

HEAVY = ["_cffi_backend", "click", "pydantic", "pyroute2", "rich", "subprocess", "yaml"]


def modules_after(code: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after some code, beyond those it starts with."""
    script = f"import sys; before = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_import_is_light() -> None:
    loaded = modules_after("import pyxdp")
    assert {name for name in loaded if name.startswith("pyxdp")} == {"pyxdp"}
    assert loaded.isdisjoint(HEAVY)


def test_the_pure_steps_need_neither_libbpf_nor_netlink() -> None:
    loaded = modules_after(
        "import pyxdp\n"
        f"resources = pyxdp.loads({endpoint('eth0') + policy()!r}).resources\n"
        "policy = pyxdp.resolve(resources, node='host', interfaces=[pyxdp.Interface('eth0', 2)])\n"
        "assert pyxdp.compile(policy).tables['rules']"
    )
    assert "pyxdp.compiler" in loaded
    assert loaded.isdisjoint({"pyxdp._libbpf", "pyxdp.bpf", "pyxdp.dataplane", "pyroute2"})


def test_every_public_name_is_there() -> None:
    assert {name: getattr(pyxdp, name) for name in pyxdp.__all__}
    assert set(pyxdp.__all__) <= set(dir(pyxdp))
    assert sorted(pyxdp.__all__) == pyxdp.__all__
    with pytest.raises(AttributeError, match="no attribute 'aply'"):
        _ = pyxdp.aply


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(pyxdp.steps, raise_on_error=True).attempted > 3


def test_compile_gives_the_same_bytes() -> None:
    resources = pyxdp.loads(endpoint("eth0") + policy()).resources
    effective = pyxdp.resolve(resources, node="host", interfaces=[pyxdp.Interface("eth0", 2)])
    assert pyxdp.compile(effective).tables == pyxdp.compile(effective).tables


@pytest.mark.parametrize(("port", "verdict"), [(6379, "allow"), (6380, "no verdict")])
def test_evaluate(port: int, verdict: str) -> None:
    resources = pyxdp.loads(endpoint("eth0") + policy()).resources
    packet = pyxdp.Packet(
        protocol=6,
        source=ip_address("192.0.2.1"),
        destination=ip_address("192.0.2.2"),
        source_port=1024,
        destination_port=port,
    )
    interfaces = [pyxdp.Interface("eth0", 2)]
    answer = pyxdp.evaluate(resources, packet, interface="eth0", node="host", interfaces=interfaces)
    assert answer.classes[0].verdict.value == verdict
    assert answer.untracked is (port == 6379)
    with pytest.raises(UnknownInterfaceError):
        pyxdp.evaluate(resources, packet, interface="eth1", node="host", interfaces=interfaces)


def test_apply_status_and_delete(machine: Machine) -> None:
    dataplane = pyxdp.Dataplane(machine.bpffs)
    resources = pyxdp.loads(endpoint(machine.end.name) + policy()).resources
    with machine.end.namespace.entered():
        effective = pyxdp.resolve(resources, node="host")
        assert pyxdp.apply(effective, dataplane=dataplane, dry_run=True).plan.switches
        assert not pyxdp.status(dataplane).applied
        report = pyxdp.apply(effective, dataplane=dataplane)
        assert [it.mode for it in report.attachments] == ["native"]
        assert pyxdp.status(dataplane).digest == pyxdp.compile(effective).digest.hex()
    assert (
        json.loads(
            machine.run("apply", "-", "--node", "host", "--json", stdin=endpoint(machine.end.name) + policy()).stdout
        )["plan"]
        == []
    )
    with machine.end.namespace.entered():
        assert pyxdp.delete(dataplane)
        assert not pyxdp.delete(dataplane)
        assert not pyxdp.status(dataplane).applied


def test_a_policy_that_governs_nothing_is_refused(machine: Machine) -> None:
    dataplane = pyxdp.Dataplane(machine.bpffs)
    with machine.end.namespace.entered():
        effective = pyxdp.resolve(pyxdp.loads(policy()).resources, node="host")
        with pytest.raises(OperatorError, match="no HostEndpoint is for node host"):
            pyxdp.apply(effective, dataplane=dataplane)
        assert not pyxdp.apply(effective, dataplane=dataplane, allow_empty=True).attachments
