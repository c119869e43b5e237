"""Failsafe ports and FelixConfiguration (spec sections 1.11 and 5)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from pyxdp.model import DEFAULT_FAILSAFE_INBOUND, DEFAULT_FAILSAFE_OUTBOUND, FailsafePort, FelixConfiguration
from pyxdp.net import HookSettings
from tests.resolver.build import NODE, effective, metadata, proto

SSH = FailsafePort(proto("TCP"), 22)
DNS = FailsafePort(proto("UDP"), 53, ip_network("10.0.0.0/8"))


def felix(name: str = "default", **fields: Any) -> FelixConfiguration:
    return FelixConfiguration(metadata=metadata(name), **fields)


def test_defaults() -> None:
    result = effective()
    assert result.node == NODE
    assert result.failsafe_inbound == DEFAULT_FAILSAFE_INBOUND
    assert result.failsafe_outbound == DEFAULT_FAILSAFE_OUTBOUND
    assert result.log_prefix == "calico-packet"


def test_the_default_lists_are_calicos() -> None:
    both = [(6, 179), (6, 2379), (6, 2380), (6, 5473), (6, 6443), (6, 6666), (6, 6667)]
    result = effective()
    assert [(one.protocol.number, one.port) for one in result.failsafe_inbound] == [(6, 22), (17, 68), *both]
    assert [(one.protocol.number, one.port) for one in result.failsafe_outbound] == [(17, 53), (17, 67), *both]


def test_empty_list_is_no_failsafe_at_all() -> None:
    result = effective(felixConfigurations=(felix(failsafeInboundHostPorts=()),))
    assert result.failsafe_inbound == ()
    assert result.failsafe_outbound == DEFAULT_FAILSAFE_OUTBOUND


def test_order_is_kept() -> None:
    result = effective(felixConfigurations=(felix(failsafeOutboundHostPorts=(SSH, DNS)),))
    assert result.failsafe_outbound == (SSH, DNS)


def test_node_overrides_default_field_by_field() -> None:
    default = felix(failsafeInboundHostPorts=(SSH,), logPrefix="everywhere")
    own = felix(f"node.{NODE}", failsafeInboundHostPorts=(DNS,))
    result = effective(felixConfigurations=(default, own))
    assert result.failsafe_inbound == (DNS,)
    assert result.log_prefix == "everywhere"


def test_empty_list_of_the_node_overrides_too() -> None:
    configurations = (felix(failsafeInboundHostPorts=(SSH,)), felix(f"node.{NODE}", failsafeInboundHostPorts=()))
    assert effective(felixConfigurations=configurations).failsafe_inbound == ()


def test_other_nodes_do_not_matter() -> None:
    result = effective(felixConfigurations=(felix("node.other", logPrefix="other", ignored=("xdpEnabled",)),))
    assert result.log_prefix == "calico-packet"
    assert result.notices == ()


def test_fields_without_effect_are_noticed() -> None:
    result = effective(felixConfigurations=(felix(ignored=("xdpEnabled", "bpfEnabled")),))
    assert result.notices == ("FelixConfiguration/default: no effect here: bpfEnabled, xdpEnabled",)


def test_configuration_that_nothing_reads_is_noticed() -> None:
    (notice,) = effective(felixConfigurations=(felix("mine", logPrefix="x"),)).notices
    assert notice.startswith("FelixConfiguration/mine: no effect")


def actions(*configurations: FelixConfiguration) -> HookSettings:
    return effective(felixConfigurations=configurations).actions


def test_actions_of_the_filter_table() -> None:
    assert actions() == HookSettings(allow="Accept", deny="Drop", check_invalid=True)
    given = felix(
        iptablesFilterAllowAction="Return", iptablesFilterDenyAction="Reject", disableConntrackInvalidCheck=True
    )
    assert actions(given) == HookSettings(allow="Return", deny="Reject", check_invalid=False)
    assert actions(felix(disableConntrackInvalidCheck=False)).check_invalid


def test_actions_are_merged_field_by_field() -> None:
    default = felix(iptablesFilterAllowAction="Return", iptablesFilterDenyAction="Reject")
    own = felix(f"node.{NODE}", iptablesFilterDenyAction="Drop", disableConntrackInvalidCheck=True)
    assert actions(default, own) == HookSettings(allow="Return", deny="Drop", check_invalid=False)


def test_nftables_names_say_the_same_and_iptables_names_win() -> None:
    nftables = felix(nftablesFilterAllowAction="Return", nftablesFilterDenyAction="Reject")
    assert actions(nftables) == HookSettings(allow="Return", deny="Reject")
    both = replace(nftables, iptablesFilterAllowAction="Accept", iptablesFilterDenyAction="Drop")
    assert actions(both) == HookSettings()
