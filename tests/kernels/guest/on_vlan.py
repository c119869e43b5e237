"""VLANs on a governed cable: each sub-interface has the policy of its own endpoint, or none.

Runs in a guest, because the kernels that tests run on elsewhere need not have VLANs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.flows import ANSWERED, SILENT, expect
from tests.lab.gateway import flow, vlan
from tests.veth.classes import EVERYTHING, endpoint, policy, to_ports, untracked

if TYPE_CHECKING:
    from tests.veth.classes import GovernedGateway

FAMILIES = (4, 6)


@pytest.mark.parametrize("parent_allows", [False, True])
def test_a_vlan_has_the_policy_of_its_own_endpoint(either_lab: GovernedGateway, *, parent_allows: bool) -> None:
    lab, net = either_lab, either_lab.net
    with vlan(net.client, net.outside) as tags:
        allowed, denied = (net.outside, tags[1]) if parent_allows else (tags[1], net.outside)
        web = policy("web", selector="side == 'allowed'", ingress=to_ports("Allow", 8080))
        lab.apply(endpoint(allowed, "allowed"), endpoint(denied, "denied"), web)
        untagged, tagged = (ANSWERED, SILENT) if parent_allows else (SILENT, ANSWERED)
        expect(
            {net.inward("tcp", 8080, family): untagged for family in FAMILIES}
            | {flow("tcp", tags, 8080, family): tagged for family in FAMILIES}
        )


def test_a_vlan_without_an_endpoint_is_left_alone(lab: GovernedGateway) -> None:
    net = lab.net
    with vlan(net.client, net.outside) as tags:
        lab.apply(endpoint(net.outside, "outside"))
        expect(
            {net.inward("tcp", 8080, family): SILENT for family in FAMILIES}
            | {flow("tcp", tags, 8080, family): ANSWERED for family in FAMILIES}
        )


def test_untracked_policy_tells_a_vlan_from_its_parent(either_lab: GovernedGateway) -> None:
    """A veth, like a card with VLAN offload, hides tags from XDP: the raw table must decide."""
    lab, net = either_lab, either_lab.net
    with vlan(net.client, net.outside) as tags:
        deny = untracked("no", selector="side == 'outside'", ingress=to_ports("Deny", 8080))
        lab.apply(endpoint(net.outside, "outside", [EVERYTHING]), endpoint(tags[1], "tag", [EVERYTHING]), deny)
        expect(
            {
                net.inward("tcp", 8080): SILENT,
                net.inward("tcp", 8081): ANSWERED,
                flow("tcp", tags, 8080): ANSWERED,
                flow("tcp", tags, 8081): ANSWERED,
            }
        )


@pytest.mark.parametrize("early", [True, False])
def test_a_vlan_that_comes_after_the_policy(lab: GovernedGateway, *, early: bool) -> None:
    """Nothing governs it, and a veth hides the tags of its frames from early drop."""
    net = lab.net
    lab.apply(endpoint(net.outside, "outside"), early_drop=early)
    with vlan(net.client, net.outside) as tags:
        expect(
            {net.inward("tcp", 8080, family): SILENT for family in FAMILIES}
            | {flow("tcp", tags, 8080, family): ANSWERED for family in FAMILIES}
        )
