"""Which interface a host endpoint governs (spec section 6)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from pyxdp.errors import UnsupportedPolicyError
from pyxdp.model import FelixConfiguration, GlobalNetworkPolicy, StagedGlobalNetworkPolicy
from pyxdp.net import Interface
from pyxdp.resolver import EffectivePolicy, EndpointState, PolicyClass
from tests.resolver.build import ETH0, ETH1, LO, NODE, effective, host, metadata, policy, profile

CALI = Interface("cali123", 4, (ip_address("10.0.2.1"),))
IPVS = Interface("kube-ipvs0", 5, (ip_address("10.0.3.1"),))
VLAN = Interface("eth0.100", 6, (ip_address("10.0.4.1"),), kind="vlan", parent=ETH0.index)


def governed(result: EffectivePolicy) -> dict[str, str]:
    return {endpoint.interface.name: endpoint.name for endpoint in result.endpoints}


def resolution(result: EffectivePolicy, name: str = "hep") -> tuple[EndpointState, tuple[str, ...], str]:
    (found,) = [one for one in result.resolutions if one.name == name]
    return found.state, found.interfaces, found.detail


def config(name: str = "default", **fields: tuple[str, ...]) -> tuple[FelixConfiguration, ...]:
    return (FelixConfiguration(metadata=metadata(name), **fields),)  # type: ignore[arg-type]


def test_by_name() -> None:
    result = effective(host(interface="eth1"))
    assert governed(result) == {"eth1": "hep"}
    assert resolution(result) == (EndpointState.ACTIVE, ("eth1",), "")


@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::1", "192.0.2.1 fd00::1", "10.0.0.1 fd00::1"])
def test_by_expected_address(address: str) -> None:
    assert governed(effective(host(ips=address))) == {"eth0": "hep"}


def test_by_link_local_address_that_the_kernel_reports_with_its_scope() -> None:
    interface = replace(ETH0, addresses=(ip_address("fe80::1%eth0"),))
    assert governed(effective(host(ips="fe80::1"), interfaces=(interface,))) == {"eth0": "hep"}


def test_by_address_may_govern_several_interfaces() -> None:
    result = effective(host(ips="10.0.0.1 10.0.1.1"))
    assert governed(result) == {"eth0": "hep", "eth1": "hep"}
    assert resolution(result) == (EndpointState.ACTIVE, ("eth0", "eth1"), "")


def test_wrong_name_with_right_address_is_no_match() -> None:
    state, interfaces, detail = resolution(effective(host(interface="eth9", ips="10.0.0.1")))
    assert (state, interfaces) == (EndpointState.NO_INTERFACE, ())
    assert "eth9" in detail
    assert "eth0" in detail


def test_right_name_with_wrong_address_is_a_match() -> None:
    assert governed(effective(host(interface="eth0", ips="10.0.1.1"))) == {"eth0": "hep"}


def test_no_interface_by_name() -> None:
    result = effective(host(interface="eth9"))
    assert result.endpoints == ()
    assert resolution(result) == (EndpointState.NO_INTERFACE, (), "no interface is named eth9")


def test_no_interface_by_address() -> None:
    state, _, detail = resolution(effective(host(ips="192.0.2.1 192.0.2.2")))
    assert state is EndpointState.NO_INTERFACE
    assert "192.0.2.1, 192.0.2.2" in detail


def test_smallest_name_wins_and_a_name_match_has_no_priority() -> None:
    result = effective(host("b", interface="eth0"), host("a", ips="10.0.0.1"))
    assert governed(result) == {"eth0": "a"}
    state, _, detail = resolution(result, "b")
    assert state is EndpointState.SHADOWED
    assert "a governs eth0" in detail


def test_names_are_compared_by_bytes() -> None:
    assert governed(effective(host("a.b"), host("a-c"), host("a1"))) == {"eth0": "a-c"}


def test_loser_takes_over_when_the_winner_is_gone() -> None:
    assert governed(effective(host("b"))) == {"eth0": "b"}


def test_loser_on_one_interface_may_be_active_on_another() -> None:
    result = effective(host("a", interface="eth0"), host("b", ips="10.0.0.1 10.0.1.1"))
    assert governed(result) == {"eth0": "a", "eth1": "b"}
    assert resolution(result, "b") == (EndpointState.ACTIVE, ("eth1",), "")


def test_address_that_moves_takes_the_endpoint_with_it() -> None:
    moved = (replace(ETH0, addresses=()), replace(ETH1, addresses=ETH0.addresses))
    assert governed(effective(host(ips="10.0.0.1"), interfaces=moved)) == {"eth1": "hep"}


def test_interface_that_is_down_stays_governed() -> None:
    assert governed(effective(host(), interfaces=(replace(ETH0, up=False),))) == {"eth0": "hep"}


def test_endpoint_of_another_node_governs_nothing_and_is_not_listed() -> None:
    result = effective(host(node="other"))
    assert (result.endpoints, result.resolutions) == ((), ())
    assert result.notices == (f"HostEndpoint: none is for node {NODE}; they are for other",)


def test_wildcard_governs_what_no_other_does_but_not_loopback() -> None:
    result = effective(host("a", interface="*"), host("z", interface="eth1"))
    assert governed(result) == {"eth0": "a", "eth1": "z"}
    assert [endpoint.wildcard for endpoint in result.endpoints] == [True, False]
    assert resolution(result, "a") == (EndpointState.ACTIVE, ("eth0",), "")


def test_wildcard_ignores_its_addresses() -> None:
    assert governed(effective(host(interface="*", ips="10.0.0.1"))) == {"eth0": "hep", "eth1": "hep"}


def test_loopback_is_governed_by_name() -> None:
    assert governed(effective(host(interface="lo"))) == {"lo": "hep"}


def test_one_wildcard_is_active() -> None:
    result = effective(host("b", interface="*"), host("a", interface="*"))
    assert set(governed(result).values()) == {"a"}
    state, _, detail = resolution(result, "b")
    assert state is EndpointState.SHADOWED
    assert "a is the wildcard" in detail


def test_wildcard_with_nothing_left() -> None:
    result = effective(host("a", interface="*"), host("b"), interfaces=(LO, ETH0))
    assert resolution(result, "a")[0] is EndpointState.SHADOWED
    assert resolution(effective(host(interface="*"), interfaces=(LO,)))[0] is EndpointState.NO_INTERFACE


@pytest.mark.parametrize("endpoint", [host(interface="cali123"), host(ips="10.0.2.1"), host(interface="*")])
def test_workload_interfaces_are_never_governed(endpoint: object) -> None:
    result = effective(endpoint, interfaces=(CALI,))
    assert result.endpoints == ()
    assert resolution(result)[0] is EndpointState.NO_INTERFACE


def test_exclusion_is_the_reason_that_is_given() -> None:
    result = effective(host("a", interface="cali123"), host("b", ips="10.0.3.1"), interfaces=(CALI, IPVS))
    assert "interfacePrefix cali" in resolution(result, "a")[2]
    assert "interfaceExclude kube-ipvs0" in resolution(result, "b")[2]


def test_interface_prefix_is_configurable() -> None:
    felix = config(interfacePrefix=("veth", "eth1"))
    result = effective(host(interface="*"), interfaces=(ETH0, ETH1, CALI), felixConfigurations=felix)
    assert governed(result) == {"cali123": "hep", "eth0": "hep"}


def test_interface_exclude_takes_names_and_regular_expressions() -> None:
    felix = config(interfaceExclude=("eth1", "/^eth0\\./"))
    result = effective(host(interface="*"), interfaces=(ETH0, ETH1, VLAN, IPVS), felixConfigurations=felix)
    assert governed(result) == {"eth0": "hep", "kube-ipvs0": "hep"}


def test_interface_exclude_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(UnsupportedPolicyError, match="interfaceExclude /\\(/"):
        effective(host(), felixConfigurations=config(interfaceExclude=("/(/",)))


def test_vlan_interface_is_one_like_any_other() -> None:
    assert governed(effective(host(interface="eth0.100"), interfaces=(ETH0, VLAN))) == {"eth0.100": "hep"}


def test_the_lower_device_knows_that_it_has_vlans() -> None:
    result = effective(host(interface="*"), interfaces=(ETH0, ETH1, VLAN))
    assert {one.interface.name: one.vlans for one in result.endpoints} == {
        "eth0": True,
        "eth1": False,
        "eth0.100": False,
    }


FORWARD = policy("forward", doNotTrack=False)
PREDNAT = policy("prednat", doNotTrack=False, preDNAT=True)
NORMAL = policy("normal", doNotTrack=False, applyOnForward=False)


@pytest.mark.parametrize(
    ("policies", "classes"),
    [
        ([], set()),
        ([NORMAL, policy("untracked")], set()),
        ([FORWARD, NORMAL, policy("untracked")], {PolicyClass.FORWARD}),
        ([PREDNAT], {PolicyClass.PREDNAT}),
        ([FORWARD, PREDNAT], {PolicyClass.PREDNAT, PolicyClass.FORWARD}),
    ],
    ids=["none", "neither", "forward", "pre-DNAT", "both"],
)
def test_wildcard_policy_on_workload_interfaces(policies: list[GlobalNetworkPolicy], classes: set[PolicyClass]) -> None:
    """Whether there are any at the moment makes no difference."""
    result = effective(host(interface="*", profiles=("p",)), profile("p"), *policies, interfaces=(LO, ETH0))
    found = [one for one in result.endpoints if one.workloads]
    assert [one.interface for one in found] == [Interface("cali+", 0)] * bool(classes)
    for one in found:
        assert {policy_class for policy_class, _ in one.tiers} == classes
        assert (one.name, one.wildcard, one.profiles) == ("hep", True, {})
    names = ("cali+", "eth0") if classes else ("eth0",)
    assert resolution(result) == (EndpointState.ACTIVE, names, "")


def test_staged_policy_does_not_reach_workload_interfaces() -> None:
    staged = StagedGlobalNetworkPolicy(metadata=metadata("s"), stagedAction="Set", policy=FORWARD)
    result = effective(host(interface="*"), stagedGlobalNetworkPolicies=(staged,))
    assert governed(result) == {"eth0": "hep", "eth1": "hep"}


def test_wildcard_of_workload_interfaces_alone_is_active() -> None:
    """Other endpoints have the host's interfaces, none can have those of workloads."""
    result = effective(host("a", interface="*"), host("b"), FORWARD, interfaces=(LO, ETH0))
    assert governed(result) == {"cali+": "a", "eth0": "b"}
    assert resolution(result, "a") == (EndpointState.ACTIVE, ("cali+",), "")
    assert result.notices == ()


def test_only_the_wildcard_that_wins_reaches_workload_interfaces() -> None:
    result = effective(host("b", interface="*"), host("a", interface="*"), host("c", interface="eth1"), FORWARD)
    assert governed(result) == {"cali+": "a", "eth0": "a", "eth1": "c"}
    assert resolution(result, "b")[0] is EndpointState.SHADOWED


def test_endpoint_by_name_does_not_reach_workload_interfaces() -> None:
    assert governed(effective(host(), FORWARD, PREDNAT)) == {"eth0": "hep"}


@pytest.mark.parametrize(
    ("prefixes", "names"),
    [
        (("tap", "cali"), ["cali+", "tap+"]),
        (("cali1", "cali", "cali"), ["cali+"]),
    ],
)
def test_one_stand_in_for_each_prefix(prefixes: tuple[str, ...], names: list[str]) -> None:
    result = effective(
        host(interface="*"), FORWARD, interfaces=(LO,), felixConfigurations=config(interfacePrefix=prefixes)
    )
    assert [one.interface.name for one in result.endpoints] == names


def test_prefix_as_long_as_a_name_is_no_pattern() -> None:
    felix = config(interfacePrefix=("fifteen-letters",))
    result = effective(host(interface="*"), FORWARD, felixConfigurations=felix)
    assert governed(result) == {"eth0": "hep", "eth1": "hep"}
    assert result.notices == (
        "HostEndpoint: interfacePrefix fifteen-letters leaves no room for a pattern: * does not reach it",
    )


def test_name_that_is_a_pattern_to_iptables_is_never_governed() -> None:
    odd = Interface("eth+", 7, (ip_address("10.0.5.1"),))
    assert governed(effective(host(interface="*"), interfaces=(ETH0, odd))) == {"eth0": "hep"}
    assert "eth+ ends with +" in resolution(effective(host(ips="10.0.5.1"), interfaces=(ETH0, odd)))[2]


def test_endpoints_are_sorted_by_interface_and_resolutions_by_name() -> None:
    result = effective(host("z", interface="eth0"), host("a", interface="eth1"), interfaces=(ETH1, ETH0))
    assert [endpoint.interface.name for endpoint in result.endpoints] == ["eth0", "eth1"]
    assert [one.name for one in result.resolutions] == ["a", "z"]


def test_interfaces_of_one_endpoint_share_what_applies() -> None:
    first, second = effective(host(interface="*"), policy()).endpoints
    assert first.tiers == second.tiers
    assert first.tiers
