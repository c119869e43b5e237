"""What everybody may read of an agent at any time: immutable, and replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.dataplane import Status
    from pyxdp.sources import StoredProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceView:
    """One source.

    Attributes:
        connected: it sees what it is to watch.
        trouble: why not, or what else people should know of.
        texts: files or objects that it has said something about.
        synced: it has said everything once.
    """

    connected: bool = False
    trouble: str = ""
    texts: int = 0
    synced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """An agent.

    Attributes:
        node: whose host endpoints it enforces.
        started_ns: CLOCK_REALTIME.
        synced: every source has said everything once, or a snapshot was restored.
        enforcing: policy is in force, and is what the sources say; of what is wrong, its last good version.
        generation: of the policy in force; 0 before there is one.
        problems: what is wrong with what the sources say.
        degraded: reasons in words: a source is cut off, the last apply failed, XDP is generic, ...
        applies: ``full``, ``members``, ``nothing``, ``repair`` -> how often that was done.
        failures: class of the error -> how often applying failed with it.
        repairs: ``link``, ``rules``, ``pin``, ``map`` -> how often that was found changed by others, and repaired.
        seconds: of the last 1000 changes, from the first event to enforced; the latest last.
        changes: how many there ever were that ``seconds`` has or had a time of.
        sources: by name.
        status: what the dataplane was when it was looked at last, drift found then included; ``None`` before that.
        status_ns: CLOCK_REALTIME of that look; 0 before it.
    """

    node: str
    started_ns: int
    synced: bool = False
    enforcing: bool = False
    generation: int = 0
    problems: tuple[StoredProblem, ...] = ()
    degraded: tuple[str, ...] = ()
    applies: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    repairs: Mapping[str, int] = field(default_factory=dict)
    seconds: tuple[float, ...] = ()
    changes: int = 0
    sources: Mapping[str, SourceView] = field(default_factory=dict)
    status: Status | None = None
    status_ns: int = 0
