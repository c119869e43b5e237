"""The input of ``iptables-restore --noflush``: from what is there to what we want. Pure.

Each table is a transaction of its own. Tables are written in the order in which a packet meets them, and removed in the
opposite one, so that no table ever waits for a mark or an answer that an earlier one does not give yet, or no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.xtables.chains import Entry, Table
from pyxdp.xtables.tables import Content, Tables, entries
from pyxdp.xtables.wording import Family, Words, quoted, worded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.net import HookSettings


def render(programs: Mapping[str, str], settings: HookSettings, family: Family, there: Tables) -> str:
    """Return what makes the tables hold exactly our rules.

    Args:
        programs: governed interface -> folder of its pinned programs, whose last part is the endpoint's number.
        settings: of the node.
        family: 4 or 6.
        there: what the tables hold now; duplicates, strays and chains that are not wanted are removed.

    Raises:
        XtablesError: an interface or a folder that iptables can not express.
    """
    wanted = worded(programs, settings, family)
    return "".join(_table(table, wanted[table], there.content(table)) for table in Table)


def render_removal(there: Tables) -> str:
    """Return what removes all of ours; empty when nothing is there."""
    return "".join(_removal(table, there.content(table)) for table in reversed(Table))


def _table(table: Table, wanted: Mapping[str, list[Words]], there: Content) -> str:
    gone = [chain for chain in there.chains if chain not in wanted]
    lines = [f":{chain} - [0:0]" for chain in (*wanted, *gone)]
    if not there.jumps_well(table):
        lines += [*_deletions(table, there), *(_jump(entry) for entry in entries(table))]
    lines += [f"-A {chain} {' '.join(rule)}" for chain, rules in wanted.items() for rule in rules]
    lines += [f"-X {chain}" for chain in gone]
    return _transaction(table, lines)


def _removal(table: Table, there: Content) -> str:
    if there.empty:
        return ""
    lines = _deletions(table, there)
    lines += [*(f"-F {chain}" for chain in there.chains), *(f"-X {chain}" for chain in there.chains)]
    return _transaction(table, lines)


def _transaction(table: Table, lines: list[str]) -> str:
    return "\n".join([f"*{table.value}", *lines, "COMMIT", ""])


def _jump(entry: Entry) -> str:
    where = f"-A {entry.builtin}" if entry.last else f"-I {entry.builtin} 1"
    return f"{where} -j {entry.chain}"


def _deletions(table: Table, there: Content) -> list[str]:
    """Remove every rule outside our chains that refers to them.

    By text, never by number: another program may have changed the table since it was read.
    """
    jumps = [
        f"-D {entry.builtin} -j {entry.chain}" for entry in entries(table) for _ in there.jumps.get(entry.chain, ())
    ]
    return jumps + [f"-D {' '.join(quoted(word) for word in stray)}" for stray in there.strays]
