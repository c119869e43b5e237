"""The table that IPv6 addresses are looked up in, made from sorted pieces of all addresses.

Upper and lower halves of addresses are keys of trees of their own (:mod:`pyxdp.compiler.forest`). Where prefixes longer
than /64 are, the tree of upper halves leads to one of lower halves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp.abi import Entry, Ipv6Entry
from pyxdp.compiler.fitting import Hosts
from pyxdp.compiler.forest import Blocks, Forest

if TYPE_CHECKING:
    from pyxdp.compiler.keys import U32, U64, Indexes

#: What leads to a tree of lower halves, but for the number of its first block.
_LOWER: Final = int(Ipv6Entry.LOWER)
#: Blocks that are spent for few steps in small tables: 4 KiB.
_SPARE: Final = 64


def ipv6_blocks(high: U64, low: U64, classes: U32) -> U32:
    """Build the table of a slot.

    Args:
        high: upper half of the first address of each piece, from ``::`` upwards.
        low: lower half.
        classes: of the piece.

    Returns:
        The blocks, one row of sixteen 32-bit words each.

    Raises:
        CapacityError: more blocks than entries can name.
    """
    blocks = Blocks()
    start = blocks.add(2)
    starts, values, hosts = _upper_halves(blocks, high, low, classes | np.uint32(Entry.LEAF))
    root = int(Forest(blocks, starts, values, hosts).plant(np.array([0]), np.array([len(starts)]), _SPARE)[0])
    blocks.words[start : start + 2] = blocks.words[root : root + 2]
    return blocks.words


def _upper_halves(blocks: Blocks, high: U64, low: U64, values: U32) -> tuple[U64, U32, Hosts]:
    """Return the pieces of upper halves, after the trees of the lower halves that some of them lead to."""
    group = np.flatnonzero(np.diff(high, prepend=~high[:1]))
    size = np.diff(group, append=len(high))
    upper = high[group]
    begun_before = low[group] != 0
    is_cut = (size > 1) | begun_before
    first = group - begun_before
    size = group + size - first
    last = first + size - 1
    # One address inside of others: it begins with the second piece, and the third one goes on behind it.
    middle = np.minimum(first + 1, len(low) - 1)
    is_host = is_cut & (size == 3) & (values[first] == values[last])  # noqa: PLR2004 - before, itself, behind
    is_host &= low[last] - low[middle] == 1
    below = Forest(blocks, low, values)
    entries = values[first]
    several = is_cut & ~is_host
    entries[several] = below.plant(first[several], size[several]) | _LOWER
    # Behind an upper half that is cut, its last piece goes on, unless another one begins there or nothing is there.
    following = np.append(upper[1:], np.uint64(0))
    goes_on = is_cut & (upper + np.uint64(1) != following)
    of = np.repeat(np.arange(len(upper)), 1 + goes_on)
    behind = (np.arange(len(upper)) + np.cumsum(goes_on))[goes_on]
    starts, merged, inside = upper[of], entries[of], is_host[of]
    starts[behind] += np.uint64(1)
    merged[behind] = values[last[goes_on]]
    inside[behind] = False

    def plant(pieces: Indexes) -> U32:
        trees: U32 = below.plant(first[of[pieces]], size[of[pieces]]).astype(np.uint32)
        trees |= np.uint32(_LOWER)
        return trees

    return starts, merged, Hosts(inside, low[middle[of]], values[middle[of]], plant)
