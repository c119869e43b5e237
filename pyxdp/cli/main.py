"""The entry point: whatever happens becomes lines on stderr and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, Final

import click

from pyxdp.cli import failure
from pyxdp.cli.commands import cli
from pyxdp.cli.failure import Failure
from pyxdp.cli.interruption import Interrupted, Interruption
from pyxdp.cli.output import Output
from pyxdp.errors import PyxdpError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Set by shells that want completions; then click prints them and exits.
_COMPLETION: Final = "_PYXDP_COMPLETE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: by default those of the process.

    Returns:
        The exit code: 0, or what the command asks for; 1 for a bug; 2 when what the author or the command line says is
        wrong; 3 when the machine is not ready; 128 and the signal's number when a signal ended it.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for level in (logging.WARNING, logging.ERROR):
        logging.addLevelName(level, logging.getLevelName(level).lower())
    interruption = Interruption()
    try:
        with interruption.handled():
            found = _run(arguments, interruption)
            if isinstance(found, Failure):
                _tell(found, arguments)
    except Interrupted as interrupted:  # while the failure was told
        return interrupted.exit_code
    return found.exit_code if isinstance(found, Failure) else found


def _run(arguments: list[str], interruption: Interruption) -> Failure | int:
    """Run the command; return the exit code that it asks for, or describe what stopped it."""
    stopped: BaseException
    try:
        # What a command returns is its answer to Context.exit(), or nothing.
        return cli.main(arguments, prog_name="pyxdp", standalone_mode=False, obj=interruption) or 0
    except PyxdpError as error:
        stopped, found = error, failure.of_error(error)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        stopped, found = error, failure.of_usage(error, context.command_path if context else "pyxdp")
    except Interrupted as interrupted:
        stopped, found = interrupted, failure.of_interruption(interrupted)
    except SystemExit:
        if _COMPLETION in os.environ:
            raise
        return 0  # how click ends when nobody reads its help any more
    except Exception as error:  # noqa: BLE001 - a bug; it is told, never hidden
        stopped, found = error, failure.of_bug(error)
    if "--debug" in arguments:
        traceback.print_exception(stopped)
    return found


def _tell(found: Failure, arguments: Sequence[str]) -> None:
    output = Output(as_json="--json" in arguments)
    output.error(found.message, found.hint)
    output.document(found.as_json())
