"""Equivalence classes: which values of a field no rule can tell apart.

A class of addresses is "these address sets, and no others, hold the address". Classes are numbered from 0 in order of
first appearance: IPv4 addresses upwards, then IPv6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyxdp.abi import SportClass
from pyxdp.compiler.intervals import Intervals, segments
from pyxdp.compiler.service import KEYS, LAST_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyxdp.compiler.matches import AddressCondition
    from pyxdp.net.values import Family
    from pyxdp.resolver import AddressSet

    Boundaries = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class AddressClasses:
    """All addresses, cut into classes.

    Attributes:
        ipv4: ``(first address, class)`` of each piece, from 0.0.0.0 upwards.
        ipv6: likewise.
        kinds: for each class its IP version and its members: bit i is set when it is in the set number i.
        numbers: number of each address set by its id.
    """

    ipv4: Boundaries
    ipv6: Boundaries
    kinds: tuple[tuple[Family, int], ...]
    numbers: dict[str, int]


@dataclass(frozen=True, slots=True)
class NumberClasses:
    """A field with small numbers, cut into classes.

    Attributes:
        pieces: ``(first value, class)``, from 0 upwards.
        members: for each class: bit i is set when it satisfies the condition number i.
        numbers: number of each condition.
    """

    pieces: Boundaries
    members: tuple[int, ...]
    numbers: dict[Intervals | None, int]


def address_classes(sets: Iterable[AddressSet]) -> AddressClasses:
    """Cut both address families by the sets' prefixes."""
    numbers: dict[str, int] = {}
    prefixes: dict[Family, dict[tuple[int, int], int]] = {4: {}, 6: {}}
    for one in sets:
        if one.id in numbers:
            continue
        number = numbers[one.id] = len(numbers)
        for network in one.networks:
            of_family = prefixes[network.version]
            key = int(network.network_address), network.prefixlen
            of_family[key] = of_family.get(key, 0) | 1 << number
    classes: dict[tuple[Family, int], int] = {}
    ipv4 = _cut(4, 32, prefixes[4], classes)
    ipv6 = _cut(6, 128, prefixes[6], classes)
    return AddressClasses(ipv4, ipv6, tuple(classes), numbers)


def _cut(
    family: Family, bits: int, prefixes: dict[tuple[int, int], int], classes: dict[tuple[Family, int], int]
) -> Boundaries:
    """Cut a family's addresses where membership changes. Prefixes are nested or disjoint, so a stack will do."""
    pieces: list[tuple[int, int]] = []

    def begin(start: int, members: int) -> None:
        number = classes.setdefault((family, members), len(classes))
        if pieces and pieces[-1][0] == start:
            pieces.pop()
        if not pieces or pieces[-1][1] != number:
            pieces.append((start, number))

    open_until: list[tuple[int, int]] = [(1 << bits, 0)]
    classes.setdefault((family, 0), len(classes))
    begin(0, 0)
    for (start, length), members in sorted(prefixes.items()):
        while open_until[-1][0] <= start:
            end, _ = open_until.pop()
            begin(end, open_until[-1][1])
        inside = members | open_until[-1][1]
        open_until.append((start + (1 << bits - length), inside))
        begin(start, inside)
    while len(open_until) > 1:
        end, _ = open_until.pop()
        if end < 1 << bits:
            begin(end, open_until[-1][1])
    return tuple(pieces)


def service_classes(conditions: Iterable[Intervals]) -> NumberClasses:
    """Cut the service keys by sets of keys."""
    numbers = _numbered(conditions)
    return _classes(numbers, segments([one or () for one in numbers], KEYS - 1), {})


def sport_classes(conditions: Iterable[Intervals | None]) -> NumberClasses:
    """Cut source ports by sets of ports; ``None`` accepts every packet.

    A packet without ports satisfies only ``None``; of a later fragment nobody can say that it does not satisfy.
    """
    numbers = _numbered(conditions)
    anything = sum(1 << number for one, number in numbers.items() if one is None)
    fixed = {SportClass.NONE: anything, SportClass.UNKNOWN: (1 << len(numbers)) - 1}
    whole = ((0, LAST_PORT),)
    return _classes(numbers, segments([whole if one is None else one for one in numbers], LAST_PORT), fixed)


def _numbered(conditions: Iterable[Intervals | None]) -> dict[Intervals | None, int]:
    return {condition: number for number, condition in enumerate(dict.fromkeys(conditions))}


def _classes(
    numbers: dict[Intervals | None, int], pieces: Iterable[tuple[int, int]], fixed: dict[SportClass, int]
) -> NumberClasses:
    """Number the classes: those of ``fixed`` first, whether a value has them or not."""
    members = [fixed[one] for one in sorted(fixed)]
    classes: dict[int, int] = {}
    cut = []
    for start, satisfied in pieces:
        if satisfied not in classes:
            classes[satisfied] = len(members)
            members.append(satisfied)
        cut.append((start, classes[satisfied]))
    return NumberClasses(tuple(cut), tuple(members), numbers)


def address_rows(classes: AddressClasses, conditions: Sequence[AddressCondition]) -> list[int]:
    """Return for each class the rules whose condition it satisfies, rule n being bit n.

    Most conditions ask for one set or none; those are looked up by the sets of the class. Only the others are held
    against every class.
    """
    plain: dict[int | None, int] = {}
    others: dict[tuple[frozenset[Family], int, int], int] = {}
    families: dict[Family, int] = {4: 0, 6: 0}
    for number, one in enumerate(conditions):
        bit = 1 << number
        for family in one.families:
            families[family] |= bit
        wanted = sum(1 << classes.numbers[name] for name in {part.id for part in one.sets})
        excluded = sum(1 << classes.numbers[name] for name in {part.id for part in one.not_sets})
        if excluded or wanted & (wanted - 1):
            key = one.families, wanted, excluded
            others[key] = others.get(key, 0) | bit
        else:
            name = wanted.bit_length() - 1 if wanted else None
            plain[name] = plain.get(name, 0) | bit
    return [_row(members, plain, others) & families[family] for family, members in classes.kinds]


def _row(members: int, plain: dict[int | None, int], others: dict[tuple[frozenset[Family], int, int], int]) -> int:
    row = plain.get(None, 0)
    rest = members
    while rest:
        row |= plain.get((rest & -rest).bit_length() - 1, 0)
        rest &= rest - 1
    for (_, wanted, excluded), bits in others.items():
        if members & wanted == wanted and not members & excluded:
            row |= bits
    return row


def number_rows(classes: NumberClasses, conditions: Sequence[Intervals | None]) -> list[int]:
    """Return for each class the rules whose condition it satisfies, rule n being bit n."""
    rules = [0] * len(classes.numbers)
    for number, one in enumerate(conditions):
        rules[classes.numbers[one]] |= 1 << number
    return [_union(members, rules.__getitem__) for members in classes.members]


def _union(members: int, rules: Callable[[int], int]) -> int:
    row = 0
    while members:
        row |= rules((members & -members).bit_length() - 1)
        members &= members - 1
    return row
