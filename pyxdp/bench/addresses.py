"""Prefixes in the shapes that they have in the world. The same seed gives the same prefixes on any machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp.net.prefixes import Prefixes
from pyxdp.net.wide import NO_WIDE, Wide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: First bytes that no generated prefix has: private and special networks, and 198, which packets of measurements use.
RESERVED: Final = frozenset({0, 10, 127, 169, 172, 192, 198, *range(224, 256)})

#: Lengths of a blocklist, in per cent: single hosts and the networks they turn out to be in.
BLOCKLIST: Final = {32: 42, 24: 38, 23: 4, 22: 6, 21: 2, 20: 3, 19: 2, 28: 1, 29: 1, 30: 1}
#: What a registry has given to one country: mostly /22 to /24, a tail of large old blocks.
COUNTRY: Final = {24: 33, 23: 12, 22: 24, 21: 8, 20: 7, 19: 6, 18: 4, 17: 2.5, 16: 2.5, 15: 0.6, 14: 0.4}
#: Lengths of IPv6 prefixes as lists of networks have them, and single hosts.
WIDE: Final = {32: 18, 40: 6, 44: 6, 48: 40, 56: 8, 64: 12, 128: 10}

_PUBLIC: Final = np.array([first for first in range(256) if first not in RESERVED], np.uint64)
#: Addresses of a /16.
_BLOCK: Final = 1 << 16
#: Of the prefixes of a country, how many follow right behind another one.
_ADJACENT: Final = 0.55
_AFRESH: Final = 0.02


def blocklist(count: int, seed: int = 0) -> Prefixes:
    """Return ``count`` disjoint IPv4 prefixes with the lengths of a blocklist, all over the public address space.

    Each has a stretch of the address space to itself, in a random place of it; the stretches are as long as can be.

    Args:
        count: up to about six million: then the address space is full.
        seed: the same gives the same prefixes.

    Raises:
        ValueError: it is full.
    """
    random = np.random.default_rng([seed, 1])
    lengths = np.sort(_lengths(random, BLOCKLIST, count))
    sizes = np.uint64(1) << (np.uint64(32) - lengths)
    blocks = random.permutation((_PUBLIC[:, None] << np.uint64(8) | np.arange(256, dtype=np.uint64)).ravel())
    stretch = np.uint64(_BLOCK)
    while np.maximum(sizes, stretch).sum() > len(blocks) * _BLOCK:
        stretch >>= np.uint64(1)
        if not stretch:
            raise ValueError(f"{count:,} prefixes of a blocklist do not fit into the address space")
    # The longest come first, so that each begins at a multiple of its length and none crosses the end of a block.
    stretches = np.maximum(sizes, stretch)
    begins = np.cumsum(stretches) - stretches
    within = begins % np.uint64(_BLOCK) + random.integers(0, stretches // sizes, count, np.uint64) * sizes
    address = blocks[(begins // np.uint64(_BLOCK)).astype(np.intp)] << np.uint64(16) | within
    return Prefixes(np.sort(address << np.uint64(8) | lengths), NO_WIDE)


def country(count: int, seed: int = 0) -> Prefixes:
    """Return up to ``count`` disjoint IPv4 prefixes as one country has them: in clusters, often side by side."""
    random = np.random.default_rng([seed, 2])
    lengths = _lengths(random, COUNTRY, count)
    blocks = random.choice(_PUBLIC, size=12, replace=False) << np.uint64(24)
    kind = random.random(count)
    gaps = random.integers(1, 1 << 17, count)
    where = random.integers(0, 1 << 24, count)
    found, at = [], 0
    for number, length in enumerate(lengths.tolist()):
        if number == 0 or kind[number] < _AFRESH:
            at = int(blocks[number % len(blocks)]) + int(where[number])
        elif kind[number] > _ADJACENT:
            at += int(gaps[number])
        size = 1 << 32 - length
        start = -(-at // size) * size
        at = start + size
        if (start >> 24) not in RESERVED and at <= 1 << 32:
            found.append(start << 8 | length)
    return Prefixes(_disjoint(np.array(found, np.uint64)), NO_WIDE)


def wide(count: int, seed: int = 0) -> Prefixes:
    """Return ``count`` distinct IPv6 prefixes of /32 to /64 and /128 in 2000::/3, clustered as registries give them."""
    random = np.random.default_rng([seed, 3])
    found = NO_WIDE
    while found.size < count:
        missing = count - found.size
        lengths = _lengths(random, WIDE, missing + missing // 8 + 16)
        # A registry's block, a provider in it, a customer of the provider: fewer of the former than of the latter.
        providers = random.integers(0, max(16, count // 16), len(lengths)).astype(np.uint64)
        upper = np.uint64(0x2A00 << 48) | (_scattered(providers) >> np.uint64(16) & np.uint64(0xFFFFFF << 24))
        upper |= random.integers(0, 1 << 32, len(lengths), np.uint64)
        lower = random.integers(0, 1 << 64, len(lengths), np.uint64)
        upper_bits = np.minimum(lengths, 64)
        upper &= ~np.uint64(0) << (np.uint64(64) - upper_bits)
        lower = np.where(lengths > np.uint64(64), lower, np.uint64(0))
        more = Wide(upper, lower, lengths.astype(np.uint8))
        found = Wide.concatenated([found, more]).distinct()
    chosen = np.sort(random.choice(found.size, count, replace=False))
    return Prefixes(np.empty(0, np.uint64), found.at(chosen))


def sources(prefixes: Prefixes, count: int, seed: int = 0) -> list[int]:
    """Return ``count`` IPv4 addresses, each in a prefix chosen at random: as a flood from a blocklist comes."""
    random = np.random.default_rng([seed, 4])
    chosen = random.choice(prefixes.ipv4, count)
    sizes = np.uint64(1) << (np.uint64(32) - (chosen & np.uint64(0xFF)))
    hosts = (chosen >> np.uint64(8)) + random.integers(0, sizes, count, np.uint64)
    return [int(host) for host in hosts.tolist()]


def anywhere(count: int, seed: int = 0) -> list[int]:
    """Return ``count`` uniformly random public IPv4 addresses."""
    random = np.random.default_rng([seed, 5])
    return [int(key) >> 8 for key in _anywhere(random, np.full(count, 32, np.uint64)).tolist()]


def _lengths(random: np.random.Generator, histogram: Mapping[int, float], count: int) -> NDArray[np.uint64]:
    weights = np.array(list(histogram.values()))
    chosen: NDArray[np.uint64] = random.choice(np.array(list(histogram), np.uint64), count, p=weights / weights.sum())
    return chosen


def _anywhere(random: np.random.Generator, lengths: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Keys of prefixes with these lengths."""
    within = random.integers(0, 1 << 24, len(lengths), np.uint64)
    zeros = np.uint64(32) - lengths
    address = (random.choice(_PUBLIC, len(lengths)) << np.uint64(24) | within) >> zeros << zeros
    keys: NDArray[np.uint64] = address << np.uint64(8) | lengths
    return keys


def _disjoint(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Leave out what another prefix holds, or what is there twice."""
    keys = np.sort(keys)
    start = keys >> np.uint64(8)
    end = start + (np.uint64(1) << (np.uint64(32) - (keys & np.uint64(0xFF))))
    covered = np.concatenate((np.zeros(1, np.uint64), np.maximum.accumulate(end)[:-1]))
    apart: NDArray[np.uint64] = keys[start >= covered]
    return apart


def _scattered(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread small numbers over 64 bits: multiplication by 2^64 / golden ratio."""
    spread: NDArray[np.uint64] = numbers * np.uint64(0x9E3779B97F4A7C15)
    return spread
