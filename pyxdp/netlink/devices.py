"""Reading links and addresses.

Everything comes from two netlink dumps, so that one call sees one moment. Nothing is read from ``/sys/class/net``: that
directory belongs to the namespace in which ``/sys`` was mounted, which need not be the one we are in.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from pyxdp.errors import OperatorError
from pyxdp.net import Interface

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.net import Address

_IFF_RUNNING: Final = 0x40
_RTEXT_FILTER_SKIP_STATS: Final = 8
_ENODEV: Final = 19

#: IFLA_XDP_ATTACHED as pyroute2 spells it -> (our word, the attribute that holds the program's id).
_XDP_MODES: Final[dict[str, tuple[Literal["native", "generic", "offload"], str]]] = {
    "xdp": ("native", "IFLA_XDP_DRV_PROG_ID"),
    "xdpgeneric": ("generic", "IFLA_XDP_SKB_PROG_ID"),
    "xdpoffload": ("offload", "IFLA_XDP_HW_PROG_ID"),
}


@dataclass(frozen=True, slots=True)
class XdpAttachment:
    """The program at an interface's XDP hook, whoever put it there.

    Attributes:
        mode: ``native`` in the driver, ``generic`` in the stack, ``offload`` on the card.
        program_id: as ``bpftool prog show id`` takes it.
    """

    mode: Literal["native", "generic", "offload"]
    program_id: int


@dataclass(frozen=True, slots=True)
class Device:
    """An interface with what decides how XDP can run on it.

    Attributes:
        interface: name, index, addresses.
        mtu: in bytes, without the Ethernet header.
        driver: name of the driver (``virtio_net``), or the link kind of a software device (``veth``); ``unknown`` when
            the kernel tells neither.
        xdp: what is attached now.
    """

    interface: Interface
    mtu: int
    driver: str
    xdp: XdpAttachment | None


def devices() -> tuple[Device, ...]:
    """Return every interface of this thread's network namespace, sorted by index.

    Raises:
        OperatorError: netlink refused.
    """
    with _socket() as route:
        links = list(route.get_links(ext_mask=_RTEXT_FILTER_SKIP_STATS))
        addresses = _addresses(route)
    return tuple(sorted((_device(link, addresses) for link in links), key=lambda device: device.interface.index))


def interfaces() -> tuple[Interface, ...]:
    """Return every interface of this thread's network namespace, sorted by index.

    Raises:
        OperatorError: netlink refused.
    """
    return tuple(device.interface for device in devices())


def xdp_program(ifindex: int) -> XdpAttachment | None:
    """Return what is at the interface's XDP hook; ``None`` when nothing is, or when there is no such interface.

    Raises:
        OperatorError: netlink refused.
    """
    with _socket() as route:
        try:
            (link,) = route.link("get", index=ifindex, ext_mask=_RTEXT_FILTER_SKIP_STATS)
        except NetlinkError as error:
            if error.code == _ENODEV:
                return None
            raise
    return _attachment(link)


def uppers(ifindex: int) -> frozenset[int]:
    """Return the interfaces of this namespace that lie on one.

    They are the bridge, bond or VRF that it is a port of, and what is made on it, as VLANs and macvlans are.

    Raises:
        OperatorError: netlink refused.
    """
    with _socket() as route:
        links = list(route.get_links(ext_mask=_RTEXT_FILTER_SKIP_STATS))
    found = {link["index"] for link in links if link.get_attr("IFLA_LINK") == ifindex and _is_made_on_another(link)}
    found |= {link.get_attr("IFLA_MASTER") for link in links if link["index"] == ifindex}
    return frozenset(found - {None})


def is_empty_bond(ifindex: int) -> bool:
    """Whether an interface is a bond that has no port yet; ``False`` when there is no such interface.

    Raises:
        OperatorError: netlink refused.
    """
    with _socket() as route:
        links = list(route.get_links(ext_mask=_RTEXT_FILTER_SKIP_STATS))
    kinds = {link["index"]: link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") for link in links}
    return kinds.get(ifindex) == "bond" and all(link.get_attr("IFLA_MASTER") != ifindex for link in links)


@contextmanager
def _socket() -> Iterator[Any]:
    try:
        with IPRoute() as route:
            yield route
    except (NetlinkError, OSError) as error:
        message = f"can not read the interfaces: netlink: {error}"
        raise OperatorError(message) from error


def _addresses(route: Any) -> dict[int, list[Address]]:
    found: dict[int, list[Address]] = defaultdict(list)
    for message in route.get_addr():
        # On a point-to-point link IFA_ADDRESS is the peer and IFA_LOCAL is ours; IPv6 may have only the former.
        text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        found[message["index"]].append(ip_address(text))
    return found


def _device(link: Any, addresses: dict[int, list[Address]]) -> Device:
    index = link["index"]
    kind = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""
    interface = Interface(
        name=link.get_attr("IFLA_IFNAME"),
        index=index,
        addresses=tuple(sorted(addresses[index], key=lambda address: (address.version, int(address)))),
        up=bool(link["flags"] & _IFF_RUNNING),
        kind=kind,
        parent=_lower_device(link) if kind == "vlan" else 0,
        master=link.get_attr("IFLA_MASTER") or 0,
    )
    return Device(interface, link.get_attr("IFLA_MTU"), kind or _parent_driver(link), _attachment(link))


def _lower_device(link: Any) -> int:
    """Return the ifindex that the device is made on; 0 if it counts in another namespace."""
    elsewhere = link.get_attr("IFLA_LINK_NETNSID") is not None
    return 0 if elsewhere else link.get_attr("IFLA_LINK") or 0


def _is_made_on_another(link: Any) -> bool:
    """Whether IFLA_LINK names what the device is made on; that of a veth is its other end."""
    kind = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
    return kind != "veth" and link.get_attr("IFLA_LINK_NETNSID") is None


def _attachment(link: Any) -> XdpAttachment | None:
    xdp = link.get_attr("IFLA_XDP")
    state = xdp.get_attr("IFLA_XDP_ATTACHED") if xdp else None
    if state is None:
        return None
    if state == "xdpmulti":  # only a card can hold a second program; the one in the host is what matters here
        state = "xdp" if xdp.get_attr("IFLA_XDP_DRV_PROG_ID") else "xdpgeneric"
    mode, attribute = _XDP_MODES[state]
    return XdpAttachment(mode, xdp.get_attr(attribute) or xdp.get_attr("IFLA_XDP_PROG_ID"))


def _parent_driver(link: Any) -> str:
    bus, parent = link.get_attr("IFLA_PARENT_DEV_BUS_NAME"), link.get_attr("IFLA_PARENT_DEV_NAME")
    if not bus or not parent:
        return "unknown"
    driver = Path("/sys/bus", bus, "devices", parent, "driver")
    return driver.resolve().name if driver.is_symlink() else "unknown"
