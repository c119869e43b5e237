"""What an agent has done so far, which becomes its view."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pyxdp.agent.view import AgentView, SourceView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.dataplane import Status
    from pyxdp.sources import Delivery, Source, Store, StoredProblem

#: Changes whose duration is remembered.
_REMEMBERED: Final = 1000


@dataclass(slots=True)
class SourceState:
    """What is known of a source."""

    heard: bool = False
    connected: bool = False
    synced: bool = False
    trouble: str = ""

    def note(self, delivery: Delivery) -> None:
        """Take over what it says of itself."""
        self.heard = True
        self.connected, self.trouble = delivery.connected, delivery.trouble
        self.synced |= delivery.complete


@dataclass(slots=True)
class Record:
    """Counts, and what is to be said. Only the agent's thread writes here.

    Attributes:
        sources: by name.
        restored: a snapshot is in force.
        enforcing: what the sources say is in force.
        generation: of the policy in force.
        failure: why the last attempt failed; empty when it did not.
        notes: what else is not as it should be.
        generic: interfaces where XDP is not native, and why.
        status: of the dataplane, when it was looked at last.
    """

    node: str
    started_ns: int = field(default_factory=time.time_ns)
    sources: dict[str, SourceState] = field(default_factory=dict)
    restored: bool = False
    enforcing: bool = False
    generation: int = 0
    failure: str = ""
    notes: tuple[str, ...] = ()
    generic: tuple[str, ...] = ()
    status: Status | None = None
    status_ns: int = 0
    applies: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    changes: int = 0

    @classmethod
    def of(cls, node: str, sources: Iterable[Source]) -> Record:
        """Begin."""
        return cls(node, sources={source.name: SourceState() for source in sources})

    @property
    def all_synced(self) -> bool:
        """Every source has said everything once."""
        return all(source.synced for source in self.sources.values())

    @property
    def all_heard(self) -> bool:
        """Every source has said something, if only that it can say nothing yet."""
        return all(source.heard for source in self.sources.values())

    def note_change(self, kind: str, seconds: float) -> None:
        """Something was enforced, so many seconds after it happened."""
        self.applies[kind] += 1
        self.seconds.append(seconds)
        self.changes += 1

    def view(self, store: Store, refused: Iterable[StoredProblem]) -> AgentView:
        """Return what others may read."""
        return AgentView(
            node=self.node,
            started_ns=self.started_ns,
            synced=self.all_synced or self.restored,
            enforcing=self.enforcing,
            generation=self.generation,
            problems=(*store.problems, *refused),
            degraded=tuple(self._degraded()),
            applies=MappingProxyType(dict(self.applies)),
            failures=MappingProxyType(dict(self.failures)),
            repairs=MappingProxyType(dict(self.repairs)),
            seconds=tuple(self.seconds),
            changes=self.changes,
            sources=MappingProxyType(
                {
                    name: SourceView(
                        connected=it.connected, trouble=it.trouble, texts=store.count(name), synced=it.synced
                    )
                    for name, it in self.sources.items()
                }
            ),
            status=self.status,
            status_ns=self.status_ns,
        )

    def _degraded(self) -> Iterable[str]:
        yield from (it.trouble for it in self.sources.values() if it.trouble)
        if self.failure:
            yield self.failure
        yield from self.notes
        yield from self.generic
