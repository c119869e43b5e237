"""What the programs of a governed host answer, all of it by one policy."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from pyxdp import abi
from pyxdp.bpf import Map
from pyxdp.errors import PinError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pyxdp.bpf import Program

K = TypeVar("K")


def at_one_time(bpffs: Path, program: Program, frames: Mapping[K, bytes]) -> dict[K, int]:
    """What the program answers to all of the frames, with no switch between the first and the last of them."""
    while True:
        before = generations(bpffs)
        runs = {key: program.test_run(frame).retval for key, frame in frames.items()}
        if generations(bpffs) == before:
            return runs


def generations(bpffs: Path) -> dict[Path, int]:
    """The number of the policy in force in each object; it only ever grows."""
    found = {}
    for maps in (bpffs / "pyxdp/v1/objects").glob("*/maps"):
        with suppress(PinError), Map.from_pin(maps / "control") as control, Map.from_pin(maps / "slots") as slots:
            active = abi.decode(abi.Control, control.read(0, 1)).active
            found[maps] = abi.decode(abi.Slot, slots.read(active, 1)).generation
    return found
