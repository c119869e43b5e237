"""``pyxdp explain``."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

import pyxdp
from pyxdp.cli.commands import FILES
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.flow import parse_flow, parse_hex
from pyxdp.errors import CaptureError, OperatorError
from pyxdp.evaluator import Conntrack, Context, Direction, Verdict
from pyxdp.evaluator import Path as Way
from pyxdp.explanation import Place, explain, place_of
from pyxdp.explanation.document import as_document
from pyxdp.explanation.flows import Flow, explain_capture
from pyxdp.explanation.text import Style, lines
from pyxdp.explanation.wording import VERDICTS, decision, subject
from pyxdp.net import Interface
from pyxdp.net.capture import read_capture
from pyxdp.net.parse import Content, Frame, parse_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.cli.commands import Settings
    from pyxdp.cli.output import Output
    from pyxdp.model import HostEndpoint, Resources
    from pyxdp.net import Address

_COLOURS: Final = {Verdict.ALLOW: "green", Verdict.DENY: "red", Verdict.NO_VERDICT: "yellow"}
_ON_A_TERMINAL: Final = Style(
    verdict=lambda word, verdict: click.style(word, fg=_COLOURS[verdict], bold=True),
    strong=lambda text: click.style(text, bold=True),
    faint=lambda text: click.style(text, dim=True),
)


_options = (
    click.argument("flow", nargs=-1, metavar="[PROTOCOL SOURCE DESTINATION]"),
    *FILES,
    click.option(
        "--node", metavar="NAME", help="Ask its HostEndpoints only; with --interface by default the host name."
    ),
    click.option("--endpoint", metavar="NAME", help="The HostEndpoint to ask, on an interface as it describes."),
    click.option("--interface", metavar="NAME", help="The interface of this machine to ask instead."),
    click.option("--ingress", "direction", flag_value="Ingress", help="Towards the host; by default by the addresses."),
    click.option("--egress", "direction", flag_value="Egress", help="Out of the host."),
    click.option("--local", type=ip_address, multiple=True, metavar="ADDRESS", help="An address of the host."),
    click.option("--forward", is_flag=True, help="The host routes the packet; it is not for a process of its own."),
    click.option(
        "--ctstate",
        type=click.Choice([state.value for state in Conntrack]),
        default="new",
        show_default=True,
        help="What connection tracking says.",
    ),
    click.option("--original-dst", type=ip_address, metavar="ADDRESS", help="Destination before DNAT."),
    click.option("--original-dport", type=click.IntRange(0, 65535), metavar="PORT", help="Its port before DNAT."),
    click.option("--frame", metavar="HEX", help="A whole Ethernet frame instead of PROTOCOL SOURCE DESTINATION."),
    click.option(
        "--pcap",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="A capture (pcap, pcapng) instead: each flow once.",
    ),
    click.option("--all", "each", is_flag=True, help="Every packet of the capture, not each flow once."),
    click.option("-v", "--verbose", is_flag=True, help="Every rule on a line, and the policies that were not asked."),
)


@make_command(*_options, name="explain")
def command(settings: Settings, flow: Sequence[str], frame: str | None, pcap: Path | None, **options: Any) -> None:
    """Say what becomes of a packet, which rule decides, and why no other one did.

    \b
      pyxdp explain -f policy/ tcp 198.51.100.9 192.0.2.10:6379
      pyxdp explain -f policy/ --endpoint web-eth0 --egress udp 192.0.2.10:5353 [2001:db8::1]:53
      pyxdp explain -f policy/ --pcap capture.pcap

    Asks the manifests, not the kernel. ICMP is written icmp or icmp:TYPE/CODE. Needs no privileges, changes nothing.
    """  # noqa: D301 - click's mark for text that is not to be filled
    if sum((bool(flow), frame is not None, pcap is not None)) != 1:
        raise click.UsageError("name one packet: PROTOCOL SOURCE DESTINATION, --frame HEX, or --pcap FILE")
    if not settings.paths:
        message = "no manifests: the kernel holds rules without their files; name what was applied with -f"
        raise click.UsageError(message)
    question = _Question(settings, **options)
    if pcap is not None:
        question.capture(pcap)
    elif frame is not None:
        question.frame(parse_frame(parse_hex(frame)))
    else:
        question.frame(Frame(content=Content.FLOW, packet=parse_flow(flow)))


class _Question:
    """What the options say."""

    def __init__(self, settings: Settings, *, verbose: bool, each: bool, direction: str | None, **options: Any) -> None:
        self._settings = settings
        self._verbose = verbose
        self._each = each
        self._direction = Direction(direction) if direction else None
        self._options = options
        self._context = Context(
            path=Way.FORWARD if options["forward"] else Way.LOCAL,
            conntrack=Conntrack(options["ctstate"]),
            original_destination=options["original_dst"],
            original_destination_port=options["original_dport"],
        )

    def frame(self, frame: Frame) -> None:
        """Explain one frame."""
        place = self._place(frame)
        explanation = explain(place, self._direction or place.direction_of(frame), frame, self._context)
        self._tell([Flow(1, 1, explanation)])

    def capture(self, file: Path) -> None:
        """Explain the flows of a capture."""
        place = self._place(None)
        try:
            with file.open("rb") as stream:
                flows = explain_capture(
                    place, read_capture(stream), context=self._context, direction=self._direction, each=self._each
                )
        except CaptureError as error:
            hint = f"make one with: tcpdump -i {place.interface} -w FILE"
            raise CaptureError(f"{file}: {error}", hint=hint) from error
        except OSError as error:
            raise OperatorError(f"{file}: {error.strerror}") from error
        self._warn_of_directions(place, flows)
        self._tell(flows, summary=not self._verbose)

    def _warn_of_directions(self, place: Place, flows: Sequence[Flow]) -> None:
        inwards = all(it.explanation.direction is Direction.INGRESS for it in flows)
        if flows and inwards and not self._direction and not place.addresses:
            told = "no address of the host is known, so every packet counts as coming in"
            self._settings.output.warning(f"{told}: name one with --local, or say --ingress or --egress")

    def _tell(self, flows: Sequence[Flow], *, summary: bool = False) -> None:
        output = self._settings.output
        output.document(
            {"flows": [{"packets": it.packets, "first": it.first, **as_document(it.explanation)} for it in flows]}
        )
        if summary:
            _summarize(output, flows)
            return
        style = _ON_A_TERMINAL if output.is_terminal else Style()
        for number, flow in enumerate(flows):
            if number:
                output.line()
            for line in lines(flow.explanation, style, verbose=self._verbose):
                output.line(line)

    def _place(self, frame: Frame | None) -> Place:
        resources = self._settings.load().resources
        if self._options["interface"]:
            return _interface(resources, self._options["node"], self._options["interface"], self._options["local"])
        name = self._options["endpoint"] or _only_endpoint(resources, self._options["node"], frame)
        return place_of(resources, name, addresses=self._options["local"])


def _interface(resources: Resources, node: str | None, name: str, local: Sequence[Address]) -> Place:
    """Ask an interface of this machine, with its addresses; one that is not there has those that were named."""
    from pyxdp import netlink  # noqa: PLC0415 - loads pyroute2, and only this needs it

    interfaces = {it.name: it for it in netlink.interfaces()}
    found = interfaces.get(name, Interface(name, 0))
    interfaces[name] = replace(found, addresses=(*found.addresses, *local))
    return Place(
        resources=resources,
        node=node or pyxdp.steps.default_node(),
        interfaces=tuple(interfaces.values()),
        interface=name,
    )


def _only_endpoint(resources: Resources, node: str | None, frame: Frame | None) -> str:
    """Find the endpoint that a packet is for, if there is but one that it can be."""
    candidates = [it for it in resources.hostEndpoints if node in (None, it.node)]
    if not candidates:
        raise click.UsageError(f"no HostEndpoint{f' of node {node}' if node else ''} in the manifests")
    addressed = [it for it in candidates if frame and frame.packet and _is_end_of(it, frame)]
    found = addressed if len(addressed) == 1 else candidates
    if len(found) > 1:
        names = ", ".join(it.metadata.name for it in found)
        raise click.UsageError(f"which HostEndpoint? name one with --endpoint: {names}")
    return found[0].metadata.name


def _is_end_of(endpoint: HostEndpoint, frame: Frame) -> bool:
    packet = frame.packet
    return packet is not None and not {packet.source, packet.destination}.isdisjoint(endpoint.expectedIPs)


def _summarize(output: Output, flows: Sequence[Flow]) -> None:
    rows = [
        [
            str(it.packets),
            _coloured(it.explanation.verdict),
            it.explanation.direction.value.lower(),
            subject(it.explanation),
            decision(it.explanation),
        ]
        for it in flows
    ]
    output.table(["PACKETS", "VERDICT", "DIRECTION", "FLOW", "WHY"], rows, right=["PACKETS"])


def _coloured(verdict: Verdict) -> str:
    return click.style(VERDICTS[verdict], fg=_COLOURS[verdict], bold=True)
