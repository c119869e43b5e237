"""From effective policy to the bytes of the maps. Pure: the same policy gives the same bytes on any machine.

``EffectivePolicy --compile_rulesets--> Rulesets --build_image--> MapImage``. Between the two, somebody who knows what
is in use decides which counter each identity and which number each endpoint has; :func:`compile_policy` does it for a
machine on which nothing is in use yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.compiler.building import build_image
from pyxdp.compiler.image import MapImage
from pyxdp.compiler.ruleset import EndpointRulesets, Ruleset, Rulesets, compile_rulesets
from pyxdp.compiler.sequence import CompiledRule

if TYPE_CHECKING:
    from pyxdp.resolver import EffectivePolicy

__all__ = [
    "CompiledRule",
    "EndpointRulesets",
    "MapImage",
    "Ruleset",
    "Rulesets",
    "build_image",
    "compile_policy",
    "compile_rulesets",
]


def compile_policy(effective: EffectivePolicy) -> MapImage:
    """Compile for empty maps: identities and endpoints are numbered in order.

    Raises:
        CapacityError: more rules than the programs can handle.
    """
    rulesets = compile_rulesets(effective)
    counters = {identity: number for number, identity in enumerate(rulesets.identities)}
    endpoints = {endpoint.interface: number for number, endpoint in enumerate(rulesets.endpoints)}
    return build_image(rulesets, counters, endpoints)
