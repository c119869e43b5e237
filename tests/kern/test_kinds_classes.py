"""Kinds of packets other than the usual TCP and UDP: every class can name them, and judges them by that."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest

from pyxdp.abi import Reason
from tests.kern.conftest import INTERFACE, Bench, image_of
from tests.kern.frames import (
    AH,
    ARP,
    DESTINATION,
    ESP,
    HOP_BY_HOP,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    NO_NEXT,
    ROUTING,
    SCTP,
    TCP,
    UDP,
    UDPLITE,
    chain,
    ethernet,
    icmp,
    ipv4,
    ipv6,
    sctp,
    tcp,
    udp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.compiler import MapImage

PORT: Final = 6379
IPIP: Final = 4
GRE: Final = 47
EXPERIMENT: Final = 253
DHCP_CLIENT: Final = 68
NO_ADDRESS: Final = "0.0.0.0"  # noqa: S104 -- nobody binds to it
#: ICMPv6 types that keep a link going, and others that are close to them.
NEIGHBOUR_DISCOVERY: Final = (130, 131, 132, 133, 135, 136)
OTHER_ICMPV6: Final = (1, 2, 128, 129, 134, 137, 143)

#: What iptables asks where a packet comes in or goes out, by class. The first that says 1 has the packet.
INGRESS: Final = (
    ("in_allow", "in_deny"),
    ("prednat_deny", "prednat_allow"),
    ("local_in_deny",),
    ("forward_in_deny", "forward_in_allow"),
)
EGRESS: Final = (("out_allow", "out_deny"), ("local_out_deny",), ("forward_out_deny", "forward_out_allow"))


@dataclass(frozen=True)
class Kind:
    """One kind of packet.

    Attributes:
        frame: with the wire's side as source, so that egress matches as well what does not name addresses.
        match: how a rule names it.
    """

    frame: bytes
    match: Mapping[str, object] = field(default_factory=dict)


def number(protocol: int) -> dict[str, object]:
    return {"protocol": protocol}


def port(protocol: str) -> dict[str, object]:
    return {"protocol": protocol, "destination": {"ports": [PORT]}}


KINDS: Final = {
    "SCTP": Kind(ethernet(IPV4, ipv4(SCTP, sctp(PORT))), port("SCTP")),
    "UDPLite": Kind(ethernet(IPV6, ipv6(UDPLITE, udp(PORT))), port("UDPLite")),
    "GRE": Kind(ethernet(IPV4, ipv4(GRE, bytes(24))), number(GRE)),
    "ESP": Kind(ethernet(IPV6, ipv6(ESP, bytes(40))), number(ESP)),
    "AH of IPv4": Kind(ethernet(IPV4, ipv4(AH, bytes(24))), number(AH)),
    "IPIP": Kind(ethernet(IPV4, ipv4(IPIP, ipv4(TCP, tcp(PORT)))), number(IPIP)),
    "unknown protocol": Kind(ethernet(IPV6, ipv6(EXPERIMENT, b"x")), number(EXPERIMENT)),
    "zero length": Kind(ethernet(IPV4, ipv4(EXPERIMENT, b"")), number(EXPERIMENT)),
    "no next header": Kind(ethernet(IPV6, ipv6(NO_NEXT, b"")), number(NO_NEXT)),
    "ICMP": Kind(ethernet(IPV4, ipv4(ICMP, icmp(13))), {"protocol": "ICMP", "icmp": {"type": 13}}),
    "ICMPv6": Kind(ethernet(IPV6, ipv6(ICMPV6, icmp(128))), {"protocol": "ICMPv6", "icmp": {"type": 128}}),
    "IPv4 options": Kind(ethernet(IPV4, ipv4(UDP, udp(PORT), options=bytes(40))), port("UDP")),
    "extension headers": Kind(
        ethernet(IPV6, ipv6(*chain((HOP_BY_HOP, ROUTING, AH, DESTINATION), UDP, udp(PORT)))), port("UDP")
    ),
    "jumbo frame": Kind(ethernet(IPV4, ipv4(TCP, tcp(PORT) + bytes(3000))), port("TCP")),
}


def manifest(*policies: Mapping[str, object]) -> MapImage:
    """A host endpoint with these policies; failsafes are the default ones."""
    documents: list[Mapping[str, object]] = [
        {
            "kind": "HostEndpoint",
            "metadata": {"name": "host", "labels": {"hep": "host"}},
            "spec": {"node": "node1", "interfaceName": INTERFACE},
        }
    ]
    for index, policy in enumerate(policies):
        spec = {"selector": "has(hep)", **policy}
        documents.append({"kind": "GlobalNetworkPolicy", "metadata": {"name": f"policy{index}"}, "spec": spec})
    return image_of("\n---\n".join(json.dumps({"apiVersion": "projectcalico.org/v3", **it}) for it in documents))


def in_every_class(action: str, kind: Kind) -> MapImage:
    """A policy of each class with one rule."""
    rules = [{"action": action, **kind.match}]
    both = {"ingress": rules, "egress": rules}
    return manifest(
        {"doNotTrack": True, "applyOnForward": True, **both},
        {"preDNAT": True, "applyOnForward": True, "ingress": rules},
        {"applyOnForward": True, **both},
    )


def taken(bench: Bench, programs: tuple[str, ...], frame: bytes) -> str:
    """The program that takes the packet; empty when none does."""
    return next((program for program in programs if bench.raw(program, frame).action), "")


@pytest.mark.parametrize("name", KINDS)
def test_kind_is_denied_by_what_it_is(bench: Bench, name: str) -> None:
    kind = KINDS[name]
    bench.fill(in_every_class("Deny", kind))
    assert bench.xdp(kind.frame).is_drop(Reason.DROP_POLICY)
    for programs in (*INGRESS, *EGRESS):
        assert taken(bench, programs, kind.frame).endswith("deny"), programs


@pytest.mark.parametrize("name", KINDS)
def test_kind_is_allowed_by_what_it_is(bench: Bench, name: str) -> None:
    kind = KINDS[name]
    bench.fill(in_every_class("Allow", kind))
    assert bench.xdp(kind.frame).is_pass(Reason.PASS_ALLOWED)
    for programs in (*INGRESS, *EGRESS):
        allow = next((program for program in programs if program.endswith("allow")), "")
        assert taken(bench, programs, kind.frame) == allow, programs


@pytest.mark.parametrize("name", KINDS)
def test_kind_that_no_rule_names(bench: Bench, name: str) -> None:
    """Untracked and pre-DNAT policy leave it alone, normal policy denies it, and without forward policy it passes."""
    kind = KINDS[name]
    bench.fill(manifest())
    assert bench.xdp(kind.frame).is_pass(Reason.PASS_NO_MATCH)
    assert [taken(bench, programs, kind.frame) for programs in INGRESS] == ["", "", "local_in_deny", "forward_in_allow"]
    assert [taken(bench, programs, kind.frame) for programs in EGRESS] == ["", "local_out_deny", "forward_out_allow"]


@pytest.mark.parametrize("program", ["local_in_deny", "local_out_deny"])
def test_neighbour_discovery_under_default_deny(bench: Bench, program: str) -> None:
    bench.fill(manifest())
    answers = {
        kind: bench.raw(program, ethernet(IPV6, ipv6(ICMPV6, icmp(kind) + bytes(16)))).reasons
        for kind in (*NEIGHBOUR_DISCOVERY, *OTHER_ICMPV6)
    }
    assert answers == {
        **{kind: {Reason.PASS_ALLOWED: 1} for kind in NEIGHBOUR_DISCOVERY},
        **{kind: {Reason.DROP_POLICY: 1} for kind in OTHER_ICMPV6},
    }


def test_arp_under_default_deny(bench: Bench) -> None:
    bench.fill(manifest({"doNotTrack": True, "applyOnForward": True, "ingress": [{"action": "Deny"}]}))
    assert bench.xdp(ethernet(ARP, bytes(28))).is_pass(Reason.PASS_NOT_IP)


def test_dhcp_under_default_deny(bench: Bench) -> None:
    """To a client and to a server; also as a broadcast to a host without address."""
    bench.fill(manifest())
    offer = ethernet(IPV4, ipv4(UDP, udp(DHCP_CLIENT, source=67), source="192.0.2.254", destination="255.255.255.255"))
    request = ethernet(IPV4, ipv4(UDP, udp(67, source=DHCP_CLIENT), source=NO_ADDRESS, destination="255.255.255.255"))
    assert bench.xdp(offer).is_pass(Reason.PASS_FAILSAFE)
    assert bench.raw("local_in_deny", offer).reasons == {Reason.PASS_FAILSAFE: 1}
    assert bench.raw("local_out_deny", request).reasons == {Reason.PASS_FAILSAFE: 1}
    assert bench.raw("local_in_deny", request).reasons == {Reason.DROP_POLICY: 1}


def test_unknown_ethertypes_under_default_deny(bench: Bench) -> None:
    bench.fill(manifest())
    for ethertype in (0x8847, 0x8864, 0x88CC, 0x0026):  # MPLS, PPPoE, LLDP, a length
        assert bench.xdp(ethernet(ethertype, bytes(46))).is_pass(Reason.PASS_NOT_IP)
