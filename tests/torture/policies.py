"""Two policies that are each other's opposite, and flows whose verdict tells which of the two a packet was judged by.

Each flow meets a rule of its own in either policy, and rules have counters. The flows differ in every field that a rule
can ask for, and where one field of one flow meets another field of another flow there are trap rules, which no frame
of any flow matches under either policy. The policies number rules, addresses, ports and words of rows differently. So
whatever mixes two of their tables finds a trap, another flow's rule, or none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal

from tests.lab import flood
from tests.veth.host import open_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.lab.network import Interface

Side = Literal["a", "b"]
SIDES: Final[tuple[Side, Side]] = ("a", "b")

#: Rules of policy A in front of those for flows: two words of bits a row, where B has one. For addresses of nobody.
_IN_FRONT: Final = 90


@dataclass(frozen=True, eq=False)
class Flow:
    """Frames that are all the same.

    Attributes:
        name: of the flow, and part of the names of its rules.
        protocol: ``UDP`` or ``TCP``.
        family: 4 or 6.
        untracked: what the untracked class of either policy says; empty where it says nothing.
        prednat: the same of the pre-DNAT class.
        normal: the same of the normal class.
        delivered: allowed by both policies, and received by a socket; all others are for another host's MAC address.
        share: how many of a round's frames are of this flow.
    """

    name: str
    protocol: Literal["TCP", "UDP"]
    family: int
    untracked: Mapping[Side, str]
    prednat: Mapping[Side, str]
    normal: Mapping[Side, str]
    delivered: bool
    share: int

    @property
    def number(self) -> int:
        """Among the flows, from 1."""
        return FLOWS.index(self) + 1

    @property
    def source(self) -> str:
        """Its address."""
        return f"10.77.0.{100 + self.number}" if self.family == 4 else f"fd77:0::{100 + self.number}"

    @property
    def source_port(self) -> int:
        """Its port."""
        return 40000 + self.number

    @property
    def port(self) -> int:
        """The port that it talks to."""
        return 7000 + self.number

    def rule(self, side: Side, kind: str) -> tuple[str, int]:
        """Name of the policy that has its rule of a class, and the rule's number there."""
        front = _IN_FRONT if (side, kind) == ("a", "untracked") else 0
        return f"{side}-{kind}", front + [it for it in flows_of(side) if getattr(it, kind)[side]].index(self)

    def address(self, end: Interface) -> str:
        """The address that it talks to."""
        return end.ipv4 if self.family == 4 else end.ipv6

    def stream(self, end: Interface) -> flood.Stream:
        """Its frames to an interface."""
        make = flood.udp if self.protocol == "UDP" else flood.tcp
        packet = make((self.source, self.source_port), (self.address(end), self.port))
        return flood.Stream(packet, astray=not self.delivered)


def _flow(  # noqa: PLR0913 -- a table's columns
    name: str,
    protocol: Literal["TCP", "UDP"],
    family: int,
    *,
    untracked: Sequence[str] = ("", ""),
    prednat: Sequence[str] = ("", ""),
    normal: Sequence[str] = ("", ""),
    delivered: bool = False,
    share: int = 4,
) -> Flow:
    said = [dict(zip(SIDES, column, strict=True)) for column in (untracked, prednat, normal)]
    return Flow(name, protocol, family, said[0], said[1], said[2], delivered, share)


#: For each class what A says, then what B says.
FLOWS: Final = (
    _flow("first", "UDP", 4, untracked=("Allow", "Deny"), share=8),
    _flow("second", "UDP", 4, untracked=("Deny", "Allow"), share=8),
    _flow("kept", "UDP", 4, untracked=("Allow", "Allow"), delivered=True, share=2),
    _flow("first-v6", "UDP", 6, untracked=("Allow", "Deny"), share=8),
    _flow("second-v6", "UDP", 6, untracked=("Deny", "Allow"), share=8),
    _flow("kept-v6", "UDP", 6, untracked=("Allow", "Allow"), delivered=True, share=2),
    # Both policies allow these, each in another class, and deny them in the class that comes behind it.
    _flow("early-a", "TCP", 4, untracked=("", "Allow"), normal=("Allow", "Deny")),
    _flow("early-b", "TCP", 4, untracked=("Allow", ""), normal=("Deny", "Allow")),
    _flow("prednat-a", "TCP", 4, prednat=("Allow", ""), normal=("Deny", "Allow")),
    _flow("prednat-b", "TCP", 4, prednat=("", "Allow"), normal=("Allow", "Deny")),
    # Both drop it, with the last verdict that there is.
    _flow("dropped-early", "TCP", 4, normal=("Deny", "Deny")),
)

_LONGEST: Final = max(flow.share for flow in FLOWS)
#: The flows in the order in which their frames take turns; no two of one flow are neighbours.
ROUND: Final = tuple(flow for turn in range(_LONGEST) for flow in FLOWS if turn * flow.share % _LONGEST < flow.share)


def flows_of(side: Side) -> Sequence[Flow]:
    """The flows in the order in which a policy has their rules."""
    return FLOWS if side == "a" else FLOWS[::-1]


def manifest(end: Interface, side: Side) -> str:
    """One of the two policies, for an interface."""
    flows = flows_of(side)
    front = [_nobody(number) for number in range(_IN_FRONT)] if side == "a" else []
    own = [(flow, _rule(end, flow, flow.untracked[side])) for flow in flows if flow.untracked[side]]
    untracked = [*front, *(rule for _, rule in own), *_traps(flows), {"action": "Deny", "protocol": "UDP"}]
    prednat = [_rule(end, flow, flow.prednat[side]) for flow in flows if flow.prednat[side]]
    normal = [_rule(end, flow, flow.normal[side]) for flow in flows if flow.normal[side]]
    return open_endpoint(end.name) + "".join(
        (
            _policy(f"{side}-untracked", untracked, doNotTrack=True, applyOnForward=True),
            _policy(f"{side}-prednat", prednat, preDNAT=True, applyOnForward=True),
            _policy(f"{side}-normal", normal),
        )
    )


def _rule(end: Interface, flow: Flow, action: str) -> dict[str, object]:
    return {
        "action": action,
        "protocol": flow.protocol,
        "source": {"nets": [_net(flow.source)], "ports": [flow.source_port]},
        "destination": {"nets": [_net(flow.address(end))], "ports": [flow.port]},
    }


def _traps(flows: Sequence[Flow]) -> Iterable[dict[str, object]]:
    """What only a mixture of two flows, or of two policies, matches; in the order of the flows."""
    pairs = [(left, right) for left in flows for right in flows if left is not right and left.family == right.family]
    for left, right in pairs:
        source = {"nets": [_net(left.source)], "ports": [left.source_port]}
        if left.protocol == right.protocol:
            port = {"ports": [right.port]}
            yield {"action": "Deny", "protocol": left.protocol, "source": source, "destination": port}
        crossed = {"nets": [_net(left.source)], "ports": [right.source_port]}
        yield {"action": "Allow", "protocol": left.protocol, "source": crossed, "destination": {"ports": [left.port]}}


def _nobody(number: int) -> dict[str, object]:
    source = {"nets": [_net(f"10.77.0.{number}" if number % 2 else f"fd77::{number:x}")]}
    return {"action": "Deny", "protocol": "UDP", "source": source, "destination": {"ports": [100 + number]}}


def _net(address: str) -> str:
    return f"{address}/{ip_address(address).max_prefixlen}"


def _policy(name: str, ingress: Sequence[object], **spec: object) -> str:
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": name},
        "spec": {"selector": "all()", "order": 10, "types": ["Ingress"], "ingress": [*ingress], **spec},
    }
    return f"\n---\n{json.dumps(document)}\n"
