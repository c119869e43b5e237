"""Bonds and VLANs, which the agent follows as it follows every interface.

Runs in a guest, because the kernels that tests run on elsewhere need not have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.resolver.interfaces import WILDCARD
from tests.agent.running import Running, running, write
from tests.agent.test_interfaces import attachments, governed
from tests.lab.waiting import wait_until
from tests.veth.host import open_endpoint, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.veth.host import Host


@pytest.fixture
def bond(host: Host) -> Iterator[Callable[[], None]]:
    """Make a bond without ports, ``bond7``; it is gone at the end."""
    run = host.space.run

    def make() -> None:
        run("ip", "link", "add", "bond7", "type", "bond", "mode", "active-backup", "miimon", "100")

    yield make
    run("ip", "link", "del", "bond7", check=False)


def enslave(host: Host) -> None:
    """Make the host's card the port of the bond, which takes its address over; the kernel refuses what is up."""
    run = host.space.run
    run("ip", "address", "flush", "dev", host.end.name)
    run("ip", "link", "set", host.end.name, "down")
    run("ip", "link", "set", host.end.name, "master", "bond7")
    run("ip", "link", "set", "bond7", "up")
    run("ip", "address", "add", f"{host.end.ipv4}/24", "dev", "bond7")
    run("ip", "neighbour", "replace", host.peer.ipv4, "lladdr", host.peer.mac, "dev", "bond7")


def modes(host: Host) -> dict[str, str]:
    return {it.interface: it.mode for it in attachments(host)}


def wait_for_governed(it: Running, *names: str) -> None:
    wait_until(lambda: sorted(governed(it.host)) == sorted(names), what=f"{modes(it.host)}, not {names}")
    it.wait_for(lambda view: view.enforcing)


def wait_for_verdicts(host: Host) -> None:
    wait_until(lambda: host.can_talk("udp", 7002))
    assert host.is_silent("udp", 7001)


def test_every_interface_joins_a_bond(host: Host, folder: Path, bond: Callable[[], None]) -> None:
    """A program runs at the card before it becomes a port, and at the bond before it has one."""
    write(folder, "a.yaml", open_endpoint(WILDCARD) + service(7001, "Deny"))
    with running(host, folder) as it:
        wait_for_governed(it, host.end.name)
        bond()
        wait_for_governed(it, host.end.name, "bond7")
        enslave(host)
        wait_for_verdicts(host)
        assert modes(host) == {host.end.name: "native", "bond7": "generic"}
        with host.space.links() as ip:
            ip.link("del", ifname="bond7")
        wait_for_governed(it, host.end.name)
        assert "AttachError" not in it.view.failures


def test_a_bond_that_is_there(host: Host, folder: Path, bond: Callable[[], None]) -> None:
    """Alone, it has native XDP, which its ports run; with a port that has a program, generic XDP."""
    bond()
    enslave(host)
    write(folder, "a.yaml", open_endpoint("bond7", "bond") + service(7001, "Deny"))
    with running(host, folder) as it:
        wait_for_governed(it, "bond7")
        assert modes(host) == {"bond7": "native"}
        wait_for_verdicts(host)
        write(folder, "b.yaml", open_endpoint(host.end.name, "port"))
        wait_for_governed(it, "bond7", host.end.name)
        assert modes(host) == {"bond7": "generic", host.end.name: "native"}
        wait_for_verdicts(host)
        assert "AttachError" not in it.view.failures


def test_a_vlan_is_followed(host: Host, folder: Path) -> None:
    """It comes, is governed, and its parent may lose and get its program all the same."""
    write(folder, "a.yaml", open_endpoint(WILDCARD) + service(7001, "Deny"))
    with running(host, folder) as it:
        wait_for_governed(it, host.end.name)
        host.space.run("ip", "link", "add", "link", host.end.name, "name", "aa.7", "type", "vlan", "id", "7")
        wait_for_governed(it, host.end.name, "aa.7")
        wait_for_verdicts(host)
    host.delete()
    with running(host, folder) as it:
        wait_for_governed(it, host.end.name, "aa.7")
        assert "AttachError" not in it.view.failures
    host.space.run("ip", "link", "del", "aa.7")
