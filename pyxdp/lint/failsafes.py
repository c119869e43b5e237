"""Failsafe ports that are open to everybody (spec section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.lint.chains import failsafe_text
from pyxdp.lint.finding import Code, Finding, Severity
from pyxdp.lint.regions import failsafe_boxes
from pyxdp.model import DEFAULT_FAILSAFE_INBOUND, DEFAULT_FAILSAFE_OUTBOUND, Origin
from pyxdp.resolver import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyxdp.lint.finding import Example
    from pyxdp.lint.survey import Survey
    from pyxdp.model import FailsafePort, FelixConfiguration

#: What a host needs to come up, whoever the other side is: DHCP (client and server ports), DNS, NTP.
_HARMLESS: Final = {
    Direction.INGRESS: frozenset({(17, 68), (17, 546)}),
    Direction.EGRESS: frozenset({(17, 53), (6, 53), (17, 67), (17, 123), (17, 547)}),
}
_DEFAULTS: Final = (DEFAULT_FAILSAFE_INBOUND, DEFAULT_FAILSAFE_OUTBOUND)


def find_failsafes(survey: Survey) -> Iterator[Finding]:
    """Find failsafe ports that any address may use."""
    configurations = {it.metadata.name: it for it in survey.world.resources.felixConfigurations}
    for configuration in configurations.values():
        listed = (configuration.failsafeInboundHostPorts, configuration.failsafeOutboundHostPorts)
        for direction, ports, default in zip(Direction, listed, _DEFAULTS, strict=True):
            wide = _wide(direction, ports) if ports is not None and ports != default else []
            if wide:
                yield _listed(survey, configuration, direction, wide)
    if any(shape.failsafes[0] == DEFAULT_FAILSAFE_INBOUND for shape in survey.world.shapes):
        yield _defaults(survey, configurations.get("default"))


def _wide(direction: Direction, ports: Iterable[FailsafePort]) -> list[FailsafePort]:
    return [
        it
        for it in ports
        if (it.net is None or it.net.prefixlen == 0) and (it.protocol.number, it.port) not in _HARMLESS[direction]
    ]


def _listed(
    survey: Survey, configuration: FelixConfiguration, direction: Direction, wide: Sequence[FailsafePort]
) -> Finding:
    inbound = direction is Direction.INGRESS
    field, who = ("failsafeInboundHostPorts", "from") if inbound else ("failsafeOutboundHostPorts", "to")
    return Finding(
        code=Code.OPEN_FAILSAFE,
        severity=Severity.WARNING if inbound else Severity.NOTICE,
        subject=f"FelixConfiguration/{configuration.metadata.name}",
        text=f"{field} opens {_texts(wide)} {who} every address, whatever policy says: give a net",
        origin=configuration.metadata.origin,
        example=_example(survey, direction, wide),
    )


def _defaults(survey: Survey, configuration: FelixConfiguration | None) -> Finding:
    wide = _wide(Direction.INGRESS, DEFAULT_FAILSAFE_INBOUND)
    return Finding(
        code=Code.OPEN_FAILSAFE,
        severity=Severity.NOTICE,
        subject="FelixConfiguration/default",
        text="the default failsafe ports are open from every address: failsafeInboundHostPorts can name nets",
        origin=configuration.metadata.origin if configuration else Origin(),
        example=_example(survey, Direction.INGRESS, wide),
    )


def _texts(ports: Iterable[FailsafePort]) -> str:
    return ", ".join(map(failsafe_text, ports))


def _example(survey: Survey, direction: Direction, wide: Sequence[FailsafePort]) -> Example | None:
    views = (view for view in survey.views if wide[0] in view.shape.failsafes[direction.value])
    view = next(views, None)
    if view is None:
        return None
    boxes = failsafe_boxes(wide[0], inbound=direction is Direction.INGRESS)
    return view.example(view.sample(boxes, direction), direction)
