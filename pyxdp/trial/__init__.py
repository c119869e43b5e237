"""What would become of a packet: the real programs, hook by hook, without an interface.

:class:`TrialHost` runs the programs by ``BPF_PROG_TEST_RUN`` in the order in which the kernel would: XDP, then the
tables raw, mangle and filter, by the very rules that iptables is given. It needs libbpf, and is imported when it is
first used; the answers are plain values.

``judgement`` the answers
``host``      programs, policy and interface
``hooks``     the rules of one interface, ready to be walked
``journey``   one packet from hook to hook
``record``    the same, keeping a record
``deciding``  from the record to who decided
``frames``    what of a frame gets to which hooks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyxdp.trial.judgement import XDP, Judgement, Passage, PolicyClass, RuleName, Stage, Verdict

if TYPE_CHECKING:
    from pyxdp.trial.host import TrialHost

__all__ = ["XDP", "Judgement", "Passage", "PolicyClass", "RuleName", "Stage", "TrialHost", "Verdict"]


def __getattr__(name: str) -> Any:
    if name != "TrialHost":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pyxdp.trial.host import TrialHost  # noqa: PLC0415 - see above

    return TrialHost
