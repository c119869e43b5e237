"""Named sets of prefixes (spec section 1.7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyxdp.model.metadata import Metadata
    from pyxdp.net.prefixes import Prefixes


def _none() -> Prefixes:
    from pyxdp.net.prefixes import NO_PREFIXES  # noqa: PLC0415 - loads numpy

    return NO_PREFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalNetworkSet:
    """Prefixes that selectors reach by the set's labels. Host bits are masked, bare addresses are /32 or /128."""

    metadata: Metadata
    nets: Prefixes = field(default_factory=_none)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSet:
    """The same inside a namespace; inherits the namespace's labels."""

    metadata: Metadata
    nets: Prefixes = field(default_factory=_none)
