"""Named sets of prefixes (spec section 1.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyxdp.model.metadata import Metadata
    from pyxdp.net.values import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalNetworkSet:
    """Prefixes that selectors reach by the set's labels. Host bits are masked, bare addresses are /32 or /128."""

    metadata: Metadata
    nets: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSet:
    """The same inside a namespace; inherits the namespace's labels."""

    metadata: Metadata
    nets: tuple[Network, ...] = ()
