"""Sockets as sock_diag tells of them, and as /proc does."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from pyxdp.netlink import sockets
from pyxdp.netlink.questions import Questions, attribute, attributes
from pyxdp.netlink.sockets import Socket, connected, listening

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.network import Namespace

TCP, UDP = 6, 17


@pytest.mark.parametrize("kind", ["sock_diag", "/proc"])
def test_every_socket_of_the_namespace(
    netns: Callable[[], Namespace], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "/proc":
        monkeypatch.setattr(sockets, "_SOCK_DIAG_BY_FAMILY", 99)  # the kernel refuses, as one without inet_diag does
    else:
        monkeypatch.setattr(sockets, "printed", None)
    here, loopback = socket.inet_aton("127.0.0.1"), socket.inet_pton(socket.AF_INET6, "::1")
    with netns().entered(), socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as four, socket.create_connection(("::1", port)) as six:
            ends = [(here, four.getsockname()[1]), (loopback, six.getsockname()[1])]
            with server.accept()[0], server.accept()[0]:
                expected = {Socket(address, port, address, other) for address, other in ends}
                expected |= {it.turned for it in expected}
                assert set(connected(TCP)) == expected
                assert list(listening()) == [Socket(bytes(16), port, bytes(16), 0)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as idle, socket.socket(type=socket.SOCK_DGRAM) as talks:
            idle.bind(("127.0.0.1", 0))
            talks.connect(idle.getsockname())
            assert list(connected(UDP)) == [Socket(here, talks.getsockname()[1], here, idle.getsockname()[1])]


def test_many_sockets_are_more_than_one_message(netns: Callable[[], Namespace]) -> None:
    with netns().entered():
        made = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(700)]
        try:
            for it in made:
                it.connect(("127.0.0.1", 9))
            assert {it.local_port for it in connected(UDP)} == {it.getsockname()[1] for it in made}
        finally:
            for it in made:
                it.close()


def test_what_the_kernel_refuses_is_an_error() -> None:
    with Questions(4) as questions, pytest.raises(OSError, match="Invalid argument"):
        list(questions.dump(99, bytes(8)))


def test_attributes() -> None:
    content = attribute(1, b"abc") + attribute(0x8002, attribute(3, b"\x01"))
    found = attributes(memoryview(content))
    assert found[1] == b"abc"
    assert attributes(found[2]) == {3: b"\x01"}
    assert attributes(memoryview(b"\0\0\0\0")) == {}
