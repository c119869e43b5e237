"""A small HTTP server: ``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` for whoever restarts and routes."""

from __future__ import annotations

import logging
import re
import socket
import threading
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.exposition import choose_encoder

from pyxdp.errors import OperatorError
from pyxdp.metrics.health import not_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyxdp.metrics.collector import Metrics

_log: Final = logging.getLogger(__name__)

#: Where it listens unless told otherwise: nobody but this machine is told what is enforced here.
DEFAULT_LISTEN: Final = "127.0.0.1:9469"
#: How long a client may take to ask, in seconds.
_PATIENCE: Final = 10.0
#: Clients at a time. They take file descriptors, which whoever keeps policy in force needs as well.
_MOST: Final = 32
_LISTEN: Final = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_LAST_PORT: Final = 65535
_TEXT: Final = "text/plain; charset=utf-8"
_PATHS: Final = "/metrics  what Prometheus reads\n/healthz  is the agent alive?\n/readyz   is the node protected?\n"


def listen_address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT`` or ``[IPV6]:PORT``.

    Raises:
        ValueError: it is neither.
    """
    found = _LISTEN.fullmatch(text)
    if not found or int(found["port"]) > _LAST_PORT:
        raise ValueError(f"{text!r} is no address to listen at: write HOST:PORT, as {DEFAULT_LISTEN}")
    return found["ipv6"] or found["host"], int(found["port"])


class MetricsServer:
    """Answers in threads of its own, in the network namespace of whoever starts it.

    Args:
        address: host and port; port 0 takes any that is free.
        metrics: what it tells.
        unhealthy: why the process should be restarted; nothing while it should not.
    """

    def __init__(
        self, address: tuple[str, int], metrics: Metrics, unhealthy: Callable[[], Sequence[str]] = tuple
    ) -> None:
        self._wanted = address
        self._handler = partial(_Handler, metrics, unhealthy)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self._server.server_address[:2] if self._server else self._wanted  # type: ignore[return-value]

    def start(self) -> None:
        """Listen.

        Raises:
            OperatorError: the address can not be listened at.
        """
        host, port = self._wanted
        try:
            self._server = _Server(self._wanted, self._handler)
        except OSError as error:
            message = f"can not listen at {host}:{port}: {error.strerror}"
            raise OperatorError(message, hint="is another agent running? choose another address") from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; a second call does nothing."""
        if self._server and self._thread:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = self._thread = None


class _Server(ThreadingHTTPServer):
    """When there are too many clients, the one that came first has to go: those who ask and listen never need long."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: Callable[..., _Handler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._clients: list[socket.socket] = []
        self._room = threading.BoundedSemaphore(_MOST)
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind, and ask no name server who that is: none may be reached now."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread."""
        if not self._room.acquire(blocking=False):
            with self._lock, suppress(IndexError, OSError):
                self._clients.pop(0).shutdown(socket.SHUT_RDWR)
            self._room.acquire()
        with self._lock:
            self._clients.append(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close; the thread ends."""
        with self._lock, suppress(ValueError):
            self._clients.remove(request)
        super().shutdown_request(request)
        self._room.release()

    def handle_error(self, *_: object) -> None:
        """A client that went away, or a bug: neither ends the server."""
        _log.debug("metrics: a request failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    server_version = "pyxdp"
    sys_version = ""

    def __init__(self, metrics: Metrics, unhealthy: Callable[[], Sequence[str]], *arguments: Any) -> None:
        self._metrics = metrics
        self._unhealthy = unhealthy
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer, or say what there is to ask for."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, kind = _encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, encode(self._metrics), kind)
        elif path == "/healthz":
            self._answer_health(self._unhealthy())
        elif path == "/readyz":
            view = self._metrics.view()
            self._answer_health(not_ready(view), notes=view.degraded if view else ())
        else:
            self._answer(HTTPStatus.OK if path == "/" else HTTPStatus.NOT_FOUND, _PATHS.encode())

    do_HEAD = do_GET

    def log_message(self, text: str, *arguments: object) -> None:
        """Tell nobody of each request but who debugs."""
        _log.debug("metrics: " + text, *arguments)

    def _answer_health(self, reasons: Sequence[str], notes: Sequence[str] = ()) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        lines = [f"no: {it}" for it in reasons] or ["ok", *(f"but: {it}" for it in notes)]
        self._answer(status, "".join(f"{line}\n" for line in lines).encode())

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = _TEXT) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _encoder(accepted: str) -> tuple[Callable[[Metrics], bytes], str]:
    """Choose a format; who asks for it in a way that nobody understands gets text."""
    try:
        return choose_encoder(accepted)
    except (TypeError, ValueError):
        return choose_encoder("")
