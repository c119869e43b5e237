"""Programs: what is loaded, running it on given bytes, attaching it to an interface."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyxdp.bpf._link import Link
from pyxdp.bpf._raw import Handle, check, ffi, lib
from pyxdp.bpf._types import ProgramType
from pyxdp.errors import AttachError, BpfError

if TYPE_CHECKING:
    from typing_extensions import Self

    from pyxdp.bpf._raw import ErrorFactory
    from pyxdp.bpf._types import Buffer, Mode

HEADROOM = 512  # how much longer a program may make a frame


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What the kernel knows about a program.

    Attributes:
        type: see :class:`ProgramType`; a plain ``int`` for types unknown here.
        id: the kernel's number for it, as ``bpftool prog`` shows it.
        name: at most 15 characters, as the kernel cuts it.
        tag: hexadecimal hash of the instructions; the same code has the same tag everywhere.
        map_ids: the maps that it uses.
        verified_instructions: how many the verifier looked at; ``None`` before Linux 5.16.
    """

    type: ProgramType | int
    id: int
    name: str
    tag: str
    map_ids: tuple[int, ...]
    verified_instructions: int | None


@dataclass(frozen=True, slots=True)
class TestRun:
    """The result of :meth:`Program.test_run`.

    Attributes:
        retval: what the program returned, for XDP an ``XDP_*`` action; of the last run.
        duration_ns: average time of one run in nanoseconds.
        data: the frame as the program left it; empty with live frames.
        ctx: the context as the program left it; empty if none was given.
    """

    __test__ = False  # not a class of tests

    retval: int
    duration_ns: int
    data: bytes
    ctx: bytes


class Program(Handle):
    """A program in the kernel."""

    _kind = "program"

    @classmethod
    def from_id(cls, program_id: int) -> Self:
        """Open the program with this id.

        Raises:
            BpfError: there is none, or (without CAP_SYS_ADMIN) access is refused.
        """
        return cls(check(lib.bpf_prog_get_fd_by_id(program_id), f"can not open program with id {program_id}"))

    @property
    def info(self) -> ProgramInfo:
        """What the kernel knows about the program."""
        counted = self._raw_info(0)
        raw, map_ids = counted if not counted[0].nr_map_ids else self._raw_info(counted[0].nr_map_ids)
        verified = ffi.new("__u32 *")
        check(lib.shim_verified_instructions(self.fileno(), verified), f"can not inspect {self!r}")
        return ProgramInfo(
            type=ProgramType(raw.type) if raw.type in ProgramType.__members__.values() else raw.type,
            id=raw.id,
            name=ffi.string(raw.name).decode(),
            tag=bytes(raw.tag).hex(),
            map_ids=tuple(map_ids),
            verified_instructions=verified[0] or None,
        )

    def _raw_info(self, map_count: int) -> tuple[Any, Any]:
        raw = ffi.new("struct bpf_prog_info *")
        length = ffi.new("__u32 *", ffi.sizeof("struct bpf_prog_info"))
        map_ids = ffi.new("__u32[]", map_count)
        raw.nr_map_ids = map_count
        raw.map_ids = int(ffi.cast("uintptr_t", map_ids))
        check(lib.bpf_obj_get_info_by_fd(self.fileno(), raw, length), f"can not inspect {self!r}")
        return raw, map_ids

    def test_run(  # noqa: PLR0913 -- what the kernel can vary
        self,
        data: Buffer,
        *,
        repeat: int = 1,
        ctx: Buffer | None = None,
        ifindex: int = 0,
        live_frames: bool = False,
        batch_size: int = 0,
    ) -> TestRun:
        """Run the program on a frame, with ``BPF_PROG_TEST_RUN``.

        Args:
            data: the frame, from the Ethernet header on; at least 14 bytes.
            repeat: how many times. The program meets the frame as the run before left it.
            ctx: the program's context, a ``struct xdp_md`` or ``struct __sk_buff`` (XDP: Linux 5.15).
            ifindex: XDP: the interface by which the frame comes in, instead of a ``ctx`` (Linux 5.15).
            live_frames: XDP: carry the action out: a redirected frame leaves by its interface, a passed one goes into
                the stack as if it came in by ``ifindex`` (Linux 5.18).
            batch_size: live frames to prepare at a time; 0 is the kernel's choice (64), at most 256.

        Raises:
            BpfError: the kernel refused; ENOTSUPP for program types that can not be run.
        """
        frame = ffi.from_buffer(data)
        context = _xdp_context(len(data), ifindex) if ifindex and ctx is None else ctx or b""
        context_out = bytearray(len(context))
        out = bytearray(0 if live_frames else len(data) + HEADROOM)
        run = ffi.new("struct shim_test_run *")
        run.prog_fd = self.fileno()
        run.data_in, run.data_size_in = _address(frame), len(data)
        run.data_out, run.data_size_out = _address(ffi.from_buffer(out)) if out else 0, len(out)
        if context:
            given = ffi.from_buffer(context)
            run.ctx_in, run.ctx_size_in = _address(given), len(context)
            if not live_frames:
                run.ctx_out, run.ctx_size_out = _address(ffi.from_buffer(context_out)), len(context_out)
        run.repeat = repeat
        run.flags = lib.SHIM_TEST_LIVE_FRAMES if live_frames else 0
        run.batch_size = batch_size
        hint = "live frames need Linux 5.18" if live_frames else ""
        check(lib.shim_prog_test_run(run), f"can not run {self!r}", hint=hint)
        return TestRun(
            retval=run.retval,
            duration_ns=run.duration,
            data=bytes(out[: run.data_size_out]),
            ctx=bytes(context_out[: run.ctx_size_out]),
        )

    def attach_xdp(self, ifindex: int, mode: Mode = "native") -> Link:
        """Attach to an interface of this network namespace; Linux 5.9.

        Args:
            ifindex: number of the interface.
            mode: ``native`` runs in the driver, before the kernel makes a socket buffer; ``generic`` runs after that
                and works with every driver.

        Returns:
            The link: the program stays attached until it is closed, unless it is pinned.

        Raises:
            AttachError: EBUSY or EEXIST: another program is there, which the message names; EOPNOTSUPP: the driver has
                no native XDP; EINVAL: no such interface, or the driver refuses its MTU or offloads.
        """
        fd = lib.shim_link_create_xdp(self.fileno(), ifindex, mode == "native")
        return Link(
            check(fd, f"can not attach XDP program {self.info.name!r} in {mode} mode", _attach_error(ifindex, mode))
        )


def _address(pointer: object) -> int:
    return int(ffi.cast("uintptr_t", pointer))


def _xdp_context(length: int, ifindex: int) -> bytes:
    context = ffi.new("struct xdp_md *", {"data_end": length, "ingress_ifindex": ifindex})
    return bytes(ffi.buffer(context))


def _attach_error(ifindex: int, mode: Mode) -> ErrorFactory:
    def make(number: int, what: str, /, *, hint: str = "") -> BpfError:
        try:
            name = socket.if_indextoname(ifindex)
        except OSError:
            name, hint = f"interface {ifindex}", "there is no interface with this number in this network namespace"
        if number in (errno.EBUSY, errno.EEXIST):
            occupant = _occupant(ifindex)
            what, hint = f"{what}: {occupant} is attached", f"detach it first: ip link set dev {name} xdp off"
        elif number == errno.EOPNOTSUPP and mode == "native":
            hint = "the driver has no native XDP; generic mode works with every driver"
        return AttachError(number, f"{name}: {what}", interface=name, mode=mode, hint=hint)

    return make


def _occupant(ifindex: int) -> str:
    """Name the program that holds an interface."""
    program_id = ffi.new("__u32 *")
    if lib.shim_xdp_program_id(ifindex, program_id) < 0 or not program_id[0]:
        return "another program"
    try:
        with Program.from_id(program_id[0]) as program:
            return f"program {program.info.name!r} (id {program_id[0]})"
    except BpfError:
        return f"the program with id {program_id[0]}"
