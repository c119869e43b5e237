"""Asks what would become of flows, before and after a switch."""

from __future__ import annotations

import time
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.abi import Direction as ListDirection
from pyxdp.cases.origins import Origins
from pyxdp.compiler import MapImage
from pyxdp.evaluator import Direction
from pyxdp.explanation.origins import failsafe_configuration
from pyxdp.guard import flows as collecting
from pyxdp.guard.established import of_sessions
from pyxdp.guard.findings import Cut, Findings
from pyxdp.guard.judging import Fate, fate_of, judgement_of
from pyxdp.guard.sessions import UDP
from pyxdp.model import Origin
from pyxdp.net import HookSettings
from pyxdp.netlink.connections import entries, untracked
from pyxdp.planner.capacity import capacities, needed
from pyxdp.trial import TrialHost

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Self

    from pyxdp.abi import Name
    from pyxdp.guard.flows import Flow
    from pyxdp.guard.judging import End
    from pyxdp.guard.sessions import Session
    from pyxdp.model import Resources
    from pyxdp.net import Address
    from pyxdp.planner import State, Target
    from pyxdp.resolver import EffectivePolicy
    from pyxdp.trial import Judgement

#: Seconds for which it is remembered where the API servers are.
_REMEMBERED: Final = 30.0
_FAILSAFE: Final = "FelixConfiguration"

#: Flows that would be cut of which the rule is found out: that takes longer than to find out that they are.
_MOST_JUDGED: Final = 100


class _Side(NamedTuple):
    """A policy, ready to be tried."""

    image: MapImage
    settings: HookSettings


class _Suspect(NamedTuple):
    """A flow that the new policy may cut."""

    flow: Flow
    fate: Fate


class _Ended(NamedTuple):
    """A flow that the new policy ends, and who does."""

    flow: Flow
    end: End
    judgement: Judgement


class Guard:
    """Checks switches. Its programs stay loaded in between, which makes later checks cheap. A context manager.

    Needs root and Linux 5.12. To load the programs takes a tenth of a second or two, and happens only when something is
    at stake.
    """

    def __init__(self, own: Session | None = None) -> None:
        """Load nothing yet.

        Args:
            own: the session of whoever makes the change; that another one could not be made is worth a warning.
        """
        self._own = own
        self._host: TrialHost | None = None
        self._sizes: dict[str, int] = {}
        self._servers: frozenset[Address] = frozenset()
        self._servers_until = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the programs."""
        host, self._host, self._sizes = self._host, None, {}
        if host is not None:
            host.__exit__()

    def api_servers(self) -> frozenset[Address]:
        """Return the addresses of the API servers: what changes for one of them is worth a :meth:`check`.

        They may be those of half a minute ago.
        """
        now = time.monotonic()
        if now >= self._servers_until:
            self._servers = frozenset(address for address, _ in collecting.api_servers())
            self._servers_until = now + _REMEMBERED
        return self._servers

    def check(self, state: State, target: Target, policy: EffectivePolicy, resources: Resources) -> Findings:
        """Say what a switch would cut; for ``on_plan`` of :meth:`pyxdp.Enforcer.apply`.

        Args:
            state: what is in force.
            target: what is to be.
            policy: that it was compiled from.
            resources: that the policy is of.

        Raises:
            BpfError: the programs can not be run.
        """
        if _is_same(state, target):
            return Findings()
        warnings = list(_emptied_failsafes(state, policy, resources))
        sessions = of_sessions([it for it in policy.endpoints if not it.workloads])
        found = [*sessions.flows, *collecting.of_node(policy)]
        if not found and _failsafes(state.names.values()) == _failsafes(target.names.values()):
            return Findings(warnings=tuple(warnings))
        found += collecting.of_failsafes(policy)
        before, after = _before(state), _after(target)
        host = self._ready(before, after)
        suspects = list(_suspects(host, after, found))
        cut = dict(_confirmed(host, before, suspects))
        own = {it.flow: it.fate.end_anew for it in suspects if self._own and it.flow.session == self._own}
        ended = list(_judged(host, after, [*list(cut.items())[:_MOST_JUDGED], *own.items()]))
        warnings += (_own_warning(it, policy) for it in ended if it.flow in own and it.flow not in cut)
        if len(cut) > _MOST_JUDGED:
            warnings.append(f"{len(cut):,} flows would be cut; of {_MOST_JUDGED} it is told by whom")
        if len(sessions.flows) < sessions.count:
            counts = f"{sessions.count:,} sessions are established, {len(sessions.flows):,} of them were looked at"
            warnings.append(counts)
        return Findings(cuts=tuple(_told((it for it in ended if it.flow in cut), policy)), warnings=tuple(warnings))

    def _ready(self, *sides: _Side | None) -> TrialHost:
        """Return programs with maps that all of these fit in."""
        most: Counter[str] = Counter()
        for side in filter(None, sides):
            most |= Counter(needed(side.image.tables, side.image.names))
        sizes = capacities({**needed({}, {}), **most}, self._sizes)
        if self._host is None or sizes != self._sizes:
            self.close()
            entries = {name: count for name, count in sizes.items() if name not in ("rulesets", "names", "counters")}
            self._host = TrialHost(capacities=entries, counters=sizes["counters"])
            self._sizes = sizes
        return self._host


def _is_same(state: State, target: Target) -> bool:
    """Whether every packet gets the same verdict as before."""
    if state.current is None or state.slots[state.active].digest != target.digest:
        return False
    numbers = {it.interface: number for number, it in state.endpoints.items()}
    return all(numbers.get(name) == it.number for name, it in target.interfaces.items())


def _before(state: State) -> _Side | None:
    if state.current is None:
        return None
    settings = next((rules.settings for rules in state.rules.values()), HookSettings())
    numbers = {it.interface: number for number, it in state.endpoints.items()}
    return _Side(MapImage(state.tables, state.names, numbers), settings)


def _after(target: Target) -> _Side:
    numbers = {name: it.number for name, it in target.interfaces.items()}
    return _Side(MapImage(target.tables, target.names, numbers), target.settings)


def _failsafes(names: Iterable[Name]) -> frozenset[int]:
    return frozenset(name.identity for name in names if name.kind == _FAILSAFE)


def _emptied_failsafes(state: State, policy: EffectivePolicy, resources: Resources) -> Iterator[str]:
    there = {name.direction for name in state.names.values() if name.kind == _FAILSAFE}
    lists = (
        (ListDirection.INGRESS, Direction.INGRESS, policy.failsafe_inbound, "failsafeInboundHostPorts"),
        (ListDirection.EGRESS, Direction.EGRESS, policy.failsafe_outbound, "failsafeOutboundHostPorts"),
    )
    for number, direction, ports, field in lists:
        if not ports and number in there:
            configuration = failsafe_configuration(resources, policy.node, direction)
            place = f"{configuration.metadata.origin}: " if configuration else ""
            yield f"{place}{field} is empty now: no port stays open whatever policy says"


def _suspects(host: TrialHost, after: _Side, found: Iterable[Flow]) -> Iterator[_Suspect]:
    """Yield flows of which something is denied, be it only when they begin anew."""
    for interface, flows in groupby(sorted(found, key=_interface), _interface):
        host.enforce(after.image, interface, after.settings)
        for flow in flows:
            fate = fate_of(host, flow)
            if fate.end_anew is not None:
                yield _Suspect(flow, fate)


def _confirmed(host: TrialHost, before: _Side | None, suspects: Iterable[_Suspect]) -> Iterator[tuple[Flow, End]]:
    """Yield those that end, and that the policy in force lets live: in the state that conntrack has them in."""
    ending = [it for it in suspects if it.fate.end or it.fate.end_unless_known]
    sessions = [it.flow.session for it in ending if it.flow.session]
    unknown = dict(zip(sessions, untracked(sessions), strict=True)) if sessions else {}
    tracks = bool(entries())
    for interface, group in groupby(ending, lambda it: it.flow.interface):
        if before is not None:
            host.enforce(before.image, interface, before.settings)
        for flow, fate in group:
            now = fate_of(host, flow) if before is not None else Fate()
            # What left connection tracking until now is not known to it, or was long ago.
            strange = flow.session is not None and (now.untracked or unknown.get(flow.session, False))
            if flow.session and flow.session.protocol == UDP and strange and tracks and not now.untracked:
                continue  # connected long ago: nobody has said anything for as long as it is remembered
            end = fate.ends(unknown=strange)
            if end is not None and now.ends(unknown=strange) is None:
                yield flow, end


def _judged(host: TrialHost, after: _Side, found: Iterable[tuple[Flow, End | None]]) -> Iterator[_Ended]:
    """Find out who ends flows."""
    for interface, group in groupby(sorted(found, key=lambda it: it[0].interface), lambda it: it[0].interface):
        host.enforce(after.image, interface, after.settings)
        for flow, end in group:
            if end is not None:
                yield _Ended(flow, end, judgement_of(host, end))


def _told(ended: Iterable[_Ended], policy: EffectivePolicy) -> Iterator[Cut]:
    """Yield a cut for all sessions that the same rule ends, and for each other flow."""
    groups: dict[tuple[object, ...], dict[Flow, _Ended]] = {}
    for it in ended:
        kind = it.flow.session is None and it.flow.what
        key = (it.flow.interface, it.end.direction.value, kind, it.judgement.rule, it.judgement.reason)
        groups.setdefault(key, {}).setdefault(it.flow, it)
    for first, *others in (list(group.values()) for group in groups.values()):
        yield Cut(
            what=first.flow.what,
            others=len(others),
            interface=first.flow.interface,
            direction=first.end.direction,
            rule=first.judgement.rule,
            origin=_origin(first, policy),
            reason=first.judgement.reason,
        )


def _own_warning(ended: _Ended, policy: EffectivePolicy) -> str:
    """Say that the session of whoever makes the change lives, but could not be made again."""
    place = _origin(ended, policy)
    who = f"{f'{place}: ' if place.line else ''}{ended.judgement.rule or ended.judgement.reason}"
    return f"{who} would deny another session like yours, {ended.flow.session}, which goes on"


def _origin(ended: _Ended, policy: EffectivePolicy) -> Origin:
    """Find where the rule is written that denies."""
    origins = (it.origin for it in policy.endpoints if it.interface.name == ended.flow.interface)
    return Origins(next(origins, Origin()), policy).of(ended.judgement.rule)


def _interface(flow: Flow) -> str:
    return flow.interface
