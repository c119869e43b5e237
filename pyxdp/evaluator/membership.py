"""What selectors stand for (spec section 7).

A selector of a rule stands for addresses of endpoints and network sets. It is asked of each of them as a whole: an
address that belongs to two of them is judged with the labels of the one and with those of the other, never with a
mixture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pyxdp.evaluator.labels import endpoint_labels
from pyxdp.net.prefixes import NO_PREFIXES, Prefixes
from pyxdp.selector import LabelLeaf, Selector, parse, replace_leaves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyxdp.model import (
        EndpointPort,
        EntityRule,
        GlobalNetworkPolicy,
        GlobalNetworkSet,
        HostEndpoint,
        NetworkSet,
        Resources,
        ServiceAccountMatch,
    )
    from pyxdp.net import Address
    from pyxdp.selector import Leaf

NAMESPACE_LABEL: Final = "projectcalico.org/namespace"
SERVICE_ACCOUNT_LABEL: Final = "projectcalico.org/serviceaccount"
NAMESPACE_PREFIX: Final = "pcns."
SERVICE_ACCOUNT_PREFIX: Final = "pcsa."


@dataclass(frozen=True, slots=True)
class Member:
    """A host endpoint or network set, as selectors of rules see it.

    Attributes:
        resource: what it is.
        labels: own and inherited ones.
        addresses: an endpoint's expected addresses.
        nets: a network set's prefixes.
        ports: an endpoint's named ports.
    """

    resource: HostEndpoint | GlobalNetworkSet | NetworkSet
    labels: Mapping[str, str]
    addresses: tuple[Address, ...] = ()
    nets: Prefixes = NO_PREFIXES
    ports: tuple[EndpointPort, ...] = ()

    def holds(self, address: Address) -> bool:
        """Tell whether the address belongs to this member."""
        return address in self.addresses or self.nets.contains(address)


class Membership:
    """Who is selected by one side of a rule, asked as often as one likes: each answer is found once.

    Args:
        resources: all resources. They must live as long as this, since rules are told apart by identity.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._selected: dict[int, tuple[Member, ...]] = {}
        self._excluded: dict[int, tuple[Member, ...]] = {}
        self._holders: dict[tuple[int, Address], tuple[Member, ...]] = {}
        self._unwanted: dict[tuple[int, Address], bool] = {}

    def holders(self, entity: EntityRule, address: Address) -> tuple[Member, ...]:
        """Return who holds an address among what an entity's selectors leave."""
        key = id(entity), address
        if key not in self._holders:
            if id(entity) not in self._selected:
                self._selected[id(entity)] = tuple(selected_members(self._resources, entity))
            self._holders[key] = tuple(member for member in self._selected[id(entity)] if member.holds(address))
        return self._holders[key]

    def is_unwanted(self, entity: EntityRule, address: Address) -> bool:
        """Tell whether anything that the entity's ``notSelector`` selects holds an address."""
        key = id(entity), address
        if key not in self._unwanted:
            if id(entity) not in self._excluded:
                self._excluded[id(entity)] = tuple(excluded_members(self._resources, entity))
            self._unwanted[key] = any(member.holds(address) for member in self._excluded[id(entity)])
        return self._unwanted[key]


def members(resources: Resources) -> Iterator[Member]:
    """Go through everything that a rule's selector can select, on all nodes."""
    for endpoint in resources.hostEndpoints:
        labels = endpoint_labels(resources, endpoint)
        yield Member(endpoint, labels, addresses=endpoint.expectedIPs, ports=endpoint.ports)
    for global_set in resources.globalNetworkSets:
        yield Member(global_set, global_set.metadata.labels, nets=global_set.nets)
    for network_set in resources.networkSets:
        yield Member(network_set, _network_set_labels(resources, network_set), nets=network_set.nets)


def _network_set_labels(resources: Resources, network_set: NetworkSet) -> dict[str, str]:
    namespace = network_set.metadata.namespace
    # Every namespace has its own name as a label, written or not.
    labels = {NAMESPACE_PREFIX + "projectcalico.org/name": namespace}
    # Where Calico keeps a namespace's labels itself, they are those of a profile.
    for profile in resources.profiles:
        if profile.metadata.name == f"kns.{namespace}":
            labels.update(profile.labelsToApply)
    for candidate in resources.namespaces:
        if candidate.metadata.name == namespace:
            labels.update({NAMESPACE_PREFIX + key: value for key, value in candidate.metadata.labels.items()})
    labels.update(network_set.metadata.labels)
    labels[NAMESPACE_LABEL] = namespace
    return labels


def is_restricted(entity: EntityRule) -> bool:
    """Tell whether the entity names its peers by a positive selector of some sort."""
    return bool(entity.selector or entity.namespaceSelector) or _names_accounts(entity.serviceAccounts)


def selected_members(resources: Resources, entity: EntityRule) -> Iterator[Member]:
    """Go through the members that an entity's selectors, positive and negative, leave; all of them if it has none."""
    for member in members(resources):
        if _selects(entity, member.labels) and not (entity.notSelector and _matches(entity.notSelector, member.labels)):
            yield member


def excluded_members(resources: Resources, entity: EntityRule) -> Iterator[Member]:
    """Go through the members that the entity's ``notSelector`` selects."""
    for member in members(resources):
        if _matches(entity.notSelector, member.labels):
            yield member


def policy_selects(policy: GlobalNetworkPolicy, labels: Mapping[str, str]) -> bool:
    """Tell whether a policy selects an endpoint with these labels."""
    return (
        _matches(policy.selector, labels)
        and _in_namespaces(policy.namespaceSelector, labels)
        and _has_account(policy.serviceAccountSelector, labels)
    )


def _selects(entity: EntityRule, labels: Mapping[str, str]) -> bool:
    if not _matches(entity.selector, labels) or not _in_namespaces(entity.namespaceSelector, labels):
        return False
    accounts = entity.serviceAccounts
    if accounts is None:
        return True
    named = not accounts.names or labels.get(SERVICE_ACCOUNT_LABEL) in accounts.names
    return named and _has_account(accounts.selector, labels)


def _names_accounts(accounts: ServiceAccountMatch | None) -> bool:
    return accounts is not None and bool(accounts.names or accounts.selector)


def _matches(selector: str, labels: Mapping[str, str]) -> bool:
    return parse(selector).matches(labels)


def _in_namespaces(selector: str, labels: Mapping[str, str]) -> bool:
    return _matches_prefixed(selector, labels, prefix=NAMESPACE_PREFIX, presence=NAMESPACE_LABEL)


def _has_account(selector: str, labels: Mapping[str, str]) -> bool:
    return _matches_prefixed(selector, labels, prefix=SERVICE_ACCOUNT_PREFIX, presence=SERVICE_ACCOUNT_LABEL)


def _matches_prefixed(selector: str, labels: Mapping[str, str], *, prefix: str, presence: str) -> bool:
    """Match a selector on the labels of an endpoint's namespace or service account.

    Those labels are the endpoint's labels that begin with ``prefix``, so the selector's labels get it, every one of
    them. After that ``all()`` stands for everything that is in some namespace (has some account) and ``global()`` for
    everything that is not. As in Calico they are replaced in the text, also inside string literals (spec section 7.3).
    """
    if not selector:
        return True

    def prefixed(leaf: Leaf) -> Leaf:
        return replace(leaf, key=prefix + leaf.key) if isinstance(leaf, LabelLeaf) else leaf

    text = Selector.of(replace_leaves(parse(selector).root, prefixed)).canonical
    text = text.replace("all()", f"has({presence})").replace("global()", f"!has({presence})")
    return _matches(text, labels)
