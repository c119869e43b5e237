"""Trees of blocks of every shape say of every address what the pieces say that they were made of."""

from __future__ import annotations

from bisect import bisect_right
from random import Random
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from pyxdp.compiler.ipv6 import ipv6_blocks
from tests.compiler.reader import look_up_ipv6

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LAST: Final = (1 << 128) - 1
_LOW: Final = (1 << 64) - 1
#: Where prefixes are, as (address, length), and how long they are.
SHAPES: Final = {
    "anywhere": ([(0, 0)], range(1, 129)),
    "global unicast": ([(1 << 125, 3)], (32, 40, 48, 56, 64, 128)),
    "a few providers": (
        [(0x20010DB8 << 96, 32), (0x2A001450 << 96, 32), (0x26064700 << 96, 32)],
        (40, 48, 56, 64, 128),
    ),
    "hosts of one link": ([(0x20010DB8 << 96, 112)], (112, 120, 127, 128)),
    "the first addresses": ([(0, 100)], range(101, 129)),
    "the last addresses": ([(_LAST - (1 << 90) + 1, 38)], range(60, 129)),
    "networks and hosts in them": (
        [(0x20010DB8 << 96 | n * 0x9E3779B1 % (1 << 32) << 64, 64) for n in range(300)],
        (64, 128),
    ),
    "denser and denser": ([(0x2001 << 112, length) for length in range(16, 128, 3)], range(17, 129)),
}


def pieces_of(random: Random, shape: str, count: int) -> list[tuple[int, int]]:
    """Return (first address, class) of what prefixes of a shape cut: classes come again behind what is inside."""
    bases, lengths = SHAPES[shape]
    prefixes: dict[tuple[int, int], int] = {}
    for _ in range(count):
        base, shortest = random.choice(bases)
        length = max(random.choice(lengths), shortest)
        first = (base | random.getrandbits(128 - shortest)) >> 128 - length << 128 - length
        prefixes[first, -first - (1 << 128 - length)] = random.randrange(1, 1000)
    inside = [(-_LAST - 1, 0)]
    pieces: list[tuple[int, int]] = [(0, 0)]
    for (first, behind), number in [*sorted(prefixes.items()), ((_LAST + 1, 0), 0)]:
        while len(inside) > 1 and -inside[-1][0] <= first:
            pieces.append((-inside.pop()[0], inside[-1][1]))
        pieces.append((first, number))
        inside.append((behind, number))
    starts = dict(pieces)  # of several pieces with one start, the last one
    return [(start, number) for start, number in sorted(starts.items()) if start <= _LAST]


def blocks_of(pieces: list[tuple[int, int]]) -> NDArray[np.uint32]:
    """Build the table that says what pieces say."""
    return ipv6_blocks(
        np.array([start >> 64 for start, _ in pieces], np.uint64),
        np.array([start & _LOW for start, _ in pieces], np.uint64),
        np.array([number for _, number in pieces], np.uint32),
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3, 12, 100, 3000])
@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_say_what_pieces_say(shape: str, count: int) -> None:
    random = Random(f"{shape}{count}")  # noqa: S311 - reproducible
    made = pieces_of(random, shape, count)
    starts = [start for start, _ in made]
    words = memoryview(blocks_of(made).tobytes()).cast("I")
    probes = [random.getrandbits(128) for _ in range(50)]
    for start in random.sample(starts, min(150, len(starts))):
        probes += [max(start - 1, 0), start, min(start + 1, _LAST)]
    for address in probes:
        assert look_up_ipv6(words, address) == made[bisect_right(starts, address) - 1][1], f"{address:#x}"
