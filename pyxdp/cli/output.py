"""Where everything that commands print goes: data to stdout, the rest to stderr."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pyxdp.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

#: Wide enough that nothing is cut off or folded where no terminal sets a limit.
_UNLIMITED = 10_000


class Output:
    """What one command prints.

    Attributes:
        as_json: people read nothing; :meth:`document` prints one JSON value.
        closed: whoever read stdout is gone; what is printed is lost, without a word.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.closed = False
        self._collected: list[str] | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether people read it as it comes, in colours."""
        return sys.stdout.isatty()

    @contextmanager
    def collected(self) -> Iterator[list[str]]:
        """What is printed in this block is put into a list instead."""
        parts: list[str] = []
        self._collected = parts
        try:
            yield parts
        finally:
            self._collected = None

    def line(self, text: str = "") -> None:
        """Print a line for people."""
        if not self.as_json:
            self._write(f"{text}\n")

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
        """Print a table for people.

        Args:
            titles: of the columns.
            rows: cells; they may hold terminal colours of :func:`click.style`.
            right: titles of the columns that are numbers.
        """
        if self.as_json:
            return
        from rich.table import Table  # noqa: PLC0415 - slow to import, and not for JSON
        from rich.text import Text  # noqa: PLC0415

        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for title in titles:
            made.add_column(title, justify="right" if title in right else "left", overflow="fold")
        for row in rows:
            made.add_row(*(Text.from_ansi(cell) for cell in row))
        console = _console()
        with console.capture() as captured:
            console.print(made)
        self._write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))

    def document(self, value: Any) -> None:
        """Print a JSON value, indented."""
        if self.as_json:
            self._write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def record(self, value: Any) -> None:
        """Print one of many JSON values, on a line."""
        if self.as_json:
            self._write(json.dumps(value, ensure_ascii=False) + "\n")

    def notice(self, text: str) -> None:
        """Tell on stderr what is worth knowing."""
        _tell("notice:", "cyan", text)

    def warning(self, text: str) -> None:
        """Tell on stderr what is probably not wanted."""
        _tell("warning:", "yellow", text)

    def error(self, text: str, hint: str = "") -> None:
        """Tell on stderr what went wrong, a line for each line, and what would help."""
        for line in text.splitlines() or [""]:
            _tell("error:", "red", line)
        if hint:
            _tell("hint:", "green", hint)

    def _write(self, text: str) -> None:
        if self._collected is not None:
            self._collected.append(text)
            return
        if self.closed:
            return
        try:
            click.echo(text, nl=False)
            sys.stdout.flush()
        except OSError as error:
            # The interpreter flushes stdout once more when it ends, and (Python 3.10) makes 120 of the exit code.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.closed = True
            if isinstance(error, BrokenPipeError):
                return
            raise OperatorError(f"can not write the output: {error.strerror}") from error


def plural(count: int, noun: str) -> str:
    """``1 rule``, ``2,000 rules``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _tell(label: str, colour: str, text: str) -> None:
    click.echo(f"{click.style(label, fg=colour, bold=True)} {text}", err=True)


def _console() -> Console:
    from rich.console import Console  # noqa: PLC0415

    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _UNLIMITED, highlight=False)
