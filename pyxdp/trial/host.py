"""A host with one interface that exists nowhere: what would it do with a packet?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pyxdp.dataplane.code import PREFIX, Code
from pyxdp.dataplane.trial import DEFAULT_CAPACITIES, Trial
from pyxdp.evaluator import Context, Direction, Path
from pyxdp.net import HookSettings
from pyxdp.net.frame import build_frame
from pyxdp.trial.deciding import conclude
from pyxdp.trial.frames import Arrival, arrival, fitting
from pyxdp.trial.hooks import HOOKS_OF_STAGE, ways
from pyxdp.trial.journey import Frames, Journey, Route
from pyxdp.trial.judgement import Judgement, Stage, Verdict
from pyxdp.trial.record import Ledger, RecordedJourney
from pyxdp.xtables.chains import chains_for, is_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from pyxdp.abi import Name
    from pyxdp.compiler import MapImage
    from pyxdp.net import Packet

_NEW_AND_LOCAL: Final = Context()
_DEFAULT_SETTINGS: Final = HookSettings()
_NO_XDP: Final = -1
#: Any interface number but 0 will do.
_ANOTHER_INTERFACE: Final = 1
_TWO_SIDED: Final = ("local_in_deny", "local_out_deny", "local_dnat_deny")


class TrialHost:
    """The real programs, run by ``BPF_PROG_TEST_RUN`` in the order of the kernel. Needs root and Linux 5.12.

    Nothing is attached, pinned or given to iptables. Early drop is off: it changes no verdict, and what it looks at
    (routes, connections, other people's hooks) is not there. Use as a context manager::

        with TrialHost() as host:
            host.enforce(image, "eth0")
            verdict, untracked = host.verdict(packet)
    """

    def __init__(
        self, code: bytes | None = None, *, capacities: Mapping[str, int] = DEFAULT_CAPACITIES, counters: int = 4096
    ) -> None:
        """Load the programs.

        Args:
            code: the BPF object; by default the one that this package ships.
            capacities: entries of one slot of each map.
            counters: identities that an image may have.

        Raises:
            BpfError: the kernel refused, most often for lack of privileges.
        """
        code = Code.shipped(log_per_second=0).data if code is None else code
        self._trial = Trial(code, capacities=capacities, counters=counters)
        programs = self._trial.object.programs.items()
        self._programs = {name.removeprefix(PREFIX): program.fileno() for name, program in programs}
        self._titles = {number: name for name, number in self._programs.items()}
        self._names: Mapping[int, Name] = {}
        self._routes: dict[tuple[Direction, Path, Stage], Route] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._trial.__exit__()

    def enforce(self, image: MapImage, interface: str, settings: HookSettings = _DEFAULT_SETTINGS) -> None:
        """Judge from now on by this policy and on this interface.

        Args:
            image: of the policy.
            interface: of the packets to come. One that the image does not know is governed by nothing, unless a
                pattern of the image (``cali+``) stands for it.
            settings: of the node. What policy allows is accepted here even if they say ``Return``, which leaves it to
                rules that only the host knows.

        Raises:
            CapacityError: the image does not fit.
        """
        patterns = [name for name in image.endpoints if is_pattern(name) and interface.startswith(name[:-1])]
        governed = interface if interface in image.endpoints or not patterns else patterns[0]
        self._trial.fill(image, governed)
        self._names = image.names
        chains = chains_for(0, governed, replace(settings, allow="Accept"))
        has_xdp = not is_pattern(governed)
        self._routes = {
            (direction, path, stage): Route(
                xdp=self._programs["xdp"] if has_xdp and direction is Direction.INGRESS else _NO_XDP,
                stations=tuple(it for it in stations if it.hook in HOOKS_OF_STAGE.get(stage, (it.hook,))),
                two_sided=frozenset(self._programs[name] for name in _TWO_SIDED if path is Path.LOCAL),
                came_in_by=_ANOTHER_INTERFACE if (direction, path) == (Direction.EGRESS, Path.FORWARD) else 0,
                complete=stage is Stage.ALL,
            )
            for (direction, path), stations in ways(chains, interface, self._programs).items()
            for stage in Stage
        }

    def verdict(
        self,
        packet: Packet,
        *,
        direction: Direction = Direction.INGRESS,
        context: Context = _NEW_AND_LOCAL,
        stage: Stage = Stage.ALL,
    ) -> tuple[Verdict, bool]:
        """Judge a packet as fast as that goes, in some 30 microseconds.

        Args:
            packet: as it is after DNAT.
            direction: ingress or egress.
            context: what is known beyond the packet.
            stage: how far to follow it.

        Returns:
            The verdict, and whether the packet has left connection tracking.
        """
        stage = Stage.UNTRACKED if packet.later_fragment else stage
        journey = Journey(self._routes[direction, context.path, stage], _frames(packet, context), context)
        return journey.travel(), journey.untracked and not packet.later_fragment

    def judge(
        self,
        packet: Packet | bytes,
        *,
        direction: Direction = Direction.INGRESS,
        context: Context = _NEW_AND_LOCAL,
        stage: Stage = Stage.ALL,
        xdp: bool = True,
    ) -> Judgement:
        """Judge a packet and find out which rule decided.

        Args:
            packet: as it is after DNAT; or an Ethernet frame, well formed or not, as it is before.
            direction: ingress or egress.
            context: what is known beyond the packet.
            stage: how far to follow it.
            xdp: false: as if nothing were attached there.
        """
        frames, found = _arriving(packet) if isinstance(packet, bytes) else _judged(packet, context)
        stage = stage if found.whole else Stage.UNTRACKED
        route = self._routes[direction, context.path, stage]
        route = route._replace(stations=route.stations if found.in_tables else (), xdp=route.xdp if xdp else _NO_XDP)
        ledger = Ledger(self._trial, self._names)
        journey = RecordedJourney(route, frames, context, ledger, self._titles)
        judgement = conclude(
            journey.travel(),
            untracked=journey.untracked and found.whole,
            passages=journey.passages,
            forwarded=context.path is Path.FORWARD,
        )
        return judgement if journey.passages or not found.reason else replace(judgement, reason=found.reason)


def _judged(packet: Packet, context: Context) -> tuple[Frames, Arrival]:
    frames = _frames(packet, context)
    return frames, arrival(frames.wire)


def _arriving(frame: bytes) -> tuple[Frames, Arrival]:
    frame = fitting(frame)
    found = arrival(frame)
    return Frames(frame, found.bare, found.bare), found


def _frames(packet: Packet, context: Context) -> Frames:
    after = build_frame(packet)
    if context.original_destination is None and context.original_destination_port is None:
        return Frames(after, after, after)
    before = build_frame(context.before_dnat(packet))
    return Frames(before, before, after)
