"""Resources whose network sets change: what was applied, and what entered and left since."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from pyxdp.errors import MembersError
from pyxdp.net.prefixes import Prefixes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.model import GlobalNetworkSet, NetworkSet, Resources
    from pyxdp.net import Network

    AnySet: TypeAlias = GlobalNetworkSet | NetworkSet

S = TypeVar("S", "GlobalNetworkSet", "NetworkSet")

_KINDS: Final = ("GlobalNetworkSet", "NetworkSet")


class SetName(NamedTuple):
    """A network set.

    Attributes:
        kind: ``GlobalNetworkSet`` or ``NetworkSet``.
        namespace: empty for a global one.
        name: of the resource.
    """

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, resource: AnySet) -> SetName:
        """Return the name of a resource."""
        return cls(type(resource).__name__, resource.metadata.namespace or "", resource.metadata.name)

    @classmethod
    def parsed(cls, kind: str, name: str) -> SetName:
        """Read ``name`` of a GlobalNetworkSet or ``namespace/name`` of a NetworkSet.

        Raises:
            MembersError: it is neither.
        """
        if kind not in _KINDS:
            raise MembersError(f"no kind of network set: {kind!r}", hint=f"there are {' and '.join(_KINDS)}")
        namespace, slash, own = name.rpartition("/")
        if bool(slash) is (kind == "GlobalNetworkSet"):
            form = "name" if kind == "GlobalNetworkSet" else "namespace/name"
            raise MembersError(f"no name of a {kind}: {name!r}", hint=f"write {form}")
        return cls(kind, namespace, own)

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}" if self.namespace else f"{self.kind}/{self.name}"


@dataclass
class _Members:
    """A set's prefixes: those that were applied without ``left``, and ``entered``."""

    applied: Prefixes
    entered: set[Network] = field(default_factory=set)
    left: set[Network] = field(default_factory=set)

    def having(self, networks: Prefixes) -> list[bool]:
        """Tell for each of some prefixes whether it is there."""
        there = self.applied.having(networks).tolist()
        return [
            network in self.entered or (applied and network not in self.left)
            for network, applied in zip(networks, there, strict=True)
        ]

    def change(self, networks: Iterable[Network], *, entering: bool) -> None:
        """Let prefixes enter that are not there, or leave that are."""
        to, back = (self.entered, self.left) if entering else (self.left, self.entered)
        for network in networks:
            if network in back:
                back.remove(network)
            else:
                to.add(network)

    def now(self) -> Prefixes:
        """Return all of them."""
        return self.applied.without(self.left).with_(self.entered)


class ChangingResources:
    """Resources, and members that network sets won and lost since.

    The resources themselves are made anew only when somebody asks for them: with a million prefixes that takes longer
    than to enforce the change.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        sets: tuple[AnySet, ...] = (*resources.globalNetworkSets, *resources.networkSets)
        self._sets = {SetName.of(one): one for one in sets}
        self._members: dict[SetName, _Members] = {}

    @property
    def resources(self) -> Resources:
        """All resources as they are now; the very same as long as nothing changes."""
        if self._members:
            for name, members in self._members.items():
                self._sets[name] = replace(self._sets[name], nets=members.now())
            self._members = {}
            self._resources = replace(
                self._resources,
                globalNetworkSets=self._now(self._resources.globalNetworkSets),
                networkSets=self._now(self._resources.networkSets),
            )
        return self._resources

    def find(self, kind: str, name: str) -> SetName:
        """Return the set of this name.

        Raises:
            MembersError: there is none.
        """
        found = SetName.parsed(kind, name)
        if found not in self._sets:
            raise MembersError(f"there is no {found} in the policy that was applied", hint="apply a policy that has it")
        return found

    def has(self, name: SetName, network: Network) -> bool:
        """Tell whether a set has this very prefix."""
        return self._of(name).having(Prefixes.of([network])) == [True]

    def differing(self, name: SetName, networks: Prefixes, *, entering: bool) -> list[Network]:
        """Return those of some prefixes that a set does not have, or if they are to leave, those that it has."""
        there = self._of(name).having(networks)
        return [network for network, held in zip(networks, there, strict=True) if held is not entering]

    def change(self, name: SetName, networks: Iterable[Network], *, entering: bool) -> None:
        """Let prefixes enter that are not there, or leave that are."""
        self._members.setdefault(name, self._of(name)).change(networks, entering=entering)

    def changed(self, name: SetName, networks: Iterable[Network], *, entering: bool) -> Resources:
        """Return what the resources would be after such a change, and change nothing."""
        after = ChangingResources(self.resources)
        after.change(name, networks, entering=entering)
        return after.resources

    def _of(self, name: SetName) -> _Members:
        return self._members.get(name) or _Members(self._sets[name].nets)

    def _now(self, sets: tuple[S, ...]) -> tuple[S, ...]:
        return tuple(replace(one, nets=self._sets[SetName.of(one)].nets) for one in sets)
