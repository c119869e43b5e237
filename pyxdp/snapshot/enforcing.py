"""Putting a snapshot in force again: when a change goes back, and when the machine boots."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pyxdp import netlink, steps
from pyxdp.dataplane import Dataplane
from pyxdp.errors import ConfirmationError
from pyxdp.sources import Store
from pyxdp.xtables import Iptables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyxdp.dataplane import Attachment
    from pyxdp.model import Resources
    from pyxdp.net import Interface
    from pyxdp.resolver import EffectivePolicy
    from pyxdp.snapshot.snapshot import Snapshot
    from pyxdp.snapshot.state import StateFolder

#: Seconds between two looks for interfaces that do not exist yet.
_LOOK: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforced:
    """A snapshot that is in force again.

    Attributes:
        snapshot: as it is kept from now on.
        policy: what it says for the interfaces that there are.
        attachments: how XDP runs on each governed interface.
        problems: objects of the snapshot that this version of pyxdp can not read, a line each; they are not enforced.
    """

    snapshot: Snapshot
    policy: EffectivePolicy
    attachments: tuple[Attachment, ...]
    problems: tuple[str, ...] = ()


def roll_back(folder: StateFolder, *, lock_timeout: float = 30.0) -> Enforced | None:
    """Take back the change that waits to be confirmed, on the dataplane that it was made on.

    For who holds the folder's lock.

    Args:
        folder: that the change waits in.
        lock_timeout: seconds to wait for another process that changes the dataplane.

    Returns:
        What is in force again; ``None`` when that is nothing.

    Raises:
        ConfirmationError: no change waits.
        PyxdpError: it can not be taken back; it still waits, and can be tried again.
    """
    pending = folder.pending()
    if pending is None:
        message = "no change waits to be confirmed: there is nothing to take back"
        raise ConfirmationError(message, hint="what was confirmed stays until another policy is applied")
    variant: Any = pending.iptables or None
    dataplane = Dataplane(pending.bpffs, iptables=Iptables(variant), lock_timeout=lock_timeout)
    before = None if pending.from_nothing else folder.confirmed()
    enforced = None
    if before is None:
        dataplane.delete()
    else:
        # A policy that governs nothing any more is still the one to go back to: this is to let somebody in.
        enforced = _enforce(before, dataplane, netlink.interfaces(), allow_empty=True)
        folder.write(enforced.snapshot)
    folder.dismiss()
    return enforced


def restore(
    folder: StateFolder,
    dataplane: Dataplane,
    *,
    wait: float = 0.0,
    on_wait: Callable[[frozenset[str]], None] = lambda _: None,
) -> Enforced | None:
    """Put the last policy that may stay in force, as when the machine boots; for who holds the folder's lock.

    A change that waits to be confirmed is over with it. Interfaces without an address are taken to have those that they
    had when the snapshot was made.

    Args:
        folder: with the snapshot.
        dataplane: where to.
        wait: seconds to wait for interfaces that the policy governed and that do not exist yet.
        on_wait: called once when there are some, with their names.

    Returns:
        ``None`` when there is no snapshot: nothing was done.

    Raises:
        PyxdpError: it can not be enforced.
    """
    snapshot = folder.confirmed()
    if snapshot is None:
        folder.dismiss()
        return None
    resources = Store.of(snapshot.texts).resources()
    _wait_for(_governed(resources, snapshot), wait, on_wait)
    interfaces = _with_addresses(netlink.interfaces(), snapshot.interfaces)
    enforced = _enforce(snapshot, dataplane, interfaces)
    folder.write(enforced.snapshot)
    folder.dismiss()
    return enforced


def _enforce(
    snapshot: Snapshot, dataplane: Dataplane, interfaces: tuple[Interface, ...], *, allow_empty: bool = False
) -> Enforced:
    store = Store.of(snapshot.texts)
    policy = steps.resolve(store.resources(), node=snapshot.node, interfaces=interfaces)
    # Who applied a policy that has no host endpoint for this node wanted that; who has interfaces missing does not.
    report = steps.apply(policy, dataplane=dataplane, allow_empty=allow_empty or not policy.resolutions)
    kept = replace(
        snapshot,
        # What an interface had is worth knowing until it has something else.
        interfaces=_with_addresses(interfaces, snapshot.interfaces),
        digest=report.image.digest.hex(),
    )
    problems = tuple(problem.message for problem in store.problems)
    return Enforced(snapshot=kept, policy=policy, attachments=report.attachments, problems=problems)


def _governed(resources: Resources, snapshot: Snapshot) -> frozenset[str]:
    """Return the interfaces that the policy governed when the snapshot was made."""
    policy = steps.resolve(resources, node=snapshot.node, interfaces=snapshot.interfaces)
    return frozenset(it.interface.name for it in policy.endpoints if not it.workloads)


def _wait_for(wanted: frozenset[str], seconds: float, on_wait: Callable[[frozenset[str]], None]) -> None:
    deadline = time.monotonic() + seconds
    told = False
    while missing := wanted - {interface.name for interface in netlink.interfaces()}:
        if time.monotonic() >= deadline:
            return
        if not told:
            on_wait(missing)
            told = True
        time.sleep(_LOOK)


def _with_addresses(interfaces: Iterable[Interface], recorded: Iterable[Interface]) -> tuple[Interface, ...]:
    known = {interface.name: interface.addresses for interface in recorded}
    return tuple(
        interface if _is_configured(interface) else replace(interface, addresses=known.get(interface.name, ()))
        for interface in interfaces
    )


def _is_configured(interface: Interface) -> bool:
    """Whether somebody has given it an address: the kernel makes link-local ones by itself."""
    return any(not address.is_link_local for address in interface.addresses)
