"""What is enforced now, with its counters."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyxdp import netlink, planner
from pyxdp.abi import Direction, Reason
from pyxdp.bpf import Link, Map
from pyxdp.dataplane.bpffs import entries, target_of
from pyxdp.dataplane.conntrack import ConntrackUse, conntrack_use
from pyxdp.dataplane.hooks import fallback_reason
from pyxdp.dataplane.layout import EARLY_REFUSED, object_of
from pyxdp.dataplane.reading import read_endpoints
from pyxdp.net import HookSettings
from pyxdp.planner.capacity import needed
from pyxdp.xtables import entries_of, is_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pyxdp.abi import Endpoint
    from pyxdp.dataplane.layout import Layout
    from pyxdp.netlink import Device

#: Kinds of identities that somebody wrote as a rule; every other one follows from how host policy works.
WRITTEN: Final = frozenset({"GlobalNetworkPolicy", "Profile"})

_DIRECTIONS: Final = {Direction.INGRESS: "ingress", Direction.EGRESS: "egress"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """How XDP runs on an interface.

    Attributes:
        interface: its name.
        host_endpoint: name of the HostEndpoint that governs it.
        mode: ``native``, ``generic``, or ``none`` when nothing of ours is attached.
        reason: why the mode is not native; empty when it is.
        link_id: as ``bpftool link`` shows it; 0 when there is none.
        program_id: as ``bpftool prog`` shows it; 0 when there is none.
    """

    interface: str
    host_endpoint: str
    mode: str
    reason: str = ""
    link_id: int = 0
    program_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatus:
    """One governed interface, or pattern of workload interfaces.

    Attributes:
        attachment: interface, HostEndpoint, XDP mode.
        number: endpoint number, as the maps use it.
        ifindex: of the interface that it was attached to; 0 for a pattern.
        hooks: where its packets meet policy, in the order in which a packet comes by: ``XDP``, ``raw PREROUTING``, ...
        reasons: direction -> name of the reason (``DROP_POLICY``) -> packets; only those that occurred.
    """

    attachment: Attachment
    number: int
    ifindex: int
    hooks: tuple[str, ...]
    reasons: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStatus:
    """One rule with what matched it, since its identity came into force.

    Attributes:
        counter: index in the maps ``counters`` and ``names``.
        tier: empty for failsafes.
        kind: of the resource.
        policy: its name.
        direction: ``ingress`` or ``egress``.
        rule: position in the policy's list, from 0.
        action: Allow, Deny, Pass, Log, or failsafe.
        identity: stable hash, hexadecimal.
        packets: on all CPUs.
        bytes: whole frames at XDP; from the IP header on in the raw table.
    """

    counter: int
    tier: str
    kind: str
    policy: str
    direction: str
    rule: int
    action: str
    identity: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class EarlyDrop:
    """Whether XDP drops early what the pre-DNAT and the normal class deny for certain.

    Attributes:
        on: it does.
        reason: why not; empty when it does.
    """

    on: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MapUse:
    """How full a map is.

    Attributes:
        used: entries that hold something, those in between included; of a map with slots those of the slot in force.
        capacity: entries that there are; of a map with slots those of one slot.
    """

    used: int
    capacity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The whole dataplane.

    Attributes:
        applied: whether any policy is in force.
        generation: counts policies that came into force.
        applied_ns: CLOCK_REALTIME of the policy in force.
        digest: SHA-256 of its map image, hexadecimal.
        active: the slot in force.
        endpoints: sorted by interface.
        rules: sorted by counter.
        tables: sets of tables with our rules -> the interfaces that they name.
        settings: that the rules were made by.
        early_drop: whether it is on.
        memory: bytes of kernel memory that each map in force takes, by its name.
        maps: how full those are that policy fills, by name.
        conntrack: connection tracking of this network namespace; ``None`` where it is not loaded.
        drift: what an apply of the same policy would do; empty when everything is as it should be.
    """

    applied: bool = False
    generation: int = 0
    applied_ns: int = 0
    digest: str = ""
    active: int = 0
    endpoints: tuple[EndpointStatus, ...] = ()
    rules: tuple[RuleStatus, ...] = ()
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settings: HookSettings = field(default=HookSettings())
    early_drop: EarlyDrop = field(default=EarlyDrop())
    memory: Mapping[str, int] = field(default_factory=dict)
    maps: Mapping[str, MapUse] = field(default_factory=dict)
    conntrack: ConntrackUse | None = None
    drift: planner.Plan = field(default_factory=planner.Plan)


def read_status(
    layout: Layout, state: planner.State, drift: planner.Plan, settings: HookSettings, obstacle: str
) -> Status:
    """Put together what is in force.

    Args:
        layout: where the pins are.
        state: as read back.
        drift: what differs from what should be.
        settings: in force.
        obstacle: why there must be no early drop; empty when there may be.

    Raises:
        BpfError: a map can not be read.
    """
    tables = {str(table): tuple(rules.programs) for table, rules in sorted(state.rules.items())}
    header = state.slots[state.active] if state.current is not None else None
    if state.current is None or header is None or not header.generation:  # or the first one is not switched to yet
        return Status(tables=tables, conntrack=conntrack_use(), drift=drift)
    return Status(
        applied=True,
        generation=header.generation,
        applied_ns=header.applied_ns,
        digest=header.digest.hex(),
        active=state.active,
        endpoints=tuple(_endpoints(layout, state)),
        rules=tuple(_rules(layout, state)),
        tables=tables,
        settings=settings,
        early_drop=_early_drop(layout, state, obstacle),
        memory=map_memory(layout.maps(state.current)),
        maps=_map_use(state),
        conntrack=conntrack_use(),
        drift=drift,
    )


def map_memory(maps: Path) -> dict[str, int]:
    """Return how many bytes of kernel memory each map of a folder takes; per-CPU maps on all CPUs together.

    Raises:
        BpfError: a map can not be opened.
    """
    found = {}
    for pin in entries(maps):
        with Map.from_pin(pin) as its_map:
            found[pin.name] = its_map.memory
    return found


def _map_use(state: planner.State) -> dict[str, MapUse]:
    assert state.current is not None  # noqa: S101 - the caller has looked
    capacities = state.objects[state.current].capacities
    used = needed(state.tables, state.names)
    return {name: MapUse(used[name], capacity) for name, capacity in sorted(capacities.items())}


def read_attachments(layout: Layout) -> tuple[Attachment, ...]:
    """Read how XDP runs on each governed interface, sorted by its name."""
    current = object_of(target_of(layout.shown_maps) or "")
    return _attachments(layout, read_endpoints(layout.maps(current)).values() if current is not None else [])


def _attachments(layout: Layout, records: Iterable[Endpoint]) -> tuple[Attachment, ...]:
    devices = {device.interface.name: device for device in netlink.devices()}
    ordered = sorted(records, key=lambda record: record.interface)
    return tuple(_attachment(layout, record, devices.get(record.interface)) for record in ordered)


def _attachment(layout: Layout, record: Endpoint, device: Device | None) -> Attachment:
    mode, reason, link_id, program_id = "none", "", 0, 0
    pin = layout.link(record.interface)
    if is_pattern(record.interface):
        reason = "workload interfaces: rules only"
    elif device is None:
        reason = "the interface does not exist"
    elif not pin.exists():
        reason = "the link is not pinned"
    else:
        with Link.from_pin(pin) as link:
            info = link.info
        link_id, program_id = info.id, info.program_id
        if info.ifindex == device.interface.index and device.xdp:
            mode, reason = device.xdp.mode, fallback_reason(device, record.native_errno)
        else:
            reason = "the link is detached, or the interface was replaced"
    return Attachment(
        interface=record.interface,
        host_endpoint=record.name,
        mode=mode,
        reason=reason,
        link_id=link_id,
        program_id=program_id,
    )


def _endpoints(layout: Layout, state: planner.State) -> Iterator[EndpointStatus]:
    attached = {it.interface: it for it in _attachments(layout, state.endpoints.values())}
    with _map(layout, state, "reasons") as reasons:
        for number, record in sorted(state.endpoints.items(), key=lambda item: item[1].interface):
            yield EndpointStatus(
                attachment=attached[record.interface],
                number=number,
                ifindex=record.ifindex,
                hooks=tuple(_hooks(state, attached[record.interface])),
                reasons={title: _reasons(reasons, number, way) for way, title in _DIRECTIONS.items()},
            )


def _hooks(state: planner.State, attachment: Attachment) -> Iterator[str]:
    if attachment.mode != "none":
        yield "XDP"
    if state.rules and all(attachment.interface in rules.programs for rules in state.rules.values()):
        yield from (f"{entry.table.value} {entry.builtin}" for entry in entries_of(attachment.interface))


def _early_drop(layout: Layout, state: planner.State, obstacle: str) -> EarlyDrop:
    assert state.current is not None  # noqa: S101 - the caller has looked
    found = state.objects[state.current].early
    if found is planner.Early.REFUSED:
        (mark,) = (it for it in entries(layout.object(state.current)) if it.name.startswith(EARLY_REFUSED))
        number = int(mark.name.removeprefix(EARLY_REFUSED))
        return EarlyDrop(reason=obstacle or f"this kernel refuses the program for it: {os.strerror(number)}")
    on = found is planner.Early.ON
    return EarlyDrop(on, "" if on else obstacle or "nothing is governed, or the next apply turns it on")


def _reasons(reasons: Map, number: int, direction: Direction) -> dict[str, int]:
    (packets,) = reasons.read_sums(number * len(Direction) + direction, 1)
    return {reason.name: packets[reason] for reason in Reason if packets[reason]}


def _rules(layout: Layout, state: planner.State) -> Iterator[RuleStatus]:
    with _map(layout, state, "counters") as counters:
        sums = counters.read_sums(0, max(state.names, default=-1) + 1)
    for index, name in sorted(state.names.items()):
        packets, length = sums[index]
        yield RuleStatus(
            counter=index,
            tier=name.tier,
            kind=name.kind,
            policy=name.policy,
            direction=_DIRECTIONS[Direction(name.direction)],
            rule=name.rule,
            action=name.action,
            identity=f"{name.identity:016x}",
            packets=packets,
            bytes=length,
        )


@contextmanager
def _map(layout: Layout, state: planner.State, name: str) -> Iterator[Map]:
    assert state.current is not None  # noqa: S101 - the callers have looked
    with Map.from_pin(layout.maps(state.current) / name) as its_map:
        yield its_map
