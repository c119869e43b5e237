"""What would become of a packet: the real programs, hook by hook, without an interface.

:class:`pyxdp.trial.host.TrialHost` runs the programs by ``BPF_PROG_TEST_RUN`` in the order in which the kernel would:
XDP, then the tables raw, mangle and filter, by the very rules that iptables is given. Only that module needs libbpf.

``judgement`` the answers
``host``      programs, policy and interface
``hooks``     the rules of one interface, ready to be walked
``journey``   one packet from hook to hook
``record``    the same, keeping a record
``deciding``  from the record to who decided
``frames``    what of a frame gets to which hooks
"""

from __future__ import annotations

from pyxdp.trial.judgement import XDP, Judgement, Passage, PolicyClass, RuleName, Stage, Verdict

__all__ = ["XDP", "Judgement", "Passage", "PolicyClass", "RuleName", "Stage", "Verdict"]
