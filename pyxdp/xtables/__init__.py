"""The constant rules that hand packets to the pinned programs. The one door to iptables.

``chains`` has the rules as data, ``wording`` makes words of them, ``restore`` the input of iptables-restore, ``tables``
reads the output of iptables-save, ``iptables`` runs the two.
"""

from __future__ import annotations

from pyxdp.xtables.chains import (
    JUMPS,
    Chains,
    Entry,
    Goto,
    Jump,
    Rule,
    State,
    Table,
    Target,
    chains_for,
    endpoint_chains,
    entries_of,
    is_pattern,
    shared_chains,
)
from pyxdp.xtables.iptables import Iptables, Variant
from pyxdp.xtables.restore import render, render_removal
from pyxdp.xtables.tables import Content, Tables, parse
from pyxdp.xtables.wording import Family, worded

__all__ = [
    "JUMPS",
    "Chains",
    "Content",
    "Entry",
    "Family",
    "Goto",
    "Iptables",
    "Jump",
    "Rule",
    "State",
    "Table",
    "Tables",
    "Target",
    "Variant",
    "chains_for",
    "endpoint_chains",
    "entries_of",
    "is_pattern",
    "parse",
    "render",
    "render_removal",
    "shared_chains",
    "worded",
]
