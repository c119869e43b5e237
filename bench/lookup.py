"""What finding the class of one address costs: our tables and the kernel's LPM trie on the same keys, side by side."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from sys import byteorder
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pyxdp.abi import Page
from pyxdp.bench.addresses import blocklist
from pyxdp.bench.figures import Line, above, alternating, times
from pyxdp.bpf import Object
from pyxdp.compiler.addresses import address_classes
from pyxdp.compiler.ipv6 import ipv6_blocks
from pyxdp.compiler.pages import address_pages
from pyxdp.net.prefixes import Prefixes
from pyxdp.net.wide import NO_WIDE, Wide
from pyxdp.resolver import AddressSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Keys = NDArray[np.uint64]
    Words = NDArray[np.uint32]

OBJECT: Final = Path(__file__).parent.parent / "build/bench/lookup.bpf.o"
LOOKUPS: Final = 1024
KEYS: Final = 1 << 19
SIZES: Final = (10, 1_000, 100_000, 1_000_000)
QUICK_SIZES: Final = (10, 1_000, 100_000)
#: Classes of the prefixes: as if that many sets had them in turn.
_SETS: Final = 8
#: Part of the IPv6 prefixes that are /128.
_HOSTS: Final = 0.25
_REPEAT: Final = 64
_FRAME: Final = bytes(64)
_HALF: Final = np.uint64(32)
_IPV4: Final = 4
_IPV6: Final = 6
_UPPER: Final = np.uint64(64)
_HOST: Final = 128
_FREE: Final = int(Page.FIRST_FREE)


class _Case(NamedTuple):
    """Prefixes and addresses to look up.

    Attributes:
        prefixes: all of one family.
        keys: (high, low) of each address, IPv4 in the low 32 bits of high.
    """

    prefixes: Prefixes
    keys: Keys


def measure_lookup(rounds: int = 5, *, quick: bool = False) -> list[Line]:
    """Measure look-ups among more and more prefixes.

    Args:
        rounds: how often everything is measured.
        quick: leave out the largest tables.
    """
    sizes = QUICK_SIZES if quick else SIZES
    lines: list[Line] = []
    for size in sizes:
        lines += _measure(f"IPv4, {size:,} CIDRs", _IPV4, _ipv4(size), rounds, (20, 60) if size == SIZES[-1] else None)
    for shape, make in (("spread", _spread), ("clustered", _clustered)):
        for size in sizes:
            target = (8, None) if size >= SIZES[2] else None
            lines += _measure(f"IPv6, {size:,} prefixes, {shape}", _IPV6, make(size), rounds, target)
    return lines


def _ipv4(size: int) -> _Case:
    """Return a blocklist, and addresses from everywhere."""
    random = np.random.default_rng(size)
    keys = np.zeros((KEYS, 2), np.uint64)
    keys[:, 0] = random.integers(0, 1 << 32, KEYS, np.uint64)
    return _Case(blocklist(size), keys)


def _spread(size: int) -> _Case:
    """Return prefixes anywhere in the addresses that registries give away."""
    return _wide(size, np.array([0x2 << 60], np.uint64), 3, 32)


def _clustered(size: int) -> _Case:
    """Return prefixes inside a few /32."""
    bases = np.array([0x20010DB8, 0x2A001450, 0x2A0204C0, 0x26064700], np.uint64) << _HALF
    return _wide(size, bases, 32, 48)


def _wide(size: int, bases: Keys, base_bits: int, shortest: int) -> _Case:
    """Return prefixes from shortest to /64 and /128 below bases, and addresses half of which are in one of them."""
    random = np.random.default_rng(size)
    span = np.uint64((1 << 64 - base_bits) - 1)

    def addresses(count: int) -> tuple[Keys, Keys]:
        high = random.choice(bases, count) | random.integers(0, span, count, np.uint64, endpoint=True)
        return high, random.integers(0, 1 << 64, count, np.uint64)

    found = NO_WIDE
    while found.size < size:
        high, low = addresses(size)
        length = np.where(random.random(size) < _HOSTS, _HOST, random.integers(shortest, 65, size)).astype(np.uint64)
        high &= ~np.uint64(0) << (_UPPER - np.minimum(length, _UPPER))
        more = Wide(high, np.where(length > _UPPER, low, 0).astype(np.uint64), length.astype(np.uint8))
        found = Wide.concatenated([found, more]).distinct()
    prefixes = found.at(np.sort(random.choice(found.size, size, replace=False)))
    high, low = addresses(KEYS)
    chosen = prefixes.at(random.integers(0, size, KEYS // 2))
    length = np.minimum(chosen.length.astype(np.uint64), _UPPER)
    hit = slice(0, None, 2)
    high[hit] = chosen.high | high[hit] & ((np.uint64(1) << (_UPPER - length)) - np.uint64(1))
    low[hit] = np.where(chosen.length == _HOST, chosen.low, low[hit])
    return _Case(Prefixes(np.empty(0, np.uint64), prefixes), np.stack([high, low], axis=1))


def _measure(
    title: str, family: int, case: _Case, rounds: int, target: tuple[float, float | None] | None
) -> list[Line]:
    with _loaded(family, case) as opened:
        programs = {"nothing": "nothing", "trie": f"trie{family}", "table": f"table{family}"}
        hits = {kind: _hits(opened, programs[kind]) for kind in ("trie", "table")}
        if hits["trie"] != hits["table"]:
            raise AssertionError(f"{title}: the trie finds {hits['trie']} of the addresses, the table {hits['table']}")
        found = alternating(rounds, {kind: _run(opened, program) for kind, program in programs.items()})
    cost = {kind: above(found[kind], found["nothing"]) for kind in ("trie", "table")}
    ratio = times(
        [one - floor for one, floor in zip(found["trie"], found["nothing"], strict=True)],
        [one - floor for one, floor in zip(found["table"], found["nothing"], strict=True)],
    )
    least, most = target or (None, None)
    detail = {"trie": cost["trie"], "hits": hits["table"] / KEYS}
    return [
        Line(f"address look-up, {title}", cost["table"], "ns", most=most, detail=detail),
        Line(f"address look-up, {title}: LPM trie takes", ratio, "times as long", least=least),
    ]


def _run(opened: Object, program: str) -> Callable[[], float]:
    return lambda: opened.programs[f"look_up_{program}"].test_run(_FRAME, repeat=_REPEAT).duration_ns / LOOKUPS


def _hits(opened: Object, program: str) -> int:
    """Look up every key once; return how many are in some prefix."""
    state = opened.maps["lookup.bss"]
    state.update(0, bytes(state.info.value_size))
    opened.programs[f"look_up_{program}"].test_run(_FRAME, repeat=KEYS // LOOKUPS)
    return int.from_bytes(state.read()[:8], byteorder)


@contextmanager
def _loaded(family: int, case: _Case) -> Iterator[Object]:
    """Load the programs with these prefixes in both kinds of tables."""
    tables, outside = _tables(family, case.prefixes)
    with Object.open(OBJECT) as opened:
        for name, table in tables.items():
            opened.maps[f"pyxdp_{name}"].max_entries = len(table)
        opened.maps["keys"].max_entries = len(case.keys)
        opened.maps[f"trie{family}"].max_entries = len(case.prefixes)
        opened.rodata["keys_mask"] = len(case.keys) - 1
        opened.rodata["outside"] = outside
        opened.load()
        for name, table in tables.items():
            opened.maps[f"pyxdp_{name}"].write(0, table.tobytes())
        opened.maps["keys"].write(0, case.keys.tobytes())
        trie = _trie_keys(family, case.prefixes)
        ones = np.ones(len(trie), np.uint32)
        opened.maps[f"trie{family}"].update_batch(trie.tobytes(), ones.tobytes(), len(trie))
        yield opened


def _tables(family: int, prefixes: Prefixes) -> tuple[dict[str, Words], int]:
    """Build our tables, as if some sets had the prefixes in turn; return also the class of addresses in none."""
    parts = (Prefixes(prefixes.ipv4[n::_SETS], prefixes.ipv6.at(slice(n, None, _SETS))) for n in range(_SETS))
    classes = address_classes(AddressSet(str(n), part) for n, part in enumerate(parts))
    if family == _IPV6:
        return {"ipv6": ipv6_blocks(*classes.ipv6)}, classes.first_ipv6
    built = address_pages(classes.ipv4)
    fixed = np.zeros((_FREE, built.root.shape[1]), np.uint32)
    fixed[: len(built.root)] = built.root
    nothing = np.zeros((1, 4), np.uint32)  # a map has one entry at least
    return {"pages": np.concatenate((fixed, *built.pages)), "pieces": np.concatenate((*built.lists, nothing))}, 0


def _trie_keys(family: int, prefixes: Prefixes) -> Words:
    if family == _IPV4:
        keys = np.empty((len(prefixes), 2), np.uint32)
        keys[:, 0] = prefixes.ipv4 & np.uint64(0xFF)
        keys[:, 1] = (prefixes.ipv4 >> np.uint64(8)).astype(">u4").view(np.uint32)
        return keys
    keys = np.empty((len(prefixes), 5), np.uint32)
    wide = prefixes.ipv6
    keys[:, 0] = wide.length
    for place, half in ((1, wide.high), (3, wide.low)):
        keys[:, place] = (half >> _HALF).astype(">u4").view(np.uint32)
        keys[:, place + 1] = half.astype(np.uint32).astype(">u4").view(np.uint32)
    return keys
