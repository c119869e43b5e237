"""What sources say, and what a source is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxdp.agent.view import AgentView
    from pyxdp.manifest import Key


@dataclass(frozen=True, slots=True)
class Text:
    """One file, or one object of the API.

    Attributes:
        origin: unique among all sources: path of a file, or ``kubernetes/<plural>.<group>/<namespace>/<name>``.
        content: YAML or JSON; ``None``: it is gone, or can not be read.
        fault: it is there but can not be read, and why; what it said before stays in force. Empty otherwise.
        keys: of a text that is remembered: only these objects of it count; empty: all.
    """

    origin: str
    content: str | None
    fault: str = ""
    keys: tuple[Key, ...] = ()

    @property
    def gone(self) -> bool:
        """There is no such file or object any more."""
        return self.content is None and not self.fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a source has to say at a time.

    Attributes:
        source: its name, for logs and metrics; unique.
        texts: what is new, has changed or is gone.
        complete: this is everything that there is: other texts of this source are gone.
        silent: beginnings of origins of which a complete delivery knows nothing: what was said of them stays.
        connected: the source sees what it is to watch. If not, what it said before stays in force.
        trouble: why it is not connected, or what else people should know of; empty when all is well.
        since: time.monotonic() of the first event that led to this; 0: now.
    """

    source: str
    texts: tuple[Text, ...] = ()
    complete: bool = False
    silent: tuple[str, ...] = ()
    connected: bool = True
    trouble: str = ""
    since: float = 0.0


Deliver: TypeAlias = "Callable[[Delivery], None]"


class Source(Protocol):
    """Where policy comes from. Threads of its own watch; what they find they deliver."""

    @property
    def name(self) -> str:
        """As in each of its deliveries."""
        ...

    def start(self, deliver: Deliver) -> None:
        """Begin to watch, and return at once.

        Args:
            deliver: to be called with what there is; does not block, and may be called by any thread, also before
                this returns.
        """
        ...

    def stop(self) -> None:
        """End all threads, and wait for them; nothing is delivered after this has returned. May be called twice."""
        ...

    def report(self, view: AgentView) -> None:
        """Hear what became of it, for sources that have somewhere to write that. Must not block."""
        ...
