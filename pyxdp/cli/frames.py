"""What a command tells again and again: drawn over itself on a terminal, one below the other elsewhere."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.live import Live
    from typing_extensions import Self

    from pyxdp.cli.interruption import Interruption
    from pyxdp.cli.output import Output


class Frames:
    """Frames of one command; a context manager, which leaves the last one standing.

    Args:
        output: of the command. With JSON each frame prints what it likes by :meth:`~Output.record`.
        interruption: signals; they end a wait at once, and wait themselves while the kernel is read.
    """

    def __init__(self, output: Output, interruption: Interruption) -> None:
        self._output = output
        self._interruption = interruption
        self._stack = ExitStack()
        self._live: Live | None = None
        self._shown = 0

    def __enter__(self) -> Self:
        if self._output.is_terminal and not self._output.as_json:
            from rich.console import Console  # noqa: PLC0415 - slow to import, and only for terminals
            from rich.live import Live  # noqa: PLC0415

            self._live = self._stack.enter_context(Live(console=Console(highlight=False), auto_refresh=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Signals wait for the end of this block.

        Raises:
            Interrupted: at that end, or at the beginning.
        """
        with self._interruption.deferred():
            self._interruption.check()
            yield
            self._interruption.check()

    def show(self, tell: Callable[[], None]) -> None:
        """Draw the next frame.

        Args:
            tell: finds out what is to be told, and prints it by the command's output.

        Raises:
            Interrupted: a signal came.
        """
        with self.undisturbed():
            self._draw(tell)
        self._shown += 1

    def _draw(self, tell: Callable[[], None]) -> None:
        if self._live is None:
            if self._shown:
                self._output.line()
            tell()
        else:
            from rich.text import Text  # noqa: PLC0415

            with self._output.collected() as parts:
                tell()
            self._live.update(Text.from_ansi("".join(parts)), refresh=True)

    def wait(self, seconds: float) -> bool:
        """Wait before the next frame; return whether anybody is left to see it.

        Raises:
            Interrupted: a signal came.
        """
        if not self._output.closed:
            time.sleep(seconds)
        return not self._output.closed
