"""Sets of prefixes as arrays, so that a million of them are sorted, merged and changed in milliseconds.

Import this module only where prefixes are at hand: numpy takes a tenth of a second to import.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final, overload

import numpy as np

from pyxdp.net.wide import NO_WIDE, Wide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pyxdp.net.values import Address, Network

_LENGTH: Final = np.uint64(0xFF)
_SHOWN: Final = 3
#: How many times more prefixes make it cheaper to insert the others than to sort all.
_FEW: Final = 16


class Prefixes(Sequence["Network"]):
    """Distinct prefixes, sorted by (family, address, length); they may overlap. Immutable.

    As a sequence it holds :mod:`ipaddress` networks, which are made when they are asked for. Equal to other
    ``Prefixes`` only.

    Attributes:
        ipv4: ``address << 8 | length``, ascending.
        ipv6: the IPv6 prefixes, ascending by (address, length).
    """

    __slots__ = ("_hash", "_lengths", "ipv4", "ipv6")

    def __init__(self, ipv4: NDArray[np.uint64], ipv6: Wide) -> None:
        """Take over arrays that are sorted, distinct and without host bits; see :meth:`of_arrays` for others."""
        for array in (ipv4, *ipv6):
            array.setflags(write=False)
        self.ipv4: Final = ipv4
        self.ipv6: Final = ipv6
        self._hash: int | None = None
        self._lengths: tuple[list[int], list[int]] | None = None

    @classmethod
    def of(cls, networks: Iterable[Network]) -> Prefixes:
        """Return the set of these networks, in whatever order and however often they come."""
        if isinstance(networks, Prefixes):
            return networks
        ipv4: set[int] = set()
        ipv6: set[tuple[int, int]] = set()
        for network in networks:
            if isinstance(network, IPv4Network):
                ipv4.add(int(network.network_address) << 8 | network.prefixlen)
            else:
                ipv6.add((int(network.network_address), network.prefixlen))
        return cls(np.array(sorted(ipv4), np.uint64) if ipv4 else _NONE, Wide.of(sorted(ipv6)) if ipv6 else NO_WIDE)

    @classmethod
    def of_arrays(cls, ipv4: NDArray[np.uint64], ipv6: Wide) -> Prefixes:
        """Return the set of prefixes in arrays like the attributes, but in any order and with duplicates.

        They must be without host bits.
        """
        return cls(_distinct(ipv4), ipv6.distinct())

    @classmethod
    def union(cls, parts: Sequence[Prefixes]) -> Prefixes:
        """Return everything that is in one of the parts; the part itself when only one has any."""
        held = [part for part in parts if part]
        if len(held) <= 1:
            return held[0] if held else NO_PREFIXES
        largest, *others = sorted(held, key=len, reverse=True)
        if len(largest) > _FEW * sum(map(len, others)):
            return largest.with_(cls.union(others))
        ipv4 = np.concatenate([part.ipv4 for part in held])
        return cls.of_arrays(ipv4, Wide.concatenated([part.ipv6 for part in held]))

    def contains(self, address: Address) -> bool:
        """Tell whether one of the prefixes holds the address."""
        narrow, wide = self._distinct_lengths()
        number = int(address)
        if isinstance(address, IPv4Address):
            keys = [number >> (32 - length) << (40 - length) | length for length in narrow]
            return bool(_positions(self.ipv4, np.array(keys, np.uint64))[1].any())
        covering = [(number >> (128 - length) << (128 - length), length) for length in wide]
        return bool(self.ipv6.positions(Wide.of(covering))[1].any())

    def having(self, others: Prefixes) -> NDArray[np.bool_]:
        """Tell for each of some prefixes, in their order, whether it is itself among these."""
        return np.concatenate((_positions(self.ipv4, others.ipv4)[1], self.ipv6.positions(others.ipv6)[1]))

    def with_(self, added: Iterable[Network]) -> Prefixes:
        """Return these prefixes and others; this very object when it has them all."""
        others = Prefixes.of(added)
        at4, there4 = _positions(self.ipv4, others.ipv4)
        at6, there6 = self.ipv6.positions(others.ipv6)
        if there4.all() and there6.all():
            return self
        ipv4 = self.ipv4 if there4.all() else np.insert(self.ipv4, at4[~there4], others.ipv4[~there4])
        return Prefixes(ipv4, self.ipv6.insert(at6[~there6], others.ipv6.at(~there6)))

    def without(self, removed: Iterable[Network]) -> Prefixes:
        """Return these prefixes except some; this very object when it has none of those."""
        others = Prefixes.of(removed)
        at4, there4 = _positions(self.ipv4, others.ipv4)
        at6, there6 = self.ipv6.positions(others.ipv6)
        if not there4.any() and not there6.any():
            return self
        ipv4 = np.delete(self.ipv4, at4[there4]) if there4.any() else self.ipv4
        return Prefixes(ipv4, self.ipv6.delete(at6[there6]))

    def __len__(self) -> int:
        return len(self.ipv4) + self.ipv6.size

    @overload
    def __getitem__(self, index: int) -> Network: ...
    @overload
    def __getitem__(self, index: slice) -> list[Network]: ...
    def __getitem__(self, index: int | slice) -> Network | list[Network]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        number = range(len(self))[index]
        if number < len(self.ipv4):
            return _network4(int(self.ipv4[number]))
        number -= len(self.ipv4)
        return _network6(*(int(array[number]) for array in self.ipv6))

    def __iter__(self) -> Iterator[Network]:
        yield from map(_network4, self.ipv4.tolist())
        yield from map(_network6, *(array.tolist() for array in self.ipv6))

    def __contains__(self, network: object) -> bool:
        """Tell whether the prefix itself is there; :meth:`contains` is for addresses."""
        if not isinstance(network, IPv4Network | IPv6Network):
            return False
        return bool(self.having(Prefixes.of([network])).any())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Prefixes):
            return NotImplemented
        if self is other:
            return True
        same_size = len(self.ipv4) == len(other.ipv4) and self.ipv6.size == other.ipv6.size
        return same_size and bool((self.ipv4 == other.ipv4).all() and self.ipv6.equals(other.ipv6).all())

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((len(self), *(int(np.bitwise_xor.reduce(array)) for array in (self.ipv4, *self.ipv6))))
        return self._hash

    def __repr__(self) -> str:
        shown = [str(network) for network in self[:_SHOWN]]
        if len(self) > _SHOWN:
            shown.append(f"... {len(self):,} in all")
        return f"Prefixes({', '.join(shown)})"

    def __reduce__(self) -> tuple[type[Prefixes], tuple[NDArray[np.uint64], Wide]]:
        return Prefixes, (self.ipv4, self.ipv6)

    def __copy__(self) -> Prefixes:
        return self

    def __deepcopy__(self, _: object) -> Prefixes:
        return self

    def _distinct_lengths(self) -> tuple[list[int], list[int]]:
        if self._lengths is None:
            self._lengths = np.unique(self.ipv4 & _LENGTH).tolist(), np.unique(self.ipv6.length).tolist()
        return self._lengths


def _network4(key: int) -> IPv4Network:
    return IPv4Network((key >> 8, key & 0xFF))


def _network6(high: int, low: int, length: int) -> IPv6Network:
    return IPv6Network((high << 64 | low, length))


def _distinct(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    if not len(keys) or (keys[:-1] < keys[1:]).all():
        return keys
    ordered = np.sort(keys)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]


def _positions(ascending: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return for each number where it is or would have to be inserted, and whether it is there."""
    positions = np.searchsorted(ascending, wanted)
    if not len(ascending):
        return positions, np.zeros(len(wanted), np.bool_)
    return positions, ascending[np.minimum(positions, len(ascending) - 1)] == wanted


_NONE: Final[NDArray[np.uint64]] = np.empty(0, np.uint64)

#: The empty set.
NO_PREFIXES: Final = Prefixes(_NONE, NO_WIDE)
