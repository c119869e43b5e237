"""From effective policy to the bytes of the maps. Pure: the same policy gives the same bytes on any machine.

``EffectivePolicy --compile_rulesets--> Rulesets --build_image--> MapImage``. Between the two, somebody who knows what
is in use decides which counter each identity and which number each endpoint has; :func:`compile_policy` does it for a
machine on which nothing is in use yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.compiler.blocks import CompiledRule
from pyxdp.compiler.compilation import FRESH, Compilation, Numbers
from pyxdp.compiler.image import MapImage
from pyxdp.compiler.ruleset import EndpointRulesets, Ruleset, Rulesets, compile_rulesets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.resolver import EffectivePolicy

__all__ = [
    "FRESH",
    "Compilation",
    "CompiledRule",
    "EndpointRulesets",
    "MapImage",
    "Numbers",
    "Ruleset",
    "Rulesets",
    "build_image",
    "compile_policy",
    "compile_rulesets",
]


def compile_policy(effective: EffectivePolicy) -> MapImage:
    """Compile for empty maps: identities and endpoints are numbered in order.

    Raises:
        CapacityError: more than the programs and maps can handle.
    """
    return Compilation().update(effective)


def build_image(rulesets: Rulesets, counters: Mapping[int, int], endpoint_numbers: Mapping[str, int]) -> MapImage:
    """Put rulesets into tables.

    Args:
        rulesets: of all endpoints.
        counters: counter index of every identity in ``rulesets``.
        endpoint_numbers: endpoint number of every interface in ``rulesets``.

    Raises:
        CapacityError: more than the maps can have.
    """
    return Compilation().image(rulesets, counters, endpoint_numbers)
