"""Host endpoints that never govern, because another one of their node always does (spec section 6)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from pyxdp.lint.finding import Code, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.lint.survey import Survey
    from pyxdp.model import HostEndpoint


def find_endpoints(survey: Survey) -> Iterator[Finding]:
    """Find host endpoints that name an interface which another one of the node names, too."""
    rivals: dict[tuple[str, str], list[HostEndpoint]] = defaultdict(list)
    for endpoint in sorted(survey.world.resources.hostEndpoints, key=lambda it: it.metadata.name):
        if endpoint.interfaceName:
            rivals[endpoint.node, endpoint.interfaceName].append(endpoint)
    for (node, interface), (winner, *losers) in rivals.items():
        for endpoint in losers:
            yield Finding(
                code=Code.SHADOWED_ENDPOINT,
                subject=f"HostEndpoint/{endpoint.metadata.name}",
                text=f"never governs {interface} of node {node}: {winner.metadata.name} does: the smallest name wins",
                origin=endpoint.metadata.origin,
            )
