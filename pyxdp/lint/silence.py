"""Findings that nobody wants to hear of: annotations that name their codes."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from pyxdp.lint.finding import IGNORE_ANNOTATION, Code, Finding
from pyxdp.model import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyxdp.model import GlobalNetworkPolicy, Profile, Resources

_ALL: Final = "all"
_CODES: Final = frozenset({_ALL, *(code.value for code in Code)})
_SEPARATORS: Final = re.compile(r"[,\s]+")


class Silence:
    """What annotations of resources and rules ask lint not to say."""

    def __init__(self, resources: Resources) -> None:
        self._codes: dict[str, frozenset[str]] = {}
        self._origins: dict[str, Origin] = {}
        for one in resources:
            name = f"{type(one).__name__}/{one.metadata.name}"
            self._add(name, one.metadata.annotations, one.metadata.origin)
        for policy in resources.globalNetworkPolicies:
            self._add_rules(policy)
        for profile in resources.profiles:
            self._add_rules(profile)

    def covers(self, finding: Finding) -> bool:
        """Tell whether a finding is not wanted, by its rule or by the resource that it is in."""
        owner = finding.subject.split(": ")[0]
        codes = chain(self._codes.get(finding.subject, ()), self._codes.get(owner, ()))
        return any(code in (_ALL, finding.code.value) for code in codes)

    def located(self, finding: Finding) -> Finding:
        """Return a finding about a resource with the place of the resource."""
        return replace(finding, origin=self._origins.get(finding.subject, Origin()))

    def unknown(self) -> Iterator[Finding]:
        """Find names in annotations that are no codes: what they should silence is said anyway."""
        for name, codes in self._codes.items():
            for code in sorted(codes - _CODES):
                text = f"{IGNORE_ANNOTATION} names no code of lint: {code}"
                yield Finding(code=Code.UNKNOWN_CODE, subject=name, text=text, origin=self._origins[name])

    def _add(self, name: str, annotations: Mapping[str, str], origin: Origin) -> None:
        self._origins[name] = origin
        if IGNORE_ANNOTATION in annotations:
            self._codes[name] = ignored_codes(annotations)

    def _add_rules(self, owner: GlobalNetworkPolicy | Profile) -> None:
        for direction, rules in (("ingress", owner.ingress), ("egress", owner.egress)):
            for index, rule in enumerate(rules):
                if rule.annotations:
                    name = f"{type(owner).__name__}/{owner.metadata.name}: {direction}[{index}]"
                    self._add(name, rule.annotations, rule.origin)


def ignored_codes(annotations: Mapping[str, str]) -> frozenset[str]:
    """Return what an annotation lists, between commas or blanks."""
    return frozenset(_SEPARATORS.split(annotations.get(IGNORE_ANNOTATION, ""))) - {""}
