"""Walking a document: places, the fields of mappings, and the problems found on the way.

A *reader* is a function from a place to a value. When the value is wrong it reports a problem at the place and returns
``None``; reading goes on, so that one run finds everything. What is built from the rest is never seen by anybody,
because a manifest with a problem is refused as a whole.

Every field that a reader asks a mapping for is thereby known; when the ``with`` block ends, the others are reported as
unknown.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from pyxdp.errors import Problem
from pyxdp.manifest import nodes
from pyxdp.model import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

T = TypeVar("T")
D = TypeVar("D")

#: Problems reported of one file; a human reads no more, and hostile input may hold millions.
MAX_PROBLEMS: Final = 10_000

#: Fields that are listed when an unknown one is like none of them.
MAX_LISTED: Final = 30

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class TooManyProblemsError(Exception):
    """The report of a file is full."""


@dataclass(slots=True)
class Report:
    """What is to be said of one file."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    notices: list[tuple[int, str]] = field(default_factory=list)

    def problem(self, line: int, column: int, subject: str, path: str, message: str) -> None:
        """Add a problem.

        Raises:
            TooManyProblemsError: there are :data:`MAX_PROBLEMS` already.
        """
        if len(self.problems) >= MAX_PROBLEMS:
            message = f"more than {MAX_PROBLEMS:,} problems in this file; the others are not listed"
            self.problems.append(Problem(self.file, line, column, "", "$", message))
            raise TooManyProblemsError
        self.problems.append(Problem(self.file, line, column, subject, path, message))

    def notice(self, line: int, subject: str, message: str) -> None:
        """Add a remark that is no problem."""
        self.notices.append((line, f"{self.file}:{line}: {subject}: {message}"))


@dataclass(slots=True)
class Subject:
    """The resource that is being read.

    Attributes:
        name: ``Kind/name`` or ``Kind/namespace/name``, as far as the document says.
    """

    report: Report
    name: str


@dataclass(slots=True)
class Place:
    """A value in a document.

    Attributes:
        step: the key or index of the value in its parent.
    """

    node: nodes.Node
    subject: Subject
    parent: Place | None = None
    step: str | int = ""

    @property
    def path(self) -> str:
        """The place as ``$.spec.ingress[0].action``."""
        steps: list[str | int] = []
        place: Place = self
        while place.parent is not None:
            steps.append(place.step)
            place = place.parent
        return format_path(reversed(steps))

    @property
    def origin(self) -> Origin:
        """File and line."""
        return Origin(self.subject.report.file, self.node.line)

    def child(self, step: str | int, node: nodes.Node) -> Place:
        """Return a place below this one."""
        return Place(node, self.subject, self, step)

    def problem(self, message: str, *, offset: int | None = None) -> None:
        """Report that the value here is wrong.

        Args:
            message: what is wrong, and what would be right.
            offset: of the offending character in the text, if it is one character.
        """
        column = self.node.column
        if offset is not None and isinstance(self.node, nodes.Scalar) and self.node.exact:
            column += self.node.indicator + offset
        self.subject.report.problem(self.node.line, column, self.subject.name, self.path, message)

    def notice(self, message: str) -> None:
        """Remark on the value here."""
        self.subject.report.notice(self.node.line, self.subject.name, message)

    def fields(self, *, strict: bool = True, elsewhere: Mapping[str, str] | None = None) -> Fields:
        """Return the value's fields; a problem, and no fields, when it is no mapping.

        Args:
            strict: unknown fields are problems.
            elsewhere: unknown fields that deserve an explanation of their own.
        """
        if isinstance(self.node, nodes.Mapping):
            return Fields(self, self.node.entries, strict, elsewhere or {})
        self.problem(f"must be a mapping, not {nodes.describe(self.node)}")
        return Fields(self, {}, strict=False, elsewhere={}, broken=True)

    def items(self) -> list[Place]:
        """Return the elements; a problem, and no elements, when it is no list."""
        listed = self._list()
        return [Place(node, self.subject, self, index) for index, node in enumerate(listed.items if listed else ())]

    def parts(self) -> Iterator[tuple[int, nodes.Node | nodes.Run]]:
        """Yield the elements as far as they were told apart, with the index of each or of its first."""
        listed = self._list()
        index = 0
        for part in listed.parts if listed else ():
            yield index, part
            index += part.count if isinstance(part, nodes.Run) else 1

    def _list(self) -> nodes.Sequence | None:
        if isinstance(self.node, nodes.Sequence):
            return self.node
        self.problem(f"must be a list, not {nodes.describe(self.node)}")
        return None


Reader: TypeAlias = Callable[[Place], "T | None"]


@dataclass(slots=True)
class Fields:
    """The fields of a mapping. A field that is null counts as not given, as in Kubernetes.

    Attributes:
        broken: there should have been a mapping and was none; nothing is known to be missing then.
    """

    at: Place
    entries: Mapping[str, tuple[nodes.Scalar, nodes.Node]]
    strict: bool
    elsewhere: Mapping[str, str]
    broken: bool = False
    known: dict[str, None] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self.strict:
            self._report_unknown()

    def place(self, name: str) -> Place | None:
        """Return the place of a field, or ``None`` when it is not given."""
        self.known[name] = None
        entry = self.entries.get(name)
        return None if entry is None or nodes.is_null(entry[1]) else self.at.child(name, entry[1])

    def section(self, name: str) -> Place:
        """Return the place of a field that holds a mapping; as if empty when it is not given."""
        return self.place(name) or self.at.child(name, nodes.Mapping(self.at.node.line, self.at.node.column))

    def read(self, name: str, reader: Reader[T], default: D) -> T | D:
        """Return the field's value, or ``default`` when it is not given or wrong."""
        place = self.place(name)
        value = reader(place) if place else None
        return default if value is None else value

    def require(self, name: str, reader: Reader[T], default: D, *, meaning: str) -> T | D:
        """The same of a field that must be given; ``meaning`` says what it should hold."""
        if self.place(name) is None and not self.broken:
            self.missing(name, meaning)
        return self.read(name, reader, default)

    def missing(self, name: str, meaning: str) -> None:
        """Report that a field is missing; at the mapping's beginning, where else."""
        at = self.at
        at.subject.report.problem(
            at.node.line, at.node.column, at.subject.name, at.child(name, at.node).path, f"is required: {meaning}"
        )

    def accept(self, *names: str) -> None:
        """Know fields without looking at them."""
        self.known.update(dict.fromkeys(names))

    def _report_unknown(self) -> None:
        for name, (key, _) in self.entries.items():
            if name not in self.known:
                self.at.child(name, key).problem(self.elsewhere.get(name) or f"unknown field; {self._suggest(name)}")

    def _suggest(self, name: str) -> str:
        alike = suggest(name, self.known)
        if alike:
            return f"did you mean `{alike}`?"
        return f"known here: {', '.join(sorted(self.known))}" if len(self.known) <= MAX_LISTED else "remove it"


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant, or nothing."""
    names = list(known)
    for candidate in names:
        if candidate.lower() == name.lower():
            return candidate
    return next(iter(difflib.get_close_matches(name[:80], names, n=1, cutoff=0.7)), "")


def format_path(steps: Iterable[str | int]) -> str:
    """Return ``$.spec.nets[0]`` for the steps to it; keys that are no plain words are quoted in brackets."""
    return "$" + "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" if _PLAIN_KEY.fullmatch(step) else f'["{step}"]'
        for step in steps
    )
