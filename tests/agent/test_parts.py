"""The parts of an agent that need no kernel."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxdp.agent.difference import by_key, changed_keys, members_changes, with_objects_of
from pyxdp.agent.inbox import Event, Inbox
from pyxdp.agent.notify import Notifier
from pyxdp.agent.refusals import Refusals
from pyxdp.cli.events import log_to_stderr
from pyxdp.errors import CapacityError, ConfirmationError, UnsupportedPolicyError, WouldCutError
from pyxdp.manifest import Key, loads
from pyxdp.model import Resources
from pyxdp.sources import Delivery
from tests.veth.host import network_set, open_endpoint, service

if TYPE_CHECKING:
    from collections.abc import Callable

#: name -> version; 0: there is none.
Versions = dict[str, int]
NAMES = ("a", "b", "c")
versions = st.fixed_dictionaries({name: st.integers(0, 3) for name in NAMES})


def resources(**wanted: int) -> Resources:
    """Network sets by name, of some version."""
    return loads("".join(network_set(name, [f"10.0.0.{at}"]) for name, at in wanted.items() if at)).resources


def versions_of(found: Resources) -> Versions:
    there = {it.metadata.name: int(str(it.nets[0]).split(".")[3].split("/")[0]) for it in found.globalNetworkSets}
    return {name: there.get(name, 0) for name in NAMES}


@given(versions, versions, st.sets(st.sampled_from(NAMES)))
def test_objects_of_others(one: Versions, other: Versions, names: set[str]) -> None:
    before, after = resources(**one), resources(**other)
    keys = [Key("GlobalNetworkSet", "", name) for name in names]
    mixed = with_objects_of(before, after, keys)
    assert versions_of(mixed) == {name: (other if name in names else one)[name] for name in NAMES}
    assert list(mixed.globalNetworkSets) == sorted(mixed.globalNetworkSets, key=lambda it: it.metadata.name)
    assert {key.name for key in changed_keys(before, after)} == {name for name in NAMES if one[name] != other[name]}


def test_changes_of_members() -> None:
    rest = open_endpoint("eth0") + service(7001)
    before = loads(rest + network_set("a", ["10.0.0.0/8", "::/0"]) + network_set("b", ["10.0.0.1"])).resources
    after = loads(rest + network_set("a", ["10.0.0.0/9", "::/0"]) + network_set("b", ["10.0.0.1"])).resources
    changes = members_changes(before, after)
    assert changes
    (change,) = changes
    assert (change.kind, change.name, len(change)) == ("GlobalNetworkSet", "a", 2)
    assert [str(it) for it in (*change.entered, *change.left)] == ["10.0.0.0/9", "10.0.0.0/8"]
    assert members_changes(before, before) == ()


@pytest.mark.parametrize(
    "after",
    [
        network_set("a", ["10.0.0.1"]) + network_set("b", []),
        network_set("b", ["10.0.0.1"]),
        network_set("a", ["10.0.0.1"]).replace('"labels": {"set": "a"}', '"labels": {"set": "x"}'),
        network_set("a", ["10.0.0.1"]) + service(7001),
        "",
    ],
)
def test_what_is_more_than_members(after: str) -> None:
    assert members_changes(resources(a=1), loads(after).resources) is None


# -- refusals --


class Machine:
    """What can be had: whatever ``refuses`` does not raise for."""

    def __init__(self, refuses: Callable[[Versions], None]) -> None:
        self.refuses = refuses
        self.in_force = resources(a=1, b=1)
        self.refusals = Refusals()
        self.tried: list[Versions] = []

    def want(self, **wanted: int) -> Versions:
        def attempt(candidate: Resources) -> None:
            self.tried.append(versions_of(candidate))
            self.refuses(versions_of(candidate))
            self.in_force = candidate

        self.refusals.enforce(resources(**wanted), self.in_force, attempt)
        return versions_of(self.in_force)


def test_what_is_named_stays_and_the_rest_goes_on() -> None:
    def refuses(wanted: Versions) -> None:
        wrong = [(f"GlobalNetworkSet/{name}", "no") for name, version in wanted.items() if version == 2]
        if wrong:
            raise UnsupportedPolicyError(wrong)

    machine = Machine(refuses)
    assert machine.want(a=2, b=3, c=2) == {"a": 1, "b": 3, "c": 0}
    told = [(it.key, it.stands_in) for it in machine.refusals.problems]
    assert told == [("GlobalNetworkSet/a", True), ("GlobalNetworkSet/c", False)]
    machine.tried.clear()
    assert machine.want(a=2, b=1, c=2) == {"a": 1, "b": 1, "c": 0}
    assert len(machine.tried) == 1, "what was refused by name is not tried again"
    assert machine.want(a=3, b=1, c=2) == {"a": 3, "b": 1, "c": 0}
    assert machine.want(a=3, b=1) == {"a": 3, "b": 1, "c": 0}
    assert machine.refusals.problems == ()


@pytest.mark.parametrize("error", [CapacityError("rules", needed=2, limit=1), WouldCutError(["x would cut y"])])
def test_what_is_not_named_keeps_all_but_not_for_ever(error: Exception) -> None:
    def refuses(wanted: Versions) -> None:
        if wanted["a"] == 2:
            raise error

    machine = Machine(refuses)
    assert machine.want(a=2, b=2) == {"a": 1, "b": 1, "c": 0}
    assert [it.key for it in machine.refusals.problems] == ["GlobalNetworkSet/a", "GlobalNetworkSet/b"]
    assert all(it.stands_in and it.message == str(error) for it in machine.refusals.problems)
    assert machine.want(a=2, b=2, c=1) == {"a": 1, "b": 1, "c": 1}, "what comes later is tried without it"
    assert machine.want(a=3, b=2, c=1) == {"a": 3, "b": 2, "c": 1}
    assert machine.refusals.problems == ()


def test_what_was_taken_back_is_not_made_again_until_something_else_is_wanted() -> None:
    before, change = loads(service(1)).resources, loads(service(2) + service(3)).resources
    refusals, tried = Refusals(), list[Resources]()
    refusals.refuse(ConfirmationError("taken back"), change, before)
    refusals.enforce(change, before, tried.append)
    assert tried.pop() == before
    assert len(refusals.problems) == 3
    members = loads(service(2) + service(3) + network_set("a", ["10.0.0.1"])).resources
    refusals.enforce(members, before, tried.append)
    assert changed_keys(before, tried.pop()) == {Key("GlobalNetworkSet", "", "a")}, "members are no reason to try again"
    other = loads(service(2) + service(4)).resources
    refusals.enforce(other, before, tried.append)
    assert tried.pop() == other
    assert refusals.problems == ()


def test_other_errors_are_not_swallowed() -> None:
    def refuses(_: Versions) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - this very one
        Machine(refuses).want(a=2)


@given(st.lists(versions, max_size=6), versions)
def test_what_is_in_force_was_never_refused(sequence: list[Versions], limits: Versions) -> None:
    """Whatever is wanted: what is in force is something that could be had, and of each object an old or new version."""

    def refuses(wanted: Versions) -> None:
        if sum(wanted.values()) > 5:
            raise CapacityError("all", needed=6, limit=5)
        if any(version == limits[name] != 0 for name, version in wanted.items() if name != "a"):
            named = [(f"GlobalNetworkSet/{name}", "no") for name in NAMES if wanted[name] == limits[name] != 0]
            raise UnsupportedPolicyError(named)

    machine = Machine(refuses)
    machine.in_force = Resources()
    for wanted in sequence:
        before = versions_of(machine.in_force)
        after = machine.want(**wanted)
        assert sum(after.values()) <= 5
        assert all(after[name] in (before[name], wanted[name]) for name in NAMES)
        refused = {it.key.rpartition("/")[2] for it in machine.refusals.problems}
        assert {name for name in NAMES if after[name] != wanted[name]} <= refused
        assert set(by_key(machine.in_force)) == {Key("GlobalNetworkSet", "", name) for name in NAMES if after[name]}


# -- the inbox --


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_ends_with_quiet() -> None:
    inbox = Inbox(0.0, 60.0)
    delivery = Delivery(source="x")
    inbox.put(Event.INTERFACES)
    inbox.put(delivery)
    assert not inbox.empty
    assert [it for it, _ in inbox.take(0)] == [Event.INTERFACES, delivery]
    assert inbox.empty
    assert inbox.take(0) == []


def test_a_burst_that_does_not_end_is_given_out_all_the_same() -> None:
    clock = Clock()
    inbox = Inbox(60.0, 0.5, clock=clock)
    for _ in range(10):
        inbox.put(Event.INTERFACES)
        clock.now += 0.1
    clock.now = 200.0

    def later() -> float:
        clock.now += 0.2
        return clock.now

    inbox._clock = later
    assert 1 < len(inbox.take(0)) < 10


def test_an_end_is_not_waited_with() -> None:
    inbox = Inbox(600.0, 600.0)
    inbox.put(Event.INTERFACES)
    inbox.put(Event.STOP)
    inbox.put(Event.INTERFACES)
    begin = time.monotonic()
    assert [it for it, _ in inbox.take(600)] == [Event.INTERFACES, Event.STOP]
    assert time.monotonic() - begin < 600


# -- what is told --


def test_nobody_is_told_without_a_service_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    assert notifier.watchdog == 0
    notifier.ready()
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    assert Notifier().watchdog == 3
    Notifier().ready()
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert Notifier().watchdog == 0


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Any:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def told(form: Any, *arguments: object, **fields: object) -> str:
        log_to_stderr(form)
        logging.getLogger("pyxdp.agent").info(*arguments, extra={"fields": fields})  # type: ignore[arg-type]
        return capsys.readouterr().err

    yield told
    root.handlers[:] = handlers
    root.setLevel(level)


def test_lines_for_people(log: Callable[..., str]) -> None:
    line = log("text", "two\nlines %d", 7, kind="full", words='a "b" c', none="", many=["x", "y"])
    date, _, rest = line.partition(" ")
    assert date.endswith("Z")
    assert rest == 'INFO two; lines 7 kind=full words="a \\"b\\" c" none="" many=x,y\n'


def test_lines_for_programs(log: Callable[..., str]) -> None:
    told = json.loads(log("json", "enforced", kind="full", seconds=0.5))
    assert told.pop("time").endswith("Z")
    assert told == {"level": "INFO", "logger": "pyxdp.agent", "message": "enforced", "kind": "full", "seconds": 0.5}
