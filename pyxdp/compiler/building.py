"""From rulesets to a map image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyxdp import abi
from pyxdp.abi import Limit
from pyxdp.compiler.image import ImageAddresses, MapImage
from pyxdp.compiler.ipv6 import ipv6_blocks
from pyxdp.compiler.pages import lookup
from pyxdp.compiler.tables import NOT_GOVERNED, RulesetTables, classes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pyxdp.compiler.ruleset import Rulesets


def build_image(rulesets: Rulesets, counters: Mapping[int, int], endpoint_numbers: Mapping[str, int]) -> MapImage:
    """Put rulesets into tables.

    Args:
        rulesets: of all endpoints.
        counters: counter index of every identity in ``rulesets``.
        endpoint_numbers: endpoint number of every interface in ``rulesets``.

    Raises:
        CapacityError: more prefixes, or address classes, than the maps can have.
    """
    # Interfaces of one host endpoint share their lists of rules; hashing those again and again would take seconds.
    lists = {id(part.rules): part.rules for one in rulesets.endpoints for part in one.rulesets}
    classes = classes_of(rule.match for rules in lists.values() for rule in rules)
    found = lookup(classes.address.ipv4, classes.service.pieces, classes.sport.pieces)
    tables = RulesetTables(classes, counters)
    records = [NOT_GOVERNED] * (max(endpoint_numbers.values(), default=-1) + 1) * Limit.RULESETS_PER_ENDPOINT
    for endpoint in rulesets.endpoints:
        base = endpoint_numbers[endpoint.interface] * Limit.RULESETS_PER_ENDPOINT
        for ruleset in endpoint.rulesets:
            records[base + ruleset.policy_class.value * 2 + ruleset.direction.value] = tables.add(ruleset)
    return MapImage(
        {
            "rulesets": abi.encode_array(records),
            "rules": abi.encode_array(tables.rules),
            "rows": _bytes(tables.rows),
            "row_index": _bytes(tables.row_index),
            "pages": _bytes(found.pages),
            "pieces": _bytes(found.units),
            "ipv6": _bytes(ipv6_blocks(*classes.address.ipv6)),
        },
        {counters[identity]: name for identity, name in rulesets.identities.items()},
        dict(endpoint_numbers),
        ImageAddresses(classes.address, tuple(tables.distinct)),
    )


def _bytes(array: NDArray[Any]) -> memoryview:
    """Return what an array holds, without a copy."""
    array.setflags(write=False)
    return memoryview(array.reshape(-1)).cast("B") if array.size else memoryview(b"")
