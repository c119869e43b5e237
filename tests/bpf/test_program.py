from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest

from pyxdp.bpf import AttachError, BpfError, LinkType, Object, PreparedFrame, Program, XdpAction
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyxdp.bpf._types import Mode
    from tests.lab.network import Interface, Namespace

FRAME = bytes(range(64))

pytestmark = pytest.mark.usefixtures("kernel")


@pytest.fixture
def basic(bpf_object: Callable[[str], Path]) -> Iterator[Object]:
    with Object.open(bpf_object("basic")).load() as loaded:
        yield loaded


def count(loaded: Object, index: int, name: str = "counts") -> int:
    return int.from_bytes(loaded.maps[name].get(index) or b"", "little")


def test_run(basic: Object) -> None:
    run = basic.programs["drop"].test_run(FRAME, repeat=100)
    assert (run.retval, run.data, run.ctx) == (XdpAction.DROP, FRAME, b"")
    assert 0 < run.duration_ns < 1_000_000_000  # of one run, on a machine that may do something else meanwhile
    assert count(basic, 1) == 100


def test_run_as_if_from_an_interface(basic: Object) -> None:
    assert basic.programs["interface"].test_run(FRAME, ifindex=1).retval == XdpAction.PASS
    assert count(basic, 2) == 1


def test_run_with_a_context(basic: Object) -> None:
    context = bytes(4) + len(FRAME).to_bytes(4, "little") + bytes(16)
    assert basic.programs["drop"].test_run(FRAME, ctx=context).ctx == context


def test_a_frame_that_is_no_frame(basic: Object) -> None:
    with pytest.raises(BpfError) as caught:
        basic.programs["drop"].test_run(b"short")
    assert caught.value.errno == errno.EINVAL


def test_prepared_frame_for_several_programs(basic: Object) -> None:
    frame = PreparedFrame(FRAME)
    assert [frame.answer(basic.programs[name].fileno()) for name in ("drop", "interface", "drop")] == [
        XdpAction.DROP,
        XdpAction.PASS,
        XdpAction.DROP,
    ]
    assert count(basic, 1) == 2


def test_prepared_frame_from_an_interface(basic: Object) -> None:
    came_in_by = basic.programs["came_in_by"].fileno()
    assert PreparedFrame(FRAME).answer(came_in_by) == 0
    assert PreparedFrame(FRAME, ingress_ifindex=7).answer(came_in_by) == 7


def test_prepared_frame_that_is_no_frame(basic: Object) -> None:
    with pytest.raises(BpfError, match="5 bytes") as caught:
        PreparedFrame(b"short").answer(basic.programs["drop"].fileno())
    assert caught.value.errno == errno.EINVAL


def test_found_by_id(basic: Object) -> None:
    with Program.from_id(basic.programs["drop"].info.id) as again:
        assert again.info == basic.programs["drop"].info


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_attached(basic: Object, veth: tuple[Interface, Interface], mode: Mode) -> None:
    host, peer = veth
    with host.namespace.entered():
        link = basic.programs["drop"].attach_xdp(host.ifindex, mode)
    with link:
        info = link.info
        assert (info.type, info.ifindex) == (LinkType.XDP, host.ifindex)
        assert info.program_id == basic.programs["drop"].info.id
        with host.namespace.links() as ip:
            (shown,) = ip.get_links(host.ifindex)
        assert shown.get_nested("IFLA_XDP", "IFLA_XDP_ATTACHED") in ({"native": 1, "generic": 2}[mode], mode_name(mode))
        with peer.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"dropped", (host.ipv4, 9))
        wait_until(lambda: count(basic, 1) > 0)
    with host.namespace.links() as ip:
        (shown,) = ip.get_links(host.ifindex)
    assert not shown.get_nested("IFLA_XDP", "IFLA_XDP_ATTACHED")


def mode_name(mode: str) -> str:
    return {"native": "xdp", "generic": "xdpgeneric"}[mode]


def test_what_is_attached_is_not_replaced_but_named(basic: Object, veth: tuple[Interface, Interface]) -> None:
    host, _ = veth
    with host.namespace.entered(), basic.programs["drop"].attach_xdp(host.ifindex):
        modes: tuple[Mode, ...] = ("native", "generic")
        for mode in modes:
            with pytest.raises(AttachError) as caught:
                basic.programs["basic"].attach_xdp(host.ifindex, mode)
            error = caught.value
            assert error.errno in (errno.EBUSY, errno.EEXIST)
            assert (error.interface, error.mode) == (host.name, mode)
            assert f"program 'drop' (id {basic.programs['drop'].info.id}) is attached" in str(error)
            assert error.hint == f"detach it first: ip link set dev {host.name} xdp off"


def test_no_such_interface(basic: Object) -> None:
    with pytest.raises(AttachError, match="interface 999999999") as caught:
        basic.programs["drop"].attach_xdp(999_999_999)
    assert caught.value.errno == errno.EINVAL
    assert "no interface with this number" in caught.value.hint


def test_a_driver_without_native_xdp(basic: Object, netns: Callable[[], Namespace]) -> None:
    space = netns()
    with space.links() as ip:
        ip.link("add", ifname="br0", kind="bridge")
        (bridge,) = ip.get_links(ifname="br0")
    with space.entered():
        with pytest.raises(AttachError, match="br0: .* in native mode") as caught:
            basic.programs["drop"].attach_xdp(bridge["index"])
        assert caught.value.errno == errno.EOPNOTSUPP
        assert "generic mode works" in caught.value.hint
        basic.programs["drop"].attach_xdp(bridge["index"], "generic").close()


def test_update(basic: Object, veth: tuple[Interface, Interface]) -> None:
    host, _ = veth
    with host.namespace.entered(), basic.programs["drop"].attach_xdp(host.ifindex) as link:
        before = link.info
        link.update(basic.programs["basic"])
        assert link.info.program_id == basic.programs["basic"].info.id
        assert link.info.id == before.id


def test_detach(basic: Object, veth: tuple[Interface, Interface]) -> None:
    host, _ = veth
    with host.namespace.entered(), basic.programs["drop"].attach_xdp(host.ifindex) as link:
        link.detach()
        assert link.info.ifindex == 0
        with pytest.raises(BpfError) as caught:
            link.update(basic.programs["basic"])
        assert caught.value.errno == errno.ENOLINK
        basic.programs["basic"].attach_xdp(host.ifindex).close()


def test_live_frames(bpf_object: Callable[[str], Path], veth: tuple[Interface, Interface]) -> None:
    """Frames really leave by the redirect's interface and reach the native program at the other end."""
    sender, receiver = veth
    frame = bytes.fromhex(receiver.mac.replace(":", "") + sender.mac.replace(":", "") + "88b5") + b"\x77" * 46
    with Object.open(bpf_object("redirect")) as objects:
        objects.rodata["target"] = sender.ifindex
        objects.load()
        with (
            receiver.namespace.entered(),
            objects.programs["count"].attach_xdp(receiver.ifindex),
            sender.namespace.entered(),
            # veth takes redirected frames only from a device that has a native program too
            objects.programs["count"].attach_xdp(sender.ifindex),
        ):
            run = objects.programs["redirect"].test_run(
                frame, repeat=1000, live_frames=True, batch_size=32, ifindex=sender.ifindex
            )
            assert run.data == b""
            wait_until(lambda: count(objects, 0, "arrived") == 1000)
