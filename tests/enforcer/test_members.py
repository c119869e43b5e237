"""Members of sets that several rules, sets and endpoints have to do with: against resolving and compiling afresh."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.compiler import compile_policy
from pyxdp.enforcer import Enforcer
from pyxdp.enforcer.networks import networks_of
from pyxdp.enforcer.policy import EnforcedPolicy
from pyxdp.enforcer.selections import Selections
from pyxdp.enforcer.sets import ChangingResources
from pyxdp.errors import MembersError
from pyxdp.manifest import loads
from pyxdp.net import Interface
from pyxdp.resolver import resolve
from tests.compiler.slots import Judged, room_of

if TYPE_CHECKING:
    from pyxdp.compiler import MapImage
    from pyxdp.model import Resources
    from pyxdp.resolver import EffectivePolicy

SETS = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: hep, labels: {role: web, set: a}}
spec: {node: n, interfaceName: eth0, expectedIPs: [203.0.113.1]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: one, labels: {set: a}}
spec: {nets: [203.0.113.0/29]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: two, labels: {set: b}}
spec: {nets: [203.0.113.0/30, "2001:db8::/64"]}
---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: one, namespace: ops, labels: {set: a}}
spec: {nets: []}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: policy}
spec:
  selector: all()
  doNotTrack: true
  applyOnForward: true
  types: [Ingress, Egress]
  ingress:
    - {action: Deny, source: {selector: set == 'a', notSelector: set == 'b'}}
    - {action: Deny, source: {selector: has(set), nets: [203.0.113.0/28]}}
    - {action: Allow, source: {notSelector: set == 'b'}, destination: {selector: set == 'a'}}
  egress:
    - {action: Allow, destination: {selector: has(set)}}
"""
KINDS = {"one": "GlobalNetworkSet", "two": "GlobalNetworkSet", "ops/one": "NetworkSet"}
MEMBERS = [
    *(f"203.0.113.{last}" for last in range(8)),
    *("203.0.113.0/29", "203.0.113.0/30", "203.0.113.4/31", "0.0.0.0/0"),
    *("2001:db8::/64", "2001:db8::/65", "2001:db8::1", "2001:db8:0:1::/64", "::/0"),
]
PROBES = [
    *((4, int(ip_address("203.0.113.0")) + last) for last in range(-1, 9)),
    *((6, int(ip_address("2001:db8::")) + last) for last in (-1, 0, 1, 2, 1 << 63, 1 << 64, 1 << 65)),
]


def resolved(resources: Resources) -> EffectivePolicy:
    return resolve(resources, "n", [Interface("eth0", 2)])


def compiled(resources: Resources) -> MapImage:
    return compile_policy(resolved(resources))


@given(
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.booleans(), st.lists(st.sampled_from(MEMBERS), max_size=3)))
)
@settings(max_examples=25)
def test_every_rule_and_set_is_heard(changes: list[tuple[str, bool, list[str]]]) -> None:
    resources = loads(SETS).resources
    image = compiled(resources)
    room = room_of(image)
    judged, enforced = (
        Judged.of(image, room),
        EnforcedPolicy(resources, Selections().of(resolved(resources)), image, room),
    )
    for name, entering, members in changes:
        found = enforced.sets.find(KINDS[name], name)
        changed = enforced.sets.differing(found, networks_of(members), entering=entering)
        for delta in enforced.deltas(found, changed, entering=entering):
            for _ in judged.slot.carried_out(delta):
                pass
        enforced.sets.change(found, changed, entering=entering)
        after = compiled(enforced.sets.resources) if len(members) == 3 else None
        if after:
            fresh = Judged.of(after, room_of(after))
            assert [judged.rows(*probe) for probe in PROBES] == [fresh.rows(*probe) for probe in PROBES]
    after = compiled(enforced.sets.resources)
    fresh = Judged.of(after, room_of(after))
    assert [judged.rows(*probe) for probe in PROBES] == [fresh.rows(*probe) for probe in PROBES]


@pytest.mark.parametrize("nets", ["[]", "[203.0.113.0/30, '2001:db8::/127']"])
def test_an_address_is_never_in_some_of_its_new_sets_only(nets: str) -> None:
    resources = loads(SETS.replace("[203.0.113.0/29]", nets)).resources
    image = compiled(resources)
    room = room_of(image)
    judged = Judged.of(image, room)
    enforced = EnforcedPolicy(resources, Selections().of(resolved(resources)), image, room)
    found = enforced.sets.find("GlobalNetworkSet", "one")
    members = networks_of(["203.0.113.2/31", "203.0.113.4/31", "2001:db8::/126", "2001:db8:0:1::/64"])
    for entering in (True, False):
        changed = enforced.sets.differing(found, members, entering=entering)
        seen = [[judged.rows(*probe)] for probe in PROBES]
        for delta in enforced.deltas(found, changed, entering=entering):
            for _ in judged.slot.carried_out(delta):
                for of_probe, probe in zip(seen, PROBES, strict=True):
                    of_probe.append(judged.rows(*probe))
        enforced.sets.change(found, changed, entering=entering)
        assert any(of_probe[0] != of_probe[-1] for of_probe in seen)
        assert all(one in (of_probe[0], of_probe[-1]) for of_probe in seen for one in of_probe)


def test_resources_are_the_same_until_something_changes() -> None:
    resources = loads(SETS).resources
    sets = ChangingResources(resources)
    one = sets.find("GlobalNetworkSet", "one")
    assert sets.resources is resources
    sets.change(one, [ip_network("192.0.2.1")], entering=True)
    sets.change(one, [ip_network("192.0.2.1")], entering=False)
    assert sets.resources == resources
    sets.change(one, [ip_network("203.0.113.0/29")], entering=False)
    sets.change(sets.find("NetworkSet", "ops/one"), [ip_network("192.0.2.0/24")], entering=True)
    after = sets.resources
    assert after is sets.resources
    assert [tuple(it.nets) for it in after.globalNetworkSets] == [(), tuple(resources.globalNetworkSets[1].nets)]
    assert tuple(after.networkSets[0].nets) == (ip_network("192.0.2.0/24"),)
    assert after.hostEndpoints is resources.hostEndpoints


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("GlobalNetworkSet", "three", "there is no GlobalNetworkSet/three"),
        ("NetworkSet", "ops/two", "there is no NetworkSet/ops/two"),
        ("NetworkSet", "one", "no name of a NetworkSet: 'one'"),
        ("GlobalNetworkSet", "ops/one", "no name of a GlobalNetworkSet: 'ops/one'"),
        ("IPPool", "one", "no kind of network set: 'IPPool'"),
    ],
)
def test_sets_that_there_are_not(kind: str, name: str, said: str) -> None:
    with pytest.raises(MembersError) as caught:
        ChangingResources(loads(SETS).resources).find(kind, name)
    assert str(caught.value).startswith(said)
    assert caught.value.hint


def test_members_are_addresses_and_prefixes() -> None:
    given = ["203.0.113.7", "10.1.2.3/8", ip_address("2001:db8::1"), ip_network("2001:db8::/32"), "203.0.113.7/32"]
    wanted = ["10.0.0.0/8", "203.0.113.7/32", "2001:db8::/32", "2001:db8::1/128"]
    assert [str(it) for it in networks_of(given)] == wanted


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (["203.0.113.300"], "no address and no prefix: '203.0.113.300'"),
        (["10.0.0.0/255.0.0.0", "10.0.0.0/33", "", "a", "192.0.2.1"], "'', and 1 more"),
        (["fe80::1%eth0", ip_address("fe80::1%eth0")], "'fe80::1%eth0', IPv6Address('fe80::1%eth0')"),
        ([3405803783, b"\xcb\0q\x07", None], "3405803783, b'\\xcb\\x00q\\x07', None"),
        ("203.0.113.7", "not one text"),
    ],
)
def test_what_is_no_member(members: list[str], said: str) -> None:
    with pytest.raises(MembersError) as caught:
        networks_of(members)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_nothing_was_applied() -> None:
    with Enforcer(node="n") as enforcer:
        assert enforcer.resources is None
        with pytest.raises(MembersError, match="no policy was applied"):
            enforcer.add_members("GlobalNetworkSet", "one", ["203.0.113.7"])
