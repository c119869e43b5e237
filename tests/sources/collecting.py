"""A receiver of deliveries."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyxdp.sources import FolderSource
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyxdp.sources import Delivery


@dataclass
class Collected:
    """What a source has said.

    Attributes:
        deliveries: all.
        contents: origin -> content, of what there is now.
        faults: origin -> fault.
        read: origins in the order in which they were delivered.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)

    def take(self, delivery: Delivery) -> None:
        if delivery.complete:
            self.contents = {}
        for text in delivery.texts:
            self.read.append(text.origin)
            self.faults.pop(text.origin, None)
            if text.fault:
                self.faults[text.origin] = text.fault
            elif text.content is None:
                self.contents.pop(text.origin, None)
            else:
                self.contents[text.origin] = text.content
        self.deliveries.append(delivery)

    def wait_for(self, **contents: str) -> None:
        """Wait until there are exactly these; ``__`` in a name stands for the dot."""
        wanted = {name.replace("__", "."): content for name, content in contents.items()}
        wait_until(lambda: self.named() == wanted, what=f"{wanted}, not {self.named()}")

    def named(self) -> dict[str, str]:
        return {origin.rpartition("/")[2]: content for origin, content in list(self.contents.items())}

    @property
    def last(self) -> Delivery:
        return self.deliveries[-1]


@contextmanager
def watching(path: Path) -> Iterator[Collected]:
    """Watch a folder."""
    collected, source = Collected(), FolderSource(path)
    source.start(collected.take)
    try:
        wait_until(lambda: collected.deliveries)
        yield collected
    finally:
        source.stop()
