"""What a verdict becomes at the hooks behind XDP and the raw table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

AllowAction: TypeAlias = Literal["Accept", "Return"]
DenyAction: TypeAlias = Literal["Drop", "Reject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSettings:
    """Settings of a node that iptables rules are made by, in Felix's words (spec section 1.11).

    Attributes:
        allow: ``Accept`` ends the filter table for a packet that policy allows; ``Return`` goes on with the host's own
            rules.
        deny: ``Drop`` is silent; ``Reject`` tells the sender, in the filter table only. It rules out early drop.
        check_invalid: whether packets that connection tracking finds invalid are dropped before policy is asked.
        mark: the bit of a packet's mark that says "allowed already" from one hook to the next; nobody else may use it.
    """

    allow: AllowAction = "Accept"
    deny: DenyAction = "Drop"
    check_invalid: bool = True
    mark: int = 0x2000
