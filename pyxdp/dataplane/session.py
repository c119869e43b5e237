"""Changes of one dataplane, one after the other: read back, plan, check, carry out, report.

The first change of a session, and every one after somebody else's, reads back everything that the kernel holds. The
others start from what the last one left: that nobody has changed it since is seen from a few numbers that every change
of pyxdp's touches (:mod:`pyxdp.dataplane.token`), while the lock is held.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

from pyxdp import netlink, planner
from pyxdp.compiler import Compilation
from pyxdp.dataplane.bpffs import target_of
from pyxdp.dataplane.drift import BLOCK, Drift, Lookout
from pyxdp.dataplane.execution import Execution
from pyxdp.dataplane.grace import Grace
from pyxdp.dataplane.halves import Halves
from pyxdp.dataplane.layout import object_of
from pyxdp.dataplane.mending import mend
from pyxdp.dataplane.numbers import KnownNumbers
from pyxdp.dataplane.preflight import check_interfaces, check_machine, check_plan
from pyxdp.dataplane.reading import early_of, read_endpoints, read_state
from pyxdp.dataplane.records import write_header
from pyxdp.dataplane.rules import read_tables
from pyxdp.dataplane.status import read_attachments
from pyxdp.dataplane.token import Token, read_token
from pyxdp.errors import StaleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from typing_extensions import Self

    from pyxdp.abi import Slot
    from pyxdp.compiler import MapImage, Numbers
    from pyxdp.compiler.members import Delta
    from pyxdp.dataplane.execution import Step
    from pyxdp.dataplane.layout import Layout
    from pyxdp.dataplane.setup import Setup
    from pyxdp.dataplane.status import Attachment
    from pyxdp.resolver import EffectivePolicy
    from pyxdp.xtables import Tables

    Compile: TypeAlias = Callable[[EffectivePolicy, Numbers], MapImage]
    OnPlan: TypeAlias = Callable[[planner.State, planner.Target], None]
    OnProgress: TypeAlias = Callable[[Step], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an apply did, or with ``dry_run`` would do.

    Attributes:
        plan: the operations, in order.
        image: what the policy was compiled to; in force unless ``dry_run``.
        attachments: how XDP runs on each governed interface, with the reason where it is not native; sorted by name.
        durations: seconds spent in ``read``, ``compile``, ``plan``, ``check`` and ``execute``.
        dry_run: nothing was changed.
    """

    plan: planner.Plan
    image: MapImage
    attachments: tuple[Attachment, ...]
    durations: Mapping[str, float]
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    """What the last change left."""

    token: Token
    state: planner.State
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What an apply is asked for."""

    policy: EffectivePolicy
    compile: Compile
    dry_run: bool
    on_plan: OnPlan
    on_progress: OnProgress


class Session:
    """Changes of one dataplane by one process. Made by :meth:`pyxdp.dataplane.Dataplane.session`; a context manager.

    The lock is held during each change and not in between. Not to be used by two threads at once.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._halves = Halves(setup.layout)
        self._grace = Grace()
        self._compilation = Compilation()
        self._lookout = Lookout(setup.layout, setup.iptables)
        self._known: _Known | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up maps and memory; what is enforced stays."""
        self._forget()
        self._lookout.close()

    @property
    def generation(self) -> int:
        """Of what this session put in force last; 0: nothing yet."""
        return self._known.state.slots[self._known.state.active].generation if self._known else 0

    @property
    def room(self) -> Mapping[str, int]:
        """Entries that one slot of each map has, by name; empty when this session has put nothing in force yet."""
        state = self._known and self._known.state
        return state.objects[state.current].capacities if state and state.current is not None else {}

    def intact(self) -> bool:
        """Whether no pyxdp has changed anything since the last change of this session. Takes less than a millisecond.

        What others may have done to links and rules is not looked for: ``status`` and a first ``apply`` do that.
        """
        return self._known is not None and read_token(self._setup.layout) == self._known.token

    def settle(self) -> None:
        """Remember what there is now, for :meth:`look`, if a change was made since the last time.

        Does what the next look would do first: call it soon after a change, when there is time.

        Raises:
            BpfError: something can not be read.
        """
        if self._known is not None:
            self._lookout.settle(self._known.state, self._halves)

    def look(self) -> frozenset[Drift]:
        """Find out what anybody else has changed since this session did; nothing if it has put nothing in force.

        Takes a few milliseconds, and some tens when rules of nf_tables have changed since the last look.
        After :meth:`distrust`, :meth:`apply` repairs it.

        Raises:
            XtablesError: iptables can not be run.
        """
        if self._known is None:
            return frozenset()
        state = self._known.state
        found = self._lookout.look(state, self._halves)
        if found or self.intact():
            return found
        return self._lookout.look(state, self._halves) or frozenset({Drift.MAP})  # it happened behind the look

    def rest(self) -> None:
        """Give back memory that only makes the next change a little faster: the maps that are mapped into it."""
        self._halves.close()

    def distrust(self) -> None:
        """Let the next :meth:`apply` read everything back, as the first one did."""
        self._known = None

    def apply(
        self,
        policy: EffectivePolicy,
        *,
        compile: Compile | None = None,  # noqa: A002 - that is what it does
        dry_run: bool = False,
        on_plan: OnPlan = lambda *_: None,
        on_progress: OnProgress = lambda _: None,
    ) -> Report:
        """Make the kernel enforce a policy: on all its endpoints at once, or not at all.

        Applying what is in force already plans nothing. The first apply of a session repairs what somebody else
        changed; the others only if it is theirs to change maps alone that finds no way.

        Args:
            policy: for the interfaces of this network namespace as they are now.
            compile: makes the image, and is called once or twice; by default a :class:`~pyxdp.compiler.Compilation` of
                this session.
            dry_run: only plan and check.
            on_plan: called when it is known what will be done, with what there is and what will be, and the lock held.
            on_progress: called before and during each operation.

        Raises:
            CapacityError: the policy is too large; nothing was changed.
            OperatorError: the machine is not ready; nothing was changed.
            BpfError: the kernel refused an operation. Everything was set back, unless the new policy is in force
                already: then the error says so, and the next apply cleans up.
        """
        wish = _Wish(policy, compile or self._compilation.update, dry_run, on_plan, on_progress)
        with self._setup.lock():
            if self._known and not self.intact():
                self._known = None
            return (self._known and self._change_maps(wish, self._known)) or self._change(wish)

    def write_members(self, deltas: Iterable[Delta]) -> int:
        """Change addresses in the slot in force, without another policy: each delta in order, and in it writes first.

        The slot gets the next generation, and a digest that no image has, so that every later apply knows that its
        tables are not what was compiled.

        Args:
            deltas: as :class:`pyxdp.compiler.members.MemberTable` makes them for the image in force.

        Returns:
            The generation in force from now on.

        Raises:
            StaleError: this session has put nothing in force, or another pyxdp has changed something since. Nothing was
                written; apply again.
        """
        deltas = tuple(deltas)
        with self._setup.lock():
            if self._known is None or not self.intact():
                raise StaleError
            known, self._known = self._known, None
            state = known.state
            number = state.current
            assert number is not None  # noqa: S101 - something is in force
            header = state.slots[state.active]
            header = header._replace(
                generation=max(it.generation for it in state.slots) + 1, digest=_digest(header, deltas)
            )
            with self._lookout.writing_members(state, self._halves, _blocks(deltas)):
                write_header(self._setup.layout, number, state.active, header)
                for delta in deltas:
                    self._write(number, state.active, delta)
            slots = (header, state.slots[1]) if state.active == 0 else (state.slots[0], header)
            self._remember(replace(state, slots=slots), known.attachments)
        return header.generation

    def _write(self, number: int, slot: int, delta: Delta) -> None:
        for write in delta.writes:
            memory, size = self._halves.memory(number, write.map)
            at = slot * size + write.offset
            memory.view[at : at + len(write.data)] = write.data
        for flips in delta.flips:
            memory, size = self._halves.memory(number, flips.map)
            memory.scatter((flips.offsets + slot * size).data, flips.values.data)

    def _change_maps(self, wish: _Wish, known: _Known) -> Report | None:
        """Apply what changes nothing but maps, starting from what the last change left; ``None`` if more is to be done.

        It is the planner that says so. Nothing is read back: neither rules nor links.
        """
        clock, state = _Clock(), known.state
        if not wish.dry_run:
            self._grace.begin()
        with clock("compile"):
            ifindexes = {it.interface.name: it.interface.index for it in wish.policy.endpoints if not it.workloads}
            image = wish.compile(wish.policy, KnownNumbers(state, ifindexes))
        with clock("plan"):
            target = self._setup.target(image, wish.policy, state)
            plan = planner.plan(state, target)
        if not planner.only_maps(plan):
            return None
        with clock("execute"), self._noting(wish, plan, state):
            state = self._carry_out(wish, plan, state, target, {})
        if not wish.dry_run:
            after = planner.settled(state, target, plan, state.endpoints)
            self._remember(after, known.attachments)
        return _report(wish, plan, image, known.attachments, clock)

    def _noting(self, wish: _Wish, plan: planner.Plan, state: planner.State) -> AbstractContextManager[None]:
        """What others did before a change of maps must not look right behind it."""
        if wish.dry_run or not plan:
            return nullcontext()
        fills = any(isinstance(it, planner.FillSlot) for it in plan.operations)
        return self._lookout.writing_slot(state, self._halves, fills=fills)

    def _change(self, wish: _Wish) -> Report:
        """Apply anything, starting from what there is. What is refused before anything is changed stays known."""
        clock, layout, policy = _Clock(), self._setup.layout, wish.policy
        self._begin_anew()
        with clock("check"):
            check_machine(layout.bpffs)
        with clock("read"):
            if not wish.dry_run:
                mend(layout, self._setup.code)
            devices = {device.interface.name: device for device in netlink.devices()}
            tables = read_tables(layout, self._setup.iptables)
            state = read_state(layout, tables, devices.values(), self._halves)
        with clock("compile"):
            check_interfaces((it.interface for it in policy.endpoints if not it.workloads), devices)
            ifindexes = {name: it.interface.index for name, it in devices.items()}
            image = wish.compile(policy, KnownNumbers(state, ifindexes))
        with clock("plan"):
            target = self._setup.target(image, policy, state)
            plan = planner.plan(state, target)
        with clock("check"):
            check_plan(plan, devices, self._setup.iptables)
        with clock("execute"):
            state = self._carry_out(wish, plan, state, target, tables)
        if wish.dry_run:
            return _report(wish, plan, image, (), clock)
        self._lookout.forget()
        attachments = read_attachments(layout)
        self._remember(_settled(layout, state, target, plan), attachments)
        return _report(wish, plan, image, attachments, clock)

    def _carry_out(
        self,
        wish: _Wish,
        plan: planner.Plan,
        state: planner.State,
        target: planner.Target,
        tables: Mapping[planner.TableSet, Tables],
    ) -> planner.State:
        wish.on_plan(state, target)
        if wish.dry_run:
            return state
        self._known = None
        state = self._with_trace(state, plan)
        Execution(self._setup, state, tables, self._halves, self._grace).run(plan, wish.on_progress)
        return state

    def _with_trace(self, state: planner.State, plan: planner.Plan) -> planner.State:
        """Let other sessions see a plan that fills no slot: the spare one's header tells a time, which nobody needs."""
        if state.current is None or not plan or any(isinstance(it, planner.FillSlot) for it in plan.operations):
            return state
        spare = 1 - state.active
        before = state.slots[spare]
        header = before._replace(applied_ns=max(time.time_ns(), before.applied_ns + 1))
        write_header(self._setup.layout, state.current, spare, header)
        return replace(state, slots=(state.slots[0], header) if spare else (header, state.slots[1]))

    def _remember(self, state: planner.State, attachments: tuple[Attachment, ...]) -> None:
        token = read_token(self._setup.layout)
        self._known = _Known(token, state, attachments) if token else None

    def _forget(self) -> None:
        self._known = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._grace.close()
        self._grace = Grace()
        self._halves.close()


def _settled(layout: Layout, state: planner.State, target: planner.Target, plan: planner.Plan) -> planner.State:
    """What there is after a plan; the little that is found out by trying is read."""
    number = object_of(target_of(layout.shown_maps) or "")
    assert number is not None  # noqa: S101 - the plan has seen to it
    return planner.settled(state, target, plan, read_endpoints(layout.maps(number)), early_of(layout.object(number)))


def _blocks(deltas: Iterable[Delta]) -> dict[str, set[int]]:
    """The blocks of each map in which these deltas write."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for delta in deltas:
        for write in delta.writes:
            found[write.map].update(range(write.offset // BLOCK, -(-(write.offset + len(write.data)) // BLOCK)))
        for flips in delta.flips:
            found[flips.map].update((flips.offsets // BLOCK).tolist())
    return found


def _digest(header: Slot, deltas: Iterable[Delta]) -> bytes:
    """Of a slot that these deltas are written to; depends on all that was written to it before."""
    digest = sha256(header.digest)
    for delta in deltas:
        for write in delta.writes:
            digest.update(f"{write.map} {write.offset} {len(write.data)}\n".encode())
            digest.update(write.data)
        for flips in delta.flips:
            digest.update(f"{flips.map} {flips.offsets.nbytes} {flips.values.nbytes}\n".encode())
            digest.update(flips.offsets.data)
            digest.update(flips.values.data)
    return digest.digest()


def _report(
    wish: _Wish, plan: planner.Plan, image: MapImage, attachments: tuple[Attachment, ...], clock: _Clock
) -> Report:
    return Report(plan=plan, image=image, attachments=attachments, durations=clock.seconds, dry_run=wish.dry_run)


class _Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.monotonic() - begin
