"""What would make a plan fail, found out before anything is changed."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from pyxdp import planner
from pyxdp.bpf import BpfError, NotSupported, Program, features
from pyxdp.errors import AttachError, NotSupportedError, OperatorError, UnknownInterfaceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pyxdp.net import Interface
    from pyxdp.netlink import Device
    from pyxdp.xtables import Iptables

#: What the kernel must have, and what it is called.
_KERNEL: Final = {
    "xdp_link": "XDP attached by BPF links",
    "ring_buffer": "BPF ring buffers",
}


def check_machine(bpffs: Path) -> None:
    """Check kernel, privileges and bpffs.

    Raises:
        OperatorError: no privileges, or no bpffs that can be written.
        NotSupportedError: the kernel is too old, or built without what is needed.
    """
    found = features.probe(str(bpffs))
    for name in ("capabilities", "bpffs"):
        support = getattr(found, name)
        if not support:
            hint = "run as root" if name == "capabilities" else f"mount one: mount -t bpf bpf {bpffs}"
            raise OperatorError(support.reason, hint=hint)
    for name, title in _KERNEL.items():
        support = getattr(found, name)
        if isinstance(support, NotSupported):
            kernel = support.minimum_kernel or "5.8"
            raise NotSupportedError(errno.EOPNOTSUPP, feature=title, minimum_kernel=kernel, hint=support.reason)


def check_interfaces(wanted: Iterable[Interface], devices: Mapping[str, Device]) -> None:
    """Check that the interfaces still are what they were when the policy was resolved.

    Raises:
        UnknownInterfaceError: one is gone.
        OperatorError: one has been replaced.
    """
    for interface in wanted:
        device = devices.get(interface.name)
        if device is None:
            raise UnknownInterfaceError(interface.name, hint="interfaces of this network namespace: ip link")
        if device.interface.index != interface.index:
            message = f"interface {interface.name} was replaced meanwhile (index {interface.index} before)"
            raise OperatorError(message, hint="apply again")


def check_plan(plan: planner.Plan, devices: Mapping[str, Device], iptables: Iptables) -> None:
    """Check what the operations need.

    Raises:
        AttachError: another program is at an interface's XDP hook.
        XtablesError: there is no iptables.
    """
    for operation in plan.operations:
        if isinstance(operation, planner.UpdateRules | planner.RemoveRules):
            for table in operation.tables:
                iptables.command(table.family, table.variant)
        elif isinstance(operation, planner.AttachXdp):
            _check_hook(devices[operation.interface])


def _check_hook(device: Device) -> None:
    if device.xdp is None:
        return
    name = device.interface.name
    raise AttachError(
        errno.EBUSY,
        f"interface {name} has an XDP program already: {_title(device.xdp.program_id)}, {device.xdp.mode} mode",
        interface=name,
        mode=device.xdp.mode,
        hint=f"it is never replaced; detach it with its own tool, or with: ip link set dev {name} xdp off",
    )


def _title(program_id: int) -> str:
    try:
        with Program.from_id(program_id) as program:
            return f"{program.info.name!r} (id {program_id})"
    except BpfError:
        return f"id {program_id}"
