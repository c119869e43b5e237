"""``make torture``: ten thousand policy switches as fast as they go, in a flood; no frame may see anything in between.

What switches is what ``apply`` runs: the operations of a plan, carried out by the dataplane. Then come as many changes
of a network set's members. ``TORTURE_SWITCHES`` and ``TORTURE_CHANGES`` say how many.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pyxdp import planner
from pyxdp.abi import Reason
from pyxdp.compiler import build_image, compile_rulesets
from pyxdp.dataplane.execution import Execution
from pyxdp.dataplane.grace import Grace
from pyxdp.dataplane.halves import Halves
from pyxdp.dataplane.layout import Layout
from pyxdp.dataplane.setup import Setup
from pyxdp.xtables import Iptables
from tests.lab import flood
from tests.lab.mounts import unshare_mounts
from tests.lab.waiting import wait_until
from tests.torture.counts import Counts
from tests.torture.flooding import flooding, silent_host
from tests.torture.members import torture_members
from tests.torture.policies import FLOWS, ROUND, SIDES, manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyxdp.compiler import MapImage
    from tests.lab.flood import Flood, Receivers
    from tests.veth.host import Host

SWITCHES: Final = 10_000
_EVERY: Final = 15.0
_PATIENCE: Final = 60.0
#: The flows that a socket receives, in the order of the sockets.
_DELIVERED: Final = [flow for flow in FLOWS if flow.delivered]


class Operations(Protocol):
    """Makes the operations of one switch."""

    def __call__(self, slot: int, generation: int, image: MapImage, /) -> tuple[planner.Operation, ...]: ...


@dataclass(frozen=True)
class Result:
    """What a torture found.

    Attributes:
        switches: how many.
        seconds: for all of them.
        sent: frames that the generator sent.
        lost: how many of them the cable lost, before any program saw them.
        mixed: frames that neither policy explains, by what shows it.
        vanished: frames of flows that both policies allow that XDP let pass and no socket received.
    """

    switches: int
    seconds: float
    sent: int
    lost: int
    mixed: Mapping[str, int]
    vanished: int

    def __str__(self) -> str:
        """Four lines."""
        pace = f"{self.switches:,} switches in {self.seconds:.1f} s ({self.switches / self.seconds:,.0f} a second)"
        frames = f"{self.sent:,} frames ({self.sent / self.seconds:,.0f} a second), {self.lost:,} lost on the cable"
        mixed = ", ".join(f"{what}: {n:,}" for what, n in self.mixed.items()) or "0"
        return f"{pace}\n{frames}\nmixed verdicts: {mixed}\nlost of allowed flows: {self.vanished:,}"


def production(slot: int, generation: int, image: MapImage) -> tuple[planner.Operation, ...]:
    """What the planner plans for a policy that needs nothing but its tables."""
    fill = planner.FillSlot(slot, generation, time.time_ns(), image.digest, image.tables)
    return planner.AwaitGrace(), fill, planner.Switch(slot, generation)


class Torture:
    """A host that is governed by the first of the two policies, and what switches it to and fro."""

    def __init__(self, host: Host) -> None:
        """Apply the first policy to a host that has none yet, and compile both."""
        self._host = host
        policies = [host.resolve(manifest(host.end, side)) for side in SIDES]
        with host.space.entered():
            host.dataplane().apply(policies[0])
            self._state = host.dataplane().read()
        (self._endpoint,) = self._state.endpoints
        rulesets = [compile_rulesets(policy) for policy in policies]
        known = {name.identity: index for index, name in self._state.names.items()}
        wanted = dict.fromkeys(identity for one in rulesets for identity in one.identities)
        counters = planner.assign(known, wanted, limit=1024, what="rules")
        self._images = [build_image(one, counters, {host.end.name: self._endpoint}) for one in rulesets]
        self._names = {index: name for image in self._images for index, name in image.names.items()}
        self._layout = Layout(host.bpffs)
        setup = Setup(self._layout, Iptables(), 100, early_drop=True, lock_timeout=1.0, on_wait=lambda: None)
        self._halves = Halves(self._layout)
        self._execution = Execution(setup, self._state, {}, self._halves, Grace())
        self._carry_out(planner.WriteNames(self._names))

    def close(self) -> None:
        """Give up the maps."""
        self._halves.close()

    def run(
        self,
        switches: int,
        operations: Operations = production,
        on_progress: Callable[[int], None] = lambda _: None,
        patience: float = _PATIENCE,
    ) -> Result:
        """Switch while frames come in; then count.

        Args:
            switches: how many.
            operations: of one switch to an image: its slot, its generation.
            on_progress: told how many switches are done.
            patience: seconds that frames of allowed flows have to get to their sockets.
        """
        end = self._host.end
        places = [(flow.address(end), flow.port) for flow in _DELIVERED]
        with (
            flood.flood(self._host.peer, end, [flow.stream(end) for flow in ROUND]) as generator,
            flood.receivers(end, places) as sockets,
        ):
            begin = time.monotonic()
            with flooding(generator):
                for number in range(switches):
                    slot, generation = (self._state.active + number + 1) % 2, number + 2
                    self._carry_out(*operations(slot, generation, self._images[(number + 1) % 2]))
                    on_progress(number + 1)
                seconds = time.monotonic() - begin
            return self._result(switches, seconds, generator, sockets, patience)

    def _carry_out(self, *operations: planner.Operation) -> None:
        self._execution.run(planner.Plan(operations), lambda _: None)

    def _result(self, switches: int, seconds: float, generator: Flood, sockets: Receivers, patience: float) -> Result:
        sent = dict.fromkeys(FLOWS, 0)
        for flow, frames in zip(ROUND, generator.sent, strict=True):
            sent[flow] += frames
        arrived = sum(generator.sent) - generator.lost
        wait_until(lambda: self._counts().judged >= arrived)
        passed = sum(self._counts().of(flow) for flow in _DELIVERED)
        with suppress(AssertionError):  # the result will tell
            wait_until(lambda: sum(sockets.received) >= passed, timeout=patience)
        counts = self._counts()
        mixed = counts.findings(sent, generator.lost, early=self._state.objects[1].early is planner.Early.ON)
        vanished = max(passed - sum(sockets.received), passed - counts.reasons[Reason.UNTRACKED])
        return Result(switches, seconds, sum(generator.sent), generator.lost, mixed, vanished)

    def _counts(self) -> Counts:
        return Counts.read(self._layout.shown_maps, self._names, self._endpoint)


def main() -> int:
    """Run; 1 if any frame saw a mixture, got what it can not get, or was lost."""
    switches = int(os.environ.get("TORTURE_SWITCHES") or SWITCHES)
    changes = int(os.environ.get("TORTURE_CHANGES") or SWITCHES)
    unshare_mounts()
    with silent_host() as host, closing(Torture(host)) as torture:
        switched = torture.run(switches, on_progress=_Progress("switches", switches))
    _say(str(switched))
    with silent_host() as host:
        changed = torture_members(host, changes, _Progress("changes", changes))
    _say(str(changed))
    return 1 if switched.mixed or switched.vanished or changed.wrong else 0


class _Progress:
    """A line every quarter of a minute."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._next = time.monotonic() + _EVERY

    def __call__(self, done: int) -> None:
        if time.monotonic() >= self._next:
            self._next += _EVERY
            _say(f"{done:,} of {self._total:,} {self._what}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
