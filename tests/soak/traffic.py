"""Flows of a host: what every policy denies and must never arrive, what every policy allows, and others.

A flood comes in, to the host and through it; what the host says itself goes out by sockets, and so through its rules.
"""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from tests.lab import flood
from tests.lab.flood import Stream, receivers, udp
from tests.lab.network import connect, namespace
from tests.soak.policies import ALWAYS, NEVER_NORMAL, NEVER_OUT, NEVER_THROUGH, NEVER_UNTRACKED
from tests.torture.flooding import flooding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.lab.flood import Flood, Receivers
    from tests.lab.network import Interface
    from tests.lab.packets import Place
    from tests.veth.host import Host

_NEVER: Final = (NEVER_UNTRACKED, NEVER_NORMAL)
#: Ports that random rules speak of; nobody listens there.
_OTHERS: Final = (5000, 5003, 5007)
#: Seconds between two datagrams of each flow that leaves the host.
_PAUSE: Final = 0.001


class Talker:
    """Sends datagrams from the host all the time.

    Attributes:
        sent: how many of each flow came as far as the host's rules.
    """

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        self._over = threading.Event()
        self.sent = [0] * len(sockets)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send from a thread."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _run(self) -> None:
        while not self._over.wait(_PAUSE):
            for at, sender in enumerate(self._sockets):
                with suppress(OSError):  # the interface is just down
                    self.sent[at] += _try_to_send(sender)


def _try_to_send(sender: socket.socket) -> int:
    with suppress(PermissionError):  # a rule has dropped it
        sender.send(bytes(8))
    return 1


class Traffic:
    """What was sent, and what of it has arrived. Of each way the flows that no policy allows come first.

    Attributes:
        leaks: packets that no policy allows and that have arrived, by what happened at that time.

    Args:
        generator: of what comes in: two flows for each of ``_NEVER``, two allowed ones, then the same through the host.
        talker: of what goes out: a denied flow and an allowed one.
        into: of the host.
        beyond: behind the host.
        outside: where its own datagrams go.
    """

    def __init__(
        self, generator: Flood, talker: Talker, into: Receivers, beyond: Receivers, outside: Receivers
    ) -> None:
        self._generator, self._talker = generator, talker
        self._into, self._beyond, self._outside = into, beyond, outside
        self._excused = 0
        self.leaks = dict.fromkeys(("kills", "upgrades", "changes"), 0)

    def note(self, what: str) -> None:
        """What has leaked since the last time did so while this happened."""
        leaked = self.leaked - sum(self.leaks.values())
        if leaked or what in self.leaks:
            self.leaks[what] = self.leaks.get(what, 0) + leaked

    @property
    def sent(self) -> int:
        """Packets of all flows."""
        return sum(self._generator.sent) + sum(self._talker.sent)

    @property
    def denied(self) -> dict[str, int]:
        """Packets that no policy allows, by their way."""
        sent = self._generator.sent
        return {"in": sum(sent[:4]), "through": sum(sent[6:8]), "out": self._talker.sent[0]}

    @property
    def leaked(self) -> int:
        """Packets that no policy allows and that have arrived, but for those that are excused."""
        return self._leaked_by_xdp + self._leaked_by_rules - self._excused

    @property
    def allowed(self) -> dict[str, int]:
        """Packets that every policy allows and that have arrived, by their way."""
        return {
            "in": sum(self._into.received[4:]),
            "through": sum(self._beyond.received[2:]),
            "out": self._outside.received[1],
        }

    @contextmanager
    def excused(self, *, everything: bool) -> Iterator[None]:
        """Meanwhile a stranger removes rules, or writes into the tables.

        What normal policy denies XDP drops early only while conntrack does not know it, and after one stranger in the
        tables it may.

        Args:
            everything: then also what untracked policy denies may pass, which XDP drops in any case.
        """
        before = self._leaked_by_rules + everything * self._leaked_by_xdp
        try:
            yield
        finally:
            self._excused += self._leaked_by_rules + everything * self._leaked_by_xdp - before

    @property
    def _leaked_by_xdp(self) -> int:
        return sum(self._into.received[:2])

    @property
    def _leaked_by_rules(self) -> int:
        return sum(self._into.received[2:4]) + sum(self._beyond.received[:2]) + self._outside.received[0]


@contextmanager
def far_end(host: Host) -> Iterator[tuple[Interface, Interface]]:
    """Make a host that is reached through the governed one, by an interface that nothing governs."""
    with namespace() as space:
        near, far = connect(host.space, space, subnet=240)
        host.space.sysctl("net/ipv4/ip_forward", 1)
        host.space.sysctl("net/ipv6/conf/all/forwarding", 1)
        for name in ("all", far.name):
            space.sysctl(f"net/ipv4/conf/{name}/rp_filter", 0)
        yield near, far


@contextmanager
def traffic(host: Host, far: Interface) -> Iterator[Traffic]:
    """Flood a host, and whom it forwards to."""
    end, peer = host.end, host.peer
    into, through = _places(end, (*_NEVER, ALWAYS)), _places(far, (NEVER_THROUGH, ALWAYS))
    streams = [Stream(udp((_of(peer, to), 4000), (to, port)), ports=16) for to, port in (*into, *through)]
    streams += [Stream(udp(("10.77.0.0", 4000), (end.ipv4, port)), sources=256, astray=True) for port in _OTHERS]
    out = [(peer.ipv4, port) for port in (NEVER_OUT, ALWAYS)]
    with ExitStack() as stack:
        sockets = [stack.enter_context(receivers(*it)) for it in ((end, into), (far, through), (peer, out))]
        talker = Talker([stack.enter_context(_dialled(host, to)) for to in out])
        generator = stack.enter_context(flood.flood(peer, end, streams))
        stack.enter_context(flooding(generator))
        stack.enter_context(talker.running())
        yield Traffic(generator, talker, *sockets)


def _places(end: Interface, ports: Sequence[int]) -> list[Place]:
    return [(to, port) for port in ports for to in (end.ipv4, end.ipv6)]


def _of(peer: Interface, to: str) -> str:
    return peer.ipv6 if ":" in to else peer.ipv4


def _dialled(host: Host, to: Place) -> socket.socket:
    with host.space.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.connect(to)
    return made
