"""Early drop on a namespace's loopback device, where all that it has to be certain of can be made otherwise."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import pytest
from pyroute2.nftables.main import NFTables

from pyxdp.abi import Reason
from pyxdp.dataplane.code import Code
from pyxdp.net import Interface
from tests.kern.conftest import FAILSAFE, INTERFACE, Bench, Result, image_of
from tests.kern.early import BEFORE_DNAT, HOST_POLICY, LOGGED, OPEN, with_early
from tests.kern.frames import (
    C_TAG,
    DESTINATION,
    FRAGMENT,
    HOST,
    ICMP,
    IPV4,
    IPV6,
    REMOTE,
    SCTP,
    TCP,
    UDP,
    chain,
    ethernet,
    fragment,
    icmp,
    ipv4,
    ipv6,
    sctp,
    tcp,
    udp,
)
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab.network import Namespace

CLOSED: Final = 9999
PAYLOAD: Final = {TCP: tcp, UDP: udp}
NETDEV: Final = 5  # NFPROTO_NETDEV
FAMILIES: Final = pytest.mark.parametrize("family", [4, 6])


def to(port: int, family: int = 4, protocol: int = TCP, destination: str = "") -> bytes:
    packet = PAYLOAD[protocol](port)
    if family == 4:
        return ethernet(IPV4, ipv4(protocol, packet, destination=destination or HOST[4]))
    return ethernet(IPV6, ipv6(protocol, packet, destination=destination or HOST[6]))


class Host:
    """The programs in a network namespace that has the addresses which frames come from and go to."""

    def __init__(self, bench: Bench, space: Namespace) -> None:
        self.bench = bench
        self.space = space

    def receives(self, frame: bytes, ifindex: int = 0) -> Result:
        with self.space.entered():
            return self.bench.xdp(frame, ifindex)

    def drops(self, frame: bytes, ifindex: int = 0) -> bool:
        """Whether the frame is dropped early; if not, it passes as if nothing had been tried."""
        result = self.receives(frame, ifindex)
        if result.action == "pass":
            assert (result.reasons, result.rules) == ({Reason.PASS_NO_MATCH: 1}, {})
            return False
        assert result.reasons == {Reason.DROP_EARLY: 1}
        return True

    def add_address(self, family: int, address: str, device: str) -> None:
        """Return when packets to it are delivered: IPv6 makes the route after the address."""
        at_once = ("nodad",) if family == 6 else ()
        self.space.run("ip", f"-{family}", "addr", "add", address, "dev", device, *at_once)
        route = ("ip", f"-{family}", "route", "show", "table", "local", address)
        wait_until(lambda: self.space.run(*route).stdout)

    def forwards(self, family: int, *, on: bool) -> None:
        """Whether it forwards what comes in by the loopback device."""
        for where in ("all", "lo"):
            self.space.sysctl(f"net/ipv{family}/conf/{where}/forwarding", int(on))

    def add_port(self) -> int:
        """Add a device, called port; return its number."""
        self.space.run("ip", "link", "add", "port", "type", "veth", "peer", "name", "cable")
        for end in ("port", "cable"):
            self.space.run("ip", "link", "set", end, "up")
        with self.space.entered():
            return socket.if_nametoindex("port")


@pytest.fixture(scope="module")
def loaded_early(kernel: None) -> Iterator[Bench]:
    with with_early(Code.shipped(0)) as bench:
        yield bench


@pytest.fixture
def host(loaded_early: Bench, netns: Callable[[], Namespace]) -> Host:
    """A host that tracks connections and forwards nothing."""
    loaded_early.fill(image_of(HOST_POLICY))
    host = Host(loaded_early, netns())
    for family in (4, 6):
        host.forwards(family, on=False)
        iptables = "iptables-nft" if family == 4 else "ip6tables-nft"
        host.space.run(iptables, "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW")
        for address in (HOST[family], REMOTE[family]):
            host.add_address(family, address, "lo")
    return host


@FAMILIES
@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_new_connection_that_is_denied(host: Host, family: int, protocol: int) -> None:
    frame = to(CLOSED, family, protocol)
    result = host.receives(frame)
    assert (result.action, result.reasons) == ("drop", {Reason.DROP_EARLY: 1})
    assert list(result.rules.values()) == [(1, len(frame))]


@FAMILIES
def test_what_no_class_denies_passes(host: Host, family: int) -> None:
    assert not host.drops(to(OPEN, family))
    assert host.receives(to(FAILSAFE, family)).is_pass(Reason.PASS_FAILSAFE)


@pytest.mark.parametrize(("port", "counted"), [(BEFORE_DNAT, 2), (LOGGED, 3)], ids=["pre-DNAT", "both classes"])
def test_log_rules_on_the_way_are_counted_once(host: Host, port: int, counted: int) -> None:
    """Those of the pre-DNAT class also where the normal class drops; none where netfilter will meet them."""
    result = host.receives(to(port))
    assert (result.action, result.reasons[Reason.DROP_EARLY]) == ("drop", 1)
    assert [packets for packets, _ in result.rules.values()] == [1] * counted
    host.space.run("tc", "qdisc", "add", "dev", "lo", "clsact")
    assert not host.drops(to(port))


@pytest.mark.parametrize(
    "frame",
    [
        ethernet(IPV4, ipv4(TCP, tcp(CLOSED), options=bytes(4))),
        ethernet(IPV4, ipv4(UDP, udp(CLOSED), more=True)),
        ethernet(IPV6, ipv6(*chain((DESTINATION,), TCP, tcp(CLOSED)))),
        ethernet(IPV6, ipv6(FRAGMENT, fragment(UDP, udp(CLOSED)))),
        ethernet(IPV4, ipv4(SCTP, sctp(CLOSED))),
        ethernet(IPV4, ipv4(ICMP, icmp(8))),
        to(67, protocol=UDP),
        to(68, protocol=UDP),
    ],
    ids=[
        "IPv4 options",
        "first fragment",
        "IPv6 extension header",
        "IPv6 fragment header",
        "SCTP",
        "ICMP",
        "to a DHCP server",
        "to a DHCP client",
    ],
)
def test_packet_that_netfilter_may_see_otherwise(host: Host, frame: bytes) -> None:
    assert not host.drops(frame)


def test_priority_tag_makes_no_difference(host: Host) -> None:
    assert host.drops(ethernet(IPV4, ipv4(TCP, tcp(CLOSED)), (C_TAG, 0)))


@FAMILIES
def test_reply_passes(host: Host, family: int) -> None:
    """The host has sent something; what comes back is not new, from the same port and to the same port only."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with host.space.entered(), socket.socket(kind, socket.SOCK_DGRAM) as sender:
        sender.bind((HOST[family], CLOSED))
        sender.sendto(b"question", (REMOTE[family], 40000))
    assert not host.drops(to(CLOSED, family, UDP))
    assert host.drops(to(CLOSED, family, TCP))
    assert host.drops(to(CLOSED + 1, family, UDP))


@FAMILIES
def test_nat_leaves_only_pre_dnat_policy_certain(host: Host, family: int) -> None:
    iptables = "iptables-nft" if family == 4 else "ip6tables-nft"
    host.space.run(iptables, "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "1", "-j", "REDIRECT")
    assert not host.drops(to(CLOSED, family))
    assert host.drops(to(BEFORE_DNAT, family))
    assert host.drops(to(CLOSED, 10 - family))


def test_nat_of_the_legacy_tables(host: Host) -> None:
    host.space.run("iptables-legacy", "-t", "nat", "-A", "OUTPUT", "-j", "ACCEPT")
    assert not host.drops(to(CLOSED))


def test_tc_on_ingress_may_do_anything(host: Host) -> None:
    host.space.run("tc", "qdisc", "add", "dev", "lo", "ingress")
    assert not host.drops(to(CLOSED))
    assert not host.drops(to(BEFORE_DNAT))
    host.space.run("tc", "qdisc", "del", "dev", "lo", "ingress")
    assert host.drops(to(CLOSED))


def test_nftables_on_ingress_may_do_anything(host: Host) -> None:
    hook = [["NFTA_HOOK_HOOKNUM", 0], ["NFTA_HOOK_PRIORITY", 0], ["NFTA_HOOK_DEV", "lo"]]
    with host.space.entered(), NFTables(nfgen_family=NETDEV) as nft:
        nft.table("add", name="ingress")
        nft.chain("add", kwarg={"table": "ingress", "name": "lo", "hook": {"attrs": hook}, "type": "filter"})
        assert not host.drops(to(CLOSED))
        nft.chain("del", table="ingress", name="lo")
        assert host.drops(to(CLOSED))


@pytest.mark.parametrize(
    "above",
    [
        ("link add above type bridge", "link set port master above", "link set port nomaster"),
        ("link add above link port type macvlan", "link set above up", "link del above"),
    ],
    ids=["bridge", "macvlan"],
)
def test_device_that_hands_its_packets_to_another(host: Host, above: tuple[str, ...]) -> None:
    """Also if it does so since after the policy was applied."""
    ifindex = host.add_port()
    assert host.drops(to(CLOSED), ifindex)
    for command in above[:2]:
        host.space.run("ip", *command.split())
    assert not host.drops(to(CLOSED), ifindex)
    host.space.run("ip", *above[2].split())
    assert host.drops(to(CLOSED), ifindex)


@FAMILIES
@pytest.mark.parametrize("forwards", [False, True], ids=["host", "router"])
def test_only_addresses_of_the_host_are_certain(host: Host, family: int, *, forwards: bool) -> None:
    """A rule of somebody else may rewrite any destination, but nobody has reason to do that to the host's own."""
    elsewhere = {4: "192.0.2.200", 6: "2001:db8::200"}[family]
    host.forwards(family, on=forwards)
    for _ in ("without a route", "with one"):
        assert host.drops(to(CLOSED, family))
        assert not host.drops(to(CLOSED, family, destination=elsewhere))
        assert host.drops(to(BEFORE_DNAT, family, destination=elsewhere))
        host.space.run("ip", f"-{family}", "route", "replace", "default", "dev", "lo")


@pytest.mark.parametrize("other", ["2001:db9::1", "2001:db8:1::1", "2001:db8::1:0:0:1", "2001:db8::2"])
def test_address_that_differs_somewhere(host: Host, other: str) -> None:
    assert not host.drops(to(CLOSED, 6, destination=other))


@FAMILIES
def test_address_of_another_interface(host: Host, family: int) -> None:
    """Those of the interface that the packet comes in by are looked at, and those of the loopback device."""
    port, other = host.add_port(), {4: "192.0.2.77", 6: "2001:db8::77"}[family]
    host.add_address(family, other, "port")
    assert host.drops(to(CLOSED, family, destination=other), port)
    assert host.drops(to(CLOSED, family), port)
    assert not host.drops(to(CLOSED, family, destination=other))


@FAMILIES
@pytest.mark.parametrize("number", [64, 65])
def test_many_addresses(host: Host, family: int, number: int) -> None:
    """The last one of 64 is found. IPv4 has new ones behind the others, IPv6 in front of those of its scope."""
    port, prefix = host.add_port(), {4: "192.0.2.", 6: "2001:db8::"}[family]
    names = [f"{prefix}{at}" for at in range(10, 10 + number)]
    for name in names:
        host.add_address(family, name, "port")
    last = names[-1] if family == 4 else names[0]
    assert host.drops(to(CLOSED, family, destination=last), port) == (number == 64)


@FAMILIES
def test_routing_that_puts_something_before_local_addresses(host: Host, family: int) -> None:
    host.forwards(family, on=True)
    for command in (
        "rule add pref 10 lookup local",
        "rule del pref 0",
        "rule add pref 5 lookup 100",
        "route add default dev lo table 100",
    ):
        assert host.drops(to(CLOSED, family))
        host.space.run("ip", f"-{family}", *command.split())
    assert not host.drops(to(CLOSED, family))


@pytest.mark.parametrize("destination", ["127.255.255.255", "224.0.0.251", "255.255.255.255", "ff02::fb", "ff0e::1"])
def test_groups_and_broadcasts_may_be_forwarded_too(host: Host, destination: str) -> None:
    assert not host.drops(to(CLOSED, 6 if ":" in destination else 4, UDP, destination))


def test_interface_with_a_master(host: Host) -> None:
    """The compiler does not ask for early drop there."""
    host.bench.fill(image_of(HOST_POLICY, Interface(INTERFACE, 2, master=3)))
    assert not host.drops(to(CLOSED))
    host.bench.fill(image_of(HOST_POLICY))
    assert host.drops(to(CLOSED))


def test_without_the_program(bench: Bench) -> None:
    bench.fill(image_of(HOST_POLICY))
    assert bench.xdp(to(CLOSED)).is_pass(Reason.PASS_NO_MATCH)
