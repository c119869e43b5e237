"""Ctrl-C, SIGTERM, a reader that goes away, a bug: always a clean end."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess

import pytest

from pyxdp.cli.interruption import Interrupted, Interruption
from pyxdp.cli.main import main
from tests.cli.machine import Machine, endpoint, policy
from tests.cli.terminal import XTERM, Terminal
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.long

AT_HOST = ("--node", "host")
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_waits_for_the_lock(governed: Machine, number: signal.Signals) -> None:
    there = governed.traces()
    governed.write("other.yaml", endpoint(governed.end.name) + policy("other"))
    folder = os.open(governed.bpffs, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with governed.start("apply", "other.yaml", *AT_HOST) as process:
            assert process.stderr
            assert "waiting" in process.stderr.readline()
            process.send_signal(number)
            assert process.wait(60) == 128 + number
            told = process.stderr.read()
    finally:
        os.close(folder)
    assert told == f"error: interrupted by {number.name}\nhint: nothing was changed\n"
    assert governed.traces() == there


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("reached", ["objects/1/maps", "objects/1/programs/0", "links", "programs"])
def test_while_it_changes_the_kernel(machine: Machine, manifest: str, number: signal.Signals, reached: str) -> None:
    """Either it is too late and all is done, or nothing has been changed."""
    before = machine.traces()
    with machine.start("apply", manifest, *AT_HOST) as process:
        path = machine.bpffs / "pyxdp/v1" / reached
        wait_until(lambda: path.exists() or process.poll() is not None)
        process.send_signal(number)
        process.wait(60)
        assert process.stderr
        told = process.stderr.read()
    if process.returncode not in (0, -number):  # it was at its end, and what was left of it was killed
        assert process.returncode == 128 + number
        assert told == f"error: interrupted by {number.name}\nhint: nothing was changed\n"
        after = machine.traces()
        assert {key: after[key] for key in ("rules", "net", "policy")} == {
            key: before[key] for key in ("rules", "net", "policy")
        }
    else:
        assert told in ("", "warning: interrupted when the change was made already: it was finished\n")
        assert machine.json("status")["drift"] == []
    assert machine.run("apply", manifest, *AT_HOST).returncode == 0
    assert machine.json("status")["drift"] == []


def test_a_reader_that_goes_away_does_not_end_an_apply(machine: Machine, manifest: str) -> None:
    with machine.start("apply", manifest, *AT_HOST) as process:
        assert process.stdout
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr
        assert process.stderr.read() == ""
    assert machine.json("status")["applied"] is True


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["check", "redis.yaml"], ["compile", "redis.yaml"]])
def test_a_reader_that_goes_away(governed: Machine, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = governed.start(*arguments, stdout=writer)
    os.close(writer)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in told
    assert "Error" not in told


def test_a_bug_asks_to_be_reported(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("of all\nthings")

    monkeypatch.setattr("pyxdp.load", broken)  # first: looked up, it comes from where the next line breaks it
    monkeypatch.setattr("pyxdp.steps.load", broken)
    assert main(["check", "x.yaml"]) == 1
    first, hint = capsys.readouterr().err.splitlines()
    assert first == "error: a bug in pyxdp: ZeroDivisionError: of all things"
    assert "report" in hint
    assert main(["check", "x.yaml", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_signal_waits_between_two_checks() -> None:
    interruption = Interruption()
    with interruption.handled():
        with interruption.deferred():
            interruption.check()
            os.kill(os.getpid(), signal.SIGTERM)
            assert interruption.pending == signal.SIGTERM
            interruption.check(final=True)
            with pytest.raises(Interrupted) as caught:
                interruption.check()
            assert caught.value.exit_code == 143
        with pytest.raises(Interrupted, match="SIGINT"):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption().handled():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


# -- the progress bar --


def _on_a_terminal(machine: Machine, *arguments: str) -> tuple[int, str]:
    """Run with stderr on a terminal; return the exit code and what the terminal saw."""
    terminal = Terminal()
    process = machine.start(*arguments, stderr=terminal.theirs, env=XTERM)
    os.close(terminal.theirs)
    while terminal.read():
        pass
    terminal.close()
    process.communicate(timeout=60)
    return process.returncode, terminal.seen


def test_a_bar_for_what_takes_longer_than_a_second(machine: Machine) -> None:
    """It is there while standard input is waited for, gone afterwards, and never in the way of data."""
    terminal = Terminal()
    process = machine.start("check", "-", "--node", "host", stderr=terminal.theirs, stdin=subprocess.PIPE, env=XTERM)
    os.close(terminal.theirs)
    while "reading the manifests" not in terminal.seen:
        assert terminal.read()
    assert process.stdin
    process.stdin.write(endpoint(machine.end.name))
    process.stdin.close()
    while terminal.read():
        pass
    terminal.close()
    assert process.stdout
    with process.stdout:
        told = process.stdout.read()
    assert process.wait(60) == 0
    assert "1 HostEndpoint: valid" in told
    assert "reading" not in told
    _, cleared, rest = terminal.seen.rpartition("\x1b[2K")
    assert cleared  # the line
    assert "reading" not in rest


def test_no_bar_for_what_is_quick(machine: Machine, manifest: str) -> None:
    code, seen = _on_a_terminal(machine, "version")
    assert (code, seen) == (0, "")


def test_colours_only_on_a_terminal(machine: Machine, manifest: str) -> None:
    code, seen = _on_a_terminal(machine, "apply", manifest, "--node", "nobody")
    assert code == 3
    assert re.search(r"\x1b\[31m\x1b\[1merror:\x1b\[0m no HostEndpoint", seen)
    assert "\x1b" not in machine.run("apply", manifest, "--node", "nobody").stderr
