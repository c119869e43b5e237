"""The resources of a document: out of Lists and Lists in Lists, with what is wrong before their kind is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp.manifest.kinds import CALICO, KINDS, KUBERNETES, STORED, WITHOUT_EFFECT, Kind
from pyxdp.manifest.nodes import Mapping, Node, Scalar, Sequence, describe, shorten
from pyxdp.manifest.place import Place, Report, Subject, format_path, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.manifest.compose import Document, Fault

_LIST: Final = "List"
_RESOURCE: Final = frozenset({"apiVersion", "kind"})


@dataclass(frozen=True, slots=True)
class Type:
    """apiVersion and kind of a document, as written."""

    version: str
    kind: str


def report_fault(report: Report, document: Document, fault: Fault) -> None:
    """Report that the YAML of a document is wrong somewhere."""
    subject = name_of(item_at(document.root, fault.steps))
    report.problem(fault.line, fault.column, subject, format_path(fault.steps), fault.message)


def holds_cases(root: Node) -> bool:
    """Whether the document is none of ours but one of ``pyxdp test``, which may lie beside the policy that it tests."""
    return isinstance(root, Mapping) and "cases" in root.entries and root.entries.keys().isdisjoint(_RESOURCE)


def flatten(root: Place) -> Iterator[tuple[Place, Type]]:
    """Yield the resources of a document, out of Lists and Lists in Lists, in the order written.

    A tree that aliases make appear twice is reported at its second appearance and not entered again; so the work is
    bounded by the length of the file.
    """
    seen: set[int] = set()
    waiting: list[tuple[Place, Type]] = [(root, Type("", ""))]
    while waiting:
        place, inherited = waiting.pop()
        if not isinstance(place.node, Mapping):
            wanted = "a mapping with apiVersion, kind, metadata and spec"
            place.problem(f"a resource is {wanted}, not {describe(place.node)}")
            continue
        place.subject = Subject(place.subject.report, name_of(place.node, inherited.kind))
        if id(place.node) in seen:
            place.problem("an alias repeats a resource of this document: keep one")
            continue
        seen.add(id(place.node))
        type_ = _type_of(place, inherited)
        if type_ is None:
            continue
        if not type_.kind.endswith(_LIST):
            yield place, type_
            continue
        item_type = Type(type_.version, type_.kind.removesuffix(_LIST)) if type_.kind != _LIST else Type("", "")
        with place.fields() as fields:
            fields.accept("apiVersion", "kind", "metadata")
            items = fields.place("items")
        waiting.extend((item, item_type) for item in reversed(items.items() if items else []))


def _type_of(place: Place, inherited: Type) -> Type | None:
    """Read apiVersion and kind; an item of a typed list may leave them out. Without a kind there is nothing to read."""
    fields = place.fields(strict=False)
    read = {}
    for name, default, meaning in (
        ("apiVersion", inherited.version, f"{CALICO} for Calico's kinds"),
        ("kind", inherited.kind, f"one of {', '.join(KINDS)}"),
    ):
        if fields.place(name) is None and not default:
            fields.missing(name, meaning)
        read[name] = fields.read(name, _type_text, default)
    return Type(read["apiVersion"], read["kind"]) if read["kind"] else None


def _type_text(place: Place) -> str | None:
    if isinstance(place.node, Scalar) and place.node.text:
        return place.node.text
    place.problem(f"must be text that is not empty, not {describe(place.node)}")
    return None


def kind_of(place: Place, type_: Type) -> Kind | None:
    """Return the kind, or report why there is none."""
    kind = KINDS.get(type_.kind)
    if kind is None and type_.kind in WITHOUT_EFFECT and type_.version in (CALICO, STORED):
        place.notice("this kind has no effect on host policy: ignored")
        return None
    if kind is None:
        alike = suggest(type_.kind, KINDS)
        hint = f"did you mean `{alike}`? " if alike else ""
        supported = f"supported are {', '.join(KINDS)}, and List"
        descend(place, "kind").problem(f"unknown kind `{shorten(type_.kind)}`; {hint}{supported}")
        return None
    if type_.version and type_.version not in kind.versions:
        wanted = KUBERNETES if kind.kubernetes else f"{CALICO} (or {STORED})"
        descend(place, "apiVersion").problem(
            f"{type_.kind} is not of apiVersion `{shorten(type_.version)}`; the one that is supported is of {wanted}"
        )
        return None
    return kind


def descend(place: Place, *steps: str) -> Place:
    """Return the place of a field, or of its parent when it is not given."""
    for step in steps:
        entry = place.node.entries.get(step) if isinstance(place.node, Mapping) else None
        if entry is None:
            return place
        place = place.child(step, entry[1])
    return place


def item_at(root: Node, steps: tuple[str | int, ...]) -> Node:
    """Return the resource that a place is in: the document, or an item of its Lists."""
    node = root
    for key, index in zip(steps[::2], steps[1::2], strict=False):
        entry = node.entries.get("items") if isinstance(node, Mapping) else None
        items = entry[1] if entry else None
        if key != "items" or not isinstance(items, Sequence) or not isinstance(index, int) or index >= len(items.items):
            break
        node = items.items[index]
    return node


def name_of(node: Node, kind: str = "") -> str:
    """Return ``Kind/name`` or ``Kind/namespace/name``, as far as the document has them."""
    kind = _text_at(node, "kind") or kind
    known = KINDS.get(kind)
    namespace = _text_at(node, "metadata", "namespace") if known and known.names.namespaced else ""
    name = _text_at(node, "metadata", "name")
    return "/".join(shorten(part) for part in (kind, namespace, name) if part) if kind else ""


def _text_at(node: Node, *steps: str) -> str:
    for step in steps:
        entry = node.entries.get(step) if isinstance(node, Mapping) else None
        if entry is None:
            return ""
        node = entry[1]
    return node.text if isinstance(node, Scalar) else ""
