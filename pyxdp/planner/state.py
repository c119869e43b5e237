"""What there is and what there should be, as the planner sees it. Frozen values; nothing here touches the kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pyxdp.abi import Endpoint, Name, Slot, zero
from pyxdp.net import HookSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Contents of a table: whole entries, or whole entries and then zero.
Table: TypeAlias = bytes | bytearray | memoryview
Variant: TypeAlias = Literal["nft", "legacy"]
Family: TypeAlias = Literal[4, 6]

EMPTY_SLOT: Final = zero(Slot)


@dataclass(frozen=True, slots=True, order=True)
class TableSet:
    """The tables raw, mangle and filter of one iptables variant and family."""

    variant: Variant
    family: Family

    def __str__(self) -> str:
        return f"IPv{self.family} tables ({self.variant})"


@dataclass(frozen=True, slots=True, order=True)
class Instance:
    """The programs of one object, loaded for one endpoint; pinned in ``objects/OBJECT/programs/ENDPOINT``."""

    object: int
    endpoint: int


class Early(Enum):
    """Whether XDP drops early what pre-DNAT and normal policy deny.

    ``REFUSED``: the kernel does not load the program for it, and is not asked again.
    """

    OFF = "off"
    ON = "on"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class LoadedObject:
    """An object: a set of maps and the programs loaded on them.

    Attributes:
        build: identifies the code; other code needs another object.
        capacities: map -> entries that one image can use: of one half where the map has slots, else of the whole.
        endpoints: numbers for which programs are loaded and pinned.
        answers: the program that judges is loaded, and the endpoints' programs find it.
        early: whether the endpoints' XDP programs find the one for early drop.
    """

    build: str
    capacities: Mapping[str, int] = field(default_factory=dict)
    endpoints: frozenset[int] = frozenset()
    answers: bool = False
    early: Early = Early.OFF


@dataclass(frozen=True, slots=True)
class XdpLink:
    """A pinned XDP link.

    Attributes:
        ifindex: 0 when its interface is gone, or somebody detached it.
        instance: whose program it runs; ``None`` when that program is pinned nowhere.
    """

    ifindex: int
    instance: Instance | None


@dataclass(frozen=True, slots=True)
class Rules:
    """Our rules in one set of tables.

    Attributes:
        programs: interface, or pattern of interfaces -> the instance that its rules run.
        settings: that they were made by.
        intact: they are exactly what we would write for ``programs`` and ``settings``.
    """

    programs: Mapping[str, Instance] = field(default_factory=dict)
    settings: HookSettings = field(default=HookSettings())
    intact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the pins, links and tables hold; read back from the kernel, never remembered.

    Attributes:
        objects: by number.
        current: the object that ``maps`` points to; ``None`` when nothing was ever applied.
        active: the slot that packets are judged by.
        slots: both headers.
        tables: contents of the active slot up to the last entry that is not zero; the memory of the maps itself, which
            changes with them.
        names: identities in use.
        endpoints: endpoint numbers in use.
        links: by the interface name of the pin.
        programs: where ``programs/INTERFACE`` points.
        rules: sets of tables that hold anything of ours.
        tracking: rules of others in a raw table that choose a conntrack zone or a helper, as text.
    """

    objects: Mapping[int, LoadedObject] = field(default_factory=dict)
    current: int | None = None
    active: int = 0
    slots: tuple[Slot, Slot] = (EMPTY_SLOT, EMPTY_SLOT)
    tables: Mapping[str, Table] = field(default_factory=dict)
    names: Mapping[int, Name] = field(default_factory=dict)
    endpoints: Mapping[int, Endpoint] = field(default_factory=dict)
    links: Mapping[str, XdpLink] = field(default_factory=dict)
    programs: Mapping[str, Instance] = field(default_factory=dict)
    rules: Mapping[TableSet, Rules] = field(default_factory=dict)
    tracking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Governed:
    """An interface that policy governs, or a pattern of them.

    Attributes:
        number: its endpoint number.
        ifindex: of the interface that has the name now; 0 for a pattern.
        host_endpoint: name of the HostEndpoint.
    """

    number: int
    ifindex: int
    host_endpoint: str

    @property
    def pattern(self) -> bool:
        """It stands for all workload interfaces whose names begin so: there are rules, but no XDP."""
        return not self.ifindex


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What there should be.

    Attributes:
        build: identifies the program code that is to run.
        tables: contents of one slot, as the compiler made them.
        digest: of the map image.
        names: identity records by counter index.
        interfaces: governed interfaces by name, and patterns.
        table_sets: where rules belong; rules of ours anywhere else are removed, and so before the switch.
        settings: that rules are made by.
        early: early drop is wanted, if the kernel can.
        conntrack: the kernel has loaded connection tracking, which the program for early drop calls; otherwise the
            rules make it do so.
        applied_ns: CLOCK_REALTIME for the slot's header.
    """

    build: str
    tables: Mapping[str, Table] = field(default_factory=dict)
    digest: bytes = bytes(32)
    names: Mapping[int, Name] = field(default_factory=dict)
    interfaces: Mapping[str, Governed] = field(default_factory=dict)
    table_sets: tuple[TableSet, ...] = ()
    settings: HookSettings = field(default=HookSettings())
    early: bool = False
    conntrack: bool = False
    applied_ns: int = 0
