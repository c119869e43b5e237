"""Addresses enter and leave a network set, in the tables that packets are judged by, while frames come in.

The flows come from neighbours: addresses that share every byte but the last, so that what is written anew for one of
them is written anew for all. Some are always in the set, some never, some now and then. Whatever happens to the
neighbours, each frame of a flow is judged by the rule for those in the set or by the rule for those that are not, and
never by the wrong one.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final, Literal

from pyxdp.abi import Direction, Reason
from pyxdp.bpf import Map
from pyxdp.enforcer import Enforcer
from pyxdp.manifest import loads
from tests.lab import flood
from tests.lab.waiting import wait_until
from tests.torture.flooding import flooding
from tests.veth.host import NODE, network_set, open_endpoint, untracked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.lab.network import Interface
    from tests.veth.host import Host

Membership = Literal["always", "never", "sometimes"]

SET: Final = "members"
KIND: Final = "GlobalNetworkSet"
#: The others that come and go: prefixes of a size, around the flows and far from them.
_NEIGHBOURS: Final = (("10.77.0.128/25", 32), ("10.77.0.0/27", 29), ("10.0.0.0/9", 24), ("fd77:0:0:0:1::/80", 128))
_FURTHER: Final = (("fd77:1::/32", 64), ("fd78::/16", 40))


@dataclass(frozen=True)
class Flow:
    """Frames from one address.

    Attributes:
        source: the address.
        port: that it talks to; no other flow does.
        member: whether the address is in the set.
    """

    source: str
    port: int
    member: Membership

    def stream(self, end: Interface) -> flood.Stream:
        """Its frames to an interface; no stack takes them."""
        target = end.ipv6 if ":" in self.source else end.ipv4
        return flood.Stream(flood.udp((self.source, 40000), (target, self.port)), astray=True)


_MEMBERSHIPS: Final[tuple[Membership, ...]] = ("never", "sometimes", "always", "sometimes", "never", "always")
FLOWS: Final = tuple(
    Flow(f"{base}{number}", port + number, member)
    for base, port in (("10.77.0.", 7000), ("fd77:0::1:", 7100))
    for number, member in enumerate(_MEMBERSHIPS, 60)
)


@dataclass(frozen=True)
class Result:
    """What a torture found.

    Attributes:
        changes: how many.
        rebuilt: how many of them made tables anew.
        seconds: for all of them.
        sent: frames that the generator sent.
        lost: how many of them the cable lost.
        wrong: frames that got a verdict that their address can not get, by what shows it.
    """

    changes: int
    rebuilt: int
    seconds: float
    sent: int
    lost: int
    wrong: Mapping[str, int]

    def __str__(self) -> str:
        """Three lines."""
        pace = f"{self.changes:,} changes of members in {self.seconds:.1f} s, {self.rebuilt} by new tables"
        frames = f"{self.sent:,} frames ({self.sent / self.seconds:,.0f} a second), {self.lost:,} lost on the cable"
        return f"{pace}\n{frames}\nwrong verdicts: {', '.join(f'{what}: {n:,}' for what, n in self.wrong.items()) or 0}"


class MembersTorture:
    """A host with rules for the members of a set, and what changes the members."""

    def __init__(self, host: Host, enforcer: Enforcer) -> None:
        """Apply the policy to a host that has none yet; the enforcer is the host's."""
        self._host, self._enforcer = host, enforcer
        self._chance = random.Random(4)  # noqa: S311 -- who comes and goes
        self._inside: list[str] = []
        rules = [
            {"action": action, "protocol": "UDP", "source": source, "destination": {"ports": [flow.port]}}
            for flow in FLOWS
            for action, source in (("Deny", {"selector": f"set == '{SET}'"}), ("Allow", {}))
        ]
        always = [flow.source for flow in FLOWS if flow.member == "always"]
        text = open_endpoint(host.end.name) + untracked("flows", ingress=rules, egress=[]) + network_set(SET, always)
        with host.space.entered():
            enforcer.apply(loads(text).resources)

    def run(self, changes: int, on_progress: Callable[[int], None] = lambda _: None) -> Result:
        """Change members while frames come in; then count."""
        host, rebuilt = self._host, 0
        with flood.flood(host.peer, host.end, [flow.stream(host.end) for flow in FLOWS]) as generator:
            begin = time.monotonic()
            with flooding(generator), host.space.entered():
                for number in range(changes):
                    rebuilt += bool(self._change())
                    on_progress(number + 1)
                seconds = time.monotonic() - begin
            total, lost = sum(generator.sent), generator.lost
            wait_until(lambda: sum(self._reasons().values()) >= total - lost)
            wrong = self._wrong(dict(zip(FLOWS, generator.sent, strict=True)), lost)
        return Result(changes, rebuilt, seconds, total, lost, wrong)

    def _change(self) -> str:
        """Let some enter or leave; return why everything was applied for it."""
        if self._inside and self._chance.random() < 0.5:
            leaving = self._chance.sample(self._inside, self._chance.randint(1, min(3, len(self._inside))))
            self._inside = [it for it in self._inside if it not in leaving]
            return self._enforcer.remove_members(KIND, SET, leaving).rebuilt
        coming = [self._somebody() for _ in range(self._chance.randint(1, 3))]
        self._inside += [it for it in dict.fromkeys(coming) if it not in self._inside]
        return self._enforcer.add_members(KIND, SET, coming).rebuilt

    def _somebody(self) -> str:
        sometimes = [flow.source for flow in FLOWS if flow.member == "sometimes"]
        if self._chance.random() < 0.5:
            return str(ip_network(self._chance.choice(sometimes)))
        around, length = self._chance.choice([*_NEIGHBOURS, *_FURTHER])
        within = ip_network(around)
        bits = self._chance.getrandbits(length - within.prefixlen) << within.max_prefixlen - length
        return f"{within.network_address + bits}/{length}"

    def _wrong(self, sent: Mapping[Flow, int], lost: int) -> dict[str, int]:
        rules = {(it.policy, it.rule): it.packets for it in self._host.status().rules if it.direction == "ingress"}
        found = {}
        for at, (flow, frames) in enumerate(sent.items()):
            denied, allowed = rules.pop(("flows", 2 * at)), rules.pop(("flows", 2 * at + 1))
            found[f"{flow.source}, never a member, denied"] = denied if flow.member == "never" else 0
            found[f"{flow.source}, always a member, allowed"] = allowed if flow.member == "always" else 0
            found[f"{flow.source}, judged by neither rule"] = max(0, frames - denied - allowed - lost)
            found[f"{flow.source}, judged twice"] = max(0, denied + allowed - frames)
        found |= {f"rule {policy} {rule}": packets for (policy, rule), packets in rules.items()}
        usual = (Reason.PASS_ALLOWED, Reason.DROP_POLICY)
        found |= {f"reason {reason.name}": n for reason, n in self._reasons().items() if reason not in usual}
        return {what: n for what, n in found.items() if n}

    def _reasons(self) -> dict[Reason, int]:
        with Map.from_pin(self._host.bpffs / "pyxdp/v1/maps/reasons") as reasons:
            (packets,) = reasons.read_sums(Direction.INGRESS, 1)
        return {reason: packets[reason] for reason in Reason}


def torture_members(host: Host, changes: int, on_progress: Callable[[int], None] = lambda _: None) -> Result:
    """Torture a host that has no policy yet."""
    with host.space.entered():
        enforcer = Enforcer(host.dataplane(), node=NODE)
    with enforcer:
        return MembersTorture(host, enforcer).run(changes, on_progress)
