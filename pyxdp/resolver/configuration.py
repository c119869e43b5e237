"""The configuration of one node: FelixConfiguration ``default``, overridden by ``node.<name>`` (spec section 1.11)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeVar

from pyxdp.errors import UnsupportedPolicyError
from pyxdp.model import DEFAULT_FAILSAFE_INBOUND, DEFAULT_FAILSAFE_OUTBOUND
from pyxdp.net import HookSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyxdp.model import FailsafePort, FelixConfiguration

DEFAULT_INTERFACE_PREFIX: Final = ("cali",)
DEFAULT_INTERFACE_EXCLUDE: Final = ("kube-ipvs0",)
DEFAULT_LOG_PREFIX: Final = "calico-packet"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfiguration:
    """What holds on the node, defaults filled in.

    Attributes:
        failsafe_inbound: in order.
        failsafe_outbound: in order.
        interface_prefix: names that begin with one of these are workload interfaces.
        interface_exclude: names, or regular expressions between slashes, of interfaces that are never governed.
        log_prefix: of the lines that Log rules produce.
        actions: what verdicts become in the filter table.
    """

    failsafe_inbound: tuple[FailsafePort, ...] = DEFAULT_FAILSAFE_INBOUND
    failsafe_outbound: tuple[FailsafePort, ...] = DEFAULT_FAILSAFE_OUTBOUND
    interface_prefix: tuple[str, ...] = DEFAULT_INTERFACE_PREFIX
    interface_exclude: tuple[str, ...] = DEFAULT_INTERFACE_EXCLUDE
    log_prefix: str = DEFAULT_LOG_PREFIX
    actions: HookSettings = field(default=HookSettings())

    def exclusion(self, interface: str) -> str:
        """Return why host endpoints never govern an interface of this name, or an empty string.

        Raises:
            UnsupportedPolicyError: interfaceExclude has something between slashes that is no regular expression.
        """
        if interface.endswith("+"):
            return f"{interface} ends with +: to iptables it is a pattern for other names"
        for prefix in self.interface_prefix:
            if prefix and interface.startswith(prefix):
                return f"{interface} is a workload interface (interfacePrefix {prefix})"
        for pattern in self.interface_exclude:
            if _excludes(pattern, interface):
                return f"{interface} is left out by interfaceExclude {pattern}"
        return ""


def node_configuration(configurations: Iterable[FelixConfiguration], node: str, notices: set[str]) -> NodeConfiguration:
    """Return the configuration of a node, merged field by field."""
    by_name = {configuration.metadata.name: configuration for configuration in configurations}
    layers = [by_name[name] for name in (f"node.{node}", "default") if name in by_name]
    for layer in layers:
        if layer.ignored:
            notices.add(f"FelixConfiguration/{layer.metadata.name}: no effect here: {', '.join(sorted(layer.ignored))}")
    notices.update(
        f"FelixConfiguration/{name}: no effect: only default and node.<name> are read"
        for name in by_name
        if name != "default" and not name.startswith("node.")
    )
    given = NodeConfiguration()
    return NodeConfiguration(
        failsafe_inbound=_first((layer.failsafeInboundHostPorts for layer in layers), given.failsafe_inbound),
        failsafe_outbound=_first((layer.failsafeOutboundHostPorts for layer in layers), given.failsafe_outbound),
        interface_prefix=_first((layer.interfacePrefix for layer in layers), given.interface_prefix),
        interface_exclude=_first((layer.interfaceExclude for layer in layers), given.interface_exclude),
        log_prefix=_first((layer.logPrefix for layer in layers), given.log_prefix),
        actions=_hook_settings(layers, given.actions),
    )


def _hook_settings(layers: Sequence[FelixConfiguration], given: HookSettings) -> HookSettings:
    """Merge what is said of the filter table; Felix has the actions twice, and what is said of iptables wins."""
    return HookSettings(
        allow=_first(
            chain(
                (layer.iptablesFilterAllowAction for layer in layers),
                (layer.nftablesFilterAllowAction for layer in layers),
            ),
            given.allow,
        ),
        deny=_first(
            chain(
                (layer.iptablesFilterDenyAction for layer in layers),
                (layer.nftablesFilterDenyAction for layer in layers),
            ),
            given.deny,
        ),
        check_invalid=not _first((layer.disableConntrackInvalidCheck for layer in layers), not given.check_invalid),
    )


def _first(values: Iterable[_T | None], default: _T) -> _T:
    return next((value for value in values if value is not None), default)


def _excludes(pattern: str, interface: str) -> bool:
    if len(pattern) < len("//") or not (pattern.startswith("/") and pattern.endswith("/")):
        return pattern == interface
    try:
        return re.search(pattern[1:-1], interface) is not None
    except re.error as error:
        reason = f"interfaceExclude {pattern} is no regular expression: {error}"
        raise UnsupportedPolicyError([("FelixConfiguration", reason)]) from None
