"""``apply --confirm-within``, ``confirm``, ``rollback`` and ``restore``: nobody locks themselves out for good."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyxdp.dataplane import Dataplane
from pyxdp.snapshot import StateFolder
from tests.cli.machine import Machine, endpoint, policy
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_HOST = ("--node", "host")
#: So long that no machine is too busy to confirm within it.
LONG = ("--confirm-within", "1h")


@pytest.fixture
def folder(state: Path) -> Iterator[StateFolder]:
    """Where the commands of this test keep what they keep; afterwards no watchdog has anything to wait for."""
    found = StateFolder(state)
    yield found
    if state.exists():
        with found.locked():
            found.forget()
    wait_until(lambda: not watchdogs(state))


def watchdogs(state: Path) -> list[int]:
    """Processes that watch over a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            alive = b") Z " not in (entry / "stat").read_bytes()
        except OSError:  # it has ended
            continue
        if alive and b"pyxdp.snapshot" in words and str(state).encode() in words:
            found.append(int(entry.name))
    return found


@pytest.fixture
def other(machine: Machine) -> str:
    """Name of a file: the machine's endpoint with another policy."""
    return machine.write("other.yaml", endpoint(machine.end.name) + policy("other"))


def in_force(machine: Machine) -> list[str]:
    """Names of the policies in force."""
    return sorted({it["policy"] for it in machine.json("status")["rules"] if it["kind"] == "GlobalNetworkPolicy"})


def said(folder: StateFolder) -> str:
    """What the watchdog has to say."""
    return folder.log.read_text() if folder.log.exists() else ""


def taken_back(folder: StateFolder) -> bool:
    """Whether it has done its work."""
    return ", taken back: " in said(folder)


def test_every_apply_is_kept(governed: Machine, folder: StateFolder, other: str) -> None:
    first = folder.confirmed()
    assert first
    assert [(text.origin, text.content) for text in first.texts] == [
        ("redis.yaml", (governed.folder / "redis.yaml").read_text())
    ]
    assert first.node == "host"
    assert governed.end.ipv4 in {str(address) for it in first.interfaces for address in it.addresses}
    status = governed.json("status")
    assert (first.digest, first.generation) == (status["digest"], status["generation"])
    assert governed.run("apply", other, *AT_HOST).returncode == 0
    second = folder.confirmed()
    assert second
    assert second.digest == governed.json("status")["digest"] != first.digest
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.path.iterdir()} == {0o600}


def test_what_can_not_be_kept_is_enforced_all_the_same(machine: Machine, manifest: str) -> None:
    done = machine.run("apply", manifest, *AT_HOST, "--state", f"{manifest}/state")
    assert done.returncode == 0
    assert "warning: can not make redis.yaml/state: Not a directory: the policy is not kept" in done.stderr
    assert in_force(machine) == ["redis"]


def test_what_can_not_be_kept_can_not_go_back(machine: Machine, manifest: str) -> None:
    before = machine.traces()
    done = machine.run("apply", manifest, *AT_HOST, *LONG, "--state", f"{manifest}/state")
    assert done.returncode == 3
    assert done.stderr == (
        "error: can not make redis.yaml/state: Not a directory\nhint: name another folder with --state\n"
    )
    assert machine.traces() == before


def test_a_failed_apply_is_not_kept(governed: Machine, folder: StateFolder) -> None:
    before = folder.confirmed()
    broken = governed.write("broken.yaml", endpoint("nowhere0") + policy("other"))
    assert governed.run("apply", broken, *AT_HOST).returncode == 3
    assert governed.run("apply", broken, *AT_HOST, *LONG).returncode == 3
    assert folder.confirmed() == before
    assert folder.pending() is None


def test_a_dry_run_keeps_nothing(machine: Machine, manifest: str, state: Path) -> None:
    assert machine.run("apply", manifest, *AT_HOST, "--dry-run", *LONG).returncode == 0
    assert not state.exists()


def test_confirmed_in_time(governed: Machine, folder: StateFolder, other: str) -> None:
    before = folder.confirmed()
    done = governed.run("apply", other, *AT_HOST, *LONG)
    assert done.returncode == 0, done.stderr
    assert "unless you confirm: pyxdp confirm" in done.stderr
    assert folder.confirmed() == before
    assert watchdogs(folder.path)
    found = governed.json("confirm")
    assert found["digest"] == governed.json("status")["digest"]
    confirmed = folder.confirmed()
    assert confirmed
    assert confirmed.digest == found["digest"]
    assert folder.pending() is None
    wait_until(lambda: not watchdogs(folder.path))
    assert in_force(governed) == ["other"]
    assert not folder.log.exists()


def test_rolled_back_at_once(governed: Machine, folder: StateFolder, other: str) -> None:
    before = governed.json("status")["digest"]
    assert governed.run("apply", other, *AT_HOST, *LONG).returncode == 0
    assert in_force(governed) == ["other"]
    found = governed.json("rollback")
    assert found["removed"] is False
    assert in_force(governed) == ["redis"]
    assert governed.json("status")["digest"] == found["digest"] == before
    assert folder.pending() is None
    kept, taken_back = folder.confirmed(), folder.taken_back()
    assert kept
    assert kept.digest == found["digest"]
    assert taken_back
    assert [text.origin for text in taken_back.texts] == ["other.yaml"]
    assert governed.run("apply", other, *AT_HOST, *LONG).returncode == 0, "who asks for it again may have it"
    assert governed.run("confirm").returncode == 0
    assert folder.taken_back() is None


def test_the_first_apply_ever_leaves_nothing_behind(machine: Machine, manifest: str, folder: StateFolder) -> None:
    before = machine.traces()
    assert machine.json("apply", manifest, *AT_HOST, *LONG)["confirm_within"] == 3600
    assert machine.run("rollback").stdout == "taken back: nothing was in force before, and so it is again\n"
    assert machine.traces() == before
    assert folder.confirmed() is None


def test_nobody_confirms(governed: Machine, folder: StateFolder, other: str) -> None:
    """The caller lives on and has nothing to do with it."""
    assert governed.run("apply", other, *AT_HOST, "--confirm-within", "1s").returncode == 0
    wait_until(lambda: taken_back(folder))
    assert in_force(governed) == ["redis"]
    assert "not confirmed within 1 s, taken back: node host is as it was before" in said(folder)
    done = governed.run("confirm")
    assert done.returncode == 3
    assert "no change waits" in done.stderr
    assert str(folder.log) in done.stderr


@pytest.mark.parametrize("reached", ["pending", "unconfirmed"])
def test_the_caller_and_its_session_are_killed(
    governed: Machine, folder: StateFolder, other: str, reached: str
) -> None:
    """As an SSH session that the change cuts: the shell that leads it and the command are killed, anywhere."""
    arguments = governed.arguments("apply", other, *AT_HOST, "--confirm-within", "2s")
    leader = governed.end.namespace.popen(
        *("sh", "-c", '"$@" & wait; exec sleep 600', "sh", *arguments),
        cwd=governed.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: (folder.path / reached).exists() or taken_back(folder))
        assert leader.poll() is None
    finally:
        os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()
    wait_until(lambda: taken_back(folder))
    assert in_force(governed) == ["redis"]
    assert governed.json("status")["drift"] == []


def test_a_watchdog_that_is_to_end_takes_the_change_back(governed: Machine, folder: StateFolder, other: str) -> None:
    """As when the machine shuts down; what its session sends when that ends does nothing."""
    assert governed.run("apply", other, *AT_HOST, *LONG).returncode == 0
    (pid,) = watchdogs(folder.path)
    assert os.getsid(pid) == pid
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    wait_until(lambda: folder.pending() is None)
    assert in_force(governed) == ["redis"]


def test_no_thread_of_a_watchdog_ends_it(governed: Machine, folder: StateFolder, other: str) -> None:
    """Numpy's threads among them: SIGTERM waits until the watchdog asks for it, whatever it does at the moment."""
    assert governed.run("apply", other, *AT_HOST, *LONG).returncode == 0
    (pid,) = watchdogs(folder.path)
    threads = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    others = [text for text in threads if f"\nPid:\t{pid}\n" not in text]
    masks = [int(line.split()[1], 16) for text in others for line in text.splitlines() if line.startswith("SigBlk:")]
    assert all(mask & 1 << (signal.SIGTERM - 1) for mask in masks)


@pytest.mark.parametrize("name", ["pyxdp", "yaml", "json"])
def test_what_lies_in_the_current_folder_is_not_run(
    governed: Machine, folder: StateFolder, other: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who runs the command in somebody's folder does not run his programs."""
    governed.write(f"{name}.py", "raise SystemExit('run')")
    monkeypatch.chdir(governed.folder)
    done = governed.run("apply", other, *AT_HOST, *LONG)
    assert done.returncode == 0, done.stderr
    assert governed.run("rollback").returncode == 0


def test_a_watchdog_does_not_give_up(governed: Machine, folder: StateFolder, other: str) -> None:
    """What is to come back can not be read for a while."""
    assert governed.run("apply", other, *AT_HOST, *LONG).returncode == 0
    path = folder.path / "snapshot"
    good = path.read_bytes()
    path.write_text("nothing")
    (pid,) = watchdogs(folder.path)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: "can not take the change back, will try again" in said(folder))
    assert in_force(governed) == ["other"]
    path.write_bytes(good)
    wait_until(lambda: taken_back(folder))
    assert in_force(governed) == ["redis"]


_STOPS = """
import os, signal, sys
from pathlib import Path
from pyxdp.dataplane.bpffs import exclusive
with exclusive(Path(sys.argv[1]), 60, lambda: None):
    print("has it", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.parametrize("which", ["state", "bpffs"])
def test_who_was_stopped_keeps_nobody_out(governed: Machine, folder: StateFolder, other: str, which: str) -> None:
    """As by Ctrl-Z, with a lock in his hands that the way back needs."""
    assert governed.run("apply", other, *AT_HOST, *LONG).returncode == 0
    (pid,) = watchdogs(folder.path)
    path = folder.path if which == "state" else governed.bpffs
    command = (sys.executable, "-c", _STOPS, str(path))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "has it\n"
        wait_until(lambda: ") T " in Path(f"/proc/{holder.pid}/stat").read_text())
        try:
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: taken_back(folder))
            assert holder.wait() == 0
        finally:
            holder.kill()
    assert in_force(governed) == ["redis"]


def test_while_a_change_waits(governed: Machine, folder: StateFolder, other: str) -> None:
    third = governed.write("third.yaml", endpoint(governed.end.name) + policy("third"))
    assert governed.run("apply", other, *AT_HOST, *LONG).returncode == 0
    refused = governed.run("apply", third, *AT_HOST)
    assert refused.returncode == 3
    (notice,) = governed.json("status")["notices"]
    assert notice.startswith("a change waits for pyxdp confirm, and is taken back in 3")
    assert "error: a change waits to be confirmed, for" in refused.stderr
    assert in_force(governed) == ["other"]
    (first,) = watchdogs(folder.path)
    assert governed.run("apply", third, *AT_HOST, *LONG).returncode == 0
    assert in_force(governed) == ["third"]
    wait_until(lambda: len(watchdogs(folder.path)) == 1)
    assert watchdogs(folder.path) != [first], "the change that takes another's place has its own"
    assert governed.run("rollback").returncode == 0
    assert in_force(governed) == ["redis"]


def test_a_replacement_that_fails(governed: Machine, folder: StateFolder, other: str) -> None:
    """What waited before goes on waiting, and can be confirmed."""
    assert governed.run("apply", other, *AT_HOST, *LONG).returncode == 0
    waiting = folder.pending()
    assert waiting
    broken = governed.write("broken.yaml", endpoint("nowhere0") + policy("other"))
    assert governed.run("apply", broken, *AT_HOST, *LONG).returncode == 3
    assert folder.pending() == waiting
    assert governed.run("confirm").returncode == 0
    kept = folder.confirmed()
    assert kept
    assert [text.origin for text in kept.texts] == ["other.yaml"]


def test_what_is_in_force_must_be_known(governed: Machine, folder: StateFolder, other: str) -> None:
    """Nobody can go back to what is not kept."""
    for path in folder.path.iterdir():
        path.unlink()
    done = governed.run("apply", other, *AT_HOST, *LONG)
    assert done.returncode == 3
    assert f"error: what is in force is not what {folder.path} holds" in done.stderr
    assert in_force(governed) == ["redis"]
    assert folder.pending() is None


def test_nothing_waits(machine: Machine) -> None:
    for command in ("confirm", "rollback"):
        done = machine.run(command)
        assert done.returncode == 3
        assert "error: no change waits to be confirmed" in done.stderr


def test_delete_keeps_nothing(governed: Machine, folder: StateFolder, other: str) -> None:
    assert governed.run("apply", other, *AT_HOST, *LONG).returncode == 0
    assert governed.run("delete").returncode == 0
    assert not folder.path.exists()
    assert governed.json("restore")["restored"] is False
    wait_until(lambda: not watchdogs(folder.path))


# -- after a boot --


def booted(machine: Machine, folder: StateFolder) -> None:
    """Nothing is in force, and what was pending is of an earlier boot."""
    pending = folder.path / "pending"
    if pending.exists():
        pending.write_text(json.dumps(json.loads(pending.read_text()) | {"boot": "another"}))
    with machine.end.namespace.entered():
        Dataplane(machine.bpffs).delete()


def test_a_boot_brings_policy_back(governed: Machine, folder: StateFolder) -> None:
    booted(governed, folder)
    done = governed.run("restore")
    assert done.returncode == 0, done.stderr
    assert in_force(governed) == ["redis"]
    kept = folder.confirmed()
    assert kept
    assert kept.digest == governed.json("status")["digest"]


def test_a_boot_before_the_change_was_confirmed(governed: Machine, folder: StateFolder, other: str) -> None:
    assert governed.run("apply", other, *AT_HOST, *LONG).returncode == 0
    booted(governed, folder)
    assert governed.run("confirm").returncode == 3
    assert governed.run("restore").returncode == 0
    assert in_force(governed) == ["redis"]
    assert sorted(path.name for path in folder.path.iterdir()) == ["snapshot", "snapshot.previous", "taken-back"]


def test_interfaces_without_an_address_are_known_by_those_that_they_had(machine: Machine, folder: StateFolder) -> None:
    by_address = f"{{node: host, expectedIPs: [{machine.end.ipv4}]}}"
    text = endpoint(machine.end.name).splitlines()
    text[-1] = f"spec: {by_address}"
    machine.write("addressed.yaml", "\n".join(text) + policy())
    assert machine.run("apply", "addressed.yaml", *AT_HOST).returncode == 0
    booted(machine, folder)
    with machine.end.namespace.links() as ip:
        ip.flush_addr(index=machine.end.ifindex)
    assert machine.run("apply", "addressed.yaml", *AT_HOST).returncode == 3
    assert machine.run("restore").returncode == 0
    assert machine.json("status")["endpoints"][0]["interface"] == machine.end.name
    booted(machine, folder)
    assert machine.run("restore").returncode == 0  # the addresses are still known


def test_restore_waits_for_interfaces(governed: Machine, folder: StateFolder) -> None:
    booted(governed, folder)
    name = governed.end.name
    with governed.end.namespace.links() as ip:
        ip.link("set", index=governed.end.ifindex, state="down")
        ip.link("set", index=governed.end.ifindex, ifname="late0")
    done = governed.run("restore")
    assert done.returncode == 3
    assert f"no interface is named {name}" in done.stderr
    with governed.start("restore", "--wait", "600", "--json") as process:
        assert process.stderr
        assert f"waiting for {name}" in process.stderr.readline()
        with governed.end.namespace.links() as ip:
            ip.link("set", index=governed.end.ifindex, ifname=name)
        assert process.wait(60) == 0
    assert in_force(governed) == ["redis"]


def test_what_is_in_force_is_not_replaced_by_what_is_kept(governed: Machine, folder: StateFolder, other: str) -> None:
    """As when a pod starts anew, and its predecessor could not keep the latest."""
    kept = (folder.path / "snapshot").read_bytes()
    assert governed.run("apply", other, *AT_HOST).returncode == 0
    (folder.path / "snapshot").write_bytes(kept)
    assert governed.run("restore", "--if-none").stdout == "nothing to do: a policy is in force\n"
    assert in_force(governed) == ["other"]
    booted(governed, folder)
    assert governed.run("restore", "--if-none").returncode == 0
    assert in_force(governed) == ["redis"]


def test_nothing_to_restore(machine: Machine) -> None:
    assert machine.json("restore") == {"restored": False, "node": "", "digest": "", "attachments": []}


def test_a_damaged_snapshot(governed: Machine, folder: StateFolder, other: str) -> None:
    assert governed.run("apply", other, *AT_HOST).returncode == 0
    booted(governed, folder)
    path = folder.path / "snapshot"
    path.write_bytes(path.read_bytes()[:-1])
    done = governed.run("restore")
    assert done.returncode == 0
    assert f"warning: the snapshot {path} is damaged" in done.stderr
    assert in_force(governed) == ["redis"]
