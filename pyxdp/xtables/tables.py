"""What the tables hold of ours, as iptables-save prints it. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pyxdp.errors import XtablesError
from pyxdp.net import HookSettings
from pyxdp.xtables.chains import ALLOWED, JUMPS, MARKED, PREROUTING, Entry, Table
from pyxdp.xtables.wording import Family, Words, worded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Our chains begin like this, and nobody else's.
PREFIX: Final = "PYXDP-"

_PROGRAM: Final = "--object-pinned"
#: An unconditional jump is ``-j CHAIN``.
_JUMP_WORDS: Final = 2
#: Options of the CT target with which other connections are found than those that a lookup by addresses finds.
_TRACKING: Final = frozenset({"--zone", "--zone-orig", "--zone-reply", "--helper"})
_MARK: Final = re.compile(r"(0x[0-9a-f]{1,8})/\1")
_INCOMPATIBLE: Final = re.compile(r"# Table `(\w+)' is incompatible")


@dataclass(frozen=True, slots=True)
class Content:
    """What one table holds of ours.

    Attributes:
        jumps: our chain -> positions, from 0, of the unconditional jumps to it in its built-in chain.
        chains: our chain -> its rules as words, without ``-A CHAIN``.
        strays: rules elsewhere that refer to our chains and that we would not write, as words, the chain first.
    """

    jumps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    chains: Mapping[str, tuple[Words, ...]] = field(default_factory=dict)
    strays: tuple[Words, ...] = ()

    @property
    def empty(self) -> bool:
        """Nothing of ours is there."""
        return not (self.jumps or self.chains or self.strays)

    def jumps_well(self, table: Table) -> bool:
        """Whether the jumps are those of :data:`~pyxdp.xtables.chains.JUMPS`, and nothing else refers to us."""
        right = all(_stands(entry, self.jumps.get(entry.chain, ())) for entry in entries(table))
        return right and not self.strays


@dataclass(frozen=True, slots=True)
class Tables:
    """What the tables of one variant and family hold.

    Attributes:
        contents: of ours, by table.
        tracking: rules of others in the raw table that choose a conntrack zone or a helper, as text.
    """

    contents: Mapping[Table, Content] = field(default_factory=dict)
    tracking: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Nothing of ours is there."""
        return all(content.empty for content in self.contents.values())

    def content(self, table: Table) -> Content:
        """What one table holds of ours."""
        return self.contents.get(table, Content())

    @property
    def programs(self) -> dict[str, str]:
        """Interfaces that our rules name -> folder of the programs that they run; what is damaged is left out."""
        raw, mangle = self.content(Table.RAW).chains, self.content(Table.MANGLE).chains
        found: dict[str, str] = {}
        for rule in mangle.get(PREROUTING, ()):
            own = mangle.get(rule[-1], ()) if rule else ()
            found |= _by_interface(rule, next(filter(None, map(_folder, own)), ""))
        for rule in raw.get(PREROUTING, ()):
            found |= _by_interface(rule, _folder(rule))
        return found

    @property
    def settings(self) -> HookSettings:
        """The settings that the rules were made by, as far as they can be told."""
        local, mangle = self.content(Table.FILTER).chains, self.content(Table.MANGLE).chains
        marks = (_MARK.fullmatch(rule[-1]) for rule in local.get(ALLOWED, ()) if rule)
        mark = next((int(found[1], 16) for found in marks if found), HookSettings().mark)
        return HookSettings(
            allow="Return" if ("-j", "RETURN") in local.get(MARKED, ()) else "Accept",
            deny="Reject" if "REJECT" in _all_words(local) else "Drop",
            check_invalid="INVALID" in _all_words(mangle) or not mangle,
            mark=mark,
        )

    def holds(self, programs: Mapping[str, str], settings: HookSettings, family: Family) -> bool:
        """Whether it is exactly what :func:`~pyxdp.xtables.restore.render` makes of these."""
        wanted = worded(programs, settings, family)
        return all(
            self.content(table).jumps_well(table)
            and self.content(table).chains == {chain: tuple(rules) for chain, rules in wanted[table].items()}
            for table in Table
        )


def entries(table: Table) -> tuple[Entry, ...]:
    """Our jumps from built-in chains of a table."""
    return tuple(entry for entry in JUMPS if entry.table is table)


def parse(saved: str) -> Tables:
    """Read the output of ``iptables-save`` of any tables.

    Raises:
        XtablesError: a table that we use has been changed so that iptables can not show it.
    """
    parts: dict[Table, list[str]] = {}
    ours = {table.value: table for table in Table}
    lines: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            table = ours.get(line[1:])
            lines = parts.setdefault(table, []) if table else []
        elif line.startswith("#"):
            _refuse_incompatible(line, ours)
        else:
            lines.append(line)
    contents = {table: _content(table, lines) for table, lines in parts.items()}
    return Tables(contents, tuple(_tracking(parts.get(Table.RAW, ()))))


def _content(table: Table, lines: Iterable[str]) -> Content:
    builtins = {(entry.builtin, entry.chain) for entry in entries(table)}
    chains: dict[str, list[Words]] = {}
    jumps: dict[str, list[int]] = {}
    strays: list[Words] = []
    positions: dict[str, int] = {}
    for line in lines:
        if line.startswith(f":{PREFIX}"):
            chains[line[1:].split(" ", 1)[0]] = []
        elif line.startswith("-A "):
            _, chain, *rule = shlex.split(line)
            position = positions[chain] = positions.get(chain, -1) + 1
            if chain.startswith(PREFIX):
                chains[chain].append(tuple(rule))
            elif len(rule) == _JUMP_WORDS and rule[0] == "-j" and (chain, rule[1]) in builtins:
                jumps.setdefault(rule[1], []).append(position)
            elif any(word in ("-j", "-g") and target.startswith(PREFIX) for word, target in pairwise(rule)):
                strays.append((chain, *rule))
    return Content(
        {chain: tuple(found) for chain, found in jumps.items()},
        {chain: tuple(rules) for chain, rules in chains.items()},
        tuple(strays),
    )


def _stands(entry: Entry, positions: tuple[int, ...]) -> bool:
    """Whether a jump stands where it should, once. What was added behind the last one later stays behind it."""
    return len(positions) == 1 if entry.last else positions == (0,)


def _tracking(lines: Iterable[str]) -> Iterator[str]:
    return (line for line in lines if line.startswith("-A ") and _TRACKING.intersection(shlex.split(line)))


def _by_interface(rule: Words, folder: str) -> dict[str, str]:
    return {rule[1]: folder} if folder and rule[0] == "-i" else {}


def _folder(rule: Words) -> str:
    """The folder of the program that a rule asks, or nothing."""
    path = next((path for option, path in pairwise(rule) if option == _PROGRAM), "")
    return path.rpartition("/")[0]


def _all_words(chains: Mapping[str, tuple[Words, ...]]) -> set[str]:
    return {word for rules in chains.values() for rule in rules for word in rule}


def _refuse_incompatible(line: str, ours: Mapping[str, Table]) -> None:
    found = _INCOMPATIBLE.match(line)
    if found and found[1] in ours:
        message = f"table {found[1]} was changed with nft in a way that iptables can not express"
        raise XtablesError(message, hint="give the table that nft made another name; see it with: nft list ruleset")
