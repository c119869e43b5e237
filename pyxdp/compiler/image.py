"""The map image: what one slot of every map holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from pyxdp import abi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pyxdp.compiler.addresses import AddressClasses
    from pyxdp.compiler.blocks import CompiledRule
    from pyxdp.net.values import Family
    from pyxdp.resolver import AddressSet, Direction

Buffer: TypeAlias = "bytes | bytearray | memoryview"

#: Bytes that are hashed by themselves: most of a large table is as it was before.
_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class ImageAddresses:
    """How an image came to its classes of addresses; what it takes to change the members of sets in it.

    Attributes:
        classes: all addresses, cut.
        sets: every set that addresses were cut by, by its id.
        rulesets: each different record of the table ``rulesets``, but for its flags, with its direction and rules.
    """

    classes: AddressClasses
    sets: Mapping[str, AddressSet]
    rulesets: Sequence[tuple[abi.Ruleset, Direction, tuple[CompiledRule, ...]]]

    @property
    def count(self) -> int:
        """How many classes there are; a class is a number below it."""
        return self.classes.count

    @property
    def room(self) -> int:
        """For how many classes there are rows, or entries in the index of rows; those from ``count`` on are unused."""
        return self.classes.room

    def members(self, number: int) -> frozenset[str]:
        """Return the ids of the sets that a class is in."""
        return self.classes.members(number)

    def family(self, number: int) -> Family:
        """Return the IP version of a class."""
        return self.classes.family(number)


class Hashed(NamedTuple):
    """A table with the SHA-256 of each of its pieces."""

    table: Buffer
    pieces: list[bytes]

    @property
    def digest(self) -> bytes:
        """SHA-256 of all pieces."""
        return hashlib.sha256(b"".join(self.pieces)).digest()


@dataclass(frozen=True, slots=True)
class MapImage:
    """Everything that a policy puts into the maps.

    Attributes:
        tables: by map name, contents of one slot from its first entry on; the rest of the slot is zero. Nobody changes
            them; two images may share them.
        names: record of each identity by counter index.
        endpoints: endpoint number by interface name.
        classes: how many classes each field has; like what follows not known of what was read back.
        addresses: how it came to its classes of addresses.
        hashed: what is known of SHA-256 of these tables, or of those of the image before.
    """

    tables: Mapping[str, Buffer]
    names: Mapping[int, abi.Name] = field(default_factory=dict)
    endpoints: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[abi.Field, int] = field(default_factory=dict, compare=False, repr=False)
    addresses: ImageAddresses | None = field(default=None, compare=False, repr=False)
    hashed: dict[str, Hashed] = field(default_factory=dict, compare=False, repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 over everything that decides about packets: names of tables, and SHA-256 of pieces of their contents.

        The first time it takes a millisecond for each two megabytes that the image before did not have.
        """
        digest = hashlib.sha256(f"{abi.AbiVersion.VERSION}".encode())
        for name in sorted(self.tables):
            self.hashed[name] = _hashed(self.tables[name], self.hashed.get(name))
            digest.update(f"\n{name} {len(self.tables[name])} ".encode() + self.hashed[name].digest)
        return digest.digest()


def _hashed(table: Buffer, known: Hashed | None) -> Hashed:
    if known and known.table is table:
        return known
    pieces: list[bytes] = []
    for number, at in enumerate(range(0, len(table), _PIECE)):
        content = bytes(table[at : at + _PIECE])
        same = known is not None and bytes(known.table[at : at + _PIECE]) == content
        pieces.append(known.pieces[number] if known and same else hashlib.sha256(content).digest())
    return Hashed(table, pieces)


def as_table(array: NDArray[Any]) -> memoryview:
    """Return what an array holds as bytes that nobody can change, without a copy."""
    array.setflags(write=False)
    return array.reshape(-1).view(np.uint8).data
