"""Death and failure at every step of apply: wholly the old policy or wholly the new one, on both of two endpoints.

A step is what ``on_progress`` is told of: the beginning of each operation, and the parts inside of it. A child process
applies and kills itself there; or the callback raises, and apply goes back.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pyxdp import planner
from pyxdp.bpf import Link, Program, XdpAction
from pyxdp.dataplane import Dataplane, Step
from pyxdp.errors import PinError
from pyxdp.xtables import Iptables
from tests.lab.network import connect
from tests.veth.attached import at_one_time
from tests.veth.host import NODE, Host, endpoint, network_set, normal, opened, service, tcp_frame, untracked
from tests.veth.test_apply import NOTHING, traces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxdp.resolver import EffectivePolicy
    from tests.lab.network import Interface, Namespace

pytestmark = pytest.mark.long

PORTS = (7001, 7002)
#: What the untracked class denies of PORTS, the normal class denies of the ports so much further.
NORMAL = 100
#: Denied by every policy of these tests, in the normal class.
NEVER = 7500
#: The ports of PORTS that a policy denies, or None where nothing of ours runs.
Verdict = frozenset[int] | None


@dataclass(frozen=True)
class Machine:
    """A host with two interfaces."""

    host: Host
    ends: tuple[tuple[Interface, Interface], tuple[Interface, Interface]]

    def dataplane(self, build: int = 0) -> Dataplane:
        """Another ``build`` wants its programs loaded anew, on another object."""
        return Dataplane(self.host.bpffs, log_per_second=100 + build)

    def policy(self, denied: int, *more: str) -> EffectivePolicy:
        """A policy that denies one of PORTS in the untracked class, and its neighbour in the normal one."""
        both = "".join(endpoint(end.name, f"hep{at}") for at, (end, _) in enumerate(self.ends))
        deny = [
            {"action": "Deny", "protocol": "TCP", "destination": {"ports": [denied + NORMAL]}},
            {"action": "Deny", "protocol": "UDP", "destination": {"ports": [NEVER]}},
        ]
        local = normal("local", ingress=[*deny, {"action": "Allow"}], egress=[{"action": "Allow"}])
        return self.host.resolve(both + service(denied, "Deny", ("TCP",)) + local + "".join(more))

    def apply(
        self, policy: EffectivePolicy, on_progress: Callable[[Step], None] = lambda _: None, build: int = 0
    ) -> None:
        with self.host.space.entered():
            self.dataplane(build).apply(policy, on_progress=on_progress)

    def in_a_child(self, policy: EffectivePolicy, on_progress: Callable[[Step], None], build: int = 0) -> int:
        """Apply in another process and return how it ended, as waitpid tells it."""
        child = os.fork()
        if child == 0:
            try:
                self.apply(policy, on_progress, build)
            finally:
                os._exit(0)
        return os.waitpid(child, 0)[1]

    def verdicts(self) -> set[Verdict]:
        """What the attached XDP programs, and those of the rules, deny; more than one element is a mixture."""
        return {self._denied(*pair) for pair in self.ends} | self._denied_by_rules()

    def _denied(self, end: Interface, peer: Interface) -> Verdict:
        pin = self.host.bpffs / "pyxdp/v1/links" / end.name
        if not pin.exists():
            return frozenset()
        frames = {port: tcp_frame(peer.ipv4, end.ipv4, port) for port in PORTS}
        with Link.from_pin(pin) as link, Program.from_id(link.info.program_id) as program:
            runs = at_one_time(self.host.bpffs, program, frames)
        return frozenset(port for port, verdict in runs.items() if verdict == XdpAction.DROP)

    def _denied_by_rules(self) -> set[Verdict]:
        """By the programs that the rules name, unless the rules have changed meanwhile."""
        while True:
            programs = self._programs_of_rules()
            with suppress(PinError):
                ours = [(programs[end.name], end, peer) for end, peer in self.ends if end.name in programs]
                found = {verdict for it in ours for verdict in self._denied_by(*it)}
                if programs == self._programs_of_rules():
                    return found

    def _programs_of_rules(self) -> dict[str, str]:
        with self.host.space.entered():
            return Iptables().read(4, Iptables().variant).programs

    def _denied_by(self, folder: str, end: Interface, peer: Interface) -> Iterator[Verdict]:
        """What the raw table and the filter table deny."""
        for name, further in (("in_deny", 0), ("local_in_deny", NORMAL)):
            frames = {port: tcp_frame(peer.ipv4, end.ipv4, port + further) for port in PORTS}
            with Program.from_pin(f"{folder}/{name}") as program:
                yield frozenset(port for port, taken in at_one_time(self.host.bpffs, program, frames).items() if taken)


@pytest.fixture
def machine(host: Host, netns: Callable[[], Namespace]) -> Machine:
    return Machine(host, ((host.end, host.peer), connect(host.space, netns(), subnet=1)))


def steps_of(run: Callable[[Callable[[Step], None]], None]) -> list[Step]:
    told: list[Step] = []
    run(told.append)
    return told


def interesting(steps: list[Step], *picks: int) -> list[int]:
    """Positions of the steps with these numbers in each operation, or of its last one if it has not as many."""
    operations: dict[int, list[int]] = {}
    for position, step in enumerate(steps):
        operations.setdefault(step.number, []).append(position)
    return sorted({at[min(pick, len(at) - 1)] for at in operations.values() for pick in picks})


def die_at(position: int) -> Callable[[Step], None]:
    left = iter(range(position, -1, -1))

    def on_progress(_: Step) -> None:
        if not next(left):
            os.kill(os.getpid(), signal.SIGKILL)

    return on_progress


def died(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def test_death_during_the_first_apply(machine: Machine) -> None:
    policy = machine.policy(7001)
    steps = steps_of(lambda told: machine.apply(policy, told))
    machine.host.delete()
    for position in interesting(steps, 0, 1)[::2]:  # the others: in the next test
        assert died(machine.in_a_child(policy, die_at(position)))
        switched = any(isinstance(step.operation, planner.Switch) for step in steps[:position])
        assert machine.verdicts() == {frozenset({7001}) if switched else frozenset()}, steps[position]
        if position % 5 == 0:  # on what is left, apply works as well as delete
            machine.apply(policy)
            assert machine.verdicts() == {frozenset({7001})}, steps[position]
        machine.host.delete()
        assert {key: traces(machine.host)[key] for key in NOTHING} == NOTHING, steps[position]


@pytest.mark.parametrize("part", range(3))
def test_death_during_a_change_to_larger_maps_and_other_code(machine: Machine, part: int) -> None:
    """Every operation that there is but the first attachment: a new object, moved links, other rules, clean-up."""
    old, new = machine.policy(7001), machine.policy(7002, endpoint_of_a_third(machine))
    machine.apply(old)
    steps = steps_of(lambda told: machine.apply(new, told, build=1))
    kinds = {type(step.operation).__name__ for step in steps}
    assert {"CreateObject", "LoadPrograms", "AttachXdp", "MoveLink", "UpdateRules", "Switch", "RemoveObject"} <= kinds
    machine.apply(old)
    for position in interesting(steps, 0, 2)[part::3]:
        assert died(machine.in_a_child(new, die_at(position), build=1)), steps[position]
        after = [isinstance(step.operation, planner.Switch) for step in steps[:position]]
        assert machine.verdicts() == {frozenset({7002} if any(after) else {7001})}, steps[position]
        machine.apply(old)
        assert machine.verdicts() == {frozenset({7001})}, steps[position]
        assert not plan_of(machine, old), steps[position]
    machine.host.delete()
    assert {key: traces(machine.host)[key] for key in NOTHING} == NOTHING


def endpoint_of_a_third(machine: Machine) -> str:
    with machine.host.space.links() as ip:
        ip.link("add", ifname="br7", kind="bridge")
    return endpoint("br7", "third")


def plan_of(machine: Machine, policy: EffectivePolicy) -> planner.Plan:
    with machine.host.space.entered():
        return machine.dataplane().apply(policy, dry_run=True).plan


def test_death_during_growth(machine: Machine) -> None:
    """Growth can be done once; so each death is followed by delete."""
    nets = [f"{20 + n % 100}.{n // 100}.{n & 255}.7" for n in range(1000)]  # each needs a page of its own
    rule = {"action": "Deny", "source": {"selector": "set == 'many'"}}
    many = network_set("many", nets) + untracked("many", ingress=[rule], egress=[])
    old, new = machine.policy(7001), machine.policy(7002, many)
    machine.apply(old)
    steps = steps_of(lambda told: machine.apply(new, told))
    begun = [next(at for at, step in enumerate(steps) if step.number == number) for number in {s.number for s in steps}]
    copied = [at for at, step in enumerate(steps) if isinstance(step.operation, planner.CopyMaps)]
    assert copied
    for position in sorted({*begun[::5], *copied}):
        machine.host.delete()
        machine.apply(old)
        assert died(machine.in_a_child(new, die_at(position)))
        after = [isinstance(step.operation, planner.Switch) for step in steps[:position]]
        assert machine.verdicts() == {frozenset({7002} if any(after) else {7001})}, steps[position]
        machine.apply(new)
        assert machine.verdicts() == {frozenset({7002})}


@contextmanager
def applying(machine: Machine, policies: list[EffectivePolicy], build: int) -> Iterator[None]:
    """Apply one policy after the other in another process, until it is killed."""
    child = os.fork()
    if child == 0:
        try:
            while True:
                for policy in policies:
                    machine.apply(policy, build=build)
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_death_at_any_moment(machine: Machine) -> None:
    """Not between steps but wherever the process happens to be.

    Meanwhile a connection lives that was there before any policy, and what every policy denies never arrives.
    """
    policies = {7001: machine.policy(7001), 7002: machine.policy(7002)}
    with talking(machine.host) as alive:
        machine.apply(policies[7001])
        kill_many(machine, list(policies.values()), alive)
    machine.apply(policies[7001])
    assert machine.verdicts() == {frozenset({7001})}
    assert not plan_of(machine, policies[7001])
    machine.host.delete()
    assert {key: traces(machine.host)[key] for key in NOTHING} == NOTHING


def kill_many(machine: Machine, policies: list[EffectivePolicy], alive: Callable[[], bool]) -> None:
    chance = random.Random(7)  # noqa: S311 - when to kill
    for round_number in range(12):
        with applying(machine, policies, round_number % 2):
            deadline = time.monotonic() + chance.uniform(0.02, 0.8)
            while time.monotonic() < deadline:
                assert machine.verdicts() <= {frozenset({7001}), frozenset({7002})}
                assert alive()
        assert machine.verdicts() in ({frozenset({7001})}, {frozenset({7002})})
        assert alive()


@contextmanager
def talking(host: Host) -> Iterator[Callable[[], bool]]:
    """A connection to the host; what it gives tells whether it works, and nothing arrives that never may."""
    with ExitStack() as stack:
        client, connection = stack.enter_context(host.connected(8080))
        with host.peer.namespace.entered():
            knocking = stack.enter_context(opened("udp", host.peer.ipv4))
        connection.settimeout(5)
        silent = stack.enter_context(host.serving("udp", NEVER))
        silent.settimeout(0)

        def alive() -> bool:
            client.send(b"x")
            knocking.sendto(b"x", (host.end.ipv4, NEVER))
            assert connection.recv(16)
            with suppress(BlockingIOError):
                return not silent.recv(16)
            return True

        yield alive


class RefusedError(Exception):
    """What a callback raises in the place of an operation that fails."""


def fail_at(position: int) -> Callable[[Step], None]:
    left = iter(range(position, -1, -1))

    def on_progress(step: Step) -> None:
        if not next(left, 1):
            raise RefusedError(step)

    return on_progress


def test_a_failure_before_the_switch_sets_everything_back(machine: Machine) -> None:
    old, new = machine.policy(7001), machine.policy(7002, endpoint_of_a_third(machine))
    machine.apply(old)
    steps = steps_of(lambda told: machine.apply(new, told, build=1))
    machine.apply(old)
    with machine.host.space.entered():
        before = machine.dataplane().read()
    seen = traces(machine.host)
    for position in interesting(steps, -1):
        if any(isinstance(step.operation, planner.Switch) for step in steps[:position]):
            break
        with pytest.raises(RefusedError):
            machine.apply(new, fail_at(position), build=1)
        assert machine.verdicts() == {frozenset({7001})}, steps[position]
        with machine.host.space.entered():
            after = machine.dataplane().read()
        assert after.endpoints == before.endpoints, steps[position]
        assert (after.names, after.tables, after.active) == (before.names, before.tables, before.active)
        assert (after.links, after.programs, after.rules) == (before.links, before.programs, before.rules)
        assert traces(machine.host) == seen, steps[position]
        assert not plan_of(machine, old)


def test_a_failure_of_the_first_apply_leaves_nothing(machine: Machine) -> None:
    policy = machine.policy(7001)
    clean = traces(machine.host)
    steps = steps_of(lambda told: machine.apply(policy, told))
    machine.host.delete()
    for position in interesting(steps, 1):
        if any(isinstance(step.operation, planner.Switch) for step in steps[:position]):
            break
        with pytest.raises(RefusedError):
            machine.apply(policy, fail_at(position))
        assert traces(machine.host) == clean, steps[position]


def test_a_failure_after_the_switch_leaves_the_new_policy(machine: Machine) -> None:
    old, new = machine.policy(7001), machine.policy(7002)
    for number in range(1, 100, 2):
        machine.apply(old)
        steps: list[Step] = []

        def on_progress(step: Step, at: int = number, told: list[Step] = steps) -> None:
            told.append(step)
            switches = sum(isinstance(it.operation, planner.Switch) for it in told)
            after = len(told) - next((i for i, it in enumerate(told) if isinstance(it.operation, planner.Switch)), 0)
            if switches and after == at + 1:
                raise RefusedError(step)

        try:
            machine.apply(new, on_progress, build=1)
        except RefusedError:
            assert machine.verdicts() == {frozenset({7002})}, steps[-1]
        else:
            assert number > 3
            return
    raise AssertionError


def test_a_node_that_is_not_ours_is_not_touched(machine: Machine) -> None:
    manifest = endpoint(machine.host.end.name).replace(f"node: {NODE}", "node: another")
    assert not machine.host.apply(manifest + service(7001, "Deny")).attachments
    assert machine.verdicts() == {frozenset()}
