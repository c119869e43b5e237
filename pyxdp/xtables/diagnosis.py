"""From what iptables prints to what its reader can do. Pure."""

from __future__ import annotations

import re
from typing import Final

from pyxdp.errors import XtablesError

#: The first pattern that is found in the output decides.
_HINTS: Final = (
    (r"xtables lock", "another iptables command is running; try again, or see who holds /run/xtables.lock"),
    (r"Permission denied|you must be root", "run as root (CAP_NET_ADMIN)"),
    (r"unknown option.*(object-pinned|wait)", "iptables 1.6.2 or newer is needed"),
    (
        r"(Couldn't|Could not) load (match|target) .(bpf|conntrack|mark|CT|MARK|REJECT)",
        "this iptables lacks one of the matches bpf, conntrack, mark or the targets CT, MARK, REJECT: get a full build",
    ),
    (
        r"failed to get bpf object",
        "iptables can not see the pinned programs: it must run where the bpffs is mounted, with CAP_BPF",
    ),
    (r"incompatible, use 'nft' tool", "a table was changed with nft in a way that iptables can not express"),
    (
        r"[Mm]issing kernel module|by that name|does not exist|No such file|Protocol not supported|[Uu]nknown error",
        "the kernel needs xt_bpf, xt_conntrack, xt_mark, xt_CT and three tables (iptable_raw and so on, or nft_compat)",
    ),
)


def diagnose(command: str, stderr: str, text: str) -> XtablesError:
    """Return the error for a failed command.

    Args:
        command: its name.
        stderr: what it printed.
        text: what it was given to restore.
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and "--help" not in line]
    summary = "; ".join(line.removeprefix(f"{command}: ") for line in lines) or "failed without a word"
    number = re.search(r"line:? (\d+)", stderr)
    given = text.splitlines()
    if number and 0 < int(number[1]) <= len(given):
        summary += f" ({given[int(number[1]) - 1]})"
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, stderr)), "")
    message = f"{command}: {summary}"
    return XtablesError(message, hint=hint)
