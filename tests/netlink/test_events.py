"""Changes of real interfaces and rules in namespaces of their own."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyxdp import netlink
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab.network import Interface, Namespace


@dataclass
class Told:
    """How often somebody was told."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    times: int = 0

    def __call__(self) -> None:
        with self.lock:
            self.times += 1

    def expect_more(self, change: Callable[[], object]) -> None:
        before = self.times
        change()
        wait_until(lambda: self.times > before)


@contextmanager
def watching(space: Namespace) -> Iterator[Told]:
    told = Told()
    watcher = netlink.Watcher(told)
    with space.entered():
        watcher.start()
    try:
        yield told
    finally:
        watcher.stop()


def test_every_kind_of_change(veth: tuple[Interface, Interface]) -> None:
    end, other = veth
    with watching(end.namespace) as told, end.namespace.links() as ip, other.namespace.links() as there:
        told.expect_more(lambda: ip.addr("add", index=end.ifindex, address="10.9.9.9", prefixlen=32))
        told.expect_more(lambda: ip.addr("del", index=end.ifindex, address="10.9.9.9", prefixlen=32))
        told.expect_more(lambda: ip.addr("add", index=end.ifindex, address="fd00::9", prefixlen=128))
        told.expect_more(lambda: there.link("set", index=other.ifindex, state="down"))
        told.expect_more(lambda: ip.link("set", index=end.ifindex, state="down"))
        told.expect_more(lambda: ip.link("set", index=end.ifindex, ifname="other7"))
        told.expect_more(lambda: ip.link("add", ifname="mac7", kind="macvlan", link=end.ifindex))
        told.expect_more(lambda: ip.link("del", index=end.ifindex))


def test_another_namespace_is_not_heard(netns: Callable[[], Namespace]) -> None:
    space, other = netns(), netns()
    with watching(space) as told, watching(other) as elsewhere, other.links() as ip:
        elsewhere.expect_more(lambda: ip.link("add", ifname="br7", kind="bridge"))
        assert told.times == 0


def test_a_burst_is_told_and_so_is_what_was_lost(netns: Callable[[], Namespace]) -> None:
    """While whoever is told does not come back, more happens than the socket can hold."""
    space, held, told = netns(), threading.Event(), Told()

    def hear() -> None:
        told()
        held.wait()

    watcher = netlink.Watcher(hear)
    with space.entered():
        watcher.start()
    try:
        with space.links() as ip:
            ip.link("add", ifname="br7", kind="bridge")
            wait_until(lambda: told.times)
            (link,) = ip.get_links(ifname="br7")
            for number in range(400):
                ip.addr("add", index=link["index"], address=f"10.9.{number // 200}.{number % 200 + 1}", prefixlen=32)
        held.set()
        wait_until(lambda: told.times > 1)
        assert told.times < 400
    finally:
        held.set()
        watcher.stop()


def test_lost_messages_are_a_change(netns: Callable[[], Namespace]) -> None:
    """With a buffer that holds next to nothing the kernel answers ENOBUFS."""
    space = netns()
    with space.entered(), netlink.RuleChanges() as changes:
        for number in range(50):
            space.run("iptables-nft", "-N", f"CHAIN-{number}")
        assert changes.any()
        assert not changes.any()


def test_changes_of_rules(netns: Callable[[], Namespace]) -> None:
    space, other = netns(), netns()
    with space.entered():
        changes = netlink.RuleChanges()
    with changes:
        assert not changes.any()
        other.run("iptables-nft", "-A", "INPUT", "-j", "ACCEPT")
        assert not changes.any()
        for command in (["-A", "INPUT", "-j", "ACCEPT"], ["-D", "INPUT", "-j", "ACCEPT"]):
            for tool in ("iptables-nft", "ip6tables-nft"):
                space.run(tool, "-t", "mangle", *command)
                assert changes.any()
        space.run("iptables-nft-save")
        assert not changes.any()


def test_stop_can_be_called_twice_and_before_start(netns: Callable[[], Namespace]) -> None:
    watcher = netlink.Watcher(lambda: None)
    watcher.stop()
    with netns().entered():
        watcher.start()
    watcher.stop()
    watcher.stop()
