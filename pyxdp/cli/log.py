"""``pyxdp log``."""

from __future__ import annotations

import errno
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import click

import pyxdp
from pyxdp.abi import Direction, Endpoint, Event, Name, decode
from pyxdp.bpf import Map, PinError, RingBuffer
from pyxdp.cli.commands import KERNEL, MANIFESTS, node_option
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.interruption import Interrupted
from pyxdp.errors import OperatorError
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS, PROTOCOL_NUMBERS

if TYPE_CHECKING:
    from pyxdp.cli.commands import Settings

_DEFAULT_PREFIX: Final = "calico-packet"
#: How often to look whether the ring buffer that is read still is the one in force, in seconds.
_LOOK_AGAIN_S: Final = 1.0
_PROTOCOLS: Final = {number: name.upper() for name, number in PROTOCOL_NUMBERS.items()}
_KINDS: Final = {"GlobalNetworkPolicy": "gnp", "NetworkPolicy": "np", "Profile": "pro"}


@make_command(
    *MANIFESTS,
    node_option,
    click.option("--prefix", metavar="TEXT", help="Begins each line, instead of the logPrefix of PATHS."),
    *KERNEL,
    name="log",
)
def command(settings: Settings, node: str | None, prefix: str | None) -> None:
    """Print a line for each packet that a Log rule matches, as it comes, until Ctrl-C.

    PATHS are only needed for a FelixConfiguration with a logPrefix; its %t, %k, %n and %p become tier, kind, name and
    name with namespace of the policy. Each event goes to one reader: do not run this twice at once.
    """
    if prefix is None:
        configured = settings.paths and pyxdp.resolve(settings.load().resources, node=node).log_prefix
        prefix = configured or _DEFAULT_PREFIX
    with suppress(Interrupted):
        _Stream(settings, prefix).follow()


@dataclass(frozen=True, slots=True)
class LoggedPacket:
    """An event with names instead of numbers.

    Attributes:
        event: as the program sent it.
        name: of the rule; all empty when the rule has been forgotten meanwhile.
        interface: that the packet came in or goes out through.
        time_ns: CLOCK_REALTIME.
    """

    event: Event
    name: Name
    interface: str
    time_ns: int

    @property
    def when(self) -> str:
        """RFC 3339, in UTC, with microseconds."""
        moment = datetime.fromtimestamp(self.time_ns / 1_000_000_000, tz=timezone.utc)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def line(self, prefix: str) -> str:
        """Return the line for people, in the words of the kernel's own LOG target."""
        values = self.as_json()
        words = [("IN", self.interface if self.event.direction == Direction.INGRESS else "")]
        words += [("OUT", self.interface if self.event.direction == Direction.EGRESS else "")]
        words += [("SRC", values["source"]), ("DST", values["destination"]), ("LEN", values["length"])]
        words += [("PROTO", values["protocol"])]
        titles = {"SPT": "source_port", "DPT": "destination_port", "TYPE": "icmp_type", "CODE": "icmp_code"}
        words += [(word, values[title]) for word, title in titles.items() if title in values]
        told = " ".join(f"{word}={value}" for word, value in words)
        return f"{self.when} {expanded(prefix, self.name)}: {told} RULE={_rule(self.name)}"

    def as_json(self) -> dict[str, Any]:
        """Return the record of ``docs/cli.md``."""
        event = self.event
        length = 4 if event.family == 4 else 16  # noqa: PLR2004 - IP version, bytes of an address
        found: dict[str, Any] = {
            "time": self.when,
            "interface": self.interface,
            "direction": Direction(event.direction).name.lower(),
            "source": str(ip_address(event.source[:length])),
            "destination": str(ip_address(event.destination[:length])),
            "protocol": _PROTOCOLS.get(event.protocol, str(event.protocol)),
            "length": event.length,
            "fragment": bool(event.fragment),
            "tier": self.name.tier,
            "kind": self.name.kind,
            "policy": self.name.policy,
            "rule": self.name.rule,
        }
        if event.fragment:
            return found
        if event.protocol in PORT_PROTOCOLS:
            found |= {"source_port": event.source_port, "destination_port": event.destination_port}
        elif event.protocol in (ICMP, ICMPV6):
            found |= {"icmp_type": event.destination_port >> 8, "icmp_code": event.destination_port & 0xFF}
        return found


def expanded(prefix: str, name: Name) -> str:
    """Put a rule's tier, kind and name into a prefix, as Calico's LogPrefix asks (spec section 1.11)."""
    values = {"%t": name.tier, "%k": _KINDS.get(name.kind, name.kind), "%n": name.policy, "%p": name.policy}
    for mark, value in values.items():
        prefix = prefix.replace(mark, value)
    return prefix


def _rule(name: Name) -> str:
    if not name.action:
        return "?"
    return f"{name.tier or name.kind}/{name.policy}/{Direction(name.direction).name.lower()}[{name.rule}]"


class _Stream:
    """The pinned ring buffer, through changes of the maps."""

    def __init__(self, settings: Settings, prefix: str) -> None:
        self._maps = settings.dataplane().pins / "maps"
        self._output = settings.output
        self._prefix = prefix
        self._clock_ns = time.time_ns() - time.monotonic_ns()

    def follow(self) -> None:
        """Print until nobody reads any more.

        Raises:
            OperatorError: no policy is in force, or no longer.
        """
        while not self._output.closed:
            with ExitStack() as stack:
                events, endpoints, names = (
                    stack.enter_context(self._opened(name)) for name in ("events", "endpoints", "names")
                )
                ring = stack.enter_context(RingBuffer(events))
                show = partial(self._show, endpoints, names)
                opened = events.info.id
                while self._current() == opened and not self._output.closed:
                    ring.read(show, timeout=_LOOK_AGAIN_S)

    def _show(self, endpoints: Map, names: Map, record: bytes) -> None:
        event = decode(Event, record)
        name = decode(Name, names.read(event.counter, 1))
        interface = decode(Endpoint, endpoints.read(event.endpoint, 1)).interface
        packet = LoggedPacket(event, name, interface, event.time_ns + self._clock_ns)
        self._output.line(packet.line(self._prefix))
        self._output.record(packet.as_json())

    def _current(self) -> int:
        """Id of the ring buffer that is in force."""
        with self._opened("events") as events:
            return events.info.id

    def _opened(self, name: str) -> Map:
        try:
            return Map.from_pin(self._maps / name)
        except PinError as error:
            if error.errno != errno.ENOENT:
                raise
            raise OperatorError("no policy is in force: there is nothing to log", hint="pyxdp apply") from error
