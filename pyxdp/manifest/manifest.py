"""Documents to :class:`~pyxdp.model.Resources`: Lists, kinds, and what only shows when everything has been read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from pyxdp.errors import ManifestError, Problem
from pyxdp.manifest.compose import BrokenYamlError, Document, Fault, documents
from pyxdp.manifest.kinds import CALICO, KINDS, KUBERNETES, STORED, WITHOUT_EFFECT, Kind, read_resource, tier_of
from pyxdp.manifest.nodes import Mapping, Node, Scalar, Sequence, describe, is_null, shorten
from pyxdp.manifest.place import Place, Report, Subject, TooManyProblemsError, format_path, suggest
from pyxdp.manifest.policy import BUILT_IN_TIERS
from pyxdp.model import Resource, Resources

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIST: Final = "List"
_RESOURCE: Final = frozenset({"apiVersion", "kind"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What manifests say.

    Attributes:
        resources: everything in them.
        notices: what has no effect here, as ``file:line: Kind/name: ...``; nothing that is wrong.
    """

    resources: Resources
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Type:
    """apiVersion and kind of a document, as written."""

    version: str
    kind: str


@dataclass(slots=True)
class Collector:
    """Reads one file after the other, and keeps what they hold and what is wrong with them."""

    _reports: list[Report] = field(default_factory=list)
    _found: dict[tuple[str, str, str], Resource] = field(default_factory=dict)
    _tiers: list[tuple[Place, str]] = field(default_factory=list)
    _complete: bool = True

    def add_text(self, file: str, text: str) -> None:
        """Read the documents of a file."""
        report = Report(file)
        self._reports.append(report)
        before = len(self._found)
        has_cases = False
        try:
            for document in documents(text):
                if _holds_cases(document.root):
                    has_cases = True
                else:
                    self._add_document(report, document)
        except BrokenYamlError as error:
            self.add_fault(file, error.fault)
        except TooManyProblemsError:
            self._complete = False
        silent = not report.problems and not report.notices and not has_cases
        if len(self._found) == before and silent and self._complete:
            report.notices.append((0, f"{file}: holds no resources"))

    def add_fault(self, file: str, fault: Fault) -> None:
        """Note that a file can not be read, or not to its end."""
        self._complete = False
        report = Report(file)
        report.problems.append(Problem(file, fault.line, fault.column, "", "$", fault.message))
        self._reports.append(report)

    def finish(self) -> Manifest:
        """Return what was read.

        Raises:
            ManifestError: something is wrong.
        """
        if self._complete:
            self._note_missing_tiers()
        problems = [problem for report in self._reports for problem in report.problems]
        if problems:
            raise ManifestError(problems)
        by_collection: defaultdict[str, list[Resource]] = defaultdict(list)
        for (kind, _, _), resource in self._found.items():
            by_collection[KINDS[kind].collection].append(resource)
        ordered: dict[str, Any] = {
            collection: tuple(sorted(resources, key=attrgetter("metadata.namespace", "metadata.name")))
            for collection, resources in by_collection.items()
        }
        notices = tuple(text for report in self._reports for _, text in sorted(report.notices))
        return Manifest(resources=Resources(**ordered), notices=notices)

    def _add_document(self, report: Report, document: Document) -> None:
        for fault in document.faults:
            subject = _name_of(_item_at(document.root, fault.steps))
            report.problem(fault.line, fault.column, subject, format_path(fault.steps), fault.message)
        if not is_null(document.root):
            root = Place(document.root, Subject(report, ""))
            for place, type_ in _flatten(root):
                self._add_item(place, type_)

    def _add_item(self, place: Place, type_: _Type) -> None:
        kind = _kind_of(place, type_)
        if kind is None:
            return
        resource = read_resource(place, kind, type_.version)
        metadata = resource.metadata
        if metadata.name:
            name_place = _descend(place, "metadata", "name")
            first = self._found.setdefault((type_.kind, metadata.namespace, metadata.name), resource)
            if first is not resource:
                where = first.metadata.origin
                name_place.problem(f"{type_.kind} `{metadata.name}` is already defined at {where}: keep one of the two")
        tier = tier_of(resource)
        if tier is not None:
            self._tiers.append((_descend(place, "spec", "tier"), tier))

    def _note_missing_tiers(self) -> None:
        """A policy may be there before its tier is: it is enforced behind all others (spec section 3.2)."""
        known = {*BUILT_IN_TIERS, *(name for kind, _, name in self._found if kind == "Tier")}
        for place, tier in self._tiers:
            if tier not in known:
                alike = suggest(tier, known)
                hint = f"; did you mean `{alike}`?" if alike else ""
                place.notice(f"there is no tier `{tier}`: it comes after all others and denies at its end{hint}")


def _holds_cases(root: Node) -> bool:
    """Whether the document is none of ours but one of ``pyxdp test``, which may lie beside the policy that it tests."""
    return isinstance(root, Mapping) and "cases" in root.entries and root.entries.keys().isdisjoint(_RESOURCE)


def _flatten(root: Place) -> Iterator[tuple[Place, _Type]]:
    """Yield the resources of a document, out of Lists and Lists in Lists, in the order written.

    A tree that aliases make appear twice is reported at its second appearance and not entered again; so the work is
    bounded by the length of the file.
    """
    seen: set[int] = set()
    waiting: list[tuple[Place, _Type]] = [(root, _Type("", ""))]
    while waiting:
        place, inherited = waiting.pop()
        if not isinstance(place.node, Mapping):
            wanted = "a mapping with apiVersion, kind, metadata and spec"
            place.problem(f"a resource is {wanted}, not {describe(place.node)}")
            continue
        place.subject = Subject(place.subject.report, _name_of(place.node, inherited.kind))
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
        item_type = _Type(type_.version, type_.kind.removesuffix(_LIST)) if type_.kind != _LIST else _Type("", "")
        with place.fields() as fields:
            fields.accept("apiVersion", "kind", "metadata")
            items = fields.place("items")
        waiting.extend((item, item_type) for item in reversed(items.items() if items else []))


def _type_of(place: Place, inherited: _Type) -> _Type | None:
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
    return _Type(read["apiVersion"], read["kind"]) if read["kind"] else None


def _type_text(place: Place) -> str | None:
    if isinstance(place.node, Scalar) and place.node.text:
        return place.node.text
    place.problem(f"must be text that is not empty, not {describe(place.node)}")
    return None


def _kind_of(place: Place, type_: _Type) -> Kind | None:
    """Return the kind, or report why there is none."""
    kind = KINDS.get(type_.kind)
    if kind is None and type_.kind in WITHOUT_EFFECT and type_.version in (CALICO, STORED):
        place.notice("this kind has no effect on host policy: ignored")
        return None
    if kind is None:
        alike = suggest(type_.kind, KINDS)
        hint = f"did you mean `{alike}`? " if alike else ""
        supported = f"supported are {', '.join(KINDS)}, and List"
        _descend(place, "kind").problem(f"unknown kind `{shorten(type_.kind)}`; {hint}{supported}")
        return None
    if type_.version and type_.version not in kind.versions:
        wanted = KUBERNETES if kind.kubernetes else f"{CALICO} (or {STORED})"
        _descend(place, "apiVersion").problem(
            f"{type_.kind} is not of apiVersion `{shorten(type_.version)}`; the one that is supported is of {wanted}"
        )
        return None
    return kind


def _descend(place: Place, *steps: str) -> Place:
    """Return the place of a field, or of its parent when it is not given."""
    for step in steps:
        entry = place.node.entries.get(step) if isinstance(place.node, Mapping) else None
        if entry is None:
            return place
        place = place.child(step, entry[1])
    return place


def _item_at(root: Node, steps: tuple[str | int, ...]) -> Node:
    """Return the resource that a place is in: the document, or an item of its Lists."""
    node = root
    for key, index in zip(steps[::2], steps[1::2], strict=False):
        entry = node.entries.get("items") if isinstance(node, Mapping) else None
        items = entry[1] if entry else None
        if key != "items" or not isinstance(items, Sequence) or not isinstance(index, int) or index >= len(items.items):
            break
        node = items.items[index]
    return node


def _name_of(node: Node, kind: str = "") -> str:
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
