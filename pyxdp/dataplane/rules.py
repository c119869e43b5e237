"""Rules: reading what runs which programs, writing both families at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, get_args

from pyxdp import planner
from pyxdp.errors import OperatorError
from pyxdp.xtables import Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyxdp.dataplane.attempt import Attempt
    from pyxdp.dataplane.layout import Layout
    from pyxdp.xtables import Iptables, Tables

T = TypeVar("T")

_VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)


class Rules:
    """The rules that run programs below one layout.

    Args:
        layout: where the pins are.
        iptables: writes.
        before: what the rules were, to go back to.
        tables: what was read a moment ago.
    """

    def __init__(
        self,
        layout: Layout,
        iptables: Iptables,
        before: Mapping[planner.TableSet, planner.Rules],
        tables: Mapping[planner.TableSet, Tables],
    ) -> None:
        self._layout = layout
        self._iptables = iptables
        self._before = before
        self._tables = dict(tables)

    def update(self, operation: planner.UpdateRules, attempt: Attempt) -> None:
        """Write; half of it may have happened when it fails."""
        attempt.on_failure(lambda: self._restore(operation.tables))
        wanted = planner.Rules(operation.programs, operation.settings)
        _at_once(lambda table: self._write(table, wanted), operation.tables)

    def remove(self, operation: planner.RemoveRules, attempt: Attempt) -> None:
        """Remove everything of ours from some sets of tables."""
        attempt.on_failure(lambda: self._restore(operation.tables))
        _at_once(self._remove, operation.tables)

    def _restore(self, tables: Iterable[planner.TableSet]) -> None:
        self._tables.clear()
        _at_once(self._restore_one, tables)

    def _restore_one(self, table: planner.TableSet) -> None:
        before = self._before.get(table)
        if before and before.programs:
            self._write(table, before)
        else:
            self._remove(table)

    def _write(self, table: planner.TableSet, rules: planner.Rules) -> None:
        folders = {name: str(self._layout.programs(it)) for name, it in rules.programs.items()}
        there = self._tables.pop(table, None)
        self._iptables.write(table.family, folders, rules.settings, table.variant, there=there)

    def _remove(self, table: planner.TableSet) -> None:
        self._tables.pop(table, None)
        self._iptables.remove(table.family, table.variant)


def read_tables(layout: Layout, iptables: Iptables) -> dict[planner.TableSet, Tables]:
    """Return what every set of tables holds of pyxdp.

    Raises:
        OperatorError: rules run programs that are pinned elsewhere. A network namespace has one set of chains, so two
            bpffs can not share it.
        XtablesError: there are pins, whose rules can not be seen because there is no iptables.
    """
    if layout.base.exists():
        _ = iptables.variant
    every = [planner.TableSet(variant, family) for variant in _VARIANTS for family in iptables.families]
    found = dict(zip(every, _at_once(lambda it: iptables.read(it.family, it.variant), every), strict=True))
    for there in found.values():
        for folder in map(Path, there.programs.values()):
            if not folder.is_relative_to(layout.base) and folder.exists():
                message = f"the rules of iptables run programs of another pyxdp: {folder}"
                raise OperatorError(message, hint="name its bpffs with --bpffs, or use another network namespace")
    return found


def rules_of(
    layout: Layout,
    tables: Mapping[planner.TableSet, Tables],
    objects: Mapping[int, planner.LoadedObject],
) -> dict[planner.TableSet, planner.Rules]:
    """Return the sets of tables that hold anything of ours, with the instances whose programs are still pinned."""
    found = {}
    for table, there in tables.items():
        if there.empty:
            continue
        instances = {name: layout.instance_at(folder) for name, folder in there.programs.items()}
        known = {name: it for name, it in instances.items() if it and _is_there(it, objects)}
        settings = there.settings
        intact = len(known) == len(instances) and there.holds(there.programs, settings, table.family)
        found[table] = planner.Rules(known, settings, intact=intact)
    return found


def _is_there(instance: planner.Instance, objects: Mapping[int, planner.LoadedObject]) -> bool:
    loaded = objects.get(instance.object)
    return loaded is not None and instance.endpoint in loaded.endpoints


def _at_once(call: Callable[[planner.TableSet], T], tables: Iterable[planner.TableSet]) -> list[T]:
    """Call for all at the same time, each in a thread: what takes time is another process."""
    with ThreadPoolExecutor() as threads:
        return list(threads.map(call, tables))
