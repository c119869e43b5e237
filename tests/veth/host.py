"""A host with a dataplane, and a peer that talks to it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal

from pyxdp import netlink
from pyxdp.dataplane import Dataplane
from pyxdp.manifest import loads
from pyxdp.resolver import resolve
from pyxdp.xtables import Iptables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyxdp.dataplane import Report, Status, Step
    from pyxdp.resolver import EffectivePolicy
    from pyxdp.xtables import Variant
    from tests.lab.network import Interface, Namespace

Transport = Literal["tcp", "udp"]

NODE = "host"
#: How long a packet that should not arrive is waited for, in seconds.
SILENCE = 0.2


def endpoint(interface: str, name: str = "hep") -> str:
    return f"""
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: {name}, labels: {{role: {name}}}}}
spec: {{node: {NODE}, interfaceName: "{interface}"}}
"""


def untracked(name: str, *, ingress: list[dict[str, object]], egress: list[dict[str, object]], order: int = 10) -> str:
    """A doNotTrack policy for every host endpoint; rules as in YAML."""
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "selector": "all()",
            "order": order,
            "doNotTrack": True,
            "applyOnForward": True,
            "types": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }
    return f"\n---\n{json.dumps(document)}\n"


def service(port: int, action: str = "Allow", protocols: tuple[str, ...] = ("TCP", "UDP")) -> str:
    """What lets clients reach a port of this host, or keeps them off, without conntrack."""
    return untracked(
        f"{action}-{port}".lower(),
        ingress=[{"action": action, "protocol": it, "destination": {"ports": [port]}} for it in protocols],
        egress=[{"action": action, "protocol": it, "source": {"ports": [port]}} for it in protocols],
    )


@dataclass
class Host:
    """The governed namespace.

    Attributes:
        end: its interface.
        peer: the other end, in another namespace.
        bpffs: folder of its pins.
        variant: iptables variant of its rules; ``None`` takes the machine's.
    """

    end: Interface
    peer: Interface
    bpffs: Path
    variant: Variant | None = None

    @property
    def space(self) -> Namespace:
        return self.end.namespace

    def dataplane(self) -> Dataplane:
        return Dataplane(self.bpffs, iptables=Iptables(self.variant), lock_timeout=10)

    def resolve(self, manifest: str) -> EffectivePolicy:
        with self.space.entered():
            return resolve(loads(manifest).resources, NODE, netlink.interfaces())

    def apply(self, manifest: str, *, dry_run: bool = False, on_progress: Callable[[Step], None] | None = None) -> Report:
        policy = self.resolve(manifest)
        with self.space.entered():
            return self.dataplane().apply(policy, dry_run=dry_run, on_progress=on_progress or (lambda _: None))

    def delete(self) -> None:
        with self.space.entered():
            self.dataplane().delete()

    def status(self) -> Status:
        with self.space.entered():
            return self.dataplane().status()

    def reason(self, name: str, direction: str = "ingress", interface: str = "") -> int:
        """How many packets had a reason."""
        (found,) = (it for it in self.status().endpoints if it.attachment.interface == (interface or self.end.name))
        return found.reasons[direction].get(name, 0)

    # -- conntrack --

    def track_everything(self) -> None:
        """Make the kernel track connections here, as any stateful rule does."""
        for tool in ("iptables", "ip6tables"):
            self.space.run(tool, "-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")

    def conntrack(self, port: int) -> list[str]:
        """Entries with a port, of both families."""
        lines = [
            line
            for family in ("ipv4", "ipv6")
            for line in self.space.run("conntrack", "-L", "-f", family, check=False).stdout.splitlines()
        ]
        return [line for line in lines if re.search(rf"port={port}\b", line)]

    # -- traffic --

    @contextmanager
    def serving(self, transport: Transport, port: int, family: int = 4) -> Iterator[socket.socket]:
        """An echo socket of the host; for TCP a listening one."""
        with self.space.entered():
            server = bound(transport, address_of(self.end, family), port)
        with server:
            yield server

    def can_talk(self, transport: Transport, port: int, family: int = 4, *, end: Interface | None = None) -> bool:
        """Whether a client of the peer's gets an answer from a service of the host, over real sockets."""
        with ExitStack() as stack:
            server = stack.enter_context(self.serving(transport, port, family))
            with self.peer.namespace.entered():
                client = stack.enter_context(opened(transport, address_of(end or self.peer, family)))
            client.settimeout(SILENCE)
            server.settimeout(SILENCE)
            try:
                return _exchange(transport, client, server, address_of(self.end, family), port)
            except (TimeoutError, ConnectionRefusedError):
                return False


def address_of(end: Interface, family: int) -> str:
    return end.ipv4 if family == 4 else end.ipv6


def opened(transport: Transport, address: str, port: int = 0) -> socket.socket:
    family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    made = socket.socket(family, socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    return made


def bound(transport: Transport, address: str, port: int) -> socket.socket:
    made = opened(transport, address, port)
    if transport == "tcp":
        made.listen()
    return made


def _exchange(transport: Transport, client: socket.socket, server: socket.socket, address: str, port: int) -> bool:
    client.connect((address, port))
    client.send(b"ping")
    if transport == "udp":
        data, sender = server.recvfrom(16)
        server.sendto(b"pong" + data, sender)
        return client.recv(16) == b"pongping"
    connection, _ = server.accept()
    with connection:
        connection.settimeout(SILENCE)
        connection.send(b"pong" + connection.recv(16))
        return client.recv(16) == b"pongping"


def ping(end: Interface, target: str) -> bool:
    done = subprocess.run(["true"], check=True)
    done = end.namespace.run("ping", "-c", "1", "-W", "1", target, check=False)
    return done.returncode == 0
