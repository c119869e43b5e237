"""Every error that pyxdp raises on purpose.

::

    PyxdpError
    |-- ManifestError             what an author wrote is wrong; holds every problem of every file
    |-- SelectorSyntaxError       a selector does not parse; knows the position
    |-- UnsupportedPolicyError    valid policy that this version can not enforce; names it
    |-- UnknownEndpointError      no HostEndpoint of that name
    |-- MembersError              no such network set, or no addresses; nothing was changed
    |-- CaptureError              a file of captured packets that can not be read
    |-- CapacityError             a policy larger than a fixed limit; nothing was touched
    |-- WouldCutError             a policy that would cut what must live; names the rules, nothing was touched
    |-- OperatorError             the machine is not ready: interface, bpffs, iptables, privileges
    |   |-- UnknownInterfaceError
    |   |-- BusyError             another pyxdp holds the lock
    |   |-- StaleError            another pyxdp has changed what a session goes on from
    |   |-- SnapshotError         what is kept of a policy is damaged, or can not be written
    |   |-- ConfirmationError     a change waits to be confirmed, or none does
    |   `-- XtablesError          iptables is missing, too old, or refused the rules
    `-- BpfError (also OSError)   the kernel refused a bpf() call; errno is kept
        |-- VerifierError         holds the verifier's log as a list of lines
        |-- MapFullError
        |-- MapIncompatibleError
        |-- AttachError           knows interface and mode
        |-- PinError              knows the path
        `-- NotSupportedError     knows the feature and the kernel that has it

``str(error)`` is one line that names the object; ``error.hint`` says what would help, or is empty. ``exit_code`` is
what the command line exits with: 2 for the author's mistakes, 3 for the operator's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class PyxdpError(Exception):
    """Base of every error that pyxdp raises on purpose.

    Attributes:
        hint: what the reader can do about it; may be empty.
    """

    exit_code = 3

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in a manifest.

    Attributes:
        file: path as given by the user; ``-`` is standard input.
        line: counted from 1; 0 when the file could not be read at all.
        column: counted from 1.
        object: ``Kind/name``, or ``Kind/namespace/name``; empty when the document has neither.
        path: where in the document, as ``$.spec.ingress[0].action``.
        message: what is wrong and what would be right.
    """

    file: str
    line: int
    column: int
    object: str
    path: str
    message: str

    def __str__(self) -> str:
        if not self.line:
            return f"{self.file}: {self.message}"
        subject = f"{self.object}: " if self.object else ""
        return f"{self.file}:{self.line}:{self.column}: {subject}{self.path}: {self.message}"


class ManifestError(PyxdpError):
    """Manifests that can not be used, with every problem of every file."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SelectorSyntaxError(PyxdpError):
    """A selector that does not parse.

    Attributes:
        text: the whole selector.
        position: offset of the offending character in ``text``, from 0.
    """

    exit_code = 2

    def __init__(self, message: str, *, text: str, position: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.text = text
        self.position = position


class UnsupportedPolicyError(PyxdpError):
    """Valid policy that the dataplane can not enforce; it is refused, never left out silently.

    Attributes:
        policies: one ``(kind/name, reason)`` for each refused object.
    """

    exit_code = 2

    def __init__(self, policies: Sequence[tuple[str, str]], *, hint: str = "") -> None:
        self.policies = tuple(policies)
        super().__init__("\n".join(f"{name}: {reason}" for name, reason in self.policies), hint=hint)


class UnknownEndpointError(PyxdpError):
    """No HostEndpoint of that name among the resources."""

    exit_code = 2

    def __init__(self, name: str, *, known: Sequence[str] = ()) -> None:
        hint = f"there are: {', '.join(known)}" if known else "the manifests have no HostEndpoint"
        super().__init__(f"there is no HostEndpoint {name!r}", hint=hint)
        self.name = name


class MembersError(PyxdpError):
    """Members that can not enter or leave a network set: there is no such set, or they are no addresses."""

    exit_code = 2


class CaptureError(PyxdpError):
    """A file of captured packets that can not be read."""

    exit_code = 2


class CapacityError(PyxdpError):
    """A policy beyond a limit; raised before anything is touched."""

    exit_code = 2

    def __init__(self, what: str, *, needed: int, limit: int, hint: str = "") -> None:
        super().__init__(f"{what}: {needed:,} needed, at most {limit:,} possible", hint=hint)
        self.what = what
        self.needed = needed
        self.limit = limit


class WouldCutError(PyxdpError):
    """A policy that would cut what must live: sessions, failsafe ports, the node's own flows; raised before a switch.

    Attributes:
        cuts: a line for each; what, by which rule, and where that is written.
    """

    exit_code = 2

    def __init__(self, cuts: Sequence[str], *, hint: str = "") -> None:
        self.cuts = tuple(cuts)
        super().__init__("\n".join(self.cuts), hint=hint)


class OperatorError(PyxdpError):
    """The machine is not ready for what was asked."""


class UnknownInterfaceError(OperatorError):
    """No interface of that name in this network namespace."""

    def __init__(self, name: str, *, hint: str = "") -> None:
        super().__init__(f"interface {name!r} does not exist", hint=hint)
        self.name = name


class BusyError(OperatorError):
    """Another process is changing the same dataplane."""


class StaleError(OperatorError):
    """Another process has changed the dataplane since this session did."""

    def __init__(self) -> None:
        super().__init__("another pyxdp has changed the dataplane meanwhile", hint="apply again")


class SnapshotError(OperatorError):
    """What is kept of a policy on disk is damaged, or can not be read or written."""


class ConfirmationError(OperatorError):
    """A change waits to be confirmed and must be decided on first, or none does."""


class XtablesError(OperatorError):
    """iptables is missing, too old, or refused the rules."""


class BpfError(PyxdpError, OSError):
    """The kernel or libbpf refused an operation.

    Attributes:
        errno: the error number; never lost.
    """

    def __init__(self, errno: int, what: str, *, hint: str = "") -> None:
        PyxdpError.__init__(self, f"{what}: {os.strerror(errno)}", hint=hint)
        self.errno = errno
        self.strerror = os.strerror(errno)


class VerifierError(BpfError):
    """The verifier rejected a program.

    Attributes:
        log: the verifier's log, a line each.
    """

    def __init__(self, errno: int, what: str, *, log: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(errno, what, hint=hint)
        self.log = list(log)


class MapFullError(BpfError):
    """A map has no room for another element."""


class MapIncompatibleError(BpfError):
    """An existing map does not have the shape that is needed."""


class AttachError(BpfError):
    """A program could not be attached.

    Attributes:
        interface: name of the interface.
        mode: ``native`` or ``generic``.
    """

    def __init__(self, errno: int, what: str, *, interface: str, mode: str, hint: str = "") -> None:
        super().__init__(errno, what, hint=hint)
        self.interface = interface
        self.mode = mode


class PinError(BpfError):
    """An object could not be pinned, opened or removed in the bpffs.

    Attributes:
        path: the path in the bpffs.
    """

    def __init__(self, errno: int, what: str, *, path: str, hint: str = "") -> None:
        super().__init__(errno, what, hint=hint)
        self.path = path


class NotSupportedError(BpfError):
    """The kernel lacks a feature.

    Attributes:
        feature: what is missing.
        minimum_kernel: the first kernel that has it, as ``5.9``.
    """

    def __init__(self, errno: int, *, feature: str, minimum_kernel: str, hint: str = "") -> None:
        super().__init__(errno, f"{feature} needs Linux {minimum_kernel} or newer", hint=hint)
        self.feature = feature
        self.minimum_kernel = minimum_kernel
