"""The command inside of this process: a new one costs half a second, most of it for importing what is here already.

For tests of what the command says and does. What only a process has, as a terminal, signals, other rights or a reader
that goes away, needs :meth:`tests.cli.machine.Machine.start`, or a ``before`` of :meth:`tests.cli.machine.Machine.run`.
"""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

from pyxdp.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Done = subprocess.CompletedProcess[str]


def run_inside(
    folder: Path, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None, merged: bool = False
) -> Done:
    """Run the command in a folder and in the network namespace of this thread; return what it printed.

    Args:
        folder: where it runs.
        arguments: behind its name.
        stdin: what it can read.
        env: variables that it finds besides those of this process.
        merged: its errors go to its output, as with ``2>&1``.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        _in_folder(folder),
        _environment(env or {}),
        _reading(stdin),
        _no_log_handlers(),
        redirect_stdout(out),
        redirect_stderr(out if merged else err),
    ):
        code = main(arguments)
    told = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined] -- a BytesIO
    return Done(["pyxdp", *arguments], code, *told)


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    try:
        os.environ.update(changed)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _reading(text: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
    try:
        yield
    finally:
        sys.stdin = before


@contextmanager
def _no_log_handlers() -> Iterator[None]:
    """As in a new process, so that the command's own handler is the one that there is."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
