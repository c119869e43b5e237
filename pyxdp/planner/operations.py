"""What a plan is made of. Each operation is a value: it says what will be done, and does nothing.

``str()`` is one line for people, :func:`as_json` the same for programs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pyxdp.abi import Name
    from pyxdp.net import HookSettings
    from pyxdp.planner.state import Governed, Instance, Table, TableSet

Json: TypeAlias = "str | int | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True)
class CreateObject:
    """Create the maps of a new object and pin them.

    Attributes:
        number: of the object.
        build: identifies its code.
        capacities: entries that one image can use of each map whose size depends on policy.
        source: the object that the maps not in ``own`` are taken over from, with their contents.
        own: maps that are created; empty means all.
    """

    number: int
    build: str
    capacities: Mapping[str, int]
    source: int | None = None
    own: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.source is None:
            return f"create the maps (object {self.number})"
        if not self.own:
            return f"load the new program code on the same maps (object {self.number})"
        return f"create larger maps for {', '.join(self.own)} (object {self.number})"


@dataclass(frozen=True, slots=True)
class CopyMaps:
    """Copy the active slot, and all of maps without slots, into the maps that a new object has of its own."""

    source: int
    target: int
    slot: int
    maps: tuple[str, ...]

    def __str__(self) -> str:
        return f"copy the policy in force from object {self.source} to object {self.target}"


@dataclass(frozen=True, slots=True)
class WriteEndpoints:
    """Record which interface and HostEndpoint an endpoint number stands for, by interface name."""

    endpoints: Mapping[str, Governed]

    def __str__(self) -> str:
        told = [f"{it.host_endpoint} on {name} (number {it.number})" for name, it in self.endpoints.items()]
        return f"record {_plural(len(told), 'endpoint')}: {', '.join(told)}"


@dataclass(frozen=True, slots=True)
class LoadPrograms:
    """Load and pin programs of one object.

    Attributes:
        object: its number.
        endpoints: by name those whose programs are loaded.
        answer: the program that judges is loaded too, and put where theirs find it.
    """

    object: int
    endpoints: Mapping[str, Governed]
    answer: bool = False

    def __str__(self) -> str:
        return f"load the programs for {', '.join(self.endpoints) or 'all interfaces'}"


@dataclass(frozen=True, slots=True)
class FillEarly:
    """Load the program for early drop and put it where those at XDP find it. No failure if the kernel refuses it."""

    object: int

    def __str__(self) -> str:
        return "drop early what policy denies for certain"


@dataclass(frozen=True, slots=True)
class EmptyEarly:
    """Take the program for early drop away."""

    object: int

    def __str__(self) -> str:
        return "drop nothing early any more"


@dataclass(frozen=True, slots=True)
class AttachXdp:
    """Attach to an interface and pin the link, in the place of a link whose interface is gone if there is one."""

    interface: str
    ifindex: int
    instance: Instance

    def __str__(self) -> str:
        return f"attach XDP to {self.interface}"


@dataclass(frozen=True, slots=True)
class RenameLink:
    """Give the pin of a link the name that its interface has now; what is attached stays."""

    before: str
    interface: str

    def __str__(self) -> str:
        return f"keep the XDP link of {self.before}, which is now called {self.interface}"


@dataclass(frozen=True, slots=True)
class MoveLink:
    """Make an attached link run another instance's program, without a gap."""

    interface: str
    instance: Instance

    def __str__(self) -> str:
        return f"replace the XDP program on {self.interface}"


@dataclass(frozen=True, slots=True)
class UpdateRules:
    """Make sets of tables hold exactly the rules of these interfaces; each table in one transaction."""

    tables: tuple[TableSet, ...]
    programs: Mapping[str, Instance]
    settings: HookSettings

    def __str__(self) -> str:
        return f"write the rules of {', '.join(self.programs)} to the {_listed(self.tables)}"


@dataclass(frozen=True, slots=True)
class RemoveRules:
    """Remove our rules and chains from sets of tables."""

    tables: tuple[TableSet, ...]

    def __str__(self) -> str:
        return f"remove rules and chains from the {_listed(self.tables)}"


@dataclass(frozen=True, slots=True)
class PointPrograms:
    """Make ``programs/INTERFACE`` show an instance."""

    interface: str
    instance: Instance

    def __str__(self) -> str:
        return f"show the programs of {self.interface} as programs/{self.interface}"


@dataclass(frozen=True, slots=True)
class PointMaps:
    """Make ``maps`` show an object's maps."""

    object: int

    def __str__(self) -> str:
        return f"show the maps of object {self.object} as maps"


@dataclass(frozen=True, slots=True)
class WriteNames:
    """Record which rules the counters belong to."""

    names: Mapping[int, Name]

    def __str__(self) -> str:
        return f"record the names of {_plural(len(self.names), 'rule')}"


@dataclass(frozen=True, slots=True)
class AwaitGrace:
    """Wait until no program run is left that began before now."""

    def __str__(self) -> str:
        return "wait for packets that are still being judged by an earlier policy"


@dataclass(frozen=True, slots=True)
class FillSlot:
    """Write an image into the spare slot: the tables, zero after them, then the header. What is there already stays."""

    slot: int
    generation: int
    applied_ns: int
    digest: bytes
    tables: Mapping[str, Table]

    def __str__(self) -> str:
        return f"fill slot {self.slot} with {sum(map(len, self.tables.values())):,} bytes of policy"


@dataclass(frozen=True, slots=True)
class Switch:
    """The one store: from here on every packet is judged by the other slot."""

    slot: int
    generation: int

    def __str__(self) -> str:
        return f"switch to slot {self.slot} (generation {self.generation})"


@dataclass(frozen=True, slots=True)
class Detach:
    """Detach XDP from an interface and remove the link's pin."""

    interface: str

    def __str__(self) -> str:
        return f"detach XDP from {self.interface}"


@dataclass(frozen=True, slots=True)
class UnpointPrograms:
    """Remove ``programs/INTERFACE``."""

    interface: str

    def __str__(self) -> str:
        return f"remove programs/{self.interface}"


@dataclass(frozen=True, slots=True)
class RemovePrograms:
    """Remove the pins of one endpoint's programs."""

    instance: Instance

    def __str__(self) -> str:
        return f"remove the programs of endpoint {self.instance.endpoint} (object {self.instance.object})"


@dataclass(frozen=True, slots=True)
class FreeEndpoints:
    """Set the reason counters of these endpoint numbers to zero and forget the numbers."""

    numbers: tuple[int, ...]

    def __str__(self) -> str:
        return f"forget {_plural(len(self.numbers), 'endpoint')}"


@dataclass(frozen=True, slots=True)
class FreeNames:
    """Set the counters of these indexes to zero and forget the rules."""

    indexes: tuple[int, ...]

    def __str__(self) -> str:
        return f"forget the names of {_plural(len(self.indexes), 'rule')}"


@dataclass(frozen=True, slots=True)
class RemoveObject:
    """Remove the pins of an object that nothing uses any more."""

    number: int

    def __str__(self) -> str:
        return f"remove the maps and programs of object {self.number}"


@dataclass(frozen=True, slots=True)
class RemovePins:
    """Remove every pin and directory of ours."""

    def __str__(self) -> str:
        return "remove all pins"


Operation: TypeAlias = (
    CreateObject
    | CopyMaps
    | WriteEndpoints
    | LoadPrograms
    | FillEarly
    | EmptyEarly
    | AttachXdp
    | RenameLink
    | MoveLink
    | UpdateRules
    | RemoveRules
    | PointPrograms
    | PointMaps
    | WriteNames
    | AwaitGrace
    | FillSlot
    | Switch
    | Detach
    | UnpointPrograms
    | RemovePrograms
    | FreeEndpoints
    | FreeNames
    | RemoveObject
    | RemovePins
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Operations in the order in which they are carried out; empty when nothing is to be done."""

    operations: tuple[Operation, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.operations)

    @property
    def switches(self) -> bool:
        """Whether another policy comes into force."""
        return any(isinstance(operation, Switch) for operation in self.operations)

    def as_json(self) -> list[Json]:
        """One object for each operation."""
        return [as_json(operation) for operation in self.operations]


def as_json(operation: Operation) -> dict[str, Json]:
    """Return ``operation`` (its name), ``description`` and the operation's members; of tables only their sizes."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", type(operation).__name__).lower()
    members = {member.name: _json(getattr(operation, member.name)) for member in fields(operation)}
    return {"operation": name, "description": str(operation), **members}


def _json(value: Any) -> Json:
    if isinstance(value, bytes | memoryview):
        return value.hex() if len(value) <= 32 else f"{len(value)} bytes"  # noqa: PLR2004 - a digest
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return _json(value._asdict())
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {member.name: _json(getattr(value, member.name)) for member in fields(value)}
    return value  # type: ignore[no-any-return]


def _listed(tables: tuple[TableSet, ...]) -> str:
    return " and the ".join(map(str, tables))


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
