"""One frame for many programs: what a test run needs is made once, and a run costs little more than its system call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.bpf._raw import check, ffi, lib

if TYPE_CHECKING:
    from pyxdp.bpf._types import Buffer


class PreparedFrame:
    """A frame on which programs are run by ``BPF_PROG_TEST_RUN`` for their answer only.

    The frame itself never changes: the kernel runs each program on a copy.
    """

    def __init__(self, data: Buffer, *, ingress_ifindex: int = 0) -> None:
        """Prepare a frame.

        Args:
            data: from the Ethernet header on; at least 14 bytes. It must not change as long as this object is used.
            ingress_ifindex: what socket filters find in ``skb->ingress_ifindex``; XDP programs can not be run with it.
        """
        self._data = ffi.from_buffer(data)
        self._run = run = ffi.new("struct shim_test_run *")
        run.data_in, run.data_size_in = int(ffi.cast("uintptr_t", self._data)), len(data)
        run.repeat = 1
        if ingress_ifindex:
            self._context = ffi.new("struct __sk_buff *", {"ingress_ifindex": ingress_ifindex})
            run.ctx_in = int(ffi.cast("uintptr_t", self._context))
            run.ctx_size_in = ffi.sizeof("struct __sk_buff")

    def answer(self, program: int) -> int:
        """Run a program, given by its file descriptor, and return what it returns.

        Raises:
            BpfError: the kernel refused: a frame shorter than an Ethernet header or longer than about 3,500 bytes,
                or a program type that can not be run.
        """
        self._run.prog_fd = program
        result = lib.shim_prog_test_run(self._run)
        if result < 0:
            check(result, f"can not run a program on a frame of {self._run.data_size_in} bytes")
        answered: int = self._run.retval
        return answered
