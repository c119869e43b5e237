"""Attempts to talk over real sockets, many at a time, and what becomes of each.

A test writes a table: this flow is answered, that one meets silence. :func:`observe` starts all of them at once, and
waits for what should come as long as it takes (:data:`PATIENCE`), for what should not come :data:`SILENCE`, once a
table.
"""

from __future__ import annotations

import errno
import secrets
import selectors
import socket
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal

from tests.lab import packets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.lab.network import Namespace

Transport = Literal["tcp", "udp", "icmp"]

#: How long nothing has to happen before what has not come counts as not coming, in seconds.
SILENCE = 0.1
#: How long is waited for what should come: so long that no machine is too busy.
PATIENCE = 30.0


class Outcome(Enum):
    """What the client of a flow met; LOST is the only one that the server's side decides."""

    ANSWERED = "answered"
    REFUSED = "refused by an ICMP error or a reset"
    FORBIDDEN = "forbidden by the client's own kernel"
    LOST = "received, but the answer was lost"
    SILENT = "silent"


ANSWERED, REFUSED, FORBIDDEN, LOST, SILENT = Outcome


@dataclass(frozen=True)
class Flow:
    """Somebody who talks to somebody.

    Attributes:
        client: where the first packet comes from.
        server: where somebody listens.
        source: address and port of the client; port 0 is any.
        dialled: address and port that the client sends to; the port means nothing for ``icmp``.
        served: address and port that the server has; another than ``dialled`` where a DNAT rule lies between.
            Nobody listens at port 0.
    """

    transport: Transport
    client: Namespace
    server: Namespace
    source: tuple[str, int]
    dialled: tuple[str, int]
    served: tuple[str, int]

    def __str__(self) -> str:
        arrow = " -> ".join(f"{address} {port}" for address, port in (self.source, self.dialled))
        behind = "" if self.served == self.dialled else f" (served at {self.served[0]} {self.served[1]})"
        return f"{self.transport} {arrow}{behind}"


def patience(*, expected: bool) -> float:
    """How long to wait for something that is expected to come, or not to come."""
    return PATIENCE if expected else SILENCE


def expect(*tables: Mapping[Flow, Outcome]) -> None:
    """Start every flow of the tables and hold what becomes of it against them."""
    table = {flow: outcome for each in tables for flow, outcome in each.items()}
    found = observe(table)
    wrong = {flow: outcome for flow, outcome in table.items() if found[flow] is not outcome}
    assert not wrong, "".join(f"\n{flow}: {found[flow].value}, not {outcome.value}" for flow, outcome in wrong.items())


def observe(table: Mapping[Flow, Outcome]) -> dict[Flow, Outcome]:
    """Start every flow of the table; return what became of it. The table says how long is worth waiting."""
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        listeners = _Listeners(stack, selector)
        attempts = [_ATTEMPTS[flow.transport](flow, selector, listeners, stack) for flow in table]
        for attempt in attempts:
            attempt.start()
        while not all(attempt.over for attempt in attempts):
            late = any(attempt.outcome is not table[attempt.flow] for attempt in attempts)
            events = selector.select(PATIENCE if late else SILENCE)
            if not events:
                break
            for key, _ in events:
                key.data()
        return {attempt.flow: attempt.outcome for attempt in attempts}


class _Listeners:
    """The servers' sockets: one for each place, whoever calls there. They greet, or send back what they get."""

    def __init__(self, stack: ExitStack, selector: selectors.BaseSelector) -> None:
        self._stack = stack
        self._selector = selector
        self._places: set[tuple[Namespace, str, tuple[str, int]]] = set()
        self.received: set[bytes] = set()

    def open(self, flow: Flow) -> None:
        place = (flow.server, flow.transport, flow.served)
        if flow.served[1] == 0 or place in self._places:
            return
        self._places.add(place)
        with flow.server.entered():
            listener = self._stack.enter_context(opened(flow.transport, flow.served))
        listener.settimeout(0)
        if flow.transport == "tcp":
            listener.listen(64)
            self._selector.register(listener, selectors.EVENT_READ, lambda: self._greet(listener))
        else:
            self._selector.register(listener, selectors.EVENT_READ, lambda: self._echo(listener))

    def _greet(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self._stack.enter_context(connection)
        connection.send(b"welcome")

    def _echo(self, listener: socket.socket) -> None:
        data, sender = listener.recvfrom(2048)
        self.received.add(data)
        with suppress(PermissionError):  # the client will tell
            listener.sendto(data, sender)


class _Attempt:
    """One flow under way."""

    def __init__(self, flow: Flow, selector: selectors.BaseSelector, listeners: _Listeners, stack: ExitStack) -> None:
        self.flow = flow
        self._selector = selector
        self._listeners = listeners
        self._token = secrets.token_bytes(8)
        self._result: Outcome | None = None
        listeners.open(flow)
        with flow.client.entered():
            self._client = stack.enter_context(self._opened())
        self._client.settimeout(0)

    def _opened(self) -> socket.socket:
        return opened(self.flow.transport, self.flow.source)

    def start(self) -> None:
        """Send the first packet."""
        try:
            self._send()
        except OSError as error:
            self._failed(error.errno)
        else:
            self._selector.register(self._client, selectors.EVENT_READ, self._read)

    def _send(self) -> None:
        self._client.connect(self.flow.dialled)
        self._client.send(self._token)

    def _read(self) -> None:
        try:
            data = self._client.recv(2048)
        except OSError as error:
            self._failed(error.errno)
        else:
            if self._is_answer(data):
                self._end(ANSWERED)

    def _is_answer(self, data: bytes) -> bool:
        return data == self._token

    def _failed(self, number: int | None) -> None:
        self._end(FORBIDDEN if number in {errno.EPERM, errno.EACCES} else REFUSED)

    def _end(self, outcome: Outcome) -> None:
        self._result = outcome
        if self._client in self._selector.get_map():
            self._selector.unregister(self._client)

    @property
    def over(self) -> bool:
        return self._result is not None

    @property
    def outcome(self) -> Outcome:
        if self._result is not None:
            return self._result
        return LOST if self._token in self._listeners.received else SILENT


class _Connection(_Attempt):
    """TCP: answered when the server's greeting is there."""

    def _send(self) -> None:
        number = self._client.connect_ex(self.flow.dialled)
        if number != errno.EINPROGRESS:
            raise OSError(number, "connect")

    def _is_answer(self, data: bytes) -> bool:
        return data == b"welcome"


class _Echo(_Attempt):
    """ICMP and ICMPv6 echo, which the other kernel answers."""

    def _opened(self) -> socket.socket:
        kind = (socket.AF_INET6, packets.ICMPV6) if ":" in self.flow.source[0] else (socket.AF_INET, packets.ICMP)
        made = socket.socket(kind[0], socket.SOCK_RAW, kind[1])
        made.bind((self.flow.source[0], 0))
        return made

    def _send(self) -> None:
        to = self.flow.dialled[0]
        self._client.sendto(packets.echo(self.flow.source[0], to, self._token), (to, 0))

    def _is_answer(self, data: bytes) -> bool:
        reply = data[:1] == b"\x81" if ":" in self.flow.dialled[0] else data[20:21] == b"\0"
        return reply and data.endswith(self._token)


_ATTEMPTS: dict[Transport, type[_Attempt]] = {"tcp": _Connection, "udp": _Attempt, "icmp": _Echo}


def opened(transport: Transport, address: tuple[str, int]) -> socket.socket:
    """A bound socket in the namespace of this thread."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made


class Conversation:
    """A flow that stays open: see :func:`conversation`."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._ends = client, server

    def goes_on(self) -> bool:
        """Whether each side still hears the other."""
        return self.carries(secrets.token_bytes(8)) and self.carries(secrets.token_bytes(8), back=True)

    def carries(self, said: bytes, *, back: bool = False) -> bool:
        """Whether all of this reaches the server, or comes back from there."""
        speaker, listener = reversed(self._ends) if back else self._ends
        heard = b""
        try:
            speaker.sendall(said)
            while len(heard) < len(said):
                heard += listener.recv(65536)
        except (TimeoutError, PermissionError):
            return False
        return heard == said


@contextmanager
def conversation(flow: Flow) -> Iterator[Conversation]:
    """Open a TCP or UDP flow and keep it open; the server has heard the client, and the client the server."""
    with ExitStack() as stack:
        with flow.server.entered():
            server = stack.enter_context(opened(flow.transport, flow.served))
        with flow.client.entered():
            client = stack.enter_context(opened(flow.transport, flow.source))
        server.settimeout(PATIENCE)
        client.settimeout(PATIENCE)
        if flow.transport == "tcp":
            server.listen()
            client.connect(flow.dialled)
            server = stack.enter_context(server.accept()[0])
            server.settimeout(PATIENCE)
        else:
            client.connect(flow.dialled)
            client.send(b"hello")
            server.connect(server.recvfrom(16)[1])
        made = Conversation(client, server)
        assert made.goes_on(), flow
        yield made
