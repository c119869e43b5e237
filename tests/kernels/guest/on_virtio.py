"""What a guest with two virtio_net cards on one cable must be able to do. Runs in the guest, from the wheel.

``eth0`` is the host's card; ``eth1`` moves to a namespace of its own and plays the other end of the cable.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyxdp
from pyxdp.bpf import Object, XdpAction, features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OBJECT = Path(pyxdp.__file__).parent / "pyxdp.bpf.o"
CARD = "eth0"


def test_package_is_the_wheel() -> None:
    assert "site-packages" in str(OBJECT.resolve())


def test_features(record_property: Callable[[str, object], None]) -> None:
    found = features.probe()
    for name in found.__dataclass_fields__:
        record_property(name, str(getattr(found, name)))


@pytest.fixture
def loaded() -> Iterator[Object]:
    with Object.open(OBJECT) as opened:
        opened.load()
        yield opened


def test_object_loads(loaded: Object, record_property: Callable[[str, object], None]) -> None:
    for name, program in loaded.programs.items():
        record_property(name, program.info.verified_instructions)


def test_native_xdp_on_virtio_net(loaded: Object) -> None:
    driver = Path(f"/sys/class/net/{CARD}/device/driver").resolve().name
    assert driver == "virtio_net"
    with loaded.programs["pyxdp_xdp"].attach_xdp(socket.if_nametoindex(CARD), "native") as link:
        assert link.info.ifindex == socket.if_nametoindex(CARD)


def test_frame_of_another_protocol_passes(loaded: Object) -> None:
    frame = bytes(12) + b"\x08\x06" + bytes(46)
    assert loaded.programs["pyxdp_xdp"].test_run(frame).retval == XdpAction.PASS
