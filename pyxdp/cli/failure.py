"""What a failed command tells: lines, a hint, an exit code, and all of it as JSON."""

from __future__ import annotations

import errno
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pyxdp.cli.output import plural
from pyxdp.errors import BpfError, CapacityError, ManifestError, PyxdpError, UnsupportedPolicyError, VerifierError

if TYPE_CHECKING:
    import click

    from pyxdp.cli.interruption import Interrupted

BUG: Final = 1
AUTHOR: Final = 2
OPERATOR: Final = 3

#: Attributes of errors that programs may want, as they are.
_DATA: Final = (
    "cuts",
    "errno",
    "feature",
    "interface",
    "limit",
    "log",
    "minimum_kernel",
    "mode",
    "name",
    "needed",
    "path",
    "position",
    "text",
    "what",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a command failed.

    Attributes:
        type: name of the exception's class.
        message: one line for each thing that is wrong.
        hint: what would help; may be empty.
        exit_code: of the command.
        data: what else the exception knows.
    """

    type: str
    message: str
    exit_code: int
    hint: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the ``{"error": ...}`` of ``docs/cli.md``."""
        told = {"type": self.type, "message": self.message, "hint": self.hint, "exit_code": self.exit_code}
        return {"error": {**told, **self.data}}


def of_error(error: PyxdpError) -> Failure:
    """Describe what pyxdp raised on purpose."""
    data = {name: getattr(error, name) for name in _DATA if hasattr(error, name)}
    hint = error.hint
    if isinstance(error, ManifestError):
        data["problems"] = [asdict(problem) for problem in error.problems]
        hint = f"{plural(len(error.problems), 'place')} to correct; nothing was changed"
    elif isinstance(error, UnsupportedPolicyError):
        data["policies"] = [{"object": name, "reason": reason} for name, reason in error.policies]
    hint = hint or _usual_hint(error)
    return Failure(type=type(error).__name__, message=str(error), hint=hint, exit_code=error.exit_code, data=data)


def _usual_hint(error: PyxdpError) -> str:
    """What helps with most errors of a kind that come without a hint of their own."""
    if isinstance(error, CapacityError):
        return "one rule with a network set does the work of many; a named port counts once for each port it stands for"
    if isinstance(error, VerifierError):
        return "please report it; --json prints the verifier's log"
    if isinstance(error, BpfError) and error.errno in (errno.EPERM, errno.EACCES):
        return "run as root"
    return ""


def of_usage(error: click.ClickException, command: str) -> Failure:
    """Describe a command line that makes no sense."""
    message = error.format_message()
    return Failure(type="UsageError", message=message, hint=f"see: {command} --help", exit_code=AUTHOR)


def of_interruption(interrupted: Interrupted) -> Failure:
    """Describe that somebody stopped the command."""
    return Failure(
        type="Interrupted",
        message=str(interrupted),
        hint=interrupted.consequence,
        exit_code=interrupted.exit_code,
        data={"signal": interrupted.signal.name},
    )


def of_bug(error: BaseException) -> Failure:
    """Describe what should never happen."""
    name = type(error).__name__
    said = " ".join(str(error).split())
    return Failure(
        type=name,
        message=f"a bug in pyxdp: {name}: {said}" if said else f"a bug in pyxdp: {name}",
        hint="please report it with the traceback that --debug prints, and the output of: pyxdp version",
        exit_code=BUG,
    )
