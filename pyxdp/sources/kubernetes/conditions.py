"""What the agent's view says about a node and about a host endpoint, as Kubernetes' conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyxdp.agent.view import AgentView
    from pyxdp.dataplane import EndpointStatus

ON_NODES: Final = "HostPolicy"
"""In front of the types of a node's conditions, which it shares with everybody."""

_MAX_MESSAGE: Final = 1024


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition.

    Attributes:
        type: ``Enforcing``, ``ConntrackBypass``, ``Degraded``.
        status: ``True``, ``False``, or ``Unknown``.
        reason: one word.
        message: a sentence for people.
    """

    type: str
    status: str
    reason: str
    message: str

    def written(self, before: Iterable[Mapping[str, Any]], now: str, prefix: str = "") -> dict[str, str]:
        """Return it as Kubernetes has it.

        Args:
            before: the conditions that are there, for the time of the last transition.
            now: as ``2026-01-31T12:00:00Z``.
            prefix: of the type.
        """
        type_ = prefix + self.type
        same = [it for it in before if it.get("type") == type_ and it.get("status") == self.status]
        since = str(same[0].get("lastTransitionTime") or now) if same else now
        message = self.message if len(self.message) <= _MAX_MESSAGE else self.message[: _MAX_MESSAGE - 4] + " ..."
        found = {"type": type_, "status": self.status, "reason": self.reason, "message": message}
        return {**found, "lastTransitionTime": since}


def is_settled(view: AgentView) -> bool:
    """Tell whether a view says how things are. One of an agent that has just started says what it does not know yet."""
    heard = all(source.synced for source in view.sources.values())
    return heard and (view.status is not None or not view.enforcing)


def of_node(view: AgentView) -> tuple[Condition, ...]:
    """Return the conditions of the node as a whole."""
    endpoints = view.status.endpoints if view.status else ()
    return (_enforcing(view, endpoints), _bypass(view, endpoints), _degraded(view, "", endpoints))


def of_host_endpoint(view: AgentView, name: str) -> tuple[Condition, ...]:
    """Return the conditions of a host endpoint of the node."""
    status = view.status
    endpoints = tuple(it for it in status.endpoints if it.attachment.host_endpoint == name) if status else ()
    return (_enforcing(view, endpoints), _bypass(view, endpoints), _degraded(view, f"HostEndpoint/{name}", endpoints))


def _enforcing(view: AgentView, endpoints: Iterable[EndpointStatus]) -> Condition:
    names = ", ".join(sorted(it.attachment.interface for it in endpoints))
    held = f"; an older policy is in force on {names}" if names else ""
    if not view.synced or not all(source.synced for source in view.sources.values()):
        return Condition("Enforcing", "Unknown", "NotSynced", f"what is to be enforced is not known yet{held}")
    if not view.enforcing:
        return Condition("Enforcing", "False", "NotApplied", f"what the API says could not be enforced{held}")
    if view.status is None:
        return Condition("Enforcing", "Unknown", "NotSeen", "the dataplane was not looked at yet")
    if not names:
        return Condition("Enforcing", "False", "NoInterface", "no interface of this node is governed")
    return Condition("Enforcing", "True", "InForce", f"governs {names}")


def _bypass(view: AgentView, endpoints: Iterable[EndpointStatus]) -> Condition:
    """Say whether untracked policy can keep packets out of conntrack: that takes rules, which the agent looks after.

    Which rules there are is not in the view's status, since to read them takes long. What enforces has seen to them.
    """
    names = sorted(it.attachment.interface for it in endpoints)
    if view.status is None:
        return Condition("ConntrackBypass", "Unknown", "NotSeen", "the dataplane was not looked at yet")
    if not names:
        return Condition("ConntrackBypass", "False", "NoInterface", "no interface is governed")
    if not view.enforcing:
        return Condition("ConntrackBypass", "Unknown", "NotApplied", "what the API says could not be enforced")
    return Condition("ConntrackBypass", "True", "RulesInPlace", "what untracked policy allows is not tracked")


def _degraded(view: AgentView, key: str, endpoints: Iterable[EndpointStatus]) -> Condition:
    """Say what is not as it should be; of one object only, if a key is given, or else of all."""
    problems = [problem for problem in view.problems if not key or problem.key == key]
    modes = (
        [f"{it.attachment.interface}: {it.attachment.reason}" for it in endpoints if it.attachment.reason]
        if key
        else []
    )
    if problems:
        stands_in = " (the last good version is in force)"
        said = [problem.message + stands_in * problem.stands_in for problem in problems]
        return Condition("Degraded", "True", "Invalid", "; ".join([*said, *modes, *view.degraded]))
    reasons = [*modes, *view.degraded]
    if reasons:
        return Condition("Degraded", "True", "Impaired", "; ".join(reasons))
    return Condition("Degraded", "False", "AsExpected", "nothing is wrong")
