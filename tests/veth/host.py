"""A host with a dataplane, and a peer that talks to it."""

from __future__ import annotations

import json
import re
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal, TypeAlias

from pyxdp import netlink
from pyxdp.dataplane import Dataplane
from pyxdp.manifest import loads
from pyxdp.resolver import resolve
from pyxdp.xtables import Iptables
from tests.lab.flows import PATIENCE, SILENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pyxdp.dataplane import Report, Status, Step
    from pyxdp.resolver import EffectivePolicy
    from pyxdp.xtables import Variant
    from tests.lab.network import Interface, Namespace

Transport = Literal["tcp", "udp"]
Rules: TypeAlias = "Sequence[Mapping[str, object]]"

NODE = "host"


def endpoint(interface: str, name: str = "hep", profiles: Sequence[str] = ()) -> str:
    """A host endpoint. Without a profile the normal class denies what no policy allows."""
    return f"""
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: {name}, labels: {{role: {name}}}}}
spec: {{node: {NODE}, interfaceName: "{interface}", profiles: {json.dumps(list(profiles))}}}
"""


def open_endpoint(interface: str, name: str = "hep") -> str:
    """A host endpoint whose normal class allows what no policy denies."""
    return endpoint(interface, name, ["projectcalico-default-allow"])


def untracked(name: str, *, ingress: Rules, egress: Rules, order: int = 10) -> str:
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


def normal(name: str, *, ingress: Rules, egress: Rules, order: int = 10) -> str:
    """A policy of the normal class for every host endpoint; rules as in YAML."""
    spec = {
        "selector": "all()",
        "order": order,
        "types": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress,
    }
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }
    return f"\n---\n{json.dumps(document)}\n"


def network_set(name: str, nets: list[str]) -> str:
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkSet",
        "metadata": {"name": name, "labels": {"set": name}},
        "spec": {"nets": nets},
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

    def apply(
        self, manifest: str, *, dry_run: bool = False, on_progress: Callable[[Step], None] = lambda _: None
    ) -> Report:
        policy = self.resolve(manifest)
        with self.space.entered():
            return self.dataplane().apply(policy, dry_run=dry_run, on_progress=on_progress)

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

    @contextmanager
    def connected(self, port: int) -> Iterator[tuple[socket.socket, socket.socket]]:
        """A TCP connection of the peer's to a service of the host: the peer's end of it, and the host's."""
        with self.serving("tcp", port) as server:
            with self.peer.namespace.entered():
                client = opened("tcp", self.peer.ipv4)
            with client:
                client.connect((self.end.ipv4, port))
                with server.accept()[0] as connection:
                    yield client, connection

    def can_talk(self, transport: Transport, port: int, family: int = 4, *, end: Interface | None = None) -> bool:
        """Whether a client of the peer's gets an answer from a service of the host, over real sockets."""
        return self._talks(transport, port, family, end, PATIENCE)

    def is_silent(self, transport: Transport, port: int, family: int = 4) -> bool:
        """Whether that client gets none in :data:`SILENCE`."""
        return not self._talks(transport, port, family, None, SILENCE)

    def _talks(self, transport: Transport, port: int, family: int, end: Interface | None, patience: float) -> bool:
        with ExitStack() as stack:
            server = stack.enter_context(self.serving(transport, port, family))
            with self.peer.namespace.entered():
                client = stack.enter_context(opened(transport, address_of(end or self.peer, family)))
            client.settimeout(patience)
            server.settimeout(patience)
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
        connection.settimeout(PATIENCE)
        connection.send(b"pong" + connection.recv(16))
        return client.recv(16) == b"pongping"


def ping(end: Interface, target: str, patience: float = PATIENCE) -> bool:
    """Whether an ICMP or ICMPv6 echo request is answered in so many seconds."""
    version = ip_address(target).version
    family, protocol = (socket.AF_INET, 1) if version == 4 else (socket.AF_INET6, 58)
    request, reply = (8, 0) if version == 4 else (128, 129)
    message = bytes([request, 0, 0, 0, 0x12, 0x34, 0, 1])
    with end.namespace.entered():
        made = socket.socket(family, socket.SOCK_RAW, protocol)
    with made:
        made.settimeout(patience)
        made.sendto(message[:2] + checksum(message).to_bytes(2, "big") + message[4:], (target, 0))
        try:
            while True:
                data = made.recv(256)[20 if version == 4 else 0 :]
                if data[0] == reply and data[4:6] == message[4:6]:
                    return True
        except TimeoutError:
            return False


def checksum(data: bytes) -> int:
    """Internet checksum (RFC 1071) of an even number of bytes."""
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp_frame(source: str, destination: str, port: int) -> bytes:
    """A TCP SYN over IPv4 in an Ethernet frame, to be judged by a program; checksums are zero."""
    ethernet = bytes(12) + b"\x08\x00"
    ip = b"\x45\0\0\x28" + bytes(4) + b"\x40\x06\0\0" + ip_address(source).packed + ip_address(destination).packed
    tcp = (40000).to_bytes(2, "big") + port.to_bytes(2, "big") + bytes(8) + b"\x50\x02" + bytes(6)
    return ethernet + ip + tcp
