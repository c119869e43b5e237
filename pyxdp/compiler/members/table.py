"""Members enter and leave the address sets of a compiled image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp import abi
from pyxdp.compiler.members.classes import KnownClasses
from pyxdp.compiler.members.delta import Delta, NeedsRebuildError
from pyxdp.compiler.members.growing import GrowingTable
from pyxdp.compiler.members.ipv4 import Ipv4Table
from pyxdp.compiler.members.ipv6 import Ipv6Table
from pyxdp.compiler.members.membership import SetMembers
from pyxdp.compiler.members.pieces import by_names
from pyxdp.compiler.members.rows import ClassRows
from pyxdp.net.prefixes import Prefixes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyxdp.compiler.image import MapImage
    from pyxdp.compiler.members.pieces import Spans
    from pyxdp.net import Network
    from pyxdp.net.values import Family

#: Words of an element of each table that members change.
_LAYOUT: Final = {
    "pages": ("u4", 256),
    "pieces": ("u4", 4),
    "ipv6": ("u4", 16),
    "rows": ("u8", 1),
    "row_index": ("u4", abi.sizeof(abi.RowPlace) // 4),
}
_FAMILIES: Final[tuple[Family, ...]] = (4, 6)
#: Prefixes that one change may concern: so many, and one for so many pieces that addresses are cut into. A prefix takes
#: some 50 us here, a piece about 1 us when everything is compiled.
_FEW: Final = 512
_SHARE: Final = 100


class MemberTable:
    """The address tables of the image in force, as they are after every change so far.

    To add an address to a set is to give it another class: that of the sets that it is in already, and this one. So a
    change walks the part of the tables that the prefix covers, and knows for each class what becomes of it. It never
    looks at other prefixes of other sets.

    Once :class:`NeedsRebuildError` was raised the table is of no use any more.
    """

    def __init__(self, image: MapImage, room: Mapping[str, int]) -> None:
        """Begin with an image as it was compiled.

        Args:
            image: what the active slot holds.
            room: entries that one half of each map has.
        """
        if image.addresses is None:
            raise ValueError("the image was not compiled here")
        self._compiled = image.addresses
        self._tables = {
            name: GrowingTable(name, np.frombuffer(image.tables[name], dtype), width=width, room=room[name])
            for name, (dtype, width) in _LAYOUT.items()
        }
        self._by_family: dict[Family, Ipv4Table | Ipv6Table] = {
            4: Ipv4Table(self._tables["pages"], self._tables["pieces"]),
            6: Ipv6Table(self._tables["ipv6"]),
        }
        self._rows = ClassRows(image.addresses.rulesets, self._tables["rows"], self._tables["row_index"])
        self._classes = KnownClasses(image.addresses)
        self._sets: dict[tuple[str, Family], SetMembers] = {}
        self._next: dict[tuple[frozenset[str], bool, int], int] = {}
        pieces = len(image.addresses.classes.ipv4.classes) + len(image.addresses.classes.ipv6.classes)
        self._limit = _FEW + pieces // _SHARE

    def add(self, name: str, networks: Iterable[Network]) -> Delta:
        """Let prefixes enter a set.

        Args:
            name: id of the address set; nothing happens if no rule in force names it.
            networks: those that the set has already, itself or in larger ones, change nothing.

        Raises:
            NeedsRebuildError: there is no room left, or the change is so large that compiling afresh costs less.
        """
        return self.change({name: networks}, entering=True)

    def remove(self, name: str, networks: Iterable[Network]) -> Delta:
        """Let prefixes leave a set; addresses that other prefixes of the set hold stay in it. Like :meth:`add`."""
        return self.change({name: networks}, entering=False)

    def change(self, networks: Mapping[str, Iterable[Network]], *, entering: bool) -> Delta:
        """Let prefixes enter or leave several sets at once: no address is ever seen in some of its new sets only.

        Args:
            networks: by id of the address set. Otherwise like :meth:`add` and :meth:`remove`.
            entering: which of both.
        """
        wanted = {name: Prefixes.of(its) for name, its in networks.items() if name in self._compiled.sets}
        most = max(map(len, wanted.values()), default=0)
        if most > self._limit:
            raise NeedsRebuildError(f"{most:,} prefixes at once")
        for family in _FAMILIES:
            spans = {name: self._spans(name, family, its, entering=entering) for name, its in wanted.items()}
            for names, part in by_names(spans):
                self._by_family[family].remap(part, self._renaming(names, entering=entering))
        return self._taken()

    def _spans(self, name: str, family: Family, wanted: Prefixes, *, entering: bool) -> Spans:
        changed = [(int(it.network_address), it.prefixlen) for it in wanted if it.version == family]
        if not changed:
            return []
        members = self._members(name, family)
        return (members.add if entering else members.remove)(changed, self._limit)

    def _members(self, name: str, family: Family) -> SetMembers:
        if (name, family) not in self._sets:
            self._sets[name, family] = SetMembers(Prefixes.of(self._compiled.sets[name].networks), family)
        return self._sets[name, family]

    def _renaming(self, names: frozenset[str], *, entering: bool) -> Callable[[int], int]:
        def renamed(number: int) -> int:
            key = names, entering, number
            if key not in self._next:
                self._next[key] = self._after(number, names, entering=entering)
            return self._next[key]

        return renamed

    def _after(self, number: int, names: frozenset[str], *, entering: bool) -> int:
        """Return the class of addresses that enter or leave sets; make it if there was none."""
        found = self._classes[number]
        after = found.with_(names) if entering else found.without(names)
        known = self._classes.number(after)
        if known is None:
            known = self._classes.add(after)
            self._rows.add(known, after, number, names)
        return known

    def _taken(self) -> Delta:
        taken = [table.taken() for table in self._tables.values()]
        return Delta(
            tuple(write for writes, _ in taken for write in writes), tuple(flip for _, flips in taken for flip in flips)
        )
