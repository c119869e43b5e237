"""Why a packet passes or not: the evaluator's verdict with every rule on the way, where it is written, and its values.

:func:`explain` asks :mod:`pyxdp.evaluator` and adds what only people need: file and line, why each rule did not match,
what happened between the rules, and which policies had no part in it. It decides nothing by itself.
"""

from __future__ import annotations

from pyxdp.explanation.explain import explain
from pyxdp.explanation.place import Place, place_of
from pyxdp.explanation.values import Bystander, ClassAccount, Explanation, Look, RuleList, Stage

__all__ = [
    "Bystander",
    "ClassAccount",
    "Explanation",
    "Look",
    "Place",
    "RuleList",
    "Stage",
    "explain",
    "place_of",
]
