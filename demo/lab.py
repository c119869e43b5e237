"""The machines of the demo: a host with Redis, a client, a cable between them, and an ordinary stateful firewall.

This process is in the host's network namespace; the client has one of its own.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyroute2 import IPRoute, NetNS, netns
from pyroute2.ethtool import Ethtool

from pyxdp.bpf import Object

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERFACE: Final = "eth0"  # of both
HOST: Final = "10.20.0.1"
CLIENT: Final = "10.20.0.2"
PORT: Final = 6379
OTHER_PORT: Final = 9999  # nobody listens there, and no policy mentions it
TIMEOUT_S: Final = 60

#: The client's namespace, and the socket by which the demo asks Redis how much it has done.
_CLIENT_SPACE: Final = "client"
_SOCKET: Final = Path("/run/redis.sock")
_EMPTY: Final = Path(__file__).parent.parent / "build/demo/empty.bpf.o"

#: What a host usually has: answers and known clients come in, the rest does not. It stays in place under pyxdp, whose
#: rules come first.
FIREWALL: Final = f"""\
*filter
:INPUT DROP
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -s 10.20.0.0/16 -p tcp --dport {PORT} -m conntrack --ctstate NEW -j ACCEPT
COMMIT
"""


def run(*command: str, text: str = "") -> str:
    """Run a program on the host; return what it printed.

    Raises:
        subprocess.CalledProcessError: it failed; its output goes with the error.
    """
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=TIMEOUT_S).stdout


def on_client(*command: str) -> tuple[str, ...]:
    """The command that runs a command on the client, not on Redis' CPU where there is another."""
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))[1:])) or str(redis_cpu())
    return ("nsenter", f"--net=/run/netns/{_CLIENT_SPACE}", "taskset", "-c", cpus, *command)


def redis_cpu() -> int:
    """The CPU that Redis runs on, and that the host's network card interrupts."""
    return min(os.sched_getaffinity(0))


def build() -> None:
    """Make mounts, namespace, cable, addresses and firewall; all of it goes with the last process of the demo."""
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
    Path("/run/netns").mkdir()
    netns.create(_CLIENT_SPACE)
    _connect()
    # A connection per request leaves its port in TIME_WAIT for a minute: let the client have many, and reuse them. But
    # none below 10000: some are failsafe ports (2379, 6666, ...), and what comes from them stays tracked.
    run(*on_client("sysctl", "-qw", "net.ipv4.ip_local_port_range=10000 65535", "net.ipv4.tcp_tw_reuse=1"))
    run("iptables-restore", text=FIREWALL)


def _connect() -> None:
    with (
        IPRoute() as host,
        NetNS(_CLIENT_SPACE, flags=0) as client,
        Path(f"/run/netns/{_CLIENT_SPACE}").open() as space,
    ):
        peer = {"ifname": INTERFACE, "net_ns_fd": space.fileno()}
        host.link("add", ifname=INTERFACE, kind="veth", peer=peer)
        for end, address in ((host, HOST), (client, CLIENT)):
            (index,) = end.link_lookup(ifname=INTERFACE)
            end.addr("add", index=index, address=address, prefixlen=24)
            end.link("set", index=1, state="up")
            end.link("set", index=index, state="up")
        host.route("add", dst="default", gateway=CLIENT)
    _enable_gro()
    netns.pushns(_CLIENT_SPACE)
    try:
        _enable_gro()
    finally:
        netns.popns()


def _enable_gro() -> None:
    """Switch generic receive offload on, as cards have it. A veth then has the queue that takes live frames."""
    Ethtool().set_offload_flag(INTERFACE, "generic-receive-offload", data=True)


def host_mac() -> str:
    """The address of the host's interface."""
    with IPRoute() as host:
        (link,) = host.get_links(ifname=INTERFACE)
        return str(link.get_attr("IFLA_ADDRESS"))


@contextmanager
def redis() -> Iterator[None]:
    """A real redis-server on the host, on one CPU, that writes nothing to disk."""
    command = ["taskset", "-c", str(redis_cpu()), "redis-server", "--bind", HOST, "--port", str(PORT), "--dir", "/run"]
    command += ["--save", "", "--appendonly", "no", "--protected-mode", "no", "--unixsocket", str(_SOCKET)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            _wait_until_ready(server)
            yield
        finally:
            server.kill()


def _wait_until_ready(server: subprocess.Popen[str]) -> None:
    assert server.stdout is not None  # noqa: S101 - it is a pipe
    said = []
    for line in server.stdout:
        said.append(line)
        if "ready to accept connections" in line.lower() and _SOCKET.exists():
            return
    raise RuntimeError(f"redis-server did not start:\n{''.join(said)}")


def requests_served() -> int:
    """How many commands Redis has processed, by its own count."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(str(_SOCKET))
        connection.sendall(b"INFO stats\r\n")
        found = None
        said = b""
        while found is None:
            said += connection.recv(65536)
            found = re.search(rb"total_commands_processed:(\d+)\r", said)
        return int(found[1])


@contextmanager
def empty_program() -> Iterator[None]:
    """An XDP program on the host's interface that lets everything pass."""
    with Object.open(_EMPTY).load() as empty, empty.programs["empty"].attach_xdp(socket.if_nametoindex(INTERFACE)):
        yield


def forget_connections() -> None:
    """Empty the host's conntrack table."""
    run("conntrack", "-F")


def tracked_connections() -> int:
    """How many entries of the host's conntrack table are of Redis, in whichever direction."""
    return len(re.findall(rf"^.*port={PORT}\b.*$", run("conntrack", "-L", "-p", "tcp"), re.MULTILINE))


def lost_by_interface() -> int:
    """How many frames found no room in the interface's ring, as on any card that is not emptied fast enough."""
    with IPRoute() as host:
        (link,) = host.get_links(ifname=INTERFACE)
        return int(link.get_attr("IFLA_STATS64")["rx_dropped"])


def refused_by_firewall() -> int:
    """How many packets the firewall has dropped at its end."""
    found = re.search(r"^:INPUT DROP \[(\d+):", run("iptables-save", "-c", "-t", "filter"), re.MULTILINE)
    return int(found[1]) if found else 0
