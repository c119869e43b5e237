"""What the demo claims, held against what it measured. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.measure import Flood, Round

#: A host without pyxdp must have tracked at least so many connections, or the comparison says nothing.
TRACKED_AT_LEAST: Final = 1_000
#: Part of the flood that must have been counted where it was dropped, of what the interface took in.
COUNTED_AT_LEAST: Final = 0.99


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        text: what is claimed.
        holds: whether it is true of this run.
        evidence: the figures.
    """

    text: str
    holds: bool
    evidence: str


def claims(iptables: Sequence[Round], pyxdp: Sequence[Round]) -> list[Claim]:
    """Judge the rounds of both firewalls.

    Requests per second without a flood are shown and not claimed: untracked policy is not there to make a quiet Redis
    faster, and over a veth, where native XDP copies every packet, it does not.
    """
    return [
        _entries(iptables, pyxdp),
        *_flood(floods(iptables), floods(pyxdp)),
    ]


def default_deny(flood: Flood) -> Claim:
    """Judge a flood to a port that no policy mentions."""
    return _counted("A flood to a port that no policy mentions dies at XDP too", [flood])


def floods(rounds: Sequence[Round]) -> list[Flood]:
    """The floods of all rounds; none where the kernel can not make any."""
    return [it.flood for it in rounds if it.flood is not None]


def _entries(iptables: Sequence[Round], pyxdp: Sequence[Round]) -> Claim:
    tracked, untracked = min(it.entries for it in iptables), max(it.entries for it in pyxdp)
    return Claim(
        "Redis leaves nothing in conntrack",
        untracked == 0 and tracked >= TRACKED_AT_LEAST,
        f"{untracked:,} entries in any round, at least {tracked:,} without pyxdp",
    )


def _flood(iptables: Sequence[Flood], pyxdp: Sequence[Flood]) -> list[Claim]:
    if not iptables or not pyxdp:
        return []
    return [_counted("The denied flood is dropped and counted at XDP", pyxdp), _kept(iptables, pyxdp)]


def _counted(text: str, floods: Sequence[Flood]) -> Claim:
    arrived = sum(it.sent - it.lost for it in floods)
    dropped = sum(it.dropped for it in floods)
    holds = arrived > 0 and dropped >= COUNTED_AT_LEAST * arrived
    return Claim(text, holds, f"{dropped:,} of {arrived:,} frames")


def _kept(iptables: Sequence[Flood], pyxdp: Sequence[Flood]) -> Claim:
    before, after = (median(it.kept for it in found) for found in (iptables, pyxdp))
    return Claim(
        "Redis keeps more of its requests under the flood", after > before, f"{after:.0%} instead of {before:.0%}"
    )
