"""``pyxdp status``."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

import click

import pyxdp
from pyxdp.cli.attachments import attachment_json
from pyxdp.cli.commands import KERNEL, STATE
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.frames import Frames
from pyxdp.cli.interruption import Interrupted
from pyxdp.cli.output import plural
from pyxdp.cli.titles import action_of, title
from pyxdp.dataplane import WRITTEN
from pyxdp.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pyxdp.cli.commands import Settings
    from pyxdp.cli.output import Output
    from pyxdp.dataplane import EndpointStatus, RuleStatus, Status

_NS: Final = 1_000_000_000
_MIB: Final = 1 << 20
_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
#: Seconds between two frames of --watch.
_WATCH: Final = 2.0
#: Part of conntrack's entries from which on people should know.
_NEARLY_FULL: Final = 0.8

_MODES: Final = {"native": "green", "generic": "yellow", "none": "red"}


@make_command(
    click.option("--all", "everything", is_flag=True, help="Also list failsafe ports and defaults without packets."),
    click.option(
        "--watch",
        is_flag=False,
        flag_value=_WATCH,
        type=click.FloatRange(min=0, min_open=True),
        metavar="[SECONDS]",
        help=f"Tell it again every so many seconds ({_WATCH:g}), until Ctrl-C.",
    ),
    *STATE,
    *KERNEL,
    name="status",
)
def command(settings: Settings, *, everything: bool, watch: float | None) -> None:
    """Show what is enforced now, what it has matched, and what is not as it should be."""
    if watch is None:
        found, notices = pyxdp.status(settings.dataplane()), list(_waiting(settings.state))
        settings.output.document(_as_json(found, notices))
        _tell(settings.output, found, notices, everything=everything)
        return
    with suppress(Interrupted), Frames(settings.output, settings.interruption) as frames:
        while True:
            frames.show(lambda: _tell_again(settings, everything=everything))
            if not frames.wait(watch):
                break


def _tell_again(settings: Settings, *, everything: bool) -> None:
    found, notices = pyxdp.status(settings.dataplane()), list(_waiting(settings.state))
    settings.output.record(_as_json(found, notices))
    _tell_wrong(settings.output, found, notices)  # first: what does not fit on the screen is cut off at its end
    _tell_state(settings.output, found, everything=everything)


def rules_to_tell(found: Status, *, everything: bool) -> list[RuleStatus]:
    """Rules that people care for: written ones, and of the others those that have matched something; or all."""
    ordered = sorted(found.rules, key=lambda it: (it.tier, it.policy, it.direction == "egress", it.rule))
    return [it for it in ordered if it.kind in WRITTEN or it.packets or everything]


def rule_json(rule: RuleStatus) -> dict[str, Any]:
    """Return the members of ``rules[]``."""
    return {
        "counter": rule.counter,
        "tier": rule.tier,
        "kind": rule.kind,
        "policy": rule.policy,
        "direction": rule.direction,
        "rule": rule.rule,
        "action": rule.action,
        "identity": rule.identity,
        "packets": rule.packets,
        "bytes": rule.bytes,
    }


def _tell(output: Output, found: Status, notices: Sequence[str], *, everything: bool) -> None:
    _tell_state(output, found, everything=everything)
    _tell_wrong(output, found, notices)


def _tell_state(output: Output, found: Status, *, everything: bool) -> None:
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
        output.line(f"conntrack: {conntrack_of(found)}")
        output.line(f"maps: {sum(found.memory.values()) / _MIB:.1f} MiB of kernel memory")


def _tell_wrong(output: Output, found: Status, notices: Sequence[str]) -> None:
    if found.drift:
        output.line(click.style("not as it should be; pyxdp apply will:", fg="red"))
        for operation in found.drift.operations:
            output.line(f"  {operation}")
    for notice in [*_notices(found), *notices]:
        output.line(f"notice: {notice}")


def _tell_policy(output: Output, found: Status) -> None:
    when = datetime.fromtimestamp(found.applied_ns / _NS, tz=timezone.utc).astimezone()
    age = _age((time.time_ns() - found.applied_ns) // _NS)
    output.line(f"generation {found.generation}, in force since {when:%Y-%m-%d %H:%M:%S} ({age}), {found.digest[:12]}")
    output.line()
    output.table(
        ["INTERFACE", "HOST ENDPOINT", "XDP", "DROPPED", "UNTRACKED", "WHY"],
        [_endpoint_row(it) for it in found.endpoints],
        right=["DROPPED", "UNTRACKED"],
    )
    output.line()


def _endpoint_row(endpoint: EndpointStatus) -> list[str]:
    it = endpoint.attachment
    mode = click.style(it.mode, fg=_MODES.get(it.mode)) if endpoint.ifindex else "-"  # a pattern has rules only
    dropped, untracked = _count(endpoint, "DROP_"), _count(endpoint, "UNTRACKED")
    return [it.interface, it.host_endpoint, mode, f"{dropped:,}", f"{untracked:,}", it.reason]


def _tell_rules(output: Output, found: Status, *, everything: bool) -> None:
    shown = rules_to_tell(found, everything=everything)
    rows = [[title(it), action_of(it), f"{it.packets:,}", f"{it.bytes:,}"] for it in shown]
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


def conntrack_of(found: Status) -> str:
    """``12 of 262,144 entries``, and what went in that should not have."""
    use = found.conntrack
    if use is None:
        return "not loaded"
    told = f"{use.entries:,} of {use.limit:,} entries" if use.limit else f"{use.entries:,} entries, no limit"
    if use.limit and use.entries > _NEARLY_FULL * use.limit:
        told = click.style(f"{told}; what is new will be dropped when it is full", fg="red")
    if missed := sum(_count(endpoint, "STILL_TRACKED") for endpoint in found.endpoints):
        told += click.style(f"; {plural(missed, 'packet')} went in that untracked policy allows", fg="yellow")
    return told


def _count(endpoint: EndpointStatus, prefix: str) -> int:
    """Packets of both directions whose reason begins so."""
    return sum(
        packets
        for reasons in endpoint.reasons.values()
        for reason, packets in reasons.items()
        if reason.startswith(prefix)
    )


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


def _waiting(state: Path) -> Iterator[str]:
    """Say that a change waits to be confirmed, if one does."""
    from pyxdp.snapshot import StateFolder  # noqa: PLC0415 - brings in more than the rest of this

    with suppress(OperatorError):  # who may not read it is told of everything else
        pending = StateFolder(state).pending()
        if pending is not None:
            yield f"a change waits for pyxdp confirm, and is taken back in {max(pending.remaining, 0):.0f} s"


def _as_json(found: Status, notices: Sequence[str]) -> dict[str, Any]:
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
        "rules": [rule_json(it) for it in found.rules],
        "early_drop": {"on": found.early_drop.on, "reason": found.early_drop.reason},
        "conntrack": found.conntrack and {"entries": found.conntrack.entries, "limit": found.conntrack.limit},
        "maps": {name: {"used": use.used, "capacity": use.capacity} for name, use in found.maps.items()},
        "memory": {"total": sum(found.memory.values()), "maps": dict(found.memory)},
        "tables": {table: list(interfaces) for table, interfaces in found.tables.items()},
        "drift": found.drift.as_json(),
        "notices": [*_notices(found), *notices],
    }
