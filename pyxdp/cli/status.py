"""``pyxdp status``."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

import click

import pyxdp
from pyxdp.cli.apply import attachment_json
from pyxdp.cli.commands import KERNEL
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.output import plural
from pyxdp.cli.titles import title
from pyxdp.dataplane import WRITTEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.cli.commands import Settings
    from pyxdp.cli.output import Output
    from pyxdp.dataplane import RuleStatus, Status

_NS: Final = 1_000_000_000
_MIB: Final = 1 << 20
_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))

_MODES: Final = {"native": "green", "generic": "yellow", "none": "red"}


@make_command(
    click.option("--all", "everything", is_flag=True, help="Also list failsafe ports and defaults without packets."),
    *KERNEL,
    name="status",
)
def command(settings: Settings, *, everything: bool) -> None:
    """Show what is enforced now, what it has matched, and what is not as it should be."""
    found = pyxdp.status(settings.dataplane())
    output = settings.output
    output.document(_as_json(found))
    if not found.applied:
        output.line("no policy is in force")
    else:
        _tell_policy(output, found)
        _tell_rules(output, found, everything=everything)
        _tell_reasons(output, found)
    for table, interfaces in found.tables.items():
        output.line(f"{table}: {', '.join(interfaces)}")
    if found.applied:
        early = found.early_drop
        output.line(f"early drop at XDP: {'on' if early.on else f'off ({early.reason})'}")
        output.line(f"maps: {sum(found.memory.values()) / _MIB:.1f} MiB of kernel memory")
    if found.drift:
        output.line(click.style("not as it should be; pyxdp apply will:", fg="red"))
        for operation in found.drift.operations:
            output.line(f"  {operation}")
    for notice in _notices(found):
        output.line(f"notice: {notice}")


def _tell_policy(output: Output, found: Status) -> None:
    when = datetime.fromtimestamp(found.applied_ns / _NS, tz=timezone.utc).astimezone()
    age = _age((time.time_ns() - found.applied_ns) // _NS)
    output.line(f"generation {found.generation}, in force since {when:%Y-%m-%d %H:%M:%S} ({age}), {found.digest[:12]}")
    output.line()
    output.table(
        ["INTERFACE", "HOST ENDPOINT", "XDP", "WHY"],
        [
            [it.interface, it.host_endpoint, click.style(it.mode, fg=_MODES.get(it.mode)), it.reason]
            for it in (endpoint.attachment for endpoint in found.endpoints)
        ],
    )
    output.line()


def _tell_rules(output: Output, found: Status, *, everything: bool) -> None:
    ordered = sorted(found.rules, key=lambda it: (it.tier, it.policy, it.direction == "egress", it.rule))
    shown = [it for it in ordered if it.kind in WRITTEN or it.packets or everything]
    rows = [[title(it), _action(it), f"{it.packets:,}", f"{it.bytes:,}"] for it in shown]
    if rows:
        output.table(["RULE", "ACTION", "PACKETS", "BYTES"], rows, right=["PACKETS", "BYTES"])
    if hidden := len(found.rules) - len(shown):
        output.line(f"{hidden:,} more without a packet (failsafe ports, defaults): see --all")
    output.line()


def _tell_reasons(output: Output, found: Status) -> None:
    rows = [
        [endpoint.attachment.interface, direction, reason, f"{packets:,}"]
        for endpoint in found.endpoints
        for direction, reasons in endpoint.reasons.items()
        for reason, packets in reasons.items()
    ]
    if rows:
        output.table(["INTERFACE", "DIRECTION", "OUTCOME", "PACKETS"], rows, right=["PACKETS"])
        output.line()


def _action(rule: RuleStatus) -> str:
    return "failsafe" if rule.kind == "FelixConfiguration" else rule.action


def _age(seconds: int) -> str:
    """``3 minutes ago``: the largest unit that fits."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{plural(seconds // length, unit)} ago"
    return "just now"


def _notices(found: Status) -> Iterator[str]:
    if not found.applied:
        return
    if not found.endpoints:
        yield "no interface is governed"


def _as_json(found: Status) -> dict[str, Any]:
    return {
        "applied": found.applied,
        "generation": found.generation,
        "applied_ns": found.applied_ns,
        "digest": found.digest,
        "active_slot": found.active,
        "endpoints": [
            {
                **attachment_json(it.attachment),
                "number": it.number,
                "ifindex": it.ifindex,
                "reasons": {direction: dict(reasons) for direction, reasons in it.reasons.items()},
            }
            for it in found.endpoints
        ],
        "rules": [
            {
                "counter": it.counter,
                "tier": it.tier,
                "kind": it.kind,
                "policy": it.policy,
                "direction": it.direction,
                "rule": it.rule,
                "action": it.action,
                "identity": it.identity,
                "packets": it.packets,
                "bytes": it.bytes,
            }
            for it in found.rules
        ],
        "early_drop": {"on": found.early_drop.on, "reason": found.early_drop.reason},
        "memory": {"total": sum(found.memory.values()), "maps": dict(found.memory)},
        "tables": {table: list(interfaces) for table, interfaces in found.tables.items()},
        "drift": found.drift.as_json(),
        "notices": list(_notices(found)),
    }
