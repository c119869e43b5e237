"""Interfaces of the governed host that come and go, beside the one that traffic comes in by, which stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.network import connect
from tests.soak.policies import ADDRESS, NAMES

if TYPE_CHECKING:
    from collections.abc import Collection
    from random import Random

    from pyroute2 import NetNS

    from tests.veth.host import Host

_MOST = 3


class Interfaces:
    """Changes them."""

    def __init__(self, host: Host, chance: Random, others: Collection[int]) -> None:
        """Change nothing yet; the addresses of the one that stays are to outlive a flap.

        Args:
            host: whose interfaces.
            chance: decides.
            others: indexes of those that are left alone.
        """
        self._host, self._chance = host, chance
        self._staying = frozenset({1, host.end.ifindex, *others})
        self._made = 0
        host.space.sysctl(f"net/ipv6/conf/{host.end.name}/keep_addr_on_down", 1)

    def change(self) -> str:
        """Do something at random, and say what."""
        with self._host.space.links() as ip:
            there = {it.get("ifname"): it["index"] for it in ip.get_links() if it["index"] not in self._staying}
            does = [self._flap]
            does += [self._make] * 2 if len(there) < _MOST else []
            does += [self._delete, self._rename, self._readdress] if there else []
            doing = self._chance.choice(does)
            doing(ip, there)
        return doing.__name__.removeprefix("_")

    def _make(self, ip: NetNS, there: dict[str, int]) -> None:
        self._made += 1
        end, _ = connect(self._host.space, self._host.peer.namespace, subnet=1 + self._made % 200)
        if self._chance.random() < 0.5:
            self._rename(ip, {**there, end.name: end.ifindex}, end.ifindex)

    def _delete(self, ip: NetNS, there: dict[str, int]) -> None:
        ip.link("del", index=self._one_of(there))

    def _rename(self, ip: NetNS, there: dict[str, int], index: int = 0) -> None:
        """To a name that an endpoint has, or to one that none has."""
        names = [*(name for name in NAMES if name not in there), f"n{self._chance.getrandbits(32):x}"]
        index = index or self._one_of(there)
        ip.link("set", index=index, state="down")
        ip.link("set", index=index, ifname=self._chance.choice(names))
        ip.link("set", index=index, state="up")

    def _readdress(self, ip: NetNS, there: dict[str, int]) -> None:
        """Give the address that has an endpoint to an interface, or take it away from the one that has it."""
        has = [it["index"] for it in ip.get_addr(family=2) if it.get("address") == ADDRESS]
        if has:
            ip.addr("del", index=has[0], address=ADDRESS, prefixlen=32)
        else:
            ip.addr("add", index=self._one_of(there), address=ADDRESS, prefixlen=32)

    def _flap(self, ip: NetNS, there: dict[str, int]) -> None:
        index = self._one_of({**there, self._host.end.name: self._host.end.ifindex})
        ip.link("set", index=index, state="down")
        ip.link("set", index=index, state="up")

    def _one_of(self, there: dict[str, int]) -> int:
        return there[self._chance.choice(sorted(there))]
