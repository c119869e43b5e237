"""The constant rules that hand packets of the raw table to the pinned programs. The one door to iptables.

For each governed interface, in ``PYXDP-PREROUTING`` (and with ``-o`` in ``PYXDP-OUTPUT``)::

    -i IFACE -m bpf --object-pinned .../IFACE/in_allow -g PYXDP-NOTRACK
    -i IFACE -m bpf --object-pinned .../IFACE/in_deny -j DROP

``PYXDP-NOTRACK`` takes the packet out of conntrack and accepts it. The rules depend on which interfaces are governed,
never on policy.
"""

from __future__ import annotations

from pyxdp.xtables.iptables import Family, Iptables, Variant
from pyxdp.xtables.rawtable import CHAINS, RawTable, parse, render, render_removal

__all__ = ["CHAINS", "Family", "Iptables", "RawTable", "Variant", "parse", "render", "render_removal"]
