"""Interfaces that come, go, and are called something else."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pyxdp.bpf import Link
from pyxdp.errors import BpfError, OperatorError
from tests.agent import harms
from tests.agent.running import Running, running, write
from tests.lab.network import connect
from tests.lab.waiting import wait_until
from tests.veth.host import Host, open_endpoint, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyxdp.dataplane import Attachment
    from tests.lab.network import Namespace


def governed(host: Host) -> dict[str, str]:
    """Interface -> HostEndpoint, of those where XDP of ours runs."""
    return {it.interface: it.host_endpoint for it in attachments(host) if it.mode != "none"}


def attachments(host: Host) -> list[Attachment]:
    """What governed interfaces there are; nothing when the agent changes them while this looks."""
    with suppress(BpfError, OperatorError):
        return [it.attachment for it in host.status().endpoints]
    return []


def links(host: Host) -> dict[str, int]:
    """Name of each pinned link -> the interface that it runs at."""
    found = {}
    for pin in (host.bpffs / "pyxdp/v1/links").iterdir():
        with suppress(BpfError), Link.from_pin(pin) as link:
            found[pin.name] = link.info.ifindex
    return found


def wait_for_governed(it: Running, *names: str) -> None:
    wait_until(lambda: sorted(governed(it.host)) == sorted(names), what=f"{governed(it.host)}, not {names}")
    it.wait_for(lambda view: view.enforcing and not view.degraded)


def expected_ip(address: str) -> str:
    made = open_endpoint("x", "late")
    return made.replace('interfaceName: "x"', f'expectedIPs: ["{address}"]')


def test_an_interface_that_comes_goes_and_comes_again(host: Host, folder: Path, netns: Callable[[], Namespace]) -> None:
    write(folder, "a.yaml", open_endpoint(host.end.name) + open_endpoint("late7", "late") + service(7001, "Deny"))
    with running(host, folder) as it, host.space.links() as ip:
        it.wait_for(lambda view: view.enforcing)
        assert governed(host) == {host.end.name: "hep"}
        for number in range(2):
            end, _ = connect(host.space, netns(), subnet=5 + number)
            ip.link("set", index=end.ifindex, state="down")
            ip.link("set", index=end.ifindex, ifname="late7")
            ip.link("set", index=end.ifindex, state="up")
            wait_for_governed(it, host.end.name, "late7")
            assert governed(host)["late7"] == "late"
            ip.link("del", index=end.ifindex)
            wait_until(lambda: [at.interface for at in attachments(host)] == [host.end.name])
        assert host.is_silent("udp", 7001)
        assert not it.view.failures or set(it.view.failures) <= {"UnknownInterfaceError", "OperatorError"}
        assert not it.view.repairs


def test_an_interface_that_is_renamed(host: Host, folder: Path) -> None:
    """To a name that another host endpoint has, and to one that none has."""
    write(folder, "a.yaml", open_endpoint(host.end.name) + open_endpoint("other7", "other") + service(7001, "Deny"))
    with running(host, folder) as it, host.space.links() as ip:
        it.wait_for(lambda view: view.enforcing)
        for name in ("other7", "none7", host.end.name):
            ip.link("set", index=host.end.ifindex, state="down")
            ip.link("set", index=host.end.ifindex, ifname=name)
            ip.link("set", index=host.end.ifindex, state="up")
            if name != "none7":
                wait_for_governed(it, name)
            else:
                wait_until(lambda: not attachments(host))
        wait_until(lambda: host.is_silent("udp", 7001), what="the policy of the name that it has again")


def test_interfaces_that_change_places(host: Host, folder: Path, netns: Callable[[], Namespace]) -> None:
    """Their names: policy goes by name, and links stay where they are."""
    other, _ = connect(host.space, netns(), subnet=5)
    names, indexes = (host.end.name, other.name), (host.end.ifindex, other.ifindex)
    write(folder, "a.yaml", open_endpoint(names[0]) + open_endpoint(names[1], "other") + service(7001, "Deny"))
    with running(host, folder) as it, host.space.links() as ip:
        it.wait_for(lambda view: view.enforcing)
        for turn in (names[::-1], names):
            for index in indexes:
                ip.link("set", index=index, state="down")
            for index, name in ((indexes[0], "aside7"), (indexes[1], turn[1]), (indexes[0], turn[0])):
                ip.link("set", index=index, ifname=name)
            for index in indexes:
                ip.link("set", index=index, state="up")
            wanted = dict(zip(turn, indexes, strict=True))
            wait_until(lambda at=wanted: links(host) == at)  # type: ignore[misc]
            it.wait_for(lambda view: view.enforcing and not view.degraded)
            assert governed(host) == {names[0]: "hep", names[1]: "other"}
        wait_until(lambda: host.is_silent("udp", 7001))
        wait_until(lambda: not host.status().drift)


def test_an_interface_that_gains_and_loses_an_address(host: Host, folder: Path, netns: Callable[[], Namespace]) -> None:
    end, _ = connect(host.space, netns(), subnet=5)
    write(folder, "a.yaml", open_endpoint(host.end.name) + expected_ip("192.0.2.99") + service(7001, "Deny"))
    with running(host, folder) as it, host.space.links() as ip:
        it.wait_for(lambda view: view.enforcing)
        assert governed(host) == {host.end.name: "hep"}
        for _ in range(2):
            ip.addr("add", index=end.ifindex, address="192.0.2.99", prefixlen=32)
            wait_for_governed(it, host.end.name, end.name)
            ip.addr("del", index=end.ifindex, address="192.0.2.99", prefixlen=32)
            wait_for_governed(it, host.end.name)


def test_every_interface(host: Host, folder: Path, netns: Callable[[], Namespace]) -> None:
    write(folder, "a.yaml", open_endpoint("*") + service(7001, "Deny"))
    with running(host, folder) as it, host.space.links() as ip:
        it.wait_for(lambda view: view.enforcing)
        end, _ = connect(host.space, netns(), subnet=5)
        wait_until(lambda: {host.end.name, end.name} <= set(governed(host)))
        ip.link("del", index=end.ifindex)
        wait_until(lambda: (found := governed(host)) and end.name not in found)
        assert host.is_silent("udp", 7001)


def test_a_flapping_interface_changes_nothing(host: Host, folder: Path) -> None:
    write(folder, "a.yaml", open_endpoint(host.end.name) + service(7001, "Deny"))
    with running(host, folder) as it, host.space.links() as ip:
        generation = it.wait_for(lambda view: view.enforcing).generation
        for _ in range(5):
            ip.link("set", index=host.end.ifindex, state="down")
            ip.link("set", index=host.end.ifindex, state="up")
        it.wait_for_change(lambda: it.write("a.yaml", open_endpoint(host.end.name) + service(7002, "Deny")))
        assert it.view.generation == generation + 1
        assert governed(host) == {host.end.name: "hep"}
        assert not it.view.failures


def test_a_port_of_a_bridge(host: Host, folder: Path) -> None:
    write(folder, "a.yaml", open_endpoint(host.end.name) + open_endpoint("br7", "bridge") + service(7001, "Deny"))
    with running(host, folder) as it, host.space.links() as ip:
        it.wait_for(lambda view: view.enforcing)
        ip.link("add", ifname="br7", kind="bridge")
        wait_for_bridge(it, "br7")
        (bridge,) = ip.get_links(ifname="br7")
        ip.link("set", index=host.end.ifindex, master=bridge["index"])
        ip.link("set", index=bridge["index"], state="up")
        it.wait_for(lambda view: view.enforcing)
        ip.link("del", index=bridge["index"])
        wait_until(lambda: [at.interface for at in attachments(host)] == [host.end.name])
        assert host.is_silent("udp", 7001)


@pytest.mark.parametrize("name", ["aa7", "zz7"])
def test_every_interface_of_a_bridge(host: Host, folder: Path, name: str) -> None:
    """The kernel attaches nothing to a port whose bridge has a program, whichever of the names comes first."""
    write(folder, "a.yaml", open_endpoint("*") + service(7001, "Deny"))
    with host.space.links() as ip:
        ip.link("add", ifname=name, kind="bridge")
        (bridge,) = ip.get_links(ifname=name)
        ip.link("set", index=bridge["index"], state="up")
        ip.link("set", index=host.end.ifindex, master=bridge["index"])
        with running(host, folder) as it:
            it.wait_for(lambda view: view.enforcing)
            assert governed(host) == {host.end.name: "hep", name: "hep"}
            harms.detach_link(host)
            it.wait_for(lambda view: view.repairs.get("link") and view.enforcing)
            assert governed(host) == {host.end.name: "hep", name: "hep"}
            host.space.run("ip", "link", "add", "aa8", "master", name, "type", "veth", "peer", "zz8")
            wait_until(lambda: set(governed(host)) == {host.end.name, name, "aa8", "zz8"})
            assert "AttachError" not in it.view.failures
            wait_until(lambda: not host.status().drift)


def wait_for_bridge(it: Running, name: str) -> None:
    """A bridge has generic XDP only."""
    wait_until(lambda: name in governed(it.host))
    it.wait_for(lambda view: any(f"{name}: XDP generic" in reason for reason in view.degraded))
