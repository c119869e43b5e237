"""``pyxdp explain``."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pyxdp.cli.commands import FILES
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.flow import parse_flow, parse_hex
from pyxdp.cli.place import endpoint_place, interface_place
from pyxdp.cli.progress import Bar
from pyxdp.errors import CaptureError, OperatorError, PyxdpError
from pyxdp.evaluator import Conntrack, Context, Direction, Verdict
from pyxdp.evaluator import Path as Way
from pyxdp.explanation import Place, explain
from pyxdp.explanation.document import as_document
from pyxdp.explanation.flows import Flow, explain_capture
from pyxdp.explanation.text import Style, lines
from pyxdp.explanation.wording import VERDICTS, decision, subject
from pyxdp.net.capture import read_capture
from pyxdp.net.parse import Content, Frame, parse_frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyxdp.cli.commands import Settings
    from pyxdp.cli.output import Output

_COLOURS: Final = {Verdict.ALLOW: "green", Verdict.DENY: "red", Verdict.NO_VERDICT: "yellow"}
_ON_A_TERMINAL: Final = Style(
    verdict=lambda word, verdict: click.style(word, fg=_COLOURS[verdict], bold=True),
    strong=lambda text: click.style(text, bold=True),
    faint=lambda text: click.style(text, dim=True),
)
_DISAGREEMENT: Final = 1

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
    click.option(
        "--engine",
        type=click.Choice(["auto", "both", "evaluator"]),
        default="auto",
        show_default=True,
        help="Whether the BPF programs are asked as well; both must agree. auto: if this kernel and user can.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Every rule on a line, and the policies that were not asked."),
)


@make_command(*_options, name="explain")
def command(  # noqa: PLR0913 - the command's options
    settings: Settings,
    flow: Sequence[str],
    *,
    frame: str | None,
    pcap: Path | None,
    each: bool,
    verbose: bool,
    engine: str,
    **options: Any,
) -> None:
    """Say what becomes of a packet, which rule decides, and why no other one did.

    \b
      pyxdp explain -f policy/ tcp 198.51.100.9 192.0.2.10:6379
      pyxdp explain -f policy/ --endpoint web-eth0 --egress udp 192.0.2.10:5353 [2001:db8::1]:53
      pyxdp explain -f policy/ --pcap capture.pcap

    Asks the manifests, not what is in force. ICMP is written icmp or icmp:TYPE/CODE. Needs no privileges, changes
    nothing.
    """  # noqa: D301 - click's mark for text that is not to be filled
    if sum((bool(flow), frame is not None, pcap is not None)) != 1:
        raise click.UsageError("name one packet: PROTOCOL SOURCE DESTINATION, --frame HEX, or --pcap FILE")
    if not settings.paths:
        message = "no manifests: the kernel holds rules without their files; name what was applied with -f"
        raise click.UsageError(message)
    data = parse_hex(frame) if frame is not None else b""
    if pcap is not None:
        place = _place(settings, None, options)
        flows = _captured(settings, place, pcap, each=each, **options)
    else:
        asked = parse_frame(data) if frame is not None else Frame(content=Content.FLOW, packet=parse_flow(flow))
        place = _place(settings, asked, options)
        flows = _explained(place, asked, **options)
    answers = _confirmed(place, flows, data, engine)
    output = settings.output
    if output.as_json:
        output.document(_as_json(flows, answers))
    elif pcap is None or verbose:
        _tell(output, flows, answers, verbose=verbose)
    else:
        _summarize(output, flows)
    _complain(output, answers)


def _place(settings: Settings, asked: Frame | None, options: Mapping[str, Any]) -> Place:
    resources = settings.load().resources
    node, local = options["node"], options["local"]
    if options["interface"]:
        return interface_place(resources, options["interface"], node=node, local=local)
    return endpoint_place(resources, options["endpoint"], node=node, local=local, frame=asked)


def _context(*, forward: bool, ctstate: str, original_dst: Any, original_dport: int | None, **_: Any) -> Context:
    return Context(
        path=Way.FORWARD if forward else Way.LOCAL,
        conntrack=Conntrack(ctstate),
        original_destination=original_dst,
        original_destination_port=original_dport,
    )


def _explained(place: Place, asked: Frame, *, direction: str | None, **options: Any) -> list[Flow]:
    towards = Direction(direction) if direction else place.direction_of(asked)
    return [Flow(1, 1, explain(place, towards, asked, _context(**options)))]


def _captured(
    settings: Settings, place: Place, file: Path, *, each: bool, direction: str | None, **options: Any
) -> list[Flow]:
    given = Direction(direction) if direction else None
    try:
        with file.open("rb") as stream, Bar(f"explaining {file}"):
            flows = explain_capture(
                place, read_capture(stream), context=_context(**options), direction=given, each=each
            )
    except CaptureError as error:
        hint = f"make one with: tcpdump -i {place.interface} -w FILE"
        raise CaptureError(f"{file}: {error}", hint=hint) from error
    except OSError as error:
        raise OperatorError(f"{file}: {error.strerror}") from error
    if not (given or place.addresses) and all(it.explanation.direction is Direction.INGRESS for it in flows):
        told = "no address of the host is known, so every packet counts as coming in"
        settings.output.warning(f"{told}: name one with --local, or say --ingress or --egress")
    return flows


def _confirmed(place: Place, flows: Sequence[Flow], frame: bytes, engine: str) -> list[str | None]:
    """Ask the programs about each flow; see :meth:`~pyxdp.cli.confirmation.Confirmation.differs`."""
    unasked: list[str | None] = [None] * len(flows)
    if engine == "evaluator" or place.governance is None:
        return unasked
    try:
        from pyxdp.cli.confirmation import Confirmation  # noqa: PLC0415 - loads libbpf, which need not be there

        with Bar("asking the programs"), Confirmation(place) as programs:
            known = {id(it.explanation): it.explanation for it in flows}
            answers = {number: programs.differs(explanation, frame) for number, explanation in known.items()}
    except (ImportError, PyxdpError) as error:
        if engine == "auto":
            return unasked
        if isinstance(error, PyxdpError):
            error.hint = error.hint or "run as root; the evaluator alone needs none of that: --engine evaluator"
        raise
    return [answers[id(it.explanation)] for it in flows]


def _as_json(flows: Sequence[Flow], answers: Sequence[str | None]) -> dict[str, Any]:
    return {
        "flows": [
            {
                "packets": it.packets,
                "first": it.first,
                **as_document(it.explanation),
                "programs": "agree" if answer == "" else answer,
            }
            for it, answer in zip(flows, answers, strict=True)
        ]
    }


def _tell(output: Output, flows: Sequence[Flow], answers: Sequence[str | None], *, verbose: bool) -> None:
    style = _ON_A_TERMINAL if output.is_terminal else Style()
    for number, (flow, answer) in enumerate(zip(flows, answers, strict=True)):
        if number:
            output.line()
        for line in lines(flow.explanation, style, verbose=verbose):
            output.line(line)
        if verbose and answer == "":
            output.line(style.faint("the BPF programs, run on this kernel, say the same"))


def _summarize(output: Output, flows: Sequence[Flow]) -> None:
    rows = [
        [
            str(it.packets),
            click.style(VERDICTS[it.explanation.verdict], fg=_COLOURS[it.explanation.verdict], bold=True),
            it.explanation.direction.value.lower(),
            subject(it.explanation),
            decision(it.explanation),
        ]
        for it in flows
    ]
    output.table(["PACKETS", "VERDICT", "DIRECTION", "FLOW", "WHY"], rows, right=["PACKETS"])


def _complain(output: Output, answers: Sequence[str | None]) -> None:
    """Tell that the programs say something else, which nobody should have to find out in production."""
    different = [answer for answer in answers if answer]
    if different:
        output.error("\n".join(f"the BPF programs, run on this kernel, say: {answer}" for answer in different))
        output.error("one of the two is wrong: a bug in pyxdp", "please report it with the manifests and --json")
        raise click.exceptions.Exit(_DISAGREEMENT)
