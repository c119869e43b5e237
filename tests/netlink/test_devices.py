"""Against real interfaces in namespaces of their own."""

from __future__ import annotations

import threading
from collections import defaultdict
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from pyxdp import netlink
from pyxdp.bpf import Object
from pyxdp.netlink.devices import _device
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab.network import Interface, Namespace


def named(name: str) -> netlink.Device:
    return next(device for device in netlink.devices() if device.interface.name == name)


def test_addresses_of_both_families(veth: tuple[Interface, Interface]) -> None:
    end = veth[0]
    with end.namespace.entered():
        found = named(end.name)
        assert [device.interface.index for device in netlink.devices()] == sorted({1, end.ifindex})
        assert found.interface in netlink.interfaces()
    assert found.interface.index == end.ifindex
    assert {ip_address(end.ipv4), ip_address(end.ipv6)} <= set(found.interface.addresses)
    assert found.interface.addresses[0] == ip_address(end.ipv4)
    assert (found.interface.kind, found.driver, found.mtu, found.xdp) == ("veth", "veth", 1500, None)


def test_the_local_end_of_a_point_to_point_link(netns: Callable[[], Namespace]) -> None:
    space = netns()
    with space.entered(), space.links() as ip:  # the device is made by an ioctl
        ip.link("add", ifname="tun7", kind="tuntap", mode="tun")
        (link,) = ip.get_links(ifname="tun7")
        ip.addr("add", index=link["index"], local="10.9.0.1", address="10.9.0.2", prefixlen=32)
    with space.entered():
        assert named("tun7").interface.addresses == (ip_address("10.9.0.1"),)


def link_message(kind: str, **attributes: int) -> ifinfmsg:
    """A device on the device 2, as the kernel sends it: not every kernel has every kind."""
    message = ifinfmsg()
    message["index"] = 9
    message["attrs"] = [
        ("IFLA_IFNAME", "eth0.7"),
        ("IFLA_MTU", 1500),
        ("IFLA_LINK", 2),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind)]}),
        *attributes.items(),
    ]
    message.encode()
    received = ifinfmsg(message.data)
    received.decode()
    return received


@pytest.mark.parametrize(
    ("message", "parent"),
    [
        (link_message("vlan"), 2),
        (link_message("vlan", IFLA_LINK_NETNSID=0), 0),
        (link_message("macvlan"), 0),
    ],
    ids=["VLAN", "VLAN of another namespace's device", "no VLAN"],
)
def test_the_device_that_a_vlan_is_part_of(message: ifinfmsg, parent: int) -> None:
    assert _device(message, defaultdict(list)).interface.parent == parent


def test_only_a_vlan_has_a_parent(veth: tuple[Interface, Interface]) -> None:
    """A macvlan and an end of a veth pair are linked to another device, too."""
    end = veth[0]
    with end.namespace.links() as ip:
        ip.link("add", ifname="mac0", kind="macvlan", link=end.ifindex)
    with end.namespace.entered():
        assert [named(name).interface.parent for name in ("mac0", end.name, "lo")] == [0, 0, 0]


def test_the_master_that_a_port_belongs_to(veth: tuple[Interface, Interface]) -> None:
    end = veth[0]
    with end.namespace.links() as ip:
        ip.link("add", ifname="br0", kind="bridge")
        (bridge,) = ip.get_links(ifname="br0")
        ip.link("set", index=end.ifindex, master=bridge["index"])
    with end.namespace.entered():
        assert named(end.name).interface.master == bridge["index"]
        assert named("br0").interface.master == 0


def test_what_lies_on_an_interface(veth: tuple[Interface, Interface]) -> None:
    """The other end of a veth does not, although its link names it; nor does a bridge count as a bond."""
    end, _ = veth
    with end.namespace.links() as ip, end.namespace.entered():
        ip.link("add", ifname="br0", kind="bridge")
        ip.link("add", ifname="left0", kind="veth", peer="right0")
        (bridge,) = ip.get_links(ifname="br0")
        (left,) = ip.get_links(ifname="left0")
        assert netlink.uppers(end.ifindex) == netlink.uppers(left["index"]) == netlink.uppers(7777) == set()
        ip.link("set", index=end.ifindex, master=bridge["index"])
        assert netlink.uppers(end.ifindex) == {bridge["index"]}
        assert netlink.uppers(bridge["index"]) == set()
        assert not any(netlink.is_empty_bond(index) for index in (end.ifindex, bridge["index"], 7777))


def test_up_is_running(veth: tuple[Interface, Interface]) -> None:
    end, other = veth

    def up() -> bool:
        with end.namespace.entered():
            return named(end.name).interface.up

    assert wait_until(up)
    with other.namespace.links() as ip:
        ip.link("set", index=other.ifindex, state="down")
    assert wait_until(lambda: not up())


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_xdp_program(veth: tuple[Interface, Interface], bpf_object: Callable[[str], Path], mode: str) -> None:
    end = veth[0]
    with end.namespace.entered(), Object.open(bpf_object("basic")) as obj:
        assert netlink.xdp_program(end.ifindex) is None
        program = obj.load().programs["drop"]
        with program.attach_xdp(end.ifindex, mode):  # type: ignore[arg-type]
            attached = netlink.xdp_program(end.ifindex)
            assert attached == netlink.XdpAttachment(mode, program.info.id)  # type: ignore[arg-type]
            assert named(end.name).xdp == attached
        assert netlink.xdp_program(end.ifindex) is None


def test_no_such_interface(netns: Callable[[], Namespace]) -> None:
    with netns().entered():
        assert netlink.xdp_program(12345) is None


def test_the_thread_decides_the_namespace(veth: tuple[Interface, Interface]) -> None:
    found: list[str] = []

    def look() -> None:
        with veth[1].namespace.entered():
            found.extend(interface.name for interface in netlink.interfaces())

    thread = threading.Thread(target=look)
    with veth[0].namespace.entered():
        thread.start()
        thread.join()
    assert veth[1].name in found
    assert veth[0].name not in found
