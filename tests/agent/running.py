"""An agent that runs in a thread of the test, on a governed host of its own."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyxdp.agent import Agent, AgentSettings
from pyxdp.sources import FolderSource
from tests.lab.waiting import wait_until
from tests.veth.host import NODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyxdp.agent import AgentView
    from pyxdp.sources import Source
    from tests.veth.host import Host

#: Drift is looked for so often that a test needs not wait long; how often is a setting.
SETTINGS = {"drift_every": 0.5}


@dataclass
class Running:
    """An agent at work.

    Attributes:
        host: that it governs.
        folder: of its manifests.
        agent: itself.
        views: all that it has published.
        ends: what its thread raised.
    """

    host: Host
    folder: Path
    agent: Agent
    views: list[AgentView] = field(default_factory=list)
    ends: list[BaseException] = field(default_factory=list)

    @property
    def view(self) -> AgentView:
        return self.views[-1]

    def write(self, name: str, text: str) -> None:
        """Write a manifest as careful people do."""
        write(self.folder, name, text)

    def wait_for(self, predicate: Callable[[AgentView], object], what: str = "") -> AgentView:
        """Wait for a view; return it."""

        def found() -> AgentView | None:
            assert not self.ends, self.ends
            return self.view if self.views and predicate(self.view) else None

        return wait_until(found, what=what or f"last view: {self.views[-1:]}")

    def wait_for_change(self, change: Callable[[], object], kind: str = "") -> AgentView:
        """Change something, and wait until it is enforced."""
        before = self.view
        change()

        def done(view: AgentView) -> bool:
            count = view.applies.get(kind, 0) > before.applies.get(kind, 0) if kind else view.changes > before.changes
            return count and view.enforcing

        return self.wait_for(done)


def write(folder: Path, name: str, text: str) -> None:
    """Write a file, and put it in its place as a whole."""
    temporary = folder / f".{name}.new"
    temporary.write_text(text)
    temporary.rename(folder / name)


@contextmanager
def running(
    host: Host, folder: Path, source: Source | None = None, *, node: str = NODE, **settings: object
) -> Iterator[Running]:
    """Run an agent in the host's namespace; its source is the folder, unless there is another."""
    made = AgentSettings(**{**SETTINGS, **settings})  # type: ignore[arg-type]
    views: list[AgentView] = []
    agent = Agent(
        [source or FolderSource(folder)], dataplane=host.dataplane(), node=node, settings=made, on_view=views.append
    )
    found = Running(host, folder, agent, views)

    def run() -> None:
        try:
            with host.space.entered():
                agent.run()
        except BaseException as error:  # noqa: BLE001 - the test hears of it
            found.ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        agent.stop()
        thread.join()
    assert not found.ends, found.ends
