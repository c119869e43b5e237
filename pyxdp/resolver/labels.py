"""Labels that objects have without having been given them, and selectors that ask for those (spec section 7)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pyxdp.selector import Global, Has, LabelLeaf, negate, replace_leaves

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.model import HostEndpoint, Namespace, NetworkSet, Profile
    from pyxdp.selector import Leaf, Node, Selector

NAMESPACE_LABEL: Final = "projectcalico.org/namespace"
SERVICE_ACCOUNT_LABEL: Final = "projectcalico.org/serviceaccount"
NAMESPACE_PREFIX: Final = "pcns."
SERVICE_ACCOUNT_PREFIX: Final = "pcsa."

# Calico gives every namespace this label, and the objects inside inherit it.
_NAMESPACE_NAME_LABEL: Final = "projectcalico.org/name"


def endpoint_labels(endpoint: HostEndpoint, profiles: Mapping[str, Profile]) -> Mapping[str, str]:
    """Return an endpoint's labels with those of its profiles; its own win, then those of earlier profiles."""
    labels: dict[str, str] = {}
    for name in reversed(endpoint.profiles):
        if name in profiles:
            labels.update(profiles[name].labelsToApply)
    labels.update(endpoint.metadata.labels)
    return labels


def network_set_labels(
    network_set: NetworkSet, namespaces: Mapping[str, Namespace], profiles: Mapping[str, Profile]
) -> Mapping[str, str]:
    """Return a network set's labels with those of its namespace, prefixed; its own win.

    A namespace is written as such, or as the profile ``kns.NAME`` that Calico makes of it, with prefixed labels.
    """
    name = network_set.metadata.namespace
    labels = {NAMESPACE_PREFIX + _NAMESPACE_NAME_LABEL: name}
    if f"kns.{name}" in profiles:
        labels.update(profiles[f"kns.{name}"].labelsToApply)
    if name in namespaces:
        labels.update({NAMESPACE_PREFIX + key: value for key, value in namespaces[name].metadata.labels.items()})
    labels.update(network_set.metadata.labels)
    labels[NAMESPACE_LABEL] = name
    return labels


def of_namespace(selector: Selector) -> Node:
    """Turn a namespaceSelector into a requirement on the labels that namespaced objects inherit.

    ``all()`` becomes "is in a namespace" and ``global()`` "is in none". Calico replaces these two in the text, also
    inside of string literals; here only the calls are meant.
    """
    return _inherited(selector, NAMESPACE_PREFIX, NAMESPACE_LABEL)


def of_service_account(selector: Selector) -> Node:
    """Turn a serviceAccountSelector into a requirement on the labels that pods inherit."""
    return _inherited(selector, SERVICE_ACCOUNT_PREFIX, SERVICE_ACCOUNT_LABEL)


def _inherited(selector: Selector, prefix: str, owner_label: str) -> Node:
    def requirement(leaf: Leaf) -> Node:
        if isinstance(leaf, LabelLeaf):
            return replace(leaf, key=prefix + leaf.key)
        owned = Has(owner_label)
        return negate(owned) if isinstance(leaf, Global) else owned

    return replace_leaves(selector.root, requirement)
