"""``pyxdp rules`` and ``pyxdp status --watch``: what they tell, and how they end."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click import unstyle

from pyxdp.cli.rules import amount, rates
from pyxdp.cli.status import conntrack_of
from pyxdp.dataplane import ConntrackUse, RuleStatus, Status
from tests.cli.machine import Machine, endpoint, policy
from tests.cli.terminal import XTERM, Terminal
from tests.veth.classes import pre_dnat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import Popen

RULE = RuleStatus(
    counter=1,
    tier="default",
    kind="GlobalNetworkPolicy",
    policy="redis",
    direction="ingress",
    rule=0,
    action="Allow",
    identity="a",
    packets=100,
    bytes=6000,
)
SIGNALS = [signal.SIGINT, signal.SIGTERM]
WATCHING = [["status", "--watch", "0.01"], ["rules", "--interval", "0.01"]]


# -- rates --


def test_rates_are_what_came_in_between() -> None:
    quiet = replace(RULE, identity="b", packets=7)
    found = rates([RULE, quiet], [quiet, replace(RULE, packets=160, bytes=9000)], 2.0)
    assert [(it.rule.identity, it.packets, it.bytes) for it in found] == [("a", 30, 1500), ("b", 0, 0)]


@pytest.mark.parametrize("before", [[], [replace(RULE, packets=999, bytes=99_999)]])
def test_a_rule_that_came_into_force_in_between_began_at_zero(before: list[RuleStatus]) -> None:
    (found,) = rates(before, [RULE], 4.0)
    assert (found.packets, found.bytes) == (25, 1500)


def test_the_busiest_comes_first_and_then_whoever_was() -> None:
    rules = [replace(RULE, identity=name, packets=packets) for name, packets in (("a", 5), ("b", 50), ("c", 9))]
    after = [rules[0], rules[1], replace(rules[2], packets=10)]
    assert [it.rule.identity for it in rates(rules, after, 1.0)] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (0.25, "0.2"),
        (12.5, "12"),
        (99_999, "99,999"),
        (123_456, "123.5 k"),
        (1.5e6, "1.5 M"),
        (2e10, "20.0 G"),
    ],
)
def test_amounts(value: float, told: str) -> None:
    assert amount(value) == told


# -- what is told --


def records(process: Popen[str]) -> Iterator[Any]:
    assert process.stdout
    for line in process.stdout:
        yield json.loads(line)


def test_rules_tell_what_comes(governed: Machine) -> None:
    with governed.end.namespace.entered():
        server = socket.create_server((governed.end.ipv4, 6379))
    with server, governed.start("rules", "--json", "--interval", "0.05") as process:
        told = records(process)
        first = next(told)
        with governed.peer.namespace.entered():
            socket.create_connection((governed.end.ipv4, 6379), timeout=60).close()
        busy = next(rule for frame in told for rule in frame["rules"] if _is_redis(rule) and rule["packets"] > 2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert first["seconds"] >= 0.05
    assert busy["bytes_per_second"] > busy["packets_per_second"] > 0


def _is_redis(rule: dict[str, Any]) -> bool:
    return (rule["policy"], rule["direction"]) == ("redis", "ingress")


def test_rules_for_people(governed: Machine) -> None:
    done = governed.run("rules", "--interval", "0.01", "--count", "2")
    assert (done.returncode, done.stderr) == (0, "")
    frames = done.stdout.split("\n\n")
    assert len(frames) == 2
    for frame in frames:
        first, *rest = frame.splitlines()
        assert first.split() == ["RULE", "ACTION", "PACKETS/S", "BYTES/S", "PACKETS", "BYTES"]
        assert any(re.fullmatch(r"default/redis ingress\[0\] +Allow +0 +0 +\d+ +\d+", line) for line in rest)
    few = governed.run("rules", "--interval", "0.01", "--count", "1", "--top", "1").stdout.splitlines()
    assert len(few) == 2
    every = governed.run("rules", "--interval", "0.01", "--count", "1", "--all").stdout.splitlines()
    assert len(every) > len(frames[0].splitlines()) + 10


def test_rules_without_policy(machine: Machine) -> None:
    done = machine.run("rules")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "error: no policy is in force: there are no rules\nhint: pyxdp apply\n"


def test_rules_end_with_the_policy(governed: Machine) -> None:
    with governed.start("rules", "--interval", "0.01") as process:
        assert process.stdout
        process.stdout.readline()
        assert governed.run("delete").returncode == 0
        _, told = process.communicate(timeout=60)
    assert process.returncode == 3
    assert told.startswith("error: ")


def test_status_again_and_again(machine: Machine, manifest: str) -> None:
    """It goes on through policies that come and go."""
    with machine.start("status", "--watch", "0.01", "--json") as process:
        told = records(process)
        assert next(told)["applied"] is False
        assert machine.run("apply", manifest, "--node", "host").returncode == 0
        assert next(frame for frame in told if frame["applied"])["generation"] == 1
        machine.write("other.yaml", endpoint(machine.end.name) + policy("other"))
        assert machine.run("apply", "other.yaml", "--node", "host").returncode == 0
        assert next(frame for frame in told if frame["generation"] == 2)["rules"]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_the_seconds_may_be_left_out(governed: Machine) -> None:
    with governed.start("status", "--watch", "--all") as process:
        assert process.stdout
        assert process.stdout.readline().startswith("generation 1, in force since")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_status_tells_of_a_bypass_that_fails(governed: Machine) -> None:
    governed.end.namespace.run("iptables", "-t", "raw", "-I", "PREROUTING", "-j", "ACCEPT")
    with governed.end.namespace.entered():
        server = socket.create_server((governed.end.ipv4, 6379))
    with server, governed.peer.namespace.entered():
        socket.create_connection((governed.end.ipv4, 6379), timeout=60).close()
    found = governed.json("status")
    assert found["endpoints"][0]["reasons"]["ingress"]["STILL_TRACKED"] > 2
    assert found["conntrack"]["entries"] > 0
    assert re.search(
        r"^conntrack: \d+ of [\d,]+ entries; \d+ packets went in that untracked policy allows$",
        governed.run("status").stdout,
        re.MULTILINE,
    )


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (None, "not loaded"),
        (ConntrackUse(1200, 10_000), "1,200 of 10,000 entries"),
        (ConntrackUse(8001, 10_000), "8,001 of 10,000 entries; what is new will be dropped when it is full"),
        (ConntrackUse(1200, 0), "1,200 entries, no limit"),
    ],
)
def test_how_full_conntrack_is(use: ConntrackUse | None, told: str) -> None:
    assert unstyle(conntrack_of(Status(conntrack=use))) == told


def test_what_is_wrong_comes_first_where_the_end_may_be_cut_off(governed: Machine) -> None:
    governed.end.namespace.run("iptables", "-t", "raw", "-F")
    assert governed.run("status").stdout.splitlines()[-2].startswith("not as it should be")
    with governed.start("status", "--watch", "60") as process:
        assert process.stdout
        assert process.stdout.readline().startswith("not as it should be")
        assert process.stdout.readline().startswith("  ")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_a_pattern_has_rules_only(machine: Machine) -> None:
    machine.write("all.yaml", endpoint("*") + pre_dnat("pre", [{"action": "Deny"}]))
    assert machine.run("apply", "all.yaml", "--node", "host", "--force").returncode == 0
    (row,) = (it for it in machine.run("status").stdout.splitlines() if it.startswith("cali+"))
    assert row.split()[:3] == ["cali+", "hep", "-"]


# -- how they end --


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("arguments", WATCHING, ids=lambda it: it[0])
def test_a_signal_ends_it_cleanly(governed: Machine, arguments: list[str], number: signal.Signals) -> None:
    with governed.start(*arguments) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "")


@pytest.mark.parametrize("arguments", WATCHING, ids=lambda it: it[0])
def test_a_reader_that_goes_away_ends_it(governed: Machine, arguments: list[str]) -> None:
    with governed.start(*arguments) as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr
        assert process.stderr.read() == ""


@pytest.mark.parametrize("arguments", WATCHING, ids=lambda it: it[0])
def test_a_terminal_is_drawn_over(governed: Machine, arguments: list[str]) -> None:
    terminal = Terminal()
    process = governed.start(*arguments, stdout=terminal.theirs, env=XTERM)
    os.close(terminal.theirs)
    while terminal.seen.count("\x1b[2K") < 3:  # lines of the frame before that are wiped out
        assert terminal.read()
    process.send_signal(signal.SIGINT)
    while terminal.read():
        pass
    terminal.close()
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "")
    assert "redis ingress" in terminal.seen.rpartition("\x1b[2K")[2]
    assert "\x1b[?25h" in terminal.seen  # the cursor is back


def test_waiting_for_the_next_frame_takes_no_time_to_end(governed: Machine) -> None:
    with governed.start("status", "--watch", "3600") as process:
        assert process.stdout
        assert select.select([process.stdout], [], [], 60)[0]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
