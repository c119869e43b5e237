"""What lint says: findings, each of a kind with a stable code."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from pyxdp.model import Origin

if TYPE_CHECKING:
    from pyxdp.net import Packet
    from pyxdp.resolver import Direction


class Severity(Enum):
    """How sure it is that nobody wants this. A notice may well be meant so."""

    WARNING = "warning"
    NOTICE = "notice"


class Code(Enum):
    """Kinds of findings; the values are stable, people write them into ``pyxdp.dev/lint-ignore``."""

    SHADOWED_RULE = "shadowed-rule"
    UNREACHED_POLICY = "unreached-policy"
    NEVER_MATCHES = "never-matches"
    CUT_DIRECTION = "cut-direction"
    LOG_ONLY = "log-only"
    BARE_ENDPOINT = "bare-endpoint"
    ONE_FAMILY = "one-family"
    MISSING_RETURN = "missing-return"
    SILENT_PEER = "silent-peer"
    OPEN_FAILSAFE = "open-failsafe"
    FAILSAFE_WINS = "failsafe-wins"
    AFTER_DNAT = "after-dnat"
    SHADOWED_ENDPOINT = "shadowed-endpoint"
    REFUSED_POLICY = "refused-policy"
    UNKNOWN_CODE = "unknown-code"
    GAVE_UP = "gave-up"


#: An annotation of a policy, profile, host endpoint, FelixConfiguration or rule: codes to be silent about, or ``all``.
IGNORE_ANNOTATION: Final = "pyxdp.dev/lint-ignore"


@dataclass(frozen=True, slots=True)
class Example:
    """A packet that shows what is meant.

    Attributes:
        packet: the packet.
        direction: in which it meets the endpoint.
        endpoint: name of the host endpoint; empty when none is concerned.
        forwarded: whether the host routes it; otherwise one end is a process of the host.
        outcome: what becomes of it, as ``is denied at the end of tier default``.
        translated: what DNAT makes of it, if that is assumed.
    """

    packet: Packet
    direction: Direction
    endpoint: str
    forwarded: bool = False
    outcome: str = ""
    translated: Packet | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at.

    Attributes:
        code: of which kind.
        severity: warning or notice.
        subject: ``Kind/name``, or ``Kind/name: ingress[0]`` for a rule.
        text: what is wrong, without the subject; a part of a sentence.
        origin: where it was written.
        example: a packet, if there is one that shows it.
        others: of how many more host endpoints the very same is to be said.
    """

    code: Code
    severity: Severity = Severity.WARNING
    subject: str
    text: str
    origin: Origin = field(default=Origin())
    example: Example | None = None
    others: int = 0
