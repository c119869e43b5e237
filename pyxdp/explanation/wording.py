"""Packets, rules and reasons in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.evaluator import Conntrack, Path, Reason, Verdict
from pyxdp.explanation.conditions import icmp_name, protocol_name
from pyxdp.net.parse import Content
from pyxdp.net.values import ICMP, ICMPV6

if TYPE_CHECKING:
    from pyxdp.evaluator import Context, RuleRef
    from pyxdp.explanation.values import ClassAccount, Explanation
    from pyxdp.model import Origin
    from pyxdp.net import Address, Packet

#: What a verdict is called; no verdict means that the packet goes on to the host's own rules.
VERDICTS: Final = {Verdict.ALLOW: "ALLOW", Verdict.DENY: "DENY", Verdict.NO_VERDICT: "PASS"}

_CONTENTS: Final = {
    Content.NOT_IP: "not IP: host policy has no say",
    Content.VLAN: "tagged for a VLAN: policy of the VLAN's own interface judges it there",
    Content.FRAGMENT: "a later fragment whose protocol only the first one knows: that one decides",
    Content.SHORT_ETHERNET: "shorter than an Ethernet header with its tags",
    Content.VLAN_DEPTH: "more than two VLAN tags",
    Content.SHORT_IP: "truncated IP header, or a length that contradicts the frame",
    Content.BAD_IP: "wrong IP version, or a header length below 20 bytes",
    Content.EXTENSIONS: "IPv6 extension headers: truncated, out of bounds, or more than eight",
    Content.SHORT_L4: "truncated transport header",
    Content.BAD_FRAGMENT: "a fragment that would overwrite the TCP header",
}
_REASONS: Final = {
    Reason.FRAGMENT: "a later fragment: the first one decides",
    Reason.ESTABLISHED: "belongs to an established connection",
    Reason.INVALID: "connection tracking finds it invalid",
    Reason.NEIGHBOUR_DISCOVERY: "neighbour discovery is always allowed",
    Reason.END_OF_PROFILES: "no tier decided and no profile allowed it",
    Reason.NO_FORWARD_POLICY: "no policy with applyOnForward selects the host endpoint",
    Reason.NO_MATCH: "no rule decided: host policy leaves it alone",
    Reason.NOT_GOVERNED: "the host endpoint does not govern this interface in this class",
}


def place(origin: Origin) -> str:
    """Return ``file:line``, or ``built in`` for what is written nowhere."""
    return str(origin) or "built in"


def rule_name(rule: RuleRef) -> str:
    """Return ``default/redis ingress[1]``, as ``pyxdp status`` has it."""
    return f"{rule.tier or rule.kind}/{rule.policy} {rule.direction.value.lower()}[{rule.number}]"


def decision(explanation: Explanation) -> str:
    """Say what decided, in one clause with its place."""
    if explanation.content is not Content.FLOW:
        return f"{explanation.content.value}: {_CONTENTS[explanation.content]}"
    if explanation.deciding is None:
        return explanation.governance or "a later fragment: out of here goes the whole datagram, which is judged"
    return _class_decision(explanation.deciding)


def _class_decision(result: ClassAccount) -> str:
    if result.rule is not None and result.reason is Reason.RULE:
        said = f"{rule_name(result.rule)} {result.rule.action.value}"
    elif result.reason is Reason.FAILSAFE:
        said = f"failsafe port {result.stages[-1].outcome.partition(':')[0]}"
    elif result.reason is Reason.END_OF_TIER:
        names = ", ".join(rules.name for rules in result.stages[-1].lists)
        said = f"end of tier {result.tier}: no rule matched in {names}"
    elif result.reason is Reason.MISSING_PROFILE:
        said = result.stages[-1].outcome.partition(":")[0]
    else:
        return f"{_REASONS[result.reason]}{f', {result.origin}' if str(result.origin) else ''}"
    return f"{said}, {place(result.origin)}"


def packet_name(packet: Packet) -> str:
    """Return ``TCP 192.0.2.7:40000 -> 192.0.2.1:6379``."""
    name = protocol_name(packet.protocol)
    if packet.protocol in (ICMP, ICMPV6) and packet.icmp_type is not None:
        name = f"{name} {icmp_name(packet.icmp_type, packet.icmp_code)}"
    if packet.later_fragment:
        name = f"later fragment of {name}"
    source, destination = _end(packet.source, packet.source_port), _end(packet.destination, packet.destination_port)
    return f"{name} {source} -> {destination}"


def subject(explanation: Explanation) -> str:
    """Return what the explanation is about."""
    return packet_name(explanation.packet) if explanation.packet else "frame"


def _end(address: Address, port: int | None) -> str:
    if port is None:
        return str(address)
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"  # noqa: PLR2004 - IP version


def circumstances(explanation: Explanation) -> str:
    """Say where and in which state the packet is asked about."""
    context = explanation.context
    where = f"{explanation.direction.value.lower()} on {explanation.interface}"
    if explanation.endpoint:
        origin = f", {explanation.endpoint_origin}" if str(explanation.endpoint_origin) else ""
        where += f" (HostEndpoint/{explanation.endpoint}{origin})"
    known = [
        "forwarded" if context.path is Path.FORWARD else "",
        "" if context.conntrack is Conntrack.NEW else context.conntrack.value,
        _before_dnat(context),
    ]
    return ", ".join(part for part in (where, *known) if part)


def _before_dnat(context: Context) -> str:
    address, port = context.original_destination, context.original_destination_port
    if address is None:
        return "" if port is None else f"port before DNAT: {port}"
    return f"before DNAT: {_end(address, port)}"
