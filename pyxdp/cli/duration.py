"""Times on the command line: ``60s``, ``5m``, ``1h30m``, or a number of seconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from typing import Any

_UNITS: Final = (3600.0, 60.0, 1.0)
_PARTS: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")


class Duration(click.ParamType):  # type: ignore[type-arg]  # newer versions of click make it generic
    """More than nothing, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        if isinstance(value, float):
            return value
        found = _PARTS.fullmatch(value.strip())
        parts = found.groups(default="0") if found else ()
        seconds = sum(unit * float(part) for unit, part in zip(_UNITS, parts, strict=False))
        if not seconds:
            self.fail(f"{value!r} is no time: write it as 60s, 5m or 1h30m", param, ctx)
        return seconds


DURATION: Final = Duration()
