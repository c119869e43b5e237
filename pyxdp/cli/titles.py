"""Names of rules for people: written ones by where they stand, unwritten ones by what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Named(Protocol):
    """What a title is made of: an identity as ``pyxdp status`` has it."""

    @property
    def tier(self) -> str:
        """Tier, or empty."""

    @property
    def kind(self) -> str:
        """Kind of the resource."""

    @property
    def policy(self) -> str:
        """Name of the resource."""

    @property
    def direction(self) -> str:
        """``ingress`` or ``egress``."""

    @property
    def rule(self) -> int:
        """Number in its list, from 0."""

    @property
    def action(self) -> str:
        """Action as written."""


#: (kind, action) of an unwritten rule -> what it is called.
_UNWRITTEN: Final[Mapping[tuple[str, str], str]] = {
    ("Tier", "Deny"): "end of tier {policy}, {direction}",
    ("HostEndpoint", "Deny"): "no profile of {policy} allows, {direction}",
    ("HostEndpoint", "Allow"): "no forward policy for {policy}, {direction}",
    ("Builtin", "Allow"): "{policy}, {direction}",
}


def title(rule: Named) -> str:
    """Return ``default/redis ingress[0]``, ``Profile/web egress[2]``, ``end of tier default, ingress``."""
    unwritten = _UNWRITTEN.get((rule.kind, rule.action))
    if unwritten:
        return unwritten.format(policy=rule.policy, direction=rule.direction)
    return f"{rule.tier or rule.kind}/{rule.policy} {rule.direction}[{rule.rule}]"


def action_of(rule: Named) -> str:
    """Return what a rule does, in a word."""
    return "failsafe" if rule.kind == "FelixConfiguration" else rule.action
