"""What the demo claims, held against what it measured. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from demo.measure import Flood, Round

#: A host without pyxdp must have tracked at least so many connections, or the comparison says nothing.
TRACKED_AT_LEAST: Final = 1_000
#: Medians of two runs differ by this much without any cause, at the least.
NOISE: Final = 0.10
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


def middle(rounds: Sequence[Round], figure: Callable[[Round], float]) -> float:
    """The median of a figure."""
    return median(figure(it) for it in rounds)


def claims(iptables: Sequence[Round], pyxdp: Sequence[Round]) -> list[Claim]:
    """Judge the rounds of both firewalls."""
    return [
        _entries(iptables, pyxdp),
        *_flood(floods(iptables), floods(pyxdp)),
        _speed("keep-alive", iptables, pyxdp, lambda it: it.keep_alive.requests),
        _speed("a connection per request", iptables, pyxdp, lambda it: it.per_request.requests),
    ]


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
    return [_dropped(pyxdp), _kept(iptables, pyxdp)] if iptables and pyxdp else []


def _dropped(pyxdp: Sequence[Flood]) -> Claim:
    arrived = sum(it.sent - it.lost for it in pyxdp)
    dropped = sum(it.dropped for it in pyxdp)
    return Claim(
        "The denied flood is dropped and counted at XDP",
        arrived > 0 and dropped >= COUNTED_AT_LEAST * arrived,
        f"{dropped:,} of {arrived:,} frames",
    )


def _kept(iptables: Sequence[Flood], pyxdp: Sequence[Flood]) -> Claim:
    before, after = (median(it.kept for it in found) for found in (iptables, pyxdp))
    return Claim(
        "Redis keeps more of its requests under the flood", after > before, f"{after:.0%} instead of {before:.0%}"
    )


def noise(rounds: Sequence[Round], figure: Callable[[Round], float]) -> float:
    """How far a round of the *same* firewall was from their median: what the machine does, not the firewall.

    At least :data:`NOISE`, because three rounds can agree by chance.
    """
    center = middle(rounds, figure)
    return max(NOISE, *(abs(figure(it) / center - 1) for it in rounds))


def _speed(what: str, iptables: Sequence[Round], pyxdp: Sequence[Round], figure: Callable[[Round], float]) -> Claim:
    before, after = middle(iptables, figure), middle(pyxdp, figure)
    tolerance = noise(iptables, figure)
    return Claim(
        f"Redis is not slower, {what}",
        after >= (1 - tolerance) * before,
        f"{after / before - 1:+.0%} (up to {tolerance:.0%} is noise)",
    )
