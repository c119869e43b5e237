"""The label selector language of Calico (spec section 2): parse, canonical form, identifier, evaluation.

>>> from pyxdp.selector import parse
>>> selector = parse("role=='db' && ! has(test)")
>>> selector.canonical
'(role == "db" && !has(test))'
>>> selector.matches({"role": "db"})
True
"""

from __future__ import annotations

from pyxdp.selector.nodes import (
    All,
    And,
    Contains,
    EndsWith,
    Equals,
    Global,
    Has,
    In,
    LabelLeaf,
    Leaf,
    Node,
    Not,
    NotEquals,
    NotIn,
    Or,
    StartsWith,
    all_of,
    any_of,
    negate,
    replace_leaves,
)
from pyxdp.selector.parser import parse
from pyxdp.selector.selector import Selector
from pyxdp.selector.tokens import MAX_LABEL_BYTES

__all__ = [
    "MAX_LABEL_BYTES",
    "All",
    "And",
    "Contains",
    "EndsWith",
    "Equals",
    "Global",
    "Has",
    "In",
    "LabelLeaf",
    "Leaf",
    "Node",
    "Not",
    "NotEquals",
    "NotIn",
    "Or",
    "Selector",
    "StartsWith",
    "all_of",
    "any_of",
    "negate",
    "parse",
    "replace_leaves",
]
