"""XDP links: native where the driver can, generic otherwise.

The kernel attaches nothing below an interface that has a program: to a port of a bridge or bond, to what a VLAN is made
on. So where a program of ours lies above, it is lifted for that moment. Packets are judged meanwhile: what untracked
policy denies is dropped in the raw table, too.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from pyxdp import netlink
from pyxdp.bpf import Link, Program, unpin
from pyxdp.dataplane.bpffs import entries, make_folder, remove_tree, rename
from pyxdp.errors import AttachError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyxdp import planner
    from pyxdp.dataplane.attempt import Attempt
    from pyxdp.dataplane.layout import Layout
    from pyxdp.dataplane.records import Records
    from pyxdp.netlink import Device

#: Errors of native attachment that generic mode would not mend.
_FINAL: Final = frozenset({errno.EBUSY, errno.EEXIST, errno.EPERM, errno.EACCES, errno.ENODEV})
#: Up to here every driver keeps a packet and its headroom in one page, as most native XDP wants it.
_SMALL_MTU: Final = 1500
_ENOTSUPP: Final = 524


class Hooks:
    """The links below one layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def attach(self, operation: planner.AttachXdp, records: Records, attempt: Attempt) -> None:
        """Attach, record the mode, pin. A process that dies before the pin is there leaves nothing attached."""
        pin = self._layout.link(operation.interface)
        make_folder(pin.parent)
        with Program.from_pin(self._layout.programs(operation.instance) / "xdp") as program:
            link, native_errno = self._attach(program, operation.ifindex, records, attempt)
        with link:
            attempt.advance(1 / 3)
            records.note_attachment(operation.instance.endpoint, operation.ifindex, native_errno, attempt)
            attempt.advance(2 / 3)
            remove_tree(pin)  # of a link whose interface is gone
            link.pin(pin)
        attempt.on_failure(lambda: self._remove(operation.interface))

    def rename(self, operation: planner.RenameLink, attempt: Attempt) -> None:
        """Rename a pin, in the place of one whose interface is gone."""
        before, now = self._layout.link(operation.before), self._layout.link(operation.interface)
        rename(before, now)
        attempt.on_failure(lambda: rename(now, before))

    def move(self, operation: planner.MoveLink, attempt: Attempt) -> None:
        """Replace the program of a link without a gap."""
        pin = self._layout.link(operation.interface)

        def run(program: Program) -> None:
            with Link.from_pin(pin) as link:
                link.update(program)

        with Link.from_pin(pin) as link:
            before = attempt.held.enter_context(Program.from_id(link.info.program_id))
        with Program.from_pin(self._layout.programs(operation.instance) / "xdp") as program:
            run(program)
        attempt.on_failure(lambda: run(before))

    def detach(self, operation: planner.Detach) -> None:
        """Detach, whoever else has the link open."""
        self._remove(operation.interface)

    def _attach(self, program: Program, ifindex: int, records: Records, attempt: Attempt) -> tuple[Link, int]:
        """Return the link, and why it is not native: an error number, or 0."""
        above: list[Path] = []
        try:
            return _attach(program, ifindex)
        except AttachError as error:
            if error.errno == errno.EEXIST:
                above = self._above(ifindex)
            if not above:
                raise
        with ExitStack() as stack:
            for pin in above:
                stack.enter_context(self._lifted(pin, records, attempt))
            return _attach(program, ifindex)

    def _above(self, ifindex: int) -> list[Path]:
        """Return the pins of links at interfaces that lie on this one."""
        uppers = netlink.uppers(ifindex)
        found = []
        for pin in entries(self._layout.links) if uppers else ():
            with Link.from_pin(pin) as link:
                if link.info.ifindex in uppers:
                    found.append(pin)
        return found

    @contextmanager
    def _lifted(self, pin: Path, records: Records, attempt: Attempt) -> Iterator[None]:
        """Detach a link, and attach its program again; whoever dies in between leaves a link that runs nowhere."""
        with Link.from_pin(pin) as link:
            ifindex = link.info.ifindex
            program = attempt.held.enter_context(Program.from_id(link.info.program_id))
            link.detach()
        try:
            yield
        finally:
            again, native_errno = self._attach(program, ifindex, records, attempt)
            with again:
                unpin(pin)
                again.pin(pin)
            records.note_mode(ifindex, native_errno, attempt)

    def _remove(self, interface: str) -> None:
        pin = self._layout.link(interface)
        with Link.from_pin(pin) as link:
            if link.info.ifindex:
                link.detach()
        unpin(pin)


def _attach(program: Program, ifindex: int) -> tuple[Link, int]:
    """Return the link, and why it is not native."""
    if netlink.is_empty_bond(
        ifindex
    ):  # natively, it would refuse ports that have a program, or whose driver has no XDP
        return program.attach_xdp(ifindex, "generic"), errno.EOPNOTSUPP
    try:
        return program.attach_xdp(ifindex, "native"), 0
    except AttachError as error:
        if error.errno in _FINAL:
            raise
        return program.attach_xdp(ifindex, "generic"), error.errno or errno.EOPNOTSUPP


def fallback_reason(device: Device, native_errno: int) -> str:
    """Say why XDP is generic on an interface; empty when it is native."""
    if not native_errno:
        return ""
    what = "no native XDP" if native_errno in (errno.EOPNOTSUPP, _ENOTSUPP) else os.strerror(native_errno)
    reason = f"driver {device.driver}: {what} (error {native_errno})"
    if native_errno not in (errno.EOPNOTSUPP, _ENOTSUPP) and device.mtu > _SMALL_MTU:
        reason += f"; its MTU of {device.mtu} may be too large"
    return reason
