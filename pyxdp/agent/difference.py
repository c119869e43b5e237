"""What differs between two policies, object by object. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from pyxdp.manifest import Key
from pyxdp.model import Resources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.model import GlobalNetworkSet, NetworkSet, Resource
    from pyxdp.net.prefixes import Prefixes

_SETS = ("globalNetworkSets", "networkSets")


@dataclass(frozen=True, slots=True)
class MembersChange:
    """What becomes of the members of one network set.

    Attributes:
        kind: of the set.
        name: as :meth:`pyxdp.enforcer.Enforcer.add_members` takes it.
        entered: prefixes that it did not have.
        left: prefixes that it does not have any more.
    """

    kind: str
    name: str
    entered: Prefixes
    left: Prefixes

    def __len__(self) -> int:
        return len(self.entered) + len(self.left)


def members_changes(before: Resources, after: Resources) -> tuple[MembersChange, ...] | None:
    """Return how the members of sets differ; ``None`` if anything else does."""
    for field in fields(Resources):
        if field.name not in _SETS and getattr(before, field.name) != getattr(after, field.name):
            return None
    found: list[MembersChange] = []
    for name in _SETS:
        old, new = getattr(before, name), getattr(after, name)
        if len(old) != len(new):
            return None
        for one, other in zip(old, new, strict=True):
            if one is other or one == other:
                continue
            if replace(one, nets=other.nets) != other:
                return None
            found.append(_members_change(one, other))
    return tuple(found)


def same_rules(before: Resources, after: Resources) -> bool:
    """Tell whether nothing differs but which network sets there are, and their members: whom rules are about."""
    names = (field.name for field in fields(Resources) if field.name not in _SETS)
    return all(getattr(before, name) == getattr(after, name) for name in names)


def changed_keys(before: Resources, after: Resources) -> frozenset[Key]:
    """Return what is new, gone, or says something else."""
    old, new = by_key(before), by_key(after)
    return frozenset(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def with_objects_of(resources: Resources, other: Resources, keys: Iterable[Key]) -> Resources:
    """Return resources with some objects as others have them; what the others do not have is left out."""
    there, instead = by_key(resources), by_key(other)
    for key in keys:
        there.pop(key, None)
        if key in instead:
            there[key] = instead[key]
    found: dict[str, list[Resource]] = {field.name: [] for field in fields(Resources)}
    collections = {id(it): field.name for field in fields(Resources) for it in getattr(resources, field.name)}
    collections |= {id(it): field.name for field in fields(Resources) for it in getattr(other, field.name)}
    for resource in there.values():
        found[collections[id(resource)]].append(resource)
    ordered = {
        name: tuple(sorted(ones, key=lambda it: (it.metadata.namespace, it.metadata.name)))
        for name, ones in found.items()
    }
    return Resources(**ordered)  # type: ignore[arg-type]


def by_key(resources: Resources) -> dict[Key, Resource]:
    """Return every object by what there is only one of."""
    return {Key.of(resource): resource for resource in resources}


def _members_change(before: GlobalNetworkSet | NetworkSet, after: GlobalNetworkSet | NetworkSet) -> MembersChange:
    kind, namespace, name = Key.of(after)
    return MembersChange(
        kind,
        f"{namespace}/{name}" if namespace else name,
        after.nets.without(before.nets),
        before.nets.without(after.nets),
    )
