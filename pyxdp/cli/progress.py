"""A progress bar on stderr for what takes longer than a second."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from typing_extensions import Self

_PATIENCE_S: Final = 1.0


class Bar:
    """Appears when the block has taken a second, and is gone when it ends. On a terminal only.

    >>> with Bar("reading the manifests") as bar:
    ...     bar.update(0.5)
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._fraction: float | None = None
        self._lock = threading.Lock()
        self._shown: tuple[Progress, TaskID] | None = None
        self._over = not sys.stderr.isatty()
        self._timer = threading.Timer(_PATIENCE_S, self._show)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        if not self._over:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, fraction: float | None = None, title: str = "") -> None:
        """Tell how much is done, from 0 to 1, and what comes now."""
        with self._lock:
            self._title = title or self._title
            self._fraction = fraction
            if self._shown:
                progress, task = self._shown
                progress.update(task, description=self._title, completed=fraction, total=fraction and 1.0)

    def close(self) -> None:
        """Take the bar away; a second call does nothing."""
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._shown:
                self._shown[0].stop()
                self._shown = None

    def _show(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only for what is slow anyway
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with self._lock:
            if self._over:
                return
            progress = Progress(*columns, console=Console(stderr=True), transient=True)
            task = progress.add_task(self._title, total=None)
            progress.update(task, completed=self._fraction, total=self._fraction and 1.0)
            progress.start()
            self._shown = progress, task
