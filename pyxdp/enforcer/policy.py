"""The policy that an enforcer put in force, with the members that entered and left since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.compiler.members import MemberTable, NeedsRebuildError
from pyxdp.enforcer.sets import ChangingResources, SetName
from pyxdp.errors import MembersError
from pyxdp.model import HostEndpoint
from pyxdp.net.addresses import host_network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyxdp.compiler import MapImage
    from pyxdp.compiler.members import Delta
    from pyxdp.model import Resources
    from pyxdp.net import Network
    from pyxdp.resolver import AddressSet
    from pyxdp.resolver.effective import Peer


class EnforcedPolicy:
    """What is in force.

    Attributes:
        sets: the resources, whose sets change.
    """

    def __init__(
        self,
        resources: Resources,
        selecting: Mapping[SetName, Sequence[AddressSet]],
        image: MapImage,
        room: Mapping[str, int],
    ) -> None:
        """Begin with what was applied.

        Args:
            resources: all of them.
            selecting: for each network set the address sets that select it.
            image: what the resources were compiled to.
            room: entries that one slot of each map has.
        """
        self.sets = ChangingResources(resources)
        self._selecting = selecting
        self._image = image
        self._room = room
        self._table: MemberTable | None = None
        self._damaged = False

    @staticmethod
    def expect(enforced: EnforcedPolicy | None) -> EnforcedPolicy:
        """Return what is in force.

        Raises:
            MembersError: nothing was applied.
        """
        if enforced is None:
            raise MembersError("no policy was applied whose members could change", hint="call apply first")
        return enforced

    def deltas(self, name: SetName, changed: Sequence[Network], *, entering: bool) -> list[Delta]:
        """Return what to write so that prefixes enter or leave a set; nothing if no rule selects it.

        Raises:
            NeedsRebuildError: apply everything instead.
        """
        concerned = {
            one.id: [network for network in changed if entering or not self._is_elsewhere(network, name, one)]
            for one in self._selecting.get(name, ())
        }
        # One delta for all: between two, an address would be in some of its new sets only.
        delta = self._tables.change(concerned, entering=entering) if concerned else None
        return [delta] if delta else []

    def forget_tables(self) -> None:
        """Let the next change apply everything: it is not known what the kernel's tables hold."""
        self._damaged = True

    @property
    def _tables(self) -> MemberTable:
        if self._damaged:
            raise NeedsRebuildError("the change before failed")
        if self._table is None:
            self._table = MemberTable(self._image, self._room)
        return self._table

    def _is_elsewhere(self, network: Network, name: SetName, selected: AddressSet) -> bool:
        """Whether something else that the same selector selects has the prefix, too."""
        return any(self._has(peer, network) for peer in selected.peers if _name(peer) != name)

    def _has(self, peer: Peer, network: Network) -> bool:
        if isinstance(peer, HostEndpoint):
            return any(host_network(address) == network for address in peer.expectedIPs)
        return self.sets.has(SetName.of(peer), network)


def _name(peer: Peer) -> SetName | None:
    return None if isinstance(peer, HostEndpoint) else SetName.of(peer)
