"""``/healthz``, ``/readyz`` and everything else that somebody may ask."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pyxdp.metrics import Metrics, MetricsServer
from tests.lab.waiting import wait_until
from tests.metrics.test_agent import VIEW

if TYPE_CHECKING:
    import pytest

    from tests.metrics.scraping import Scraped
    from tests.veth.host import Host


def test_alive(scraped: Scraped) -> None:
    assert scraped.get("/healthz")[::2] == (200, "ok\n")
    scraped.unhealthy = ("the agent has been stuck for 300 seconds",)
    assert scraped.get("/healthz")[::2] == (503, "no: the agent has been stuck for 300 seconds\n")


def test_ready_says_why_not(scraped: Scraped) -> None:
    assert scraped.get("/readyz")[::2] == (503, "no: the agent is starting\n")
    scraped.view = replace(VIEW, enforcing=False)
    status, _, body = scraped.get("/readyz")
    assert (status, body.splitlines()) == (
        503,
        ["no: the policy of the sources is not in force", "no: source cluster is cut off: connection refused"],
    )


def test_ready_says_what_is_not_as_it_should_be(scraped: Scraped) -> None:
    scraped.view = VIEW
    assert scraped.get("/readyz")[::2] == (200, "ok\nbut: source cluster is cut off: connection refused\n")


def test_other_questions(scraped: Scraped) -> None:
    assert scraped.get("/")[::2] == (200, scraped.get("/nothing").body)
    assert scraped.get("/nothing").status == 404
    assert scraped.get("/healthz?verbose").status == 200
    head = scraped.get("/metrics", "HEAD")
    assert (head.status, head.body) == (200, "")
    assert scraped.get("/metrics", "POST").status == 501


def test_who_says_nothing_keeps_nobody_waiting(host: Host, scraped: Scraped) -> None:
    with host.space.entered():
        silent = [socket.create_connection(scraped.server.address) for _ in range(10)]
    assert scraped.get("/healthz").status == 200
    for connection in silent:
        connection.close()


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_many_who_say_nothing_take_no_file_descriptors(host: Host, scraped: Scraped) -> None:
    """A user of this machine must not be able to leave the agent without any."""
    before = _descriptors()
    with ExitStack() as stack:
        with host.space.entered():
            silent = [stack.enter_context(socket.create_connection(scraped.server.address)) for _ in range(200)]
        assert scraped.get("/healthz").status == 200
        assert scraped.get("/metrics").status == 200
        wait_until(lambda: _descriptors() - before - len(silent) <= 40)
        assert silent[0].recv(1) == b""


def test_a_name_server_is_not_asked(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be one that can not be reached: an agent would wait for it, at every start."""

    def ask(*_: object) -> NoReturn:
        raise AssertionError("somebody asks for a name")

    for name in ("getfqdn", "gethostbyaddr"):
        monkeypatch.setattr(socket, name, ask)
    server = MetricsServer((host.end.ipv4, 0), Metrics(host.dataplane()))
    with host.space.entered():
        server.start()
    server.stop()
