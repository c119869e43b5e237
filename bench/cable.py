"""A machine under fire: a veth pair whose far end has a firewall, and flows that are sent into it by the kernel itself.

The generator (``emit`` of ``kern/bench.bpf.c`` on live frames) and the receiver share one CPU: 64 frames are made, then
taken in, then the next 64. So a frame's time is that of making it and that of getting rid of it, and what an empty
``XDP_DROP`` takes on the same cable is the floor of all others.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyroute2 import IPRoute
from pyroute2.ethtool.ioctl import IoctlEthtool

from pyxdp.bench.documents import HOST, INTERFACE
from pyxdp.bench.traffic import Traffic
from tests.lab.network import configure, namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.network import Interface, Namespace

#: How long one measurement should take, in seconds; the frames are as many as that needs.
LONG_ENOUGH: Final = 0.1
_FEWEST: Final = 1024
_MOST: Final = 1_000_000
#: Part of the frames that a firewall may let through: neighbours and the like are none of them.
_LEAK: Final = 0.001


@dataclass(frozen=True)
class Rate:
    """What one firewall did to the flows.

    Attributes:
        nanoseconds: for each frame that the receiver took in, the generator's part included.
        sent: frames.
        lost: of these, those that found the cable's ring full: a receiver that does not keep up loses them.
        passed: of these, those that the firewall let through to the stack.
    """

    nanoseconds: float
    sent: int
    lost: int
    passed: int


class Cable:
    """One receiver with a firewall of its own; its interface is called as in the generated policies."""

    def __init__(self, sender: Interface, receiver: Interface, traffic: Traffic) -> None:
        self.receiver = receiver
        self._sender = sender
        self._traffic = traffic
        self._frames = _FEWEST

    @property
    def host(self) -> Namespace:
        """Where the firewall is."""
        return self.receiver.namespace

    def calibrate(self) -> None:
        """Find out how many frames are enough."""
        while True:
            rate = self.measure()
            seconds = rate.nanoseconds * self._frames / 1e9
            if seconds >= LONG_ENOUGH / 8 or self._frames >= _MOST:
                break
            self._frames *= 8
        self._frames = max(_FEWEST, min(_MOST, round(self._frames * LONG_ENOUGH / seconds)))

    def measure(self) -> Rate:
        """Send once."""
        lost, passed = self._lost(), self._passed()
        with self._sender.namespace.entered():
            nanoseconds = self._traffic.send(self._frames)
        lost = self._lost() - lost
        taken = max(1, self._frames - lost)
        return Rate(nanoseconds * self._frames / taken, self._frames, lost, self._passed() - passed)

    def checked(self) -> float:
        """Send once; return nanoseconds for each frame.

        Raises:
            LeakError: frames came through.
        """
        rate = self.measure()
        if rate.passed > max(8, _LEAK * rate.sent):
            raise LeakError(f"{rate.passed:,} of {rate.sent:,} frames came through")
        return rate.nanoseconds

    def _lost(self) -> int:
        with self._sender.namespace.links() as ip:
            (link,) = ip.get_links(self._sender.ifindex)
            return int(link.get_attr("IFLA_STATS64")["tx_dropped"])

    def _passed(self) -> int:
        """Packets that came through to where the receiver would deliver them or finds that they are not for it."""
        with self.host.entered():
            table = Path("/proc/thread-self/net/snmp").read_text(encoding="ascii").splitlines()
        names, values = (line.split()[1:] for line in table if line.startswith("Ip:"))
        found = dict(zip(names, map(int, values), strict=True))
        return found["InDelivers"] + found["InAddrErrors"] + found["ForwDatagrams"]


class LeakError(Exception):
    """A firewall let through what it should drop, so its figure says nothing."""


@contextmanager
def cable(flows: bytes) -> Iterator[Cable]:
    """Make two machines and a cable, with traffic ready to be sent."""
    with ExitStack() as stack:
        left, right = stack.enter_context(namespace()), stack.enter_context(namespace())
        _join(left, right)
        sender, receiver = configure(left, "out0", right, INTERFACE)
        for end in (sender, receiver):
            # A veth has the queue that takes live frames when GRO is on, with or without a program.
            with end.namespace.entered(), closing(IoctlEthtool(end.name)) as card:
                card.set_offload_flag("generic-receive-offload", data=True)
        with receiver.namespace.links() as ip:
            ip.addr("add", index=receiver.ifindex, address=HOST[4], prefixlen=32)
        for name in ("all", "default", receiver.name):
            receiver.namespace.sysctl(f"net/ipv4/conf/{name}/rp_filter", 0)
        macs = b"".join(bytes.fromhex(end.mac.replace(":", "")) for end in (receiver, sender))
        traffic = stack.enter_context(Traffic(flows, target=sender.ifindex, macs=macs))
        yield Cable(sender, receiver, traffic)


def _join(left: Namespace, right: Namespace) -> None:
    with ExitStack() as stack:
        ip = stack.enter_context(IPRoute())
        here, there = (os.open(space.path, os.O_RDONLY) for space in (left, right))
        stack.callback(os.close, here)
        stack.callback(os.close, there)
        peer = {"ifname": INTERFACE, "net_ns_fd": there}
        ip.link("add", ifname="out0", kind="veth", net_ns_fd=here, peer=peer)
