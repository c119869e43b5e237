"""What ``pyxdp apply`` keeps of a policy; where nothing can be kept it enforces all the same, and says so."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING

from pyxdp.errors import SnapshotError
from pyxdp.snapshot import Change, Keeper, StateFolder, Watchdog
from pyxdp.sources import Text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from typing_extensions import Self

    from pyxdp.cli.commands import Settings
    from pyxdp.dataplane import Report
    from pyxdp.manifest.sources import Source
    from pyxdp.planner import State, Target
    from pyxdp.snapshot import Pending


def watchdog_for(settings: Settings, confirm_within: float) -> AbstractContextManager[Watchdog | None]:
    """Start what would take the change back, beside everything else that is to be done before it."""
    return Watchdog(StateFolder(settings.state)) if confirm_within else nullcontext()


class Keeping:
    """Around one apply: a :class:`pyxdp.snapshot.Keeper`, if the folder can be written. A context manager.

    Attributes:
        pending: the change that waits to be confirmed from now on.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Iterable[Source],
        node: str,
        confirm_within: float,
        watchdog: Watchdog | None,
    ) -> None:
        """Keep nothing yet.

        Args:
            settings: of the command line.
            sources: what is applied.
            node: whose host endpoints.
            confirm_within: seconds after which it goes back by itself; 0: it stays.
            watchdog: from :func:`watchdog_for`.
        """
        self._settings = settings
        self._watchdog = watchdog
        self._change = Change(
            texts=tuple(Text(source.file, source.text) for source in sources),
            node=node,
            confirm_within=confirm_within,
            bpffs=settings.bpffs,
            iptables=settings.variant,
        )
        self._keeper: Keeper | None = None
        self._stack = ExitStack()
        self.pending: Pending | None = None

    def __enter__(self) -> Self:
        settings = self._settings
        keeper = Keeper(
            StateFolder(settings.state),
            self._change,
            watchdog=self._watchdog,
            lock_timeout=settings.lock_timeout,
            on_wait=settings.tell_wait,
        )
        try:
            self._keeper = self._stack.enter_context(keeper)
        except SnapshotError as error:
            self._give_up(error)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def on_plan(self, state: State, target: Target) -> None:
        """Before the first operation; see :meth:`Keeper.on_plan`."""
        if self._keeper is not None:
            self._keeper.on_plan(state, target)

    def keep(self, report: Report, generation: int) -> None:
        """After the last one; see :meth:`Keeper.keep`."""
        if self._keeper is None:
            return
        try:
            self._keeper.keep(report, generation)
            self.pending = self._keeper.pending
        except SnapshotError as error:
            error.hint = "the change is in force, can not be confirmed, and will be taken back"
            self._give_up(error)

    def _give_up(self, error: SnapshotError) -> None:
        if self._change.confirm_within:
            raise error
        self._settings.output.warning(f"{error}: the policy is not kept, and will not be in force after a boot")
