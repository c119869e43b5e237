"""The one way into C: every call's result goes through :func:`check`, every fd is owned by a :class:`Handle`."""

from __future__ import annotations

import errno
import os
import re
import resource
import warnings
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pyxdp._libbpf import ffi as ffi  # noqa: PLC0414 -- exported to this package
from pyxdp._libbpf import lib as lib  # noqa: PLC0414 -- likewise
from pyxdp.errors import BpfError, MapFullError, PinError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

PRIVILEGES_HINT = "run as root, or with the capabilities BPF, NET_ADMIN and PERFMON"

# Numbers of libbpf's own, which no strerror() knows; its messages say more.
LIBBPF_ERRNO_FIRST = 4000
LIBBPF_ERRNO = {
    4000: errno.ENOEXEC,  # LIBELF
    4001: errno.ENOEXEC,  # FORMAT
    4003: errno.ENOEXEC,  # ENDIAN
    4005: errno.ENOEXEC,  # RELOC
    4007: errno.EACCES,  # VERIFY, of libbpf 0.x for what the kernel calls EACCES
    4008: errno.E2BIG,  # PROG2BIG
}


class ErrorFactory(Protocol):
    """Makes the exception for a failed call."""

    def __call__(self, number: int, what: str, /, *, hint: str = "") -> BpfError: ...


def errno_of(result: int) -> int:
    """Return the error number of a negative result.

    libbpf 1.x returns ``-errno``; before, its system calls returned -1. Both set ``errno``.
    """
    number = ffi.errno if result == -1 else -result
    return LIBBPF_ERRNO.get(number, errno.EINVAL) if number >= LIBBPF_ERRNO_FIRST else number


def check(result: int, what: str, error: ErrorFactory = BpfError, *, hint: str = "") -> int:
    """Return a result that is not negative.

    Args:
        result: what libbpf or the shim returned.
        what: the object and the operation, for the message.
        error: makes the exception.
        hint: what would help; by default known for some error numbers.

    Raises:
        BpfError: the result is negative.
    """
    if result >= 0:
        return result
    number = errno_of(result)
    raise error(number, what, hint=hint or (PRIVILEGES_HINT if number == errno.EPERM else ""))


def map_error(number: int, what: str, /, *, hint: str = "") -> BpfError:
    """Make the exception for a failed map operation."""
    return (MapFullError if number in (errno.E2BIG, errno.ENOSPC) else BpfError)(number, what, hint=hint)


@cache
def kernel_version() -> tuple[int, int]:
    """Return the running kernel's version as (6, 1)."""
    match = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


@cache
def allow_locked_memory() -> None:
    """Raise the limit of locked memory, to which maps count before Linux 5.11; libbpf 0.x leaves that to its user."""
    if kernel_version() < (5, 11):
        with suppress(OSError, ValueError):  # without CAP_SYS_RESOURCE the limit stays, and may suffice
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@cache
def num_possible_cpus() -> int:
    """Return how many CPUs the machine may ever have: the number of values of a per-CPU map's element."""
    return check(lib.libbpf_num_possible_cpus(), "number of possible CPUs")


@contextmanager
def captured_log() -> Iterator[list[str]]:
    """Collect what libbpf prints in this thread; the list is complete when the block ends."""
    lines: list[str] = []
    check(lib.shim_log_begin(), "libbpf's log")
    try:
        yield lines
    finally:
        lines += ffi.string(lib.shim_log_text()).decode(errors="replace").splitlines()
        lib.shim_log_end()


class Handle:
    """Owns a file descriptor of a kernel object. Use it as a context manager, or call :meth:`close`.

    Closing gives up this process's reference. A pinned object lives on; one that is not pinned ends with its last
    reference, and an XDP link then detaches.
    """

    _kind = ""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._fd >= 0:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {f'fd {self._fd}' if self._fd >= 0 else 'closed'}>"

    def fileno(self) -> int:
        """Return the file descriptor; it stays owned by this object.

        Raises:
            ValueError: it is closed.
        """
        if self._fd < 0:
            raise ValueError(f"{self!r}: operation on a closed {self._kind}")
        return self._fd

    def close(self) -> None:
        """Close the file descriptor; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def pin(self, path: str | os.PathLike[str]) -> None:
        """Give the object a name in a bpffs, which keeps it alive.

        Raises:
            PinError: the path is taken, or not on a bpffs, or its name has a dot.
        """
        check(lib.bpf_obj_pin(self.fileno(), os.fsencode(path)), f"can not pin {self._kind} at {path}", pin_error(path))

    @classmethod
    def from_pin(cls, path: str | os.PathLike[str]) -> Self:
        """Open a pinned object.

        Raises:
            PinError: nothing is pinned there, or an object of another kind.
        """
        fd = check(lib.bpf_obj_get(os.fsencode(path)), f"can not open {cls._kind} {path}", pin_error(path))
        kind = _kind_of(fd)
        if kind != cls._kind:
            os.close(fd)
            raise PinError(errno.EINVAL, f"{path} is a {kind}, not a {cls._kind}", path=os.fspath(path))
        return cls(fd)


def _kind_of(fd: int) -> str:
    """Say what an fd of bpf() stands for; the kernel calls them bpf-map, bpf-prog and bpf_link."""
    name = str(Path(f"/proc/self/fd/{fd}").readlink()).removeprefix("anon_inode:")[len("bpf-") :]
    return "program" if name == "prog" else name


def pin_error(path: str | os.PathLike[str]) -> ErrorFactory:
    """Return what makes the exception for a failed operation on a pin."""

    def make(number: int, what: str, /, *, hint: str = "") -> BpfError:
        return PinError(number, what, path=os.fspath(path), hint=_pin_hint(path) or hint)

    return make


def _pin_hint(path: str | os.PathLike[str]) -> str:
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist"
    if lib.shim_is_bpffs(os.fsencode(folder)) != 1:
        return f"{folder} is not on a bpffs; mount one with: mount -t bpf bpf /sys/fs/bpf"
    if "." in Path(path).name:
        return "names in a bpffs can not have a dot"
    return ""
