"""The one line of a verifier log that matters."""

from __future__ import annotations

import re
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# libbpf frames the verifier's log with "-- BEGIN PROG LOAD LOG --" (1.x) or "-- BEGIN DUMP LOG ---" (0.x).
BEGIN = re.compile(r"-- BEGIN (?:PROG LOAD|DUMP) LOG --")
END = re.compile(r"-- END (?:PROG LOAD )?LOG --")
PROGRAM = re.compile(r"prog(?:ram)? '([^']+)'")

# Statistics, instructions ("12: (85) call ..."), register states ("R1=ctx() R10=fp0"), source lines ("; x = y") and the
# marks of path exploration: what the verifier says on its way, not why it stops.
NARRATION = re.compile(
    r"^(?:processed \d+ insns|verification time|stack depth|max_states|peak_states|mark_precise|from \d+ to \d+"
    r"|func#\d+|Func#\d+|Validating |reg type unsupported|last_idx|parent |regs=|arg#\d+ reference type"
    r"|\d+: |; |R\d+(?:_\w+)?=| *$)"
)


def program_of(log: Sequence[str]) -> str:
    """Return the name of the program that libbpf's messages are about; empty if they are about none."""
    return next((match[1] for line in reversed(log) if (match := PROGRAM.search(line))), "")


def verifier_lines(log: Sequence[str]) -> list[str]:
    """Cut what the verifier wrote out of libbpf's messages."""
    start = next((number for number, line in enumerate(log) if BEGIN.search(line)), None)
    if start is None:
        return []
    end = next((number for number, line in enumerate(log) if END.search(line)), len(log))
    return list(log[start + 1 : end])


def decisive_line(log: Sequence[str]) -> str:
    """Return why the verifier stopped: the last lines of its log that are no narration, in one."""
    words = dropwhile(NARRATION.match, reversed(log))
    return "; ".join(reversed([line.strip() for line in takewhile(lambda line: not NARRATION.match(line), words)]))


def first_message(log: Sequence[str]) -> str:
    """Return libbpf's first complaint, without the prefix of the library: later ones are consequences."""
    return next((line.removeprefix("libbpf: ").strip() for line in log if line.strip()), "")
