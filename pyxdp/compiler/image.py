"""The map image: what one slot of every map holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

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
        hashed: SHA-256 of tables, as far as it was asked for.
    """

    tables: Mapping[str, Buffer]
    names: Mapping[int, abi.Name] = field(default_factory=dict)
    endpoints: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[abi.Field, int] = field(default_factory=dict, compare=False, repr=False)
    addresses: ImageAddresses | None = field(default=None, compare=False, repr=False)
    hashed: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 over the names and SHA-256 of all tables: everything that decides about packets.

        The first time it takes a millisecond for each two megabytes.
        """
        for name, table in self.tables.items():
            if name not in self.hashed:
                self.hashed[name] = hashlib.sha256(table).digest()
        digest = hashlib.sha256(f"{abi.AbiVersion.VERSION}".encode())
        for name in sorted(self.tables):
            digest.update(f"\n{name} ".encode() + self.hashed[name])
        return digest.digest()

    def continued_by(self, tables: Mapping[str, Buffer]) -> dict[str, bytes]:
        """Return what is known of the hashes of another image's tables: those of tables that both have."""
        return {name: one for name, one in self.hashed.items() if tables.get(name) is self.tables[name]}


def as_table(array: NDArray[Any]) -> memoryview:
    """Return what an array holds as bytes that nobody can change, without a copy."""
    array.setflags(write=False)
    return array.reshape(-1).view(np.uint8).data
