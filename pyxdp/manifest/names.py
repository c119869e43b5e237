"""Readers of names, labels and annotations (spec section 1.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pyxdp.manifest.nodes import shorten
from pyxdp.manifest.readers import text

if TYPE_CHECKING:
    from pyxdp.manifest.place import Place

MAX_NAME: Final = 253
MAX_LABEL: Final = 63
MAX_INTERFACE: Final = 15
MAX_PORT_NAME: Final = 15
MAX_ANNOTATIONS: Final = 256 * 1024

_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DNS_LABEL: Final = re.compile(_LABEL)
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_POLICY_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})?")
_INTERNAL_POLICY_NAME: Final = re.compile(rf"(?:knp|ossg)\.default\.{_LABEL}(?:\.{_LABEL})*")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_INTERFACE: Final = re.compile(rf"[a-zA-Z0-9_.-]{{1,{MAX_INTERFACE}}}")
_PORT_NAME: Final = re.compile(r"(?!.*--)(?=.*[a-z])[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")

_SUBDOMAIN_RULE: Final = (
    f"must be lower-case letters, digits, `-` and `.`, begin and end with a letter or digit, at most {MAX_NAME} long"
)


def name(place: Place) -> str | None:
    """Read a resource name: a lower-case DNS subdomain."""
    return _matching(place, _SUBDOMAIN, MAX_NAME, _SUBDOMAIN_RULE)


def dns_label(place: Place) -> str | None:
    """Read a single DNS label: the name of a tier or namespace."""
    ends = f"begin and end with a letter or digit, at most {MAX_LABEL} long"
    rule = f"must be lower-case letters, digits and `-` (no dot), {ends}"
    return _matching(place, _DNS_LABEL, MAX_LABEL, rule)


def policy_name(place: Place) -> str | None:
    """Read the name of a cluster-scoped policy: one DNS label, or two joined by a dot (``tier.name``)."""
    rule = "must be lower-case letters, digits and `-`, with at most one dot, after the tier's name (`tier.name`)"
    return _matching(place, _POLICY_NAME, MAX_NAME, rule)


def is_policy_name(written: str) -> bool:
    """Whether a policy may have the name."""
    return len(written) <= MAX_NAME and any(form.fullmatch(written) for form in (_POLICY_NAME, _INTERNAL_POLICY_NAME))


def namespaced_policy_name(place: Place) -> str | None:
    """Read the name of a NetworkPolicy; also ``knp.default.*`` and ``ossg.default.*``, which orchestrators make."""
    written = text(place)
    if written is None or is_policy_name(written):
        return written
    return policy_name(place)


def interface_name(place: Place) -> str | None:
    """Read the name of a network interface, or ``*``."""
    written = text(place)
    if written is None or written == "*" or _INTERFACE.fullmatch(written):
        return written
    rule = f"must be `*` or a name of at most {MAX_INTERFACE} letters, digits, `_`, `.` and `-`"
    place.problem(f"{rule}; patterns are not supported: `{shorten(written)}`")
    return None


def port_name(place: Place) -> str | None:
    """Read the name of an endpoint's port."""
    written = text(place)
    if written is None or is_port_name(written):
        return written
    place.problem(f"{PORT_NAME_RULE}: `{shorten(written)}`")
    return None


PORT_NAME_RULE: Final = (
    f"must be at most {MAX_PORT_NAME} lower-case letters, digits and single `-` between them, with at least one letter"
)


def is_port_name(written: str) -> bool:
    """Whether it has the form of a Kubernetes port name."""
    return len(written) <= MAX_PORT_NAME and _PORT_NAME.fullmatch(written) is not None


def label_map(place: Place) -> dict[str, str]:
    """Read labels: qualified names and short values."""
    found = {}
    for key, value_place in _text_entries(place):
        value = text(value_place)
        if value and not (len(value) <= MAX_LABEL and _QUALIFIED.fullmatch(value)):
            rule = f"must be at most {MAX_LABEL} letters, digits, `-`, `_` and `.`, a letter or digit at both ends"
            value_place.problem(f"label value {rule}: `{shorten(value)}`")
        if value is not None and _check_key(value_place, key, key):
            found[key] = value
    return found


def annotation_map(place: Place) -> dict[str, str]:
    """Read annotations: qualified names, any text, 256 KiB in all."""
    found = {}
    for key, value_place in _text_entries(place):
        value = text(value_place)
        if value is not None and _check_key(value_place, key, key.lower()):
            found[key] = value
    size = sum(len(key.encode()) + len(value.encode()) for key, value in found.items())
    if size > MAX_ANNOTATIONS:
        place.problem(f"annotations take {size:,} bytes, and at most {MAX_ANNOTATIONS:,} are allowed")
    return found


def _text_entries(place: Place) -> list[tuple[str, Place]]:
    fields = place.fields(strict=False)
    return [(key, place.child(key, node)) for key, (_, node) in fields.entries.items()]


def _check_key(place: Place, key: str, qualified: str) -> bool:
    """Whether a key is ``name`` or ``prefix/name``."""
    prefix, slash, base = qualified.rpartition("/")
    good_prefix = not slash or (len(prefix) <= MAX_NAME and _SUBDOMAIN.fullmatch(prefix))
    if good_prefix and len(base) <= MAX_LABEL and _QUALIFIED.fullmatch(base):
        return True
    rule = f"at most {MAX_LABEL} letters, digits, `-`, `_` and `.`, with an optional DNS prefix and `/` before it"
    place.problem(f"the key `{shorten(key)}` must be {rule}")
    return False


def _matching(place: Place, pattern: re.Pattern[str], limit: int, rule: str) -> str | None:
    written = text(place)
    if written is None or (len(written) <= limit and pattern.fullmatch(written)):
        return written
    place.problem(f"{rule}: `{shorten(written)}`")
    return None
