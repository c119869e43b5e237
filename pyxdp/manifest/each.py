"""Every object of a text by itself: one that is wrong does not keep the others from being used."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.errors import Problem
from pyxdp.manifest.compose import BrokenYamlError, documents
from pyxdp.manifest.items import Type, descend, flatten, holds_cases, item_at, kind_of, report_fault
from pyxdp.manifest.kinds import read_resource
from pyxdp.manifest.nodes import is_null
from pyxdp.manifest.place import Place, Report, Subject, TooManyProblemsError
from pyxdp.manifest.sources import MAX_BYTES, decode

if TYPE_CHECKING:
    from pyxdp.manifest.compose import Document
    from pyxdp.model import Resource

_KEEP: Final = "keep one of the two"


class Key(NamedTuple):
    """What there is only one of.

    Attributes:
        kind: as ``GlobalNetworkPolicy``.
        namespace: empty for cluster-scoped kinds.
        name: of the resource.
    """

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, resource: Resource) -> Key:
        """Return the key of a resource."""
        return cls(type(resource).__name__, resource.metadata.namespace, resource.metadata.name)

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


@dataclass(frozen=True, slots=True)
class ReadObject:
    """One object of a text.

    Attributes:
        key: what it says it is; if something is wrong with it, that may be wrong as well.
        resource: ``None`` if anything is wrong with it.
        problems: what is wrong.
    """

    key: Key
    resource: Resource | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a text says.

    Attributes:
        objects: in the order written; those of unknown kinds, or without a name, are in ``strays``.
        strays: problems of what can not be told to be a certain object.
        fault: the text is broken as a whole, and says nothing: ``objects`` is empty then.
        notices: what has no effect, as ``file:line: Kind/name: ...``; nothing that is wrong.
    """

    objects: tuple[ReadObject, ...] = ()
    strays: tuple[Problem, ...] = ()
    fault: Problem | None = None
    notices: tuple[str, ...] = ()


def read_each(file: str, text: str) -> Reading:
    """Read every object of a text.

    Args:
        file: what problems call the text.
        text: one or more YAML documents, or JSON; the same that :func:`pyxdp.manifest.loads` reads.

    Returns:
        All objects and all problems. Nothing is raised for what is wrong with the text. Documents of ``pyxdp test`` are
        left alone. Of two objects with the same key, the second has a problem.
    """
    if len(text) > MAX_BYTES:
        fault = decode(file, text[: MAX_BYTES + 1].encode("utf-8", "surrogatepass")).fault
        if fault:
            return Reading(fault=Problem(file, fault.line, fault.column, "", "$", fault.message))
    reader = _Reader(Report(file))
    try:
        for document in documents(text.removeprefix("\ufeff")):
            if not holds_cases(document.root) and not is_null(document.root):
                reader.read(document)
    except BrokenYamlError as error:
        return Reading(fault=Problem(file, error.fault.line, error.fault.column, "", "$", error.fault.message))
    except TooManyProblemsError:
        return Reading(fault=reader.report.problems[-1])
    return reader.reading()


@dataclass(slots=True)
class _Reader:
    """Reads the documents of a text, and tells whose each problem is."""

    report: Report
    _objects: list[ReadObject] = field(default_factory=list)
    _strays: list[Problem] = field(default_factory=list)
    _first: dict[Key, Resource] = field(default_factory=dict)
    _told: int = 0

    def read(self, document: Document) -> None:
        """Read the objects of a document."""
        faults: defaultdict[int, list[Problem]] = defaultdict(list)
        for fault in document.faults:
            report_fault(self.report, document, fault)
            faults[id(item_at(document.root, fault.steps))] += self._new()
        for place, type_ in flatten(Place(document.root, Subject(self.report, ""))):
            own = faults.pop(id(place.node), [])
            for problem in self._new():
                (own if problem.object == place.subject.name else self._strays).append(problem)
            self._read(place, type_, own)
        self._strays += self._new()
        self._strays += (problem for problems in faults.values() for problem in problems)

    def reading(self) -> Reading:
        """Return what was read."""
        notices = tuple(text for _, text in sorted(self.report.notices))
        return Reading(objects=tuple(self._objects), strays=tuple(self._strays), notices=notices)

    def _read(self, place: Place, type_: Type, before: list[Problem]) -> None:
        """Read an object of which something may be wrong already."""
        kind = kind_of(place, type_)
        if kind is None:
            self._strays += (*before, *self._new())
            return
        resource = read_resource(place, kind, type_.version)
        key = Key.of(resource)
        if not key.name:
            self._strays += (*before, *self._new())
            return
        first = self._first.setdefault(key, resource)
        if first is not resource:
            where = first.metadata.origin
            descend(place, "metadata", "name").problem(
                f"{key.kind} `{key.name}` is already defined at {where}: {_KEEP}"
            )
        problems = (*before, *self._new())
        self._objects.append(ReadObject(key, None if problems else resource, problems))

    def _new(self) -> list[Problem]:
        """Return the problems since the last call."""
        new = self.report.problems[self._told :]
        self._told = len(self.report.problems)
        return new
