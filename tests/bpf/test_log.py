"""What is picked out of verifier logs, which differ between libbpf versions and kernels."""

from __future__ import annotations

import pytest

from pyxdp.bpf import _log

NEW = """\
libbpf: prog 'out_of_bounds': BPF program load failed: Permission denied
libbpf: prog 'out_of_bounds': -- BEGIN PROG LOAD LOG --
0: R1=ctx(off=0,imm=0) R10=fp0
; const __u8 *data = (const __u8 *)(long)ctx->data;
0: (61) r1 = *(u32 *)(r1 +0)          ; R1_w=pkt(off=0,r=0,imm=0)
1: (71) r1 = *(u8 *)(r1 +100)
invalid access to packet, off=100 size=1, R1(id=0,off=100,r=0)
R1 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
-- END PROG LOAD LOG --
libbpf: prog 'out_of_bounds': failed to load: -13
libbpf: failed to load object 'rejected'
"""
OLD = """\
libbpf: load bpf program failed: Permission denied
libbpf: -- BEGIN DUMP LOG ---
libbpf:\x20
0: R1=ctx() R10=fp0
1: (71) r1 = *(u8 *)(r1 +100)
invalid access to packet, off=100 size=1, R1(id=0,off=100,r=0)
R1 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0

libbpf: -- END LOG --
libbpf: failed to load program 'out_of_bounds'
libbpf: failed to load object 'rejected'
"""
TOO_COMPLEX = """\
libbpf: prog 'loop': -- BEGIN PROG LOAD LOG --
from 12 to 4: R0=1 R1_w=scalar() R10=fp0
4: (05) goto pc+7
The sequence of 8193 jumps is too complex.
verification time 80192 usec
stack depth 0
processed 90123 insns (limit 1000000) max_states_per_insn 4 total_states 999 peak_states 999 mark_read 1
-- END PROG LOAD LOG --
"""


@pytest.mark.parametrize("text", [NEW, OLD])
def test_reason_and_program(text: str) -> None:
    lines = text.splitlines()
    verifier = _log.verifier_lines(lines)
    assert not any("libbpf: prog" in line or "LOG --" in line for line in verifier)
    assert _log.program_of(lines) == "out_of_bounds"
    assert _log.decisive_line(verifier) == (
        "invalid access to packet, off=100 size=1, R1(id=0,off=100,r=0); R1 offset is outside of the packet"
    )


def test_statistics_are_no_reason() -> None:
    lines = TOO_COMPLEX.splitlines()
    assert _log.decisive_line(_log.verifier_lines(lines)) == "The sequence of 8193 jumps is too complex."


def test_what_is_no_verifier_log() -> None:
    lines = ["libbpf: elf: not a BPF object", "libbpf: failed"]
    assert _log.verifier_lines(lines) == []
    assert _log.first_message(lines) == "elf: not a BPF object"
    assert _log.program_of(lines) == ""
    assert _log.decisive_line([]) == _log.first_message([]) == ""
