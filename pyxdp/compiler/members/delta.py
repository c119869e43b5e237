"""What a change of members writes into the active slot, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyxdp.errors import PyxdpError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class NeedsRebuildError(PyxdpError):
    """A change can not be made, or not cheaply, in the tables as they are: compile afresh. Tells why."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes for a place that nothing leads to yet.

    Attributes:
        map: its name.
        offset: in bytes from the start of the slot's half; a multiple of 4.
        data: what to write there.
    """

    map: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Flips:
    """Aligned stores of single numbers, each of which packets see at once.

    Attributes:
        map: its name.
        offsets: of each number, in bytes from the start of the slot's half; multiples of the number's size.
        values: the numbers, in the order of the offsets.
    """

    map: str
    offsets: NDArray[np.int64]
    values: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Delta:
    """One change.

    Every write must be visible before the first flip; the writes among themselves, and the flips among themselves, may
    come in any order. Whoever looks up an address at whatever moment finds the class that it had or the class that it
    gets.
    """

    writes: tuple[Write, ...] = ()
    flips: tuple[Flips, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.writes or self.flips)
