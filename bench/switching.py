"""Policy switches in a flood, every frame accounted for: ``make torture`` with a table's lines for a result."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pyxdp.bench.figures import Line
from tests.torture.flooding import silent_host
from tests.torture.run import Torture

if TYPE_CHECKING:
    from collections.abc import Callable


def switched(switches: int, say: Callable[[str], None]) -> list[Line]:
    """Switch between two policies while frames come in.

    Args:
        switches: how often.
        say: told what is being done.
    """
    say(f"{switches:,} policy switches in a flood")
    with silent_host() as host, closing(Torture(host)) as torture:
        result = torture.run(switches)
    detail = {
        "frames": result.sent,
        "lost on the cable before any program saw them": result.lost,
        "switches a second": round(result.switches / result.seconds),
    }
    mixed = Line(
        f"frames that neither policy explains, during {switches:,} switches",
        sum(result.mixed.values()),
        most=0,
        detail={**detail, **result.mixed},
    )
    return [mixed, Line("frames of allowed flows lost during the same", result.vanished, most=0)]
