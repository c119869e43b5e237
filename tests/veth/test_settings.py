"""What settings make of the rules: what an allow and a deny become, the mark, and when XDP drops early."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pyxdp.dataplane import Dataplane
from pyxdp.dataplane.code import Code
from pyxdp.dataplane.setup import Setup
from pyxdp.net import HookSettings
from pyxdp.xtables import Iptables
from tests.lab.flows import ANSWERED, REFUSED, SILENT, expect
from tests.veth.classes import (
    ALLOW,
    DENY,
    EVERYTHING,
    FAMILIES,
    GovernedGateway,
    both,
    felix,
    forward,
    policy,
    pre_dnat,
    to_ports,
)
from tests.veth.host import Host
from tests.veth.host import endpoint as named_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.network import Interface


@pytest.mark.parametrize("action", ["Accept", "Return"])
def test_what_is_allowed_meets_the_hosts_own_rules_or_not(either_lab: GovernedGateway, action: str) -> None:
    lab, net = either_lab, either_lab.net
    web = forward("web", ingress=to_ports("Allow", 8080), egress=[ALLOW])
    lab.apply(both(lab), web, felix(iptablesFilterAllowAction=action))
    outcome = ANSWERED if action == "Accept" else SILENT
    with lab.rules("filter", {family: ["INPUT -p tcp --dport 8080 -j DROP"] for family in FAMILIES}):
        expect(
            {
                flow: found
                for family in FAMILIES
                for flow, found in {
                    net.inward("tcp", 8080, family): outcome,
                    net.inward("udp", 8080, family): ANSWERED,
                    net.through("tcp", 8080, family): ANSWERED,
                }.items()
            }
        )
    with lab.chain_policy("FORWARD", "DROP"):
        expect({net.through("tcp", 8080, family): outcome for family in FAMILIES})


def test_what_is_denied_is_rejected(either_lab: GovernedGateway) -> None:
    """In the filter table only: mangle can not answer, and before connection tracking nobody does."""
    lab, net = either_lab, either_lab.net
    allow = {"ingress": to_ports("Allow", 8080), "egress": [ALLOW]}
    pre = pre_dnat("pre", [*to_ports("Deny", 8082)])
    lab.apply(both(lab), forward("web", **allow), pre, felix(iptablesFilterDenyAction="Reject"))
    expect(
        {
            flow: outcome
            for family in FAMILIES
            for flow, outcome in {
                net.inward("tcp", 8080, family): ANSWERED,
                net.inward("tcp", 8081, family): REFUSED,
                net.inward("udp", 8081, family): REFUSED,
                net.through("udp", 8081, family): REFUSED,
                net.inward("udp", 8082, family): SILENT,
            }.items()
        }
    )
    assert not lab.status().early_drop.on
    assert "Reject" in lab.status().early_drop.reason
    lab.apply(both(lab), forward("web", **allow), pre)
    assert lab.status().early_drop.on
    expect({net.inward("udp", 8081, family): SILENT for family in FAMILIES})


def test_any_bit_of_the_mark_will_do(host: Host) -> None:
    allow = pre_dnat("pre", to_ports("Allow", 8080))
    resolved = host.resolve(named_endpoint(host.end.name) + allow)
    with host.space.entered():
        for mark in (1, 0x80000000):
            Dataplane(host.bpffs).apply(replace(resolved, actions=HookSettings(mark=mark)))
            assert host.can_talk("tcp", 8080)
            assert host.is_silent("tcp", 8081)
            assert host.status().settings.mark == mark
            assert not host.status().drift


def test_settings_are_no_other_policy(host: Host) -> None:
    manifest = named_endpoint(host.end.name)
    host.apply(manifest)
    changed = host.apply(manifest + felix(iptablesFilterAllowAction="Return", disableConntrackInvalidCheck=True)).plan
    assert [type(it).__name__ for it in changed.operations] == ["UpdateRules"]
    assert host.status().settings == HookSettings(allow="Return", check_invalid=False)
    assert not host.status().drift


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_a_conntrack_zone_rules_out_early_drop(host: Host, variant: str) -> None:
    manifest = named_endpoint(host.end.name)
    host.apply(manifest)
    assert host.status().early_drop.on
    rule = ["PREROUTING", "-p", "udp", "-j", "CT", "--zone", "7"]
    host.space.run(f"iptables-{variant}", "-t", "raw", "-A", *rule)
    assert [type(it).__name__ for it in host.status().drift.operations] == ["EmptyEarly"]
    host.apply(manifest)
    status = host.status()
    assert not status.early_drop.on
    assert "--zone 7" in status.early_drop.reason
    assert not status.drift
    host.space.run(f"iptables-{variant}", "-t", "raw", "-D", *rule)
    host.apply(manifest)
    assert host.status().early_drop.on


def test_early_drop_that_the_kernel_refuses_is_told_and_not_tried_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that calls what no kernel has stands for one whose calls this kernel has not."""
    code = Code.shipped(100)
    unknown = code.early.replace(b"bpf_xdp_ct_lookup", b"bpf_xdp_ct_foreso")
    assert unknown != code.early
    monkeypatch.setattr(Setup, "code", replace(code, early=unknown))
    manifest = named_endpoint(host.end.name)
    host.apply(manifest)
    status = host.status()
    assert not status.early_drop.on
    assert "this kernel refuses" in status.early_drop.reason
    assert not status.drift
    assert not host.apply(manifest).plan
    assert host.is_silent("tcp", 8080)


def test_early_drop_can_be_switched_off(host: Host) -> None:
    policy_of_one = host.resolve(named_endpoint(host.end.name))
    with host.space.entered():
        Dataplane(host.bpffs, early_drop=False).apply(policy_of_one)
        assert Dataplane(host.bpffs, early_drop=False).status().early_drop.reason == "it is switched off"
    assert host.is_silent("tcp", 8080)
    assert host.reason("DROP_EARLY") == 0
    assert host.reason("DROP_POLICY") > 0


@contextmanager
def named(end: Interface, name: str) -> Iterator[Interface]:
    """Call an interface something else for a while."""
    try:
        yield rename(end, name)
    finally:
        rename(end, end.name)


def rename(end: Interface, name: str) -> Interface:
    with end.namespace.links() as ip:
        for change in ({"state": "down"}, {"ifname": name}, {"state": "up"}):
            ip.link("set", index=end.ifindex, **change)
    return replace(end, name=name)


def test_workload_interfaces_have_the_forward_and_pre_dnat_policy_of_the_wildcard(host: Host) -> None:
    """The peer is a pod: what it sends to the host is no business of normal policy, what it dials elsewhere is."""
    with ExitStack() as stack:
        pod = stack.enter_context(named(host.end, "cali77"))
        stack.callback(host.delete)
        governed = Host(pod, host.peer, host.bpffs)
        everything = named_endpoint("*", profiles=[EVERYTHING])
        governed.apply(everything + policy("local", ingress=[DENY], egress=[DENY]))
        assert governed.can_talk("tcp", 8080)
        assert "cali+" not in {it.attachment.interface for it in governed.status().endpoints}
        plan = governed.apply(everything + pre_dnat("pre", to_ports("Deny", 8080))).plan
        assert not {"AttachXdp", "CreateObject"} & {type(it).__name__ for it in plan.operations}
        (pattern,) = (it for it in governed.status().endpoints if it.attachment.interface == "cali+")
        assert pattern.hooks == ("mangle PREROUTING", "filter FORWARD")
        assert (pattern.attachment.mode, pattern.ifindex) == ("none", 0)
        assert governed.is_silent("tcp", 8080)
        assert governed.can_talk("tcp", 8081)
        assert not governed.status().drift
        governed.apply(everything)
        assert governed.can_talk("tcp", 8080)


def test_bpftool_reads_everything(host: Host) -> None:
    host.apply(named_endpoint(host.end.name))
    base = host.bpffs / "pyxdp/v1"
    for pin in (base / "maps").iterdir():
        assert host.space.run("bpftool", "map", "show", "pinned", str(pin)).stdout
    programs = [*(base / "programs" / host.end.name).iterdir(), base / "objects/1/answer", base / "objects/1/early"]
    for pin in programs:
        assert host.space.run("bpftool", "prog", "show", "pinned", str(pin)).stdout
    for name in ("questions", "early"):
        assert "value" in host.space.run("bpftool", "map", "dump", "pinned", str(base / "maps" / name)).stdout


def test_iptables_that_is_not_ours_is_left_alone(host: Host) -> None:
    own = ["-A", "FORWARD", "-i", "lo", "-j", "ACCEPT"]
    host.space.run("iptables", *own)
    host.apply(named_endpoint(host.end.name))
    host.space.run("iptables", "-A", "FORWARD", "-o", "lo", "-j", "ACCEPT")
    assert not host.status().drift
    host.delete()
    saved = host.space.run("iptables-save", "-t", "filter").stdout
    assert [line for line in saved.splitlines() if line.startswith("-A")] == [
        "-A FORWARD -i lo -j ACCEPT",
        "-A FORWARD -o lo -j ACCEPT",
    ]
    with host.space.entered():
        assert Iptables().read(4, Iptables().variant).empty
