"""A small world in one file, so that lines can be counted, and short ways to ask about it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from pyxdp.evaluator import Context, Direction
from pyxdp.explanation import Explanation, explain, place_of
from pyxdp.manifest import loads
from pyxdp.net import Packet
from pyxdp.net.values import PROTOCOL_NUMBERS

if TYPE_CHECKING:
    from pyxdp.explanation import Look, Stage
    from pyxdp.model import Resources

FILE: Final = "world.yaml"
HOST: Final = "192.0.2.10"
CLIENT: Final = "198.51.100.7"
IN: Final = Direction.INGRESS
OUT: Final = Direction.EGRESS

ENDPOINT: Final = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: web, labels: {role: web}}
spec: {node: node1, interfaceName: eth0, expectedIPs: [192.0.2.10], profiles: [open]}
"""
PROFILE: Final = """
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: open}
spec: {ingress: [{action: Pass}], egress: [{action: Allow}]}
"""


def world(*documents: str) -> Resources:
    """Everything that these documents say, with the endpoint and its profile first."""
    return loads("---".join((ENDPOINT, PROFILE, *documents)), file=FILE).resources


def policy(rules: str, *, name: str = "p", kind: str = "GlobalNetworkPolicy", **spec: Any) -> str:
    """A document; ``rules`` is the list of its ingress rules in YAML, a rule each line."""
    more = "".join(f"  {field}: {value}\n" for field, value in {"selector": "role == 'web'", **spec}.items())
    listed = "".join(f"    - {{{rule.strip()}}}\n" for rule in rules.strip().splitlines())
    head = f"\napiVersion: projectcalico.org/v3\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{more}"
    return f"{head}  ingress:\n{listed}" if listed else head


def packet(
    to: int | None = 80, *, of: int | None = 40000, name: str = "TCP", src: str = CLIENT, dst: str = HOST, **fields: Any
) -> Packet:
    if name not in ("ICMP", "ICMPv6", "47") and not fields.get("later_fragment"):
        fields = {"source_port": of, "destination_port": to, **fields}
    number = PROTOCOL_NUMBERS.get(name) or int(name)
    return Packet(protocol=number, source=ip_address(src), destination=ip_address(dst), **fields)


def ask(resources: Resources, asked: Packet, direction: Direction = IN, **context: Any) -> Explanation:
    return explain(place_of(resources, "web"), direction, asked, Context(**context))


def stage(explanation: Explanation, title: str) -> Stage:
    """The stage of that title in the class that decided."""
    assert explanation.deciding
    return next(it for it in explanation.deciding.stages if it.title == title)


def looks(explanation: Explanation) -> list[Look]:
    """The rules that the deciding class looked at."""
    assert explanation.deciding
    return [look for it in explanation.deciding.stages for rules in it.lists for look in rules.looks]
