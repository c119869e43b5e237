"""The governed host of the class tests, and its policies.

One gateway (``tests/lab/gateway.py``) serves all tests of a worker process, for each variant of iptables one: a test
applies its own policy over that of the one before, which is what happens on a real host too.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from pyxdp.dataplane import Dataplane
from pyxdp.xtables import Iptables
from tests.lab import flows, packets
from tests.lab.gateway import Gateway, gateway
from tests.veth.host import NODE, Host

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pyxdp.dataplane import Status
    from pyxdp.xtables import Variant
    from tests.lab.network import Interface

Rules: TypeAlias = "Sequence[Mapping[str, object]]"

ALLOW = {"action": "Allow"}
DENY = {"action": "Deny"}
EVERYTHING = "projectcalico-default-allow"
BOTH = ("TCP", "UDP")
FAMILIES = (4, 6)


class GovernedGateway:
    """A gateway whose host has a dataplane.

    Attributes:
        net: the three machines.
        variant: of the host's iptables, for pyxdp's rules and for the tests' own.
    """

    def __init__(self, net: Gateway, bpffs: Path, variant: Variant) -> None:
        self.net = net
        self.variant = variant
        self._bpffs = bpffs
        self._host = Host(net.outside, net.client, bpffs, variant)

    def apply(self, *documents: str, early_drop: bool = True) -> None:
        """Enforce these documents and nothing else; connections of before are forgotten.

        Args:
            documents: the policy.
            early_drop: whether the host may drop at XDP what a later hook would drop.
        """
        self.change(*documents, early_drop=early_drop)
        self.net.host.run("conntrack", "-F")

    def change(self, *documents: str, early_drop: bool = True) -> None:
        """Like :meth:`apply`, but connections live on."""
        policy = self._host.resolve("".join(documents))
        tables = Iptables(self.variant)
        with self.net.host.entered():
            Dataplane(self._bpffs, iptables=tables, lock_timeout=10, early_drop=early_drop).apply(policy)

    def status(self) -> Status:
        """What the dataplane says."""
        return self._host.status()

    def count(self, reason: str, end: Interface, direction: str = "ingress") -> int:
        """How many packets of an interface had a reason."""
        return self._host.reason(reason, direction, end.name)

    def entries(self, port: int) -> list[str]:
        """Entries of the host's conntrack with a port."""
        return self._host.conntrack(port)

    def receives(self, place: tuple[str, int], *pieces: bytes, patience: float = flows.PATIENCE) -> bool:
        """Whether a UDP socket of the host gets a datagram when the client sends these packets, in so many seconds."""
        with self.net.host.entered():
            server = flows.opened("udp", place)
        with server:
            packets.send(self.net.client, self.net.outside, *pieces)
            server.settimeout(patience)
            try:
                return bool(server.recv(4096))
            except TimeoutError:
                return False

    @contextmanager
    def rules(self, table: str, rules: Mapping[int, Sequence[str]]) -> Iterator[None]:
        """Rules of the host's own, by the variant of iptables that pyxdp uses.

        Args:
            table: ``nat``, ``raw``, ...
            rules: of IPv4 (4) and IPv6 (6), each beginning with its chain.
        """
        try:
            self._restore(table, "-A", rules)
            yield
        finally:
            self._restore(table, "-D", rules)
            if self.variant == "nft":  # an empty chain of nat is still a hook
                for family in rules:
                    self.net.host.run(self._tool(family), "-w", "-t", table, "-X", check=False)

    @contextmanager
    def dnat(self, chain: str, port: int, place: Interface, to: int) -> Iterator[None]:
        """TCP and UDP to a port, wherever it is sent, go to another port of a place."""
        targets = {4: f"{place.ipv4}:{to}", 6: f"[{place.ipv6}]:{to}"}
        rules = {
            family: [f"{chain} -p {it} --dport {port} -j DNAT --to-destination {target}" for it in ("tcp", "udp")]
            for family, target in targets.items()
        }
        with self.rules("nat", rules):
            yield

    def _restore(self, table: str, action: str, rules: Mapping[int, Sequence[str]]) -> None:
        for family, lines in rules.items():
            text = "\n".join([f"*{table}", *(f"{action} {line}" for line in lines), "COMMIT\n"])
            self.net.host.run(f"{self._tool(family)}-restore", "--noflush", "--wait", input=text)

    @contextmanager
    def chain_policy(self, chain: str, target: str) -> Iterator[None]:
        """What the host's filter table does with what nothing in ``chain`` takes, for both families."""
        try:
            for family in (4, 6):
                self.net.host.run(self._tool(family), "-w", "-P", chain, target)
            yield
        finally:
            for family in (4, 6):
                self.net.host.run(self._tool(family), "-w", "-P", chain, "ACCEPT")

    def _tool(self, family: int) -> str:
        return f"{'iptables' if family == 4 else 'ip6tables'}-{self.variant}"


@contextmanager
def governed_gateway(bpffs: Path, variant: Variant) -> Iterator[GovernedGateway]:
    """Make a gateway; remove everything at the end."""
    with gateway() as net:
        try:
            yield GovernedGateway(net, bpffs, variant)
        finally:
            with net.host.entered():
                Dataplane(bpffs).delete()


def endpoint(end: Interface, name: str, profiles: Sequence[str] = ()) -> str:
    """A host endpoint; policies find it by ``side == NAME``."""
    return _document(
        "HostEndpoint", name, {"node": NODE, "interfaceName": end.name, "profiles": [*profiles]}, {"side": name}
    )


def both(lab: GovernedGateway, *profiles: str) -> str:
    """A host endpoint for each of the host's interfaces: ``outside`` and ``inside``."""
    return endpoint(lab.net.outside, "outside", profiles) + endpoint(lab.net.inside, "inside", profiles)


def policy(name: str, *, selector: str = "all()", **spec: object) -> str:
    """A GlobalNetworkPolicy; by default for every endpoint, with the types that its rules suggest."""
    types = [direction.title() for direction in ("ingress", "egress") if direction in spec]
    return _document("GlobalNetworkPolicy", name, {"selector": selector, "types": types, **spec})


def untracked(name: str, **spec: object) -> str:
    """A doNotTrack policy."""
    return policy(name, doNotTrack=True, applyOnForward=True, **spec)


def pre_dnat(name: str, rules: Rules, **spec: object) -> str:
    """A preDNAT policy."""
    return policy(name, preDNAT=True, applyOnForward=True, ingress=rules, **spec)


def forward(name: str, **spec: object) -> str:
    """A normal policy that applies to forwarded traffic too."""
    return policy(name, applyOnForward=True, **spec)


def felix(**spec: object) -> str:
    """The default FelixConfiguration."""
    return _document("FelixConfiguration", "default", spec)


def to_ports(action: str, *ports: int, protocols: Sequence[str] = BOTH) -> list[dict[str, object]]:
    """Rules for destination ports."""
    return [{"action": action, "protocol": it, "destination": {"ports": [*ports]}} for it in protocols]


def from_ports(action: str, *ports: int, protocols: Sequence[str] = BOTH) -> list[dict[str, object]]:
    """Rules for source ports."""
    return [{"action": action, "protocol": it, "source": {"ports": [*ports]}} for it in protocols]


def echo_requests(action: str) -> list[dict[str, object]]:
    """Rules for ICMP and ICMPv6 echo requests."""
    kinds = {"ICMP": 8, "ICMPv6": 128}
    return [{"action": action, "protocol": name, "icmp": {"type": kind}} for name, kind in kinds.items()]


def _document(kind: str, name: str, spec: Mapping[str, object], labels: Mapping[str, str] | None = None) -> str:
    metadata = {"name": name, "labels": labels or {}}
    document = {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": metadata, "spec": spec}
    return f"\n---\n{json.dumps(document)}\n"
