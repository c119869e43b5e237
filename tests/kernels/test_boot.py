"""A machine with systemd boots with its policy in force before its network is up: what ``guest/machine`` reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kernels.catalog import KERNELS
from tests.kernels.guests import build_machine, fetch, run_guest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.kernels.guests import Report

ALLOWED = ["untracked allowed", "allowed"]
BOOTS = ["second", "third"]


@pytest.fixture(scope="module")
def machine(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What the machine reported of its three boots."""
    folder = tmp_path_factory.mktemp("machine")
    image = folder / "root.ext4"
    build_machine(wheel, image)
    (kernel,) = (it for it in KERNELS if it.suite == "bookworm")
    report = run_guest(fetch(kernel), image, folder, reboots=True)
    image.unlink()
    return report


def facts(machine: Report, boot: str) -> Mapping[str, Any]:
    assert boot in machine.tests, "\n".join(it.message for it in machine.tests.values())
    assert machine.tests[boot].outcome == "passed", machine.tests[boot].message
    return machine.tests[boot].facts


def seconds(unit: Mapping[str, str], time: str) -> float:
    """When something happened to a unit, in seconds since the kernel began."""
    return int(unit[f"{time}TimestampMonotonic"]) / 1e6


def test_units_are_understood(machine: Report) -> None:
    assert facts(machine, "first")["verified"] == ""


def test_peer_is_heard_unless_policy_forbids(machine: Report) -> None:
    """Without policy, and while a change waits that allows it, all ports hear: the first boot waits for that."""
    assert facts(machine, "first")["hears"] == ALLOWED


@pytest.mark.parametrize("boot", BOOTS)
def test_restore_ends_before_the_network_begins(machine: Report, boot: str) -> None:
    found = facts(machine, boot)
    restored = seconds(found["restore"], "ActiveEnter")
    assert found["restore"]["Result"] == "success"
    assert found["restore"]["ActiveState"] == "active"
    assert 0 < found["peer"] < restored < seconds(found["network-pre"], "ActiveEnter")
    assert restored < seconds(found["network"], "ExecMainStart")


@pytest.mark.parametrize("boot", BOOTS)
def test_policy_is_there_before_the_interface_is_up(machine: Report, boot: str) -> None:
    """XDP on a card that is down and has no address, though its host endpoint names it by that; and the rules."""
    found = facts(machine, boot)
    assert "UP" not in found["link"]["flags"]
    assert found["link"]["xdp"]["mode"] == 1, "native"
    assert "-m bpf" in found["rules"]


@pytest.mark.parametrize("boot", BOOTS)
def test_what_is_denied_never_arrives(machine: Report, boot: str) -> None:
    """From the first packet on that the interface takes: the peer has been sending since before."""
    heard = facts(machine, boot)["heard"]
    assert {name for name, count in heard.items() if count} == set(ALLOWED), heard


@pytest.mark.parametrize(("before", "boot"), [("first", "second"), ("second", "third")])
def test_unconfirmed_change_has_gone_back(machine: Report, before: str, boot: str) -> None:
    """When the machine was shut down its watchdog did it, and said so; when the power failed, the restore."""
    assert facts(machine, before)["waits at the end"]
    assert not facts(machine, boot)["waits"]
    assert facts(machine, boot)["rollback.log"].count("taken back") == 1


def test_agent_becomes_ready(machine: Report) -> None:
    found = facts(machine, "second")
    agent = found["agent"]
    assert (agent["Type"], agent["ActiveState"], agent["SubState"]) == ("notify", "active", "running")
    assert agent["StatusText"].startswith("enforcing")
    assert seconds(found["restore"], "ActiveEnter") < seconds(agent, "ExecMainStart")


def test_agent_that_is_killed_starts_again_and_leaves_no_gap(machine: Report) -> None:
    found = facts(machine, "second")
    assert int(found["killed"]["after"]["NRestarts"]) == int(found["killed"]["before"]["NRestarts"]) + 1
    assert found["hears after a kill"] == ALLOWED


def test_agent_that_is_stopped_leaves_policy_in_force(machine: Report) -> None:
    found = facts(machine, "second")
    assert (found["stopped"]["ActiveState"], found["stopped"]["Result"]) == ("inactive", "success")
    assert found["hears after a stop"] == ALLOWED


def test_restored_policy_needs_no_agent(machine: Report) -> None:
    """The third boot has none; ifupdown makes its network."""
    assert facts(machine, "third")["hears"] == ALLOWED
