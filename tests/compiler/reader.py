"""Reads the tables of an image as the programs do, one step after the other."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pyxdp import abi
from pyxdp.abi import Entry, Field, Ipv6Entry, Ipv6Kind, Limit, Page, Piece, Service, SportClass, Verdict
from pyxdp.compiler.service import SPACES
from pyxdp.net.values import ICMP, ICMPV6
from pyxdp.resolver import Direction, PolicyClass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.compiler import MapImage
    from pyxdp.net import Address, Packet

_MASK64 = (1 << 64) - 1
_WIDTH = int(Limit.PAGE_ENTRIES)


@dataclass(frozen=True)
class Lookup:
    """The tables that numbers and addresses walk, as the programs read them."""

    pages: Sequence[int]
    units: Sequence[int]

    def ipv4(self, address: int) -> int:
        entry = self._entry(Page.IPV4 + (address >> 24), address >> 16)
        if not entry & Entry.LEAF:
            assert not entry >> Entry.PIECES_SHIFT, "only the third byte leads to lists"
            entry = self._entry(entry, address >> 8)
        if entry & Entry.LEAF:
            return entry & Entry.LEAF_MASK
        if entry >> Entry.PIECES_SHIFT:
            return self._piece(entry, address & 0xFF)
        return self._leaf(self._entry(entry, address))

    def service(self, key: int) -> int:
        return self._last_byte(self._entry(Page.SERVICE + (key >> 16), key >> 8), key)

    def sport(self, port: int) -> int:
        return self._last_byte(self._entry(Page.SPORT, port >> 8), port)

    def _entry(self, page: int, byte: int) -> int:
        return self.pages[page * _WIDTH + (byte & 0xFF)]

    def _last_byte(self, entry: int, key: int) -> int:
        return entry & Entry.LEAF_MASK if entry & Entry.LEAF else self._leaf(self._entry(entry, key))

    def _leaf(self, entry: int) -> int:
        assert entry & Entry.LEAF
        return entry & Entry.LEAF_MASK

    def _piece(self, entry: int, byte: int) -> int:
        """The class of a byte; what the program finds by halving is what a search from the beginning finds."""
        k = entry >> Entry.PIECES_SHIFT
        assert k <= Entry.PIECES_MAX
        first = (entry & Entry.NUMBER_MASK) * Limit.PIECES_PER_UNIT
        pieces = self.units[first : first + (Limit.PIECES_PER_UNIT << k - 1)]
        assert len(pieces) == Limit.PIECES_PER_UNIT << k - 1
        starts = [piece >> Piece.FIRST_SHIFT for piece in pieces]
        assert starts[0] == 0
        different = list(dict.fromkeys(pieces))
        assert pieces.tolist() == different + different[-1:] * (len(pieces) - len(different)), "the last one repeats"
        assert starts[: len(different)] == sorted(set(starts))
        return pieces[bisect_right(starts, byte) - 1] & Piece.CLASS_MASK


def look_up_ipv6(blocks: Sequence[int], key: int) -> int:
    """Walk the tree of blocks, see enum pyxdp_ipv6_entry."""
    half, low = key >> 64, key & _MASK64
    number = half >> 63
    for _ in range(Ipv6Entry.STEPS):
        cuts, parts = (abi.decode(kind, _block(blocks, number)) for kind in (abi.Cuts, abi.Parts))
        if cuts.kind == Ipv6Kind.CUTS:
            assert cuts.start[-1] - cuts.start[0] < 1 << 63
            entry = cuts.value[bisect_right(cuts.start, half)]
        elif not parts.first <= half <= parts.first + parts.span:
            assert abs(half - parts.first) < 1 << 63
            entry = parts.before if half < parts.first else parts.behind
        else:
            kind = cuts.kind & ~Ipv6Kind.SHIFT_MASK
            place = half - parts.first >> (cuts.kind & Ipv6Kind.SHIFT_MASK)
            if kind == Ipv6Kind.BLOCKS:
                number = parts.block + place
                continue
            if kind == Ipv6Kind.RANGES:
                entry = entry_in_ranges(abi.decode(abi.Ranges, _block(blocks, parts.block + place)), half, low)
            else:
                assert kind == Ipv6Kind.FAN
                entry = blocks[parts.block * Limit.BLOCK_ENTRIES + place]
        if entry & Entry.LEAF:
            return entry & Entry.LEAF_MASK
        number = entry & Ipv6Entry.BLOCK_MASK
        if entry & Ipv6Entry.LOWER:
            half = low
            number += half >> 63
    raise AssertionError("no end")


def entry_in_ranges(ranges: abi.Ranges, key: int, low: int) -> int:
    """The entry of the range that a key is in, or of what is beside; by looking at each, and as kern/ipv6.h does it."""
    inside = [
        value & ~Ipv6Entry.HOST
        for first, span, value in zip(ranges.first, ranges.span, ranges.value, strict=True)
        if ((key, low) == (first, span) if value & Ipv6Entry.HOST else first <= key <= first + span)
    ]
    before = sum(1 for first in ranges.first[:-1] if (key - first & _MASK64) >> 63)
    first, span, value = ranges.first[before], ranges.span[before], ranges.value[before]
    distance = key - first & _MASK64
    found = (distance, low) == (0, span) if value & Ipv6Entry.HOST else distance <= span
    assert inside == ([value & ~Ipv6Entry.HOST] if found else [])
    return inside[0] if inside else ranges.beside


def _block(blocks: Sequence[int], number: int) -> bytes:
    return bytes(blocks[number * Limit.BLOCK_ENTRIES : (number + 1) * Limit.BLOCK_ENTRIES])


def service_key(packet: Packet) -> int:
    """The key as the transport parser makes it."""
    if packet.later_fragment:
        return Service.FRAGMENT << 16 | packet.protocol
    if packet.protocol in (ICMP, ICMPV6):
        return SPACES[packet.protocol] << 16 | (packet.icmp_type or 0) << 8 | (packet.icmp_code or 0)
    if packet.protocol in SPACES:
        return SPACES[packet.protocol] << 16 | (packet.destination_port or 0)
    return Service.OTHER << 16 | packet.protocol


@dataclass(frozen=True)
class Reader:
    """An image whose tables are decoded."""

    image: MapImage

    @cached_property
    def lookup(self) -> Lookup:
        return Lookup(abi.decode_u32(self.image.tables["pages"]), abi.decode_u32(self.image.tables["pieces"]))

    @cached_property
    def blocks(self) -> Sequence[int]:
        return abi.decode_u32(self.image.tables["ipv6"])

    @cached_property
    def index(self) -> Sequence[abi.RowPlace]:
        return abi.decode_array(abi.RowPlace, self.image.tables["row_index"])

    @cached_property
    def rows(self) -> Sequence[int]:
        return abi.decode_u64(self.image.tables["rows"])

    @cached_property
    def rules(self) -> Sequence[abi.Rule]:
        return abi.decode_array(abi.Rule, self.image.tables["rules"])

    @cached_property
    def rulesets(self) -> Sequence[abi.Ruleset]:
        return abi.decode_array(abi.Ruleset, self.image.tables["rulesets"])

    def ruleset(
        self, interface: str, direction: Direction, policy_class: PolicyClass = PolicyClass.UNTRACKED
    ) -> abi.Ruleset:
        """The ruleset of an endpoint; with ``words == 0`` where it has none."""
        first = self.image.endpoints[interface] * Limit.RULESETS_PER_ENDPOINT
        return self.rulesets[first + policy_class.value * 2 + direction.value]

    def classes(self, packet: Packet, direction: Direction) -> dict[Field, int]:
        """The equivalence class of each field."""
        ends = (packet.source, packet.destination)
        remote, local = ends if direction is Direction.INGRESS else ends[::-1]
        port = packet.source_port
        if port is None:
            sport = int(SportClass.UNKNOWN if packet.later_fragment else SportClass.NONE)
        else:
            sport = self.lookup.sport(port)
        return {
            Field.REMOTE: self._address(remote),
            Field.LOCAL: self._address(local),
            Field.SERVICE: self.lookup.service(service_key(packet)),
            Field.SPORT: sport,
        }

    def _address(self, address: Address) -> int:
        if address.version == 4:
            return self.lookup.ipv4(int(address))
        return look_up_ipv6(self.blocks, int(address))

    def row(self, ruleset: abi.Ruleset, field: Field, number: int) -> tuple[int, int]:
        """Aggregate words and words of a row, each as one number."""
        width = ruleset.aggregates + ruleset.words
        start = ruleset.row_base[field] + (number if ruleset.fields & 1 << field else 0)
        place = self.index[start] if ruleset.words > 1 else None
        start = place.row if place else start
        words = self.rows[start : start + width]
        assert len(words) == width
        aggregates = _number(words[: ruleset.aggregates])
        assert place is None or place.aggregate == first_aggregates(aggregates)
        return aggregates, _number(words[ruleset.aggregates :])

    def candidates(
        self, interface: str, direction: Direction, packet: Packet, policy_class: PolicyClass = PolicyClass.UNTRACKED
    ) -> list[int]:
        """Every rule that matches a packet, in order, counted from the ruleset's first."""
        ruleset = self.ruleset(interface, direction, policy_class)
        bits = (1 << ruleset.words * Limit.WORD_BITS) - 1
        for field, number in self.classes(packet, direction).items():
            bits &= self.row(ruleset, field, number)[1]
        return [number for number in range(bits.bit_length()) if bits >> number & 1]

    def way(self, interface: str, direction: Direction, packet: Packet, policy_class: PolicyClass) -> list[abi.Rule]:
        """The Log and Pass rules that a whole packet meets, and the rule that decides."""
        first = self.ruleset(interface, direction, policy_class).rule_base
        met: list[abi.Rule] = []
        resume = 0
        for number in self.candidates(interface, direction, packet, policy_class):
            if number >= resume:
                met.append(self.rules[first + number])
                if met[-1].verdict != Verdict.CONTINUE:
                    break
                resume = met[-1].resume
        return met


def first_aggregates(aggregates: int) -> tuple[int, ...]:
    """Those of a row, as one number, that its place has."""
    return tuple(aggregates >> Limit.WORD_BITS * n & _MASK64 for n in range(Limit.PLACE_AGGREGATES))


def _number(words: Sequence[int]) -> int:
    return sum(word << Limit.WORD_BITS * index for index, word in enumerate(words))
