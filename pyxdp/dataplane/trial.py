"""The programs on a map image, without pins and interfaces: for asking what they would do with a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.abi import Direction, Limit, Slot, encode
from pyxdp.bpf import Object
from pyxdp.dataplane.code import PREFIX
from pyxdp.errors import CapacityError
from pyxdp.planner import ENTRY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from pyxdp.bpf import TestRun
    from pyxdp.compiler import MapImage
    from pyxdp.planner import Table

#: Entries of one slot, enough for policies of some thousand rules; a larger image says what it needs.
DEFAULT_CAPACITIES: Final = {
    "rules": 4096,
    "rows": 65_536,
    "row_index": 16_384,
    "pages": 1024,
    "pieces": 16_384,
    "ipv6": 8192,
}


class Trial:
    """One instance of the programs; endpoint 0 is whichever one it is given. Use as a context manager.

    Args:
        code: the BPF object.
        capacities: entries of one slot of each map.
        counters: entries of the counter map.
    """

    def __init__(
        self, code: bytes, *, capacities: Mapping[str, int] = DEFAULT_CAPACITIES, counters: int = 4096
    ) -> None:
        self._capacities = {"rulesets": int(Limit.RULESETS_PER_SLOT), **capacities}
        self._slot = 0
        self._image: MapImage | None = None
        self.object = Object.open(code, name="pyxdp")
        try:
            for name, entries in capacities.items():
                self.object.maps[f"{PREFIX}{name}"].max_entries = entries * Limit.SLOTS
                self.object.rodata[f"{PREFIX}half_{name}"] = entries
            self.object.maps[f"{PREFIX}counters"].max_entries = counters
            self.object.load()
            if f"{PREFIX}questions" in self.object.maps:
                self.object.maps[f"{PREFIX}questions"].put(0, self.object.programs[f"{PREFIX}answer"])
        except BaseException:
            self.object.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.object.close()

    def fill(self, image: MapImage, interface: str) -> None:
        """Judge from now on by this image, as if on this interface. Another interface of the same image costs little.

        Raises:
            CapacityError: the image does not fit.
        """
        if image is not self._image:
            self._image = None
            self._slot ^= 1
            for name, table in image.tables.items():
                if name != "rulesets":
                    self._write(name, table)
            self._image = image
        self._write("rulesets", self._rulesets(image.tables["rulesets"], image.endpoints.get(interface)))
        header = Slot(1, 0, image.digest)
        self.object.maps[f"{PREFIX}slots"].write(self._slot, encode(header))
        self.object.maps[f"{PREFIX}control"].store_u32(0, self._slot)

    def run(self, program: str, frame: bytes, *, repeat: int = 1) -> TestRun:
        """Run a program (``xdp``, ``in_allow``, ``in_deny``, ...) on a frame."""
        return self.object.programs[f"{PREFIX}{program}"].test_run(frame, repeat=repeat)

    def packets(self, count: int) -> list[int]:
        """Return how many packets each of the first ``count`` identities has decided or logged so far."""
        return [sums[0] for sums in self.object.maps[f"{PREFIX}counters"].read_sums(0, count)] if count else []

    def reasons(self) -> list[int]:
        """Return how often each reason was counted so far: those of ingress, then those of egress."""
        by_direction = self.object.maps[f"{PREFIX}reasons"].read_sums(0, len(Direction))
        return [packets for packets_of in by_direction for packets in packets_of]

    def _write(self, name: str, content: Table) -> None:
        half = self._capacities[name]
        needed = -(-len(content) // ENTRY_BYTES[name])
        if needed > half:
            raise CapacityError(f"trial: {name}", needed=needed, limit=half)
        self.object.maps[f"{PREFIX}{name}"].write(self._slot * half, content)

    @staticmethod
    def _rulesets(table: Table, endpoint: int | None) -> bytes:
        """Return the table with one endpoint only, as number 0."""
        width = ENTRY_BYTES["rulesets"] * Limit.RULESETS_PER_ENDPOINT
        return bytes(width) if endpoint is None else bytes(table[endpoint * width : (endpoint + 1) * width])
