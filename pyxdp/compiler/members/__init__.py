"""Members enter and leave address sets while packets are judged: what to write into the slot in force, in which order.

::

    table = MemberTable(image, room)
    delta = table.add("s:...", [IPv4Network("203.0.113.7")])

Pure, as all of the compiler: somebody else carries the :class:`Delta` out.
"""

from pyxdp.compiler.members.delta import Delta, Flips, NeedsRebuildError, Write
from pyxdp.compiler.members.table import MemberTable

__all__ = ["Delta", "Flips", "MemberTable", "NeedsRebuildError", "Write"]
