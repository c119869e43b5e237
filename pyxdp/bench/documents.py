"""Rules and sets as manifests: the text that a user would write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyxdp.net.prefixes import Prefixes

#: A rule as the resource reference has it: ``action``, ``protocol``, ``source``, ...
Rule: TypeAlias = "Mapping[str, Any]"

#: The node of every generated policy, its interface, its host endpoint's label, and the address of the host.
NODE: Final = "bench"
INTERFACE: Final = "bench0"
SELECTOR: Final = 'hep == "bench"'
HOST: Final = {4: "192.0.2.1", 6: "2001:db8::1"}

#: Rules of one policy; 1,024 are allowed.
POLICY: Final = 1000

_API: Final = "apiVersion: projectcalico.org/v3"
_BYTES: Final = [str(number) for number in range(256)]


def endpoint(interface: str = INTERFACE) -> str:
    """Return the host endpoint that generated policies select."""
    head = f"{_API}\nkind: HostEndpoint\nmetadata: {{name: bench, labels: {{hep: bench}}}}\n"
    return f'{head}spec: {{node: {NODE}, interfaceName: {interface}, expectedIPs: ["{HOST[4]}", "{HOST[6]}"]}}\n'


def network_set(name: str, role: str, nets: Iterable[str]) -> str:
    """Return a network set that ``role == "..."`` selects."""
    head = f"{_API}\nkind: GlobalNetworkSet\nmetadata: {{name: {name}, labels: {{role: {role}}}}}\nspec:\n  nets:\n"
    return head + "".join(f"    - {net}\n" for net in nets)


def policies(name: str, rules: Sequence[Rule], *, order: int = 100) -> tuple[str, ...]:
    """Return untracked ingress policy for the endpoint: in the order of the rules, as few policies as hold them."""
    parts = (rules[at : at + POLICY] for at in range(0, len(rules), POLICY))
    return tuple(_policy(f"{name}-{number:02}", part, order + number) for number, part in enumerate(parts))


def _policy(name: str, rules: Iterable[Rule], order: int) -> str:
    head = f"{_API}\nkind: GlobalNetworkPolicy\nmetadata: {{name: {name}}}\nspec:\n  order: {order}\n"
    head += f"  selector: {SELECTOR}\n  doNotTrack: true\n  applyOnForward: true\n  types: [Ingress]\n  ingress:\n"
    return head + "".join(f"{line}\n" for rule in rules for line in _item(rule))


def texts(prefixes: Prefixes) -> Iterator[str]:
    """Go through the prefixes as text, a million in a second."""
    for key in prefixes.ipv4.tolist():
        a, b, c, d = _BYTES[key >> 32], _BYTES[key >> 24 & 255], _BYTES[key >> 16 & 255], _BYTES[key >> 8 & 255]
        yield f"{a}.{b}.{c}.{d}/{key & 255}"
    for high, low, length in zip(*(array.tolist() for array in prefixes.ipv6), strict=True):
        groups = [f"{high >> shift & 0xFFFF:x}" for shift in (48, 32, 16, 0)]
        groups += [f"{low >> shift & 0xFFFF:x}" for shift in (48, 32, 16, 0)] if low else ["", ""]
        yield f"{':'.join(groups)}/{length}"


def _item(rule: Rule) -> Iterator[str]:
    """Lines of one entry of the list of rules."""
    start = "    - "
    for key, value in rule.items():
        if isinstance(value, dict):
            yield f"{start}{key}:"
            for inner, content in value.items():
                yield f"        {inner}: {_scalar(content)}"
        else:
            yield f"{start}{key}: {_scalar(value)}"
        start = "      "


def _scalar(value: str | int | Sequence[str | int]) -> str:
    """Return a scalar or a list of scalars; JSON is YAML."""
    return value if isinstance(value, str) and value.isalnum() else json.dumps(value)
