"""Readers of FelixConfiguration, Node, Namespace and Pod (spec sections 1.11 and 7)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar, get_args

from pyxdp.manifest.failsafe import failsafe_ports
from pyxdp.manifest.felix_fields import WITHOUT_EFFECT
from pyxdp.manifest.nodes import Mapping, Scalar, Sequence, shorten
from pyxdp.manifest.place import suggest
from pyxdp.manifest.readers import boolean, optional, text
from pyxdp.model import (
    DEFAULT_FAILSAFE_INBOUND,
    DEFAULT_FAILSAFE_OUTBOUND,
    FelixConfiguration,
    Namespace,
    NetworkSet,
    Node,
)
from pyxdp.net.addresses import host_network, parse_address
from pyxdp.net.hooks import AllowAction, DenyAction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.manifest.nodes import Node as TreeNode
    from pyxdp.manifest.place import Fields, Place, Reader
    from pyxdp.model import FailsafePort, Metadata
    from pyxdp.net import Address

#: In front of the names of network sets that stand for pods; no real one can be called so.
POD_PREFIX: Final = "pod:"

_ORCHESTRATOR_LABEL: Final = "projectcalico.org/orchestrator"
_SERVICE_ACCOUNT_LABEL: Final = "projectcalico.org/serviceaccount"

#: Phases of a pod whose addresses another one may have by now.
_FINISHED: Final = ("Succeeded", "Failed")

_INTERFACE_PREFIX: Final = re.compile(r"[a-zA-Z0-9:._+-]{1,15}")
_LOG_PREFIX: Final = re.compile(r"[a-zA-Z0-9%: /_-]*")


T = TypeVar("T", bound=str)


def _word_of(choices: tuple[T, ...]) -> Reader[T]:
    """Return a reader of one of a few words, in whatever case, as Felix reads them; empty text is as good as none."""
    by_word = {choice.lower(): choice for choice in choices}

    def read(place: Place) -> T | None:
        written = text(place)
        found = by_word.get(written.lower()) if written else None
        if written and found is None:
            alike = suggest(written, choices)
            hint = f"; did you mean `{alike}`?" if alike else ""
            place.problem(f"must be one of {', '.join(choices)}, not `{shorten(written)}`{hint}")
        return found

    return optional(read)


_ALLOW_ACTION: Final[Reader[AllowAction]] = _word_of(get_args(AllowAction))
_DENY_ACTION: Final[Reader[DenyAction]] = _word_of(get_args(DenyAction))


def felix_configuration(metadata: Metadata, spec: Fields) -> FelixConfiguration:
    """Read the spec of a FelixConfiguration. Fields of Calico's that have no effect here are listed as notices."""
    if metadata.name != "default" and not metadata.name.startswith("node."):
        spec.at.notice("only the configurations `default` and `node.NAME` have an effect")
    ignored = tuple(name for name in spec.entries if name in WITHOUT_EFFECT)
    for name in ignored:
        place = spec.place(name)
        if place:
            place.notice(f"{name}: no effect here")
    spec.accept(*WITHOUT_EFFECT)
    return FelixConfiguration(
        metadata=metadata,
        failsafeInboundHostPorts=_failsafes(spec, "failsafeInboundHostPorts"),
        failsafeOutboundHostPorts=_failsafes(spec, "failsafeOutboundHostPorts"),
        interfacePrefix=spec.read("interfacePrefix", _interface_prefixes, None),
        interfaceExclude=spec.read("interfaceExclude", _interface_patterns, None),
        logPrefix=spec.read("logPrefix", _log_prefix, None),
        iptablesFilterAllowAction=spec.read("iptablesFilterAllowAction", _ALLOW_ACTION, None),
        iptablesFilterDenyAction=spec.read("iptablesFilterDenyAction", _DENY_ACTION, None),
        nftablesFilterAllowAction=spec.read("nftablesFilterAllowAction", _ALLOW_ACTION, None),
        nftablesFilterDenyAction=spec.read("nftablesFilterDenyAction", _DENY_ACTION, None),
        disableConntrackInvalidCheck=spec.read("disableConntrackInvalidCheck", boolean, None),
        ignored=ignored,
    )


def node(metadata: Metadata, spec: Fields) -> Node:
    """Read a Node, of Kubernetes or of Calico: its labels, and the addresses that it lists."""
    parsed = (_address_or_none(written) for written in _node_addresses(spec))
    return Node(metadata=metadata, addresses=tuple(dict.fromkeys(address for address in parsed if address)))


def namespace(metadata: Metadata, _spec: Fields) -> Namespace:
    """Read a Kubernetes Namespace: its labels."""
    return Namespace(metadata=metadata)


def pod(metadata: Metadata, root: Fields) -> NetworkSet:
    """Read a Kubernetes Pod as a network set: its addresses, with the labels that Calico gives to workloads.

    It has no addresses when they are those of its node, or no longer its own. Its ports' names are not known to rules.
    """
    from pyxdp.net.prefixes import Prefixes  # noqa: PLC0415 - loads numpy

    spec, status = _value(root.at.node, "spec"), _value(root.at.node, "status")
    account = next(_texts(_value(spec, "serviceAccountName")), "default")
    parsed = [] if _has_no_address(spec, status) else [_address_or_none(ip) for ip in _pod_addresses(status)]
    labels = {**metadata.labels, _ORCHESTRATOR_LABEL: "k8s", _SERVICE_ACCOUNT_LABEL: account}
    return NetworkSet(
        metadata=replace(metadata, name=metadata.name and POD_PREFIX + metadata.name, labels=labels),
        nets=Prefixes.of([host_network(address) for address in parsed if address]),
    )


def _failsafes(spec: Fields, name: str) -> tuple[FailsafePort, ...] | None:
    inbound = name == "failsafeInboundHostPorts"
    return spec.read(name, failsafe_ports(DEFAULT_FAILSAFE_INBOUND if inbound else DEFAULT_FAILSAFE_OUTBOUND), None)


def _comma_list(place: Place) -> list[tuple[int, str]] | None:
    """Read a comma list: items without the blanks around them, each with its offset; nothing when there is no text."""
    written = text(place)
    if not written:
        return None
    items = []
    offset = 0
    for item in written.split(","):
        items.append((offset + len(item) - len(item.lstrip()), item.strip()))
        offset += len(item) + 1
    return items


def _interface_prefixes(place: Place) -> tuple[str, ...] | None:
    items = _comma_list(place)
    for offset, item in items or ():
        if not _INTERFACE_PREFIX.fullmatch(item):
            place.problem(f"`{shorten(item)}` is no beginning of an interface name, such as `cali`", offset=offset)
    return tuple(item for _, item in items) if items else None


def _interface_patterns(place: Place) -> tuple[str, ...] | None:
    items = _comma_list(place)
    for offset, item in items or ():
        if len(item) > 1 and item.startswith("/") and item.endswith("/"):
            try:
                re.compile(item[1:-1])
            except re.error as error:
                place.problem(f"`{shorten(item)}` is no regular expression: {error}", offset=offset)
        elif not _INTERFACE_PREFIX.fullmatch(item):
            place.problem(f"`{shorten(item)}` is no interface name and no /regular expression/", offset=offset)
    return tuple(item for _, item in items) if items else None


def _log_prefix(place: Place) -> str | None:
    written = text(place)
    if written and not _LOG_PREFIX.fullmatch(written):
        place.problem("may have letters, digits, blanks and the characters % : / _ - only")
    return written or None


def _node_addresses(root: Fields) -> Iterator[str]:
    """Yield what a Node lists as its addresses: ``status.addresses``, ``spec.addresses`` and ``spec.bgp``."""
    status, spec = _value(root.at.node, "status"), _value(root.at.node, "spec")
    for listed in (_value(status, "addresses"), _value(spec, "addresses")):
        for entry in listed.items if isinstance(listed, Sequence) else ():
            yield from _texts(_value(entry, "address"))
    for name in ("ipv4Address", "ipv6Address"):
        yield from _texts(_value(_value(spec, "bgp"), name))


def _has_no_address(spec: TreeNode | None, status: TreeNode | None) -> bool:
    on_host = next(_texts(_value(spec, "hostNetwork")), "false") == "true"
    return on_host or next(_texts(_value(status, "phase")), "") in _FINISHED


def _pod_addresses(status: TreeNode | None) -> Iterator[str]:
    listed = _value(status, "podIPs")
    for entry in listed.items if isinstance(listed, Sequence) else ():
        yield from _texts(_value(entry, "ip"))


def _address_or_none(written: str) -> Address | None:
    """Kubernetes' fields are not ours to judge: a host name among the addresses is passed over."""
    try:
        return parse_address(written.partition("/")[0])
    except ValueError:
        return None


def _value(value: TreeNode | None, name: str) -> TreeNode | None:
    entry = value.entries.get(name) if isinstance(value, Mapping) else None
    return entry[1] if entry else None


def _texts(value: TreeNode | None) -> Iterator[str]:
    if isinstance(value, Scalar):
        yield value.text
