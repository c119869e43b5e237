"""Reads the tables of an image as the programs do, one step after the other."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pyxdp import abi
from pyxdp.abi import Entry, Field, Index, Limit, Page, Service, SportClass, Verdict
from pyxdp.compiler.service import SPACES
from pyxdp.net.values import ICMP, ICMPV6
from pyxdp.resolver import Direction, PolicyClass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.compiler import MapImage
    from pyxdp.net import Address, Packet

_MASK64 = (1 << 64) - 1


def look_up_page(entries: Sequence[int], page: int, bits: int, key: int) -> int:
    """Walk the pages from the root at ``page`` on, which all bits index but the lower bytes."""
    root_shift = 16 if bits == 32 else 8
    entry = entries[page * Limit.PAGE_ENTRIES + (key >> root_shift)]
    for shift in range(root_shift - 8, -1, -8):
        if entry & Entry.LEAF:
            break
        entry = entries[entry * Limit.PAGE_ENTRIES + (key >> shift & 0xFF)]
    assert entry & Entry.LEAF
    return entry & Entry.LEAF_MASK


def look_up_range(ranges: Sequence[abi.Range], index: Sequence[int], key: int) -> int:
    """Find the bucket of an address's upper half, in it the range, and if need be the lower half."""
    high, low = key >> 64, key & _MASK64
    origin, shape = index[Index.ORIGIN], index[Index.SHAPE]
    bucket = 0 if high < origin else 1 + (high - origin >> (shape & 63))
    entry = index[Index.BUCKETS + min(bucket, shape >> 32)]
    if not entry >> 32:
        return entry
    found = _search(ranges, entry & 0xFFFFFFFF, entry >> 32, high)
    if found.length:
        found = _search(ranges, found.value, found.length, low)
    return found.value


def _search(ranges: Sequence[abi.Range], first: int, count: int, key: int) -> abi.Range:
    """The last range that starts at or before the key; the first one must."""
    part = ranges[first : first + count]
    starts = [one.start for one in part]
    assert len(part) == count
    assert starts[0] <= key
    assert starts == sorted(set(starts))
    return part[bisect_right(starts, key) - 1]


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
    def pages(self) -> Sequence[int]:
        return abi.decode_u32(self.image.tables["pages"])

    @cached_property
    def ranges(self) -> Sequence[abi.Range]:
        return abi.decode_array(abi.Range, self.image.tables["ranges"])

    @cached_property
    def index(self) -> Sequence[int]:
        return abi.decode_u64(self.image.tables["range_index"])

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
            sport = look_up_page(self.pages, Page.SPORT, 16, port)
        return {
            Field.REMOTE: self._address(remote),
            Field.LOCAL: self._address(local),
            Field.SERVICE: look_up_page(self.pages, Page.SERVICE, 19, service_key(packet)),
            Field.SPORT: sport,
        }

    def _address(self, address: Address) -> int:
        if address.version == 4:
            return look_up_page(self.pages, Page.IPV4, 32, int(address))
        return look_up_range(self.ranges, self.index, int(address))

    def row(self, ruleset: abi.Ruleset, field: Field, number: int) -> tuple[int, int]:
        """Aggregate words and words of a row, each as one number."""
        width = ruleset.aggregates + ruleset.words
        start = ruleset.row_base[field] + (number if ruleset.fields & 1 << field else 0) * width
        words = self.rows[start : start + width]
        assert len(words) == width
        return _number(words[: ruleset.aggregates]), _number(words[ruleset.aggregates :])

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


def _number(words: Sequence[int]) -> int:
    return sum(word << Limit.WORD_BITS * index for index, word in enumerate(words))
