"""Flows that flood the host: what every policy denies and must never arrive, what every policy allows, and others."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from tests.lab import flood
from tests.lab.flood import Stream, receivers, udp
from tests.soak.policies import ALWAYS, NEVER_NORMAL, NEVER_UNTRACKED
from tests.torture.flooding import flooding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.flood import Flood, Receivers
    from tests.veth.host import Host

_NEVER: Final = (NEVER_UNTRACKED, NEVER_NORMAL)
#: Ports that random rules speak of; nobody listens there.
_OTHERS: Final = (5000, 5003, 5007)


class Traffic:
    """What was sent, and what of it has arrived."""

    def __init__(self, generator: Flood, sockets: Receivers) -> None:
        self._generator, self._sockets = generator, sockets
        self._excused = 0

    @property
    def sent(self) -> int:
        """Frames of all flows."""
        return sum(self._generator.sent)

    @property
    def denied(self) -> int:
        """Frames that no policy allows."""
        return sum(self._generator.sent[: 2 * len(_NEVER)])

    @property
    def leaked(self) -> int:
        """Frames that no policy allows and that have arrived, but for those that are excused."""
        return self._arrived - self._excused

    @property
    def allowed(self) -> int:
        """Frames that every policy allows and that have arrived."""
        return sum(self._sockets.received[2 * len(_NEVER) :])

    @contextmanager
    def excused(self) -> Iterator[None]:
        """Meanwhile a stranger lets pass what he likes: he writes into the tables."""
        before = self._arrived
        try:
            yield
        finally:
            self._excused += self._arrived - before

    @property
    def _arrived(self) -> int:
        return sum(self._sockets.received[: 2 * len(_NEVER)])


@contextmanager
def traffic(host: Host) -> Iterator[Traffic]:
    """Flood a host."""
    end, peer = host.end, host.peer
    ways = ((peer.ipv4, end.ipv4), (peer.ipv6, end.ipv6))
    listening = [(to, port) for port in (*_NEVER, ALWAYS) for _, to in ways]
    streams = [Stream(udp((of, 4000), (to, port)), ports=16) for port in (*_NEVER, ALWAYS) for of, to in ways]
    streams += [Stream(udp(("10.77.0.0", 4000), (end.ipv4, port)), sources=256, astray=True) for port in _OTHERS]
    with ExitStack() as stack:
        sockets = stack.enter_context(receivers(end, listening))
        generator = stack.enter_context(flood.flood(peer, end, streams))
        stack.enter_context(flooding(generator))
        yield Traffic(generator, sockets)
