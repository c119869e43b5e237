"""Policy and members, one change after the other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyxdp import netlink, steps
from pyxdp.compiler import Compilation
from pyxdp.compiler.members import NeedsRebuildError
from pyxdp.dataplane import Dataplane
from pyxdp.enforcer.networks import networks_of
from pyxdp.enforcer.policy import EnforcedPolicy
from pyxdp.enforcer.selections import Selections
from pyxdp.errors import CapacityError, OperatorError, StaleError, WouldCutError
from pyxdp.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

    from pyxdp.compiler.members import Delta
    from pyxdp.dataplane import Drift, Report, Step
    from pyxdp.enforcer.networks import Member
    from pyxdp.enforcer.sets import SetName
    from pyxdp.model import Resources
    from pyxdp.net import Network
    from pyxdp.planner import State, Target
    from pyxdp.resolver import EffectivePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersReport:
    """What became of members that were to enter or leave a network set. False when nothing had to change.

    Attributes:
        changed: prefixes that the set did not have before and has now, or the other way round; in order.
        unchanged: prefixes that it had, or had not, already.
        rebuilt: why the whole policy was applied instead of the change alone; empty if it was not.
        generation: of the policy in force.
        seconds: that it took until enforced.
    """

    changed: tuple[Network, ...]
    unchanged: tuple[Network, ...] = ()
    rebuilt: str = ""
    generation: int = 0
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.changed)


class Enforcer:
    """Enforces policy on this machine, and remembers what makes the next change fast. A context manager.

    Nothing needs to be undone: what is enforced stays in force when an enforcer, or its process, ends. Another process
    may apply something at any time; an enforcer notices that before it changes anything. Not to be used by two threads
    at once, and always in the network namespace that it began in.

    Needs root and Linux 5.9.
    """

    def __init__(self, dataplane: Dataplane | None = None, *, node: str | None = None) -> None:
        """Change nothing yet.

        Args:
            dataplane: which bpffs, iptables variant and lock; by default those of the machine.
            node: as ``spec.node`` of its host endpoints has it; by default this machine's host name.
        """
        self._session = (dataplane or Dataplane()).session()
        self._node = steps.default_node() if node is None else node
        self._resolver = Resolver()
        self._compilation = Compilation()
        self._selections = Selections()
        self._enforced: EnforcedPolicy | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything; what is enforced stays."""
        self._enforced = None
        self._session.close()

    @property
    def resources(self) -> Resources | None:
        """What is enforced: as applied last, with the members of today; ``None`` before anything was applied."""
        return self._enforced.sets.resources if self._enforced else None

    @property
    def generation(self) -> int:
        """Of what this enforcer put in force last; 0: nothing yet."""
        return self._session.generation

    def settle(self) -> None:
        """Remember what there is now, for :meth:`look`: soon after a change, when there is time.

        Raises:
            BpfError: something can not be read.
        """
        self._session.settle()

    def look(self) -> frozenset[Drift]:
        """Find out what anybody else has changed since this enforcer did; nothing if it has put nothing in force.

        After :meth:`distrust`, :meth:`apply` repairs it.

        Raises:
            XtablesError: iptables can not be run.
        """
        return self._session.look()

    def rest(self) -> None:
        """Give back memory that only makes the next change a little faster."""
        self._session.rest()

    def distrust(self) -> None:
        """Let the next :meth:`apply` read everything back, and repair what is not as it should be."""
        self._session.distrust()

    def resolve(self, resources: Resources) -> EffectivePolicy:
        """Find out what :meth:`apply` would enforce on the interfaces as they are now.

        Raises:
            UnsupportedPolicyError: a rule in use can not be enforced by any version, as one that matches services.
            OperatorError: the interfaces can not be read.
        """
        return self._resolver.resolve(resources, self._node, netlink.interfaces())

    def apply(
        self,
        resources: Resources,
        *,
        dry_run: bool = False,
        allow_empty: bool = False,
        on_plan: Callable[[State, Target], None] = lambda *_: None,
        on_progress: Callable[[Step], None] = lambda _: None,
    ) -> Report:
        """Make the kernel enforce exactly what resources say: on all interfaces at once, or not at all.

        Resources that share objects with those before are resolved and compiled in less time. What is in force already
        plans nothing. On any failure the policy before is still enforced.

        Args:
            resources: of the whole cluster.
            dry_run: only plan and check.
            allow_empty: resources that govern no interface here end all enforcement; refused unless this is set.
            on_plan: called when it is known what will be done, with what there is and what will be, and the lock held.
            on_progress: called before and during each operation, with the lock held.

        Raises:
            UnsupportedPolicyError: a rule in use can not be enforced by any version.
            CapacityError: the policy is too large.
            OperatorError: no interface is governed, or the machine is not ready.
            BpfError: the kernel refused an operation.
        """
        policy = self.resolve(resources)
        steps.check_governs(policy, allow_empty=allow_empty)
        enforced, self._enforced = self._enforced, None
        try:
            report = self._session.apply(
                policy, compile=self._compilation.update, dry_run=dry_run, on_plan=on_plan, on_progress=on_progress
            )
        except (CapacityError, OperatorError, WouldCutError):
            self._enforced = enforced
            raise
        if dry_run:
            self._enforced = enforced
        else:
            selecting = self._selections.of(policy)
            self._enforced = EnforcedPolicy(resources, selecting, report.image, self._session.room)
        return report

    def add_members(self, kind: str, name: str, members: Iterable[Member]) -> MembersReport:
        """Let addresses enter a network set of the policy that was applied last, and enforce that.

        Every rule whose selector selects the set takes them from the next packet on. The files that the policy came
        from are not changed: a later ``pyxdp apply`` of them takes the members away again.

        Args:
            kind: ``GlobalNetworkSet`` or ``NetworkSet``.
            name: of the set; of a NetworkSet ``namespace/name``.
            members: addresses and prefixes; as in manifests, host bits are cleared.

        Raises:
            MembersError: nothing was applied, there is no such set, or a member is no address; nothing was changed.
            BpfError, CapacityError, OperatorError: as for :meth:`apply`.
        """
        return self._change(kind, name, members, entering=True)

    def remove_members(self, kind: str, name: str, members: Iterable[Member]) -> MembersReport:
        """Let addresses leave a network set; the counterpart of :meth:`add_members`.

        A prefix leaves as it was written: an address inside of a larger prefix of the set is not a member by itself.
        Addresses that other prefixes, or other sets that the same rules select, hold as well stay where they are.
        """
        return self._change(kind, name, members, entering=False)

    def _change(self, kind: str, name: str, members: Iterable[Member], *, entering: bool) -> MembersReport:
        begin = time.monotonic()
        enforced = EnforcedPolicy.expect(self._enforced)
        found, wanted = enforced.sets.find(kind, name), networks_of(members)
        changed = enforced.sets.differing(found, wanted, entering=entering)
        rebuilt = self._enforce(enforced, found, changed, entering=entering) if changed else ""
        different = set(changed)
        return MembersReport(
            changed=tuple(changed),
            unchanged=tuple(network for network in wanted if network not in different),
            rebuilt=rebuilt,
            generation=self._session.generation,
            seconds=time.monotonic() - begin,
        )

    def _enforce(self, enforced: EnforcedPolicy, name: SetName, changed: list[Network], *, entering: bool) -> str:
        """Change members, in the slot in force or by applying everything; say why in the second case."""
        try:
            self._write(enforced.deltas(name, changed, entering=entering))
        except (NeedsRebuildError, StaleError) as error:
            enforced.forget_tables()
            self.apply(enforced.sets.changed(name, changed, entering=entering), allow_empty=True)
            return str(error)
        except BaseException:
            enforced.forget_tables()
            raise
        enforced.sets.change(name, changed, entering=entering)
        return ""

    def _write(self, deltas: list[Delta]) -> None:
        if deltas:
            self._session.write_members(deltas)
        elif not self._session.intact():
            raise StaleError
