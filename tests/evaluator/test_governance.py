"""Which host endpoint governs an interface: specification section 6 and its test vectors."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from pyxdp.errors import UnknownInterfaceError
from pyxdp.evaluator import PolicyClass, governing_endpoint
from pyxdp.model import FelixConfiguration, HostEndpoint
from pyxdp.net import Interface
from tests.evaluator.factories import (
    ALLOW,
    DENY,
    ETH0,
    ETH1,
    INTERFACES,
    NODE,
    VETH,
    forward,
    host_endpoint,
    named,
    policy,
    pre_dnat,
    resources,
    untracked,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxdp.model import GlobalNetworkPolicy, Resource

V4, V6 = ip_address("192.0.2.1"), ip_address("2001:db8::1")


def governor(*items: Resource, interface: str = "eth0", interfaces: tuple[Interface, ...] = INTERFACES) -> str:
    """The name of the endpoint that governs, or empty."""
    found = governing_endpoint(resources(*items), node=NODE, interfaces=interfaces, interface=interface)
    return found.endpoint.metadata.name if found else ""


def by_ip(name: str, *addresses: str) -> HostEndpoint:
    return host_endpoint(name, expectedIPs=tuple(ip_address(address) for address in addresses))


def test_by_name() -> None:
    assert governor(host_endpoint("a")) == "a"
    assert governor(host_endpoint("a"), interface="eth1") == ""


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_by_address(address: str) -> None:
    assert governor(by_ip("a", address)) == "a"
    assert governor(by_ip("a", address), interface="eth1") == ""


def test_by_name_and_address() -> None:
    assert governor(host_endpoint("a", interfaceName="eth0", expectedIPs=(V4, V6))) == "a"


def test_a_name_matches_even_with_another_address() -> None:
    assert governor(host_endpoint("a", interfaceName="eth0", expectedIPs=(ip_address("203.0.113.1"),))) == "a"


def test_the_wrong_name_never_matches_by_address() -> None:
    assert governor(host_endpoint("a", interfaceName="eth7", expectedIPs=(V4,))) == ""


def test_another_node_s_endpoint_never_matches() -> None:
    assert governor(host_endpoint("a", node="node2")) == ""


def test_the_smallest_name_wins() -> None:
    assert governor(host_endpoint("b"), host_endpoint("a")) == "a"
    assert governor(host_endpoint("a"), host_endpoint("b")) == "a"
    assert governor(host_endpoint("a10"), host_endpoint("a9")) == "a10"


def test_a_name_match_has_no_priority_over_an_address_match() -> None:
    assert governor(host_endpoint("b"), by_ip("a", "192.0.2.1")) == "a"
    assert governor(host_endpoint("a"), by_ip("b", "192.0.2.1")) == "a"


def test_the_loser_takes_over_when_the_winner_goes_away() -> None:
    assert governor(host_endpoint("b")) == "b"


def test_a_wildcard_is_only_for_what_is_left() -> None:
    wildcard = host_endpoint("a", interfaceName="*")
    assert governor(wildcard, host_endpoint("b")) == "b"
    assert governor(wildcard, host_endpoint("b"), interface="eth1") == "a"


def test_a_wildcard_with_expected_addresses_is_still_a_wildcard() -> None:
    wildcard = host_endpoint("a", interfaceName="*", expectedIPs=(V4,))
    assert governor(wildcard, host_endpoint("b")) == "b"


def test_the_smallest_wildcard_wins() -> None:
    assert governor(host_endpoint("b", interfaceName="*"), host_endpoint("a", interfaceName="*")) == "a"


def test_a_wildcard_leaves_loopback_out_but_a_name_does_not() -> None:
    assert governor(host_endpoint("a", interfaceName="*"), interface="lo") == ""
    assert governor(host_endpoint("a", interfaceName="lo"), interface="lo") == "a"


def test_one_address_endpoint_may_govern_several_interfaces() -> None:
    both = by_ip("a", "192.0.2.1", "192.0.2.65")
    assert [governor(both, interface=name) for name in ("eth0", "eth1")] == ["a", "a"]


def test_an_address_that_moves_takes_its_endpoint_along() -> None:
    moved = (Interface("eth0", 2), Interface("eth1", 3, (V4,)))
    assert governor(by_ip("a", "192.0.2.1"), interfaces=moved) == ""
    assert governor(by_ip("a", "192.0.2.1"), interfaces=moved, interface="eth1") == "a"


def test_an_interface_without_addresses_is_found_by_name() -> None:
    assert governor(host_endpoint("a"), interfaces=(Interface("eth0", 2),)) == "a"


def test_link_state_does_not_matter() -> None:
    assert governor(host_endpoint("a"), interfaces=(Interface("eth0", 2, up=False),)) == "a"


def test_an_interface_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UnknownInterfaceError) as raised:
        governor(host_endpoint("a"), interface="eth7")
    assert raised.value.name == "eth7"


class TestWorkloadInterfaces:
    def test_begin_with_cali_by_default(self) -> None:
        assert governor(host_endpoint("a", interfaceName=VETH.name), interface=VETH.name) == ""

    def test_begin_with_the_configured_prefixes(self) -> None:
        config = FelixConfiguration(metadata=named("default"), interfacePrefix=("tap", "eth1"))
        assert governor(config, host_endpoint("a", interfaceName=VETH.name), interface=VETH.name) == "a"
        assert governor(config, host_endpoint("a", interfaceName="eth1"), interface="eth1") == ""

    @pytest.mark.parametrize("make", [pre_dnat, forward])
    def test_are_governed_by_a_wildcard_with_such_policy_in_two_classes_only(
        self, make: Callable[..., GlobalNetworkPolicy]
    ) -> None:
        items = (host_endpoint(interfaceName="*"), make("p", ingress=[ALLOW]))
        found = governing_endpoint(resources(*items), node=NODE, interfaces=INTERFACES, interface=VETH.name)
        assert found is not None
        assert found.classes == {PolicyClass.PRE_DNAT, PolicyClass.FORWARD}

    @pytest.mark.parametrize("make", [policy, untracked])
    def test_are_left_alone_by_a_wildcard_without(self, make: Callable[..., GlobalNetworkPolicy]) -> None:
        items = (host_endpoint(interfaceName="*"), make("p", ingress=[DENY]))
        assert governor(*items, interface=VETH.name) == ""

    def test_are_left_alone_by_a_wildcard_that_such_policy_does_not_select(self) -> None:
        items = (host_endpoint(interfaceName="*"), forward("p", ingress=[DENY], selector="hep == 'other'"))
        assert governor(*items, interface=VETH.name) == ""


class TestExcludedInterfaces:
    IPVS = Interface("kube-ipvs0", 9, (V4,))

    @pytest.mark.parametrize(
        "endpoint", [{"interfaceName": "kube-ipvs0"}, {"interfaceName": "*"}, {"expectedIPs": (V4,)}]
    )
    def test_are_governed_by_nothing(self, endpoint: dict[str, object]) -> None:
        assert governor(host_endpoint("a", **endpoint), interfaces=(self.IPVS,), interface="kube-ipvs0") == ""

    @pytest.mark.parametrize(
        ("pattern", "excluded"),
        [
            ("eth1", True),
            ("eth", False),
            ("eth10", False),
            ("/eth/", True),
            ("/^th/", False),
            ("/[01]$/", True),
            ("/", False),
        ],
    )
    def test_are_named_literally_or_by_regular_expression(self, pattern: str, *, excluded: bool) -> None:
        config = FelixConfiguration(metadata=named("default"), interfaceExclude=(pattern,))
        assert (governor(config, host_endpoint("a", interfaceName="eth1"), interface=ETH1.name) == "") is excluded

    def test_a_configured_list_replaces_the_default_one(self) -> None:
        config = FelixConfiguration(metadata=named("default"), interfaceExclude=())
        endpoint = host_endpoint("a", interfaceName="kube-ipvs0")
        assert governor(config, endpoint, interfaces=(self.IPVS, ETH0), interface="kube-ipvs0") == "a"
