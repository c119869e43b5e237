"""A slot of the maps as packets read it, while deltas are carried out store by store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pyxdp import abi
from pyxdp.abi import Entry, Field, Ipv6Entry, Ipv6Kind, Limit, Page
from tests.compiler.reader import entry_in_ranges, first_aggregates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyxdp.compiler import MapImage
    from pyxdp.compiler.members import Delta

ENTRY_BYTES = {"pages": 1024, "pieces": 16, "ipv6": 64, "rows": 8, "row_index": abi.sizeof(abi.RowPlace)}
_LOW = (1 << 64) - 1


class SlotModel:
    """The tables that member changes write to.

    What nobody has written is set to a pattern that leads nowhere, so that whoever reads it fails.
    """

    def __init__(self, tables: Mapping[str, bytes], room: Mapping[str, int]) -> None:
        self.memory = {name: np.full(room[name] * size, 0x5A, np.uint8) for name, size in ENTRY_BYTES.items()}
        for name, memory in self.memory.items():
            memory[: len(tables[name])] = np.frombuffer(tables[name], np.uint8)

    def carried_out(self, delta: Delta) -> Iterator[None]:
        """Carry a delta out; yield after every write and every flip."""
        for write in delta.writes:
            assert write.offset % 4 == 0
            end = write.offset + len(write.data)
            assert end <= len(self.memory[write.map])
            self.memory[write.map][write.offset : end] = np.frombuffer(write.data, np.uint8)
            yield
        for flips in delta.flips:
            for offset, value in zip(flips.offsets.tolist(), flips.values, strict=True):
                assert offset % value.itemsize == 0
                self.memory[flips.map][offset : offset + value.itemsize] = np.frombuffer(value.tobytes(), np.uint8)
                yield

    def class_of(self, version: int, address: int) -> int:
        """The class of an address, as the programs find it."""
        return self.class_of_ipv4(address) if version == 4 else self.class_of_ipv6(address)

    def class_of_ipv4(self, address: int) -> int:
        """Two bytes, then one, then one: pages, and lists for the last."""
        entry = self._page(Page.IPV4 + (address >> 24), address >> 16 & 0xFF)
        if not entry & Entry.LEAF:
            entry = self._page(entry, address >> 8 & 0xFF)
        if not entry & Entry.LEAF:
            k, number = entry >> Entry.PIECES_SHIFT, entry & Entry.NUMBER_MASK
            entry = Entry.LEAF | self._piece(number, k, address & 0xFF) if k else self._page(number, address & 0xFF)
        assert entry & Entry.LEAF
        return entry & Entry.LEAF_MASK

    def class_of_ipv6(self, address: int) -> int:
        """A walk through blocks: cuts and fans."""
        key = address >> 64
        entry = 0
        block = key >> 63
        for _ in range(Ipv6Entry.STEPS):
            words = self.memory["ipv6"][block * 64 :][:64].tobytes()
            cuts, parts = abi.decode(abi.Cuts, words), abi.decode(abi.Parts, words)
            kind, place = cuts.kind & ~Ipv6Kind.SHIFT_MASK, key - parts.first >> (cuts.kind & Ipv6Kind.SHIFT_MASK)
            if cuts.kind == Ipv6Kind.CUTS:
                assert list(cuts.start) == sorted(cuts.start)
                entry = cuts.value[sum(start <= key for start in cuts.start)]
            elif key < parts.first or key > parts.first + parts.span:
                entry = parts.before if key < parts.first else parts.behind
            elif kind == Ipv6Kind.BLOCKS:
                block = parts.block + place
                continue
            elif kind == Ipv6Kind.RANGES:
                words = self.memory["ipv6"][(parts.block + place) * 64 :][:64].tobytes()
                entry = entry_in_ranges(abi.decode(abi.Ranges, words), key, address & _LOW)
            else:
                block = parts.block + place // Limit.BLOCK_ENTRIES
                entry = self._words("ipv6", block, 16)[place % Limit.BLOCK_ENTRIES]
            if entry & Entry.LEAF:
                break
            if entry & Ipv6Entry.LOWER:
                key = address & _LOW
            block = (entry & Ipv6Entry.BLOCK_MASK) + (key >> 63 if entry & Ipv6Entry.LOWER else 0)
        assert entry & Entry.LEAF
        return entry & Entry.LEAF_MASK

    def row(self, record: abi.Ruleset, field: abi.Field, number: int) -> int:
        """The row of an address class, without aggregates, as one number; the aggregates must agree with it."""
        at = record.row_base[field] + number
        if record.words > 1:
            place = self._row_place(at)
            at = place.row
        first, end = (at + record.aggregates) * 8, (at + record.aggregates + record.words) * 8
        words = self.memory["rows"][first:end].view(np.uint64).tolist()
        aggregates = int.from_bytes(self.memory["rows"][at * 8 : first].tobytes(), "little")
        if record.words > 1:
            assert aggregates == sum(1 << n for n, word in enumerate(words) if word)
            assert place.aggregate == first_aggregates(aggregates)
        return sum(word << 64 * n for n, word in enumerate(words))

    def _row_place(self, number: int) -> abi.RowPlace:
        size = abi.sizeof(abi.RowPlace)
        return abi.decode(abi.RowPlace, self.memory["row_index"][number * size : (number + 1) * size].tobytes())

    def _page(self, page: int, index: int) -> int:
        return self._words("pages", page, 256)[index]

    def _piece(self, unit: int, k: int, byte: int) -> int:
        pieces = [piece for n in range(1 << k - 1) for piece in self._words("pieces", unit + n, 4)]
        assert pieces == sorted(pieces)
        assert pieces[0] >> 24 == 0
        return [piece for piece in pieces if piece >> 24 <= byte][-1] & 0xFFFFFF

    def _words(self, name: str, number: int, width: int) -> list[int]:
        at = number * width * 4
        words = self.memory[name][at : at + width * 4].view(np.uint32)
        assert len(words) == width, f"{name}[{number}] is outside"
        return [int(word) for word in words] if width < 256 else words  # type: ignore[return-value]


@dataclass
class Judged:
    """What the programs make of addresses: the row of an address in each field of each ruleset."""

    image: MapImage
    slot: SlotModel

    @classmethod
    def of(cls, image: MapImage, room: Mapping[str, int]) -> Judged:
        return cls(image, SlotModel(image.tables, room))

    def rows(self, version: int, address: int) -> list[int]:
        number = self.slot.class_of(version, address)
        assert self.image.addresses
        return [
            self.slot.row(record, one, number)
            for record, _, _ in self.image.addresses.rulesets
            for one in (Field.REMOTE, Field.LOCAL)
            if record.fields & 1 << one
        ]


def room_of(image: MapImage, more: int = 600) -> dict[str, int]:
    return {name: len(image.tables[name]) // size + more for name, size in ENTRY_BYTES.items()}
