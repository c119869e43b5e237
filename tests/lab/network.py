"""Network namespaces and veth pairs with generated names."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyroute2 import IPRoute

from tests.lab.mounts import NETNS, keep_network_namespace, remove_network_namespace, set_network_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

_IFA_F_NODAD: Final = 0x02


@dataclass(frozen=True)
class Namespace:
    """A network namespace with its loopback up.

    Do not run anything by ``ip netns exec`` in it: that hides the bpffs. :meth:`run` does not.
    """

    name: str

    @property
    def path(self) -> str:
        return str(NETNS / self.name)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move the calling thread here; sockets, interfaces and started programs are then those of this namespace."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(self.path, os.O_RDONLY)
        try:
            set_network_namespace(there)
            yield
        finally:
            set_network_namespace(here)
            os.close(there)
            os.close(here)

    def run(self, *command: str, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a program here and return what it printed."""
        with self.entered():
            return subprocess.run(command, check=check, capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]

    def popen(self, *command: str, **options: object) -> subprocess.Popen[str]:
        """Start a program here; the test ends it."""
        with self.entered():
            return subprocess.Popen(command, text=True, **options)  # type: ignore[call-overload, no-any-return]

    def attached_xdp(self) -> object:
        """Return what ``bpftool net`` says of XDP here; its list of netfilter links is the whole machine's."""
        return json.loads(self.run("bpftool", "-j", "net").stdout)[0]["xdp"]

    def links(self) -> IPRoute:
        """Return netlink to this namespace, to be used as a context manager.

        The socket stays where it was made. pyroute2's ``NetNS`` would fork for it, which is slow in a process that has
        run many tests.
        """
        with self.entered():
            return IPRoute()

    def sysctl(self, name: str, value: object) -> None:
        """Set a variable of this namespace, as ``net/ipv4/ip_forward``."""
        with self.entered():
            Path("/proc/sys", name).write_text(str(value))


@dataclass(frozen=True)
class Interface:
    """One end of a veth pair.

    Attributes:
        name: in its namespace.
        ifindex: in its namespace.
        mac: as ``02:00:...``.
        ipv4: without prefix length (/24).
        ipv6: without prefix length (/64).
    """

    namespace: Namespace
    name: str
    ifindex: int
    mac: str
    ipv4: str
    ipv6: str


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make a network namespace and remove it, with all in it."""
    made = Namespace(f"t{secrets.token_hex(4)}")
    keep_network_namespace(made.name)
    try:
        made.sysctl("net/ipv6/conf/default/accept_dad", 0)  # addresses work at once
        made.sysctl("net/ipv6/conf/default/router_solicitations", 0)
        with made.links() as ip:
            ip.link("set", index=1, state="up")
        yield made
    finally:
        remove_network_namespace(made.name)


def connect(left: Namespace, right: Namespace, subnet: int = 0) -> tuple[Interface, Interface]:
    """Join two namespaces by a veth pair with addresses; static neighbours, so that no packet is but a test's own.

    Args:
        left: gets 10.77.SUBNET.1 and fd77:SUBNET::1.
        right: gets .2 of both.
        subnet: so that a namespace may have several.
    """
    token = secrets.token_hex(3)
    names = f"l{token}", f"r{token}"
    with ExitStack() as stack:
        ip = stack.enter_context(IPRoute())
        here, there = (os.open(space.path, os.O_RDONLY) for space in (left, right))
        stack.callback(os.close, here)
        stack.callback(os.close, there)
        peer = {"ifname": names[1], "net_ns_fd": there}
        ip.link("add", ifname=names[0], kind="veth", net_ns_fd=here, peer=peer)
    return configure(left, names[0], right, names[1], subnet)


def configure(
    left: Namespace, left_name: str, right: Namespace, right_name: str, subnet: int = 0
) -> tuple[Interface, Interface]:
    """Give two interfaces on one cable what :func:`connect` promises: addresses, static neighbours; set them up."""
    ends = _address(left, left_name, subnet, 1), _address(right, right_name, subnet, 2)
    for end, other in (ends, ends[::-1]):
        with end.namespace.links() as ip:
            for address in (other.ipv4, other.ipv6):
                ip.neigh("replace", dst=address, lladdr=other.mac, ifindex=end.ifindex, state="permanent")
    return ends


def _address(space: Namespace, name: str, subnet: int, host: int) -> Interface:
    ipv4, ipv6 = f"10.77.{subnet}.{host}", f"fd77:{subnet}::{host}"
    with space.links() as ip:
        (link,) = ip.get_links(ifname=name)
        ip.addr("add", index=link["index"], address=ipv4, prefixlen=24)
        # accept_dad=0 alone lets it work only when the kernel's queue gets to it.
        ip.addr("add", index=link["index"], address=ipv6, prefixlen=64, flags=_IFA_F_NODAD)
        ip.link("set", index=link["index"], state="up")
        return Interface(space, name, link["index"], link.get("address"), ipv4, ipv6)
