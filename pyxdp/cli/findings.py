"""What resolving and linting a policy found out, told alike by every command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyxdp.cli.output import plural
from pyxdp.lint import Code, Severity, packet_text
from pyxdp.net.values import PROTOCOL_NUMBERS
from pyxdp.resolver import EndpointState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.cli.output import Output
    from pyxdp.lint import Example, Finding
    from pyxdp.manifest import Manifest
    from pyxdp.net import Packet
    from pyxdp.resolver import EffectivePolicy, EndpointResolution

#: Warnings of lint that a command shows whose business is another.
_BRIEF: Final = 5
_NAMES: Final = {number: name for name, number in PROTOCOL_NUMBERS.items()}


def notices_of(manifest: Manifest, policy: EffectivePolicy) -> list[str]:
    """All notices: of reading, then of resolving."""
    return [*manifest.notices, *policy.notices]


def tell(output: Output, manifest: Manifest, policy: EffectivePolicy, findings: Sequence[Finding] = ()) -> None:
    """Warn of host endpoints that govern nothing, and tell the notices that no finding tells anyway."""
    for found in policy.resolutions:
        if found.state is not EndpointState.ACTIVE:
            output.warning(f"HostEndpoint/{found.name}: {found.state.value}: {found.detail}")
    told = tuple(f"{it.subject}{end}" for it in findings if it.code is Code.NEVER_MATCHES for end in (".", ": never"))
    for notice in notices_of(manifest, policy):
        if not notice.startswith(told):
            output.notice(notice)


def tell_findings(output: Output, findings: Sequence[Finding]) -> None:
    """Tell what lint found, a line for each."""
    for finding in findings:
        say = output.warning if finding.severity is Severity.WARNING else output.notice
        say(finding_text(finding))


def tell_briefly(output: Output, findings: Sequence[Finding]) -> None:
    """Tell the first warnings of lint, and how many more there are."""
    warnings = [finding for finding in findings if finding.severity is Severity.WARNING]
    tell_findings(output, warnings[:_BRIEF])
    if len(warnings) > _BRIEF:
        output.warning(f"{plural(len(warnings) - _BRIEF, 'more warning')}: see pyxdp check")


def finding_text(finding: Finding) -> str:
    """Return a finding as a line, with its place before it and its code behind it, as compilers do."""
    place = f"{finding.origin}: " if finding.origin.line else ""
    others = f" (and so {plural(finding.others, 'more host endpoint')})" if finding.others else ""
    return f"{place}{finding.subject}: {finding.text}{others}{_example_text(finding.example)} [{finding.code.value}]"


def _example_text(example: Example | None) -> str:
    if example is None:
        return ""
    forwarded = ", forwarded" if example.forwarded else ""
    where = f"{example.direction.name.lower()}{forwarded}"
    return f"; for example {packet_text(example.packet)} ({where}) {example.outcome}"


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return the member of ``findings`` in ``docs/cli.md``."""
    return {
        "code": finding.code.value,
        "severity": finding.severity.value,
        "file": finding.origin.file,
        "line": finding.origin.line,
        "object": finding.subject,
        "text": finding.text,
        "others": finding.others,
        **_example_json(finding.example),
    }


def _example_json(example: Example | None) -> dict[str, Any]:
    """Return the example in the words of ``pyxdp test``; a packet that is translated is shown as it is afterwards."""
    if example is None:
        return {"packet": None}
    packet = _packet_json(example.translated or example.packet)
    if example.translated:
        packet["originalDst"] = str(example.packet.destination)
        packet["originalDport"] = example.packet.destination_port
    return {
        "packet": packet,
        "endpoint": example.endpoint,
        "direction": example.direction.name.lower(),
        "path": "forward" if example.forwarded else "local",
        "outcome": example.outcome,
    }


def _packet_json(packet: Packet) -> dict[str, Any]:
    found: dict[str, Any] = {
        "protocol": _NAMES.get(packet.protocol, packet.protocol),
        "src": str(packet.source),
        "dst": str(packet.destination),
    }
    if packet.source_port is not None:
        found |= {"sport": packet.source_port, "dport": packet.destination_port}
    if packet.icmp_type is not None:
        found["icmp"] = {"type": packet.icmp_type, "code": packet.icmp_code}
    return found


def resolution_json(found: EndpointResolution) -> dict[str, Any]:
    """Return the member of ``endpoints`` in ``docs/cli.md``."""
    return {
        "name": found.name,
        "state": found.state.value,
        "interfaces": list(found.interfaces),
        "detail": found.detail,
    }
