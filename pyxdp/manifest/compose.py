"""Text to trees: YAML (and so JSON) documents with the position of every value.

libyaml turns text into events; the trees are built here, without recursion, which is what makes hostile input harmless:

- nesting deeper than :data:`MAX_DEPTH` stops at the event that goes too deep. libyaml needs time that grows with the
  square of the depth, so stopping early matters as much as not recursing.
- an alias is a reference to the same tree, never a copy. What walking the trees can cost is bounded by counting the
  values that aliases repeat (:data:`MAX_ALIASED`): the "billion laughs" stop there.
- tags build nothing: only those of YAML's core schema are allowed.

What can not be understood at all ends the file with one fault. Duplicate keys and the like are faults of a document
that is read on.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import yaml

from pyxdp.manifest.nodes import Mapping, Meaning, Node, Run, Scalar, Sequence, shorten
from pyxdp.manifest.runs import Found, find_runs, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_DEPTH: Final = 100
MAX_VALUES: Final = 5_000_000
MAX_ALIASED: Final = 1_000_000

#: PyYAML types the marks of events as optional, which they are not when they come from a parser.
_Event: TypeAlias = Any

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE: Final = "tag:yaml.org,2002:"
_PLAIN_TAGS: Final = frozenset({f"{_CORE}{name}" for name in ("null", "bool", "int", "float")})
_TEXT_TAGS: Final = frozenset({"!", f"{_CORE}str"})
_COLLECTION_TAGS: Final = frozenset({"!", f"{_CORE}map", f"{_CORE}seq"})
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE_PAIR: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
_INDICATOR_VALUE: Final = re.compile(r"(?::|^\s*-)\s+([!&*%@`])")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with the YAML itself.

    Attributes:
        steps: keys and indexes from the document's root to the place.
    """

    line: int
    column: int
    message: str
    steps: tuple[str | int, ...] = ()


@dataclass(slots=True)
class Document:
    """One document of a file.

    Attributes:
        root: its tree; a null scalar when the document is empty.
        faults: what is wrong inside it, apart from what its fields should be.
    """

    root: Node
    faults: list[Fault] = field(default_factory=list)


class BrokenYamlError(Exception):
    """The rest of the file can not be read."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def documents(text: str) -> Iterator[Document]:
    """Read the documents of a file one by one.

    Raises:
        BrokenYamlError: the text is not YAML from here on, or goes beyond a limit.
    """
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        line, column = position_of(text, forbidden.start())
        message = f"the character U+{ord(forbidden[0]):04X} is not allowed in YAML: remove it"
        raise BrokenYamlError(Fault(line, column, message))
    yielded = 0
    runs = find_runs(text)
    if runs:
        with suppress(_DoubtError, BrokenYamlError, yaml.YAMLError):
            for document in _Composer(runs).documents(_events(shortened(text, runs))):
                yield document
                yielded += 1
            return
    try:
        yield from islice(_Composer().documents(_events(text)), yielded, None)
    except yaml.MarkedYAMLError as error:
        raise BrokenYamlError(_syntax_fault(error, text)) from None
    except yaml.YAMLError as error:
        raise BrokenYamlError(Fault(1, 1, f"not YAML: {shorten(str(error))}")) from None


def _events(text: str) -> Iterator[_Event]:
    events: Iterator[_Event] = yaml.parse(_join_surrogates(text), Loader=_Loader)
    return events


def position_of(text: str, offset: int) -> tuple[int, int]:
    """Return line and column of a character, from 1."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def _join_surrogates(text: str) -> str:
    """JSON writes characters beyond U+FFFF as two escapes, which YAML does not know."""
    if not text.lstrip().startswith(("{", "[")) or "\\u" not in text:
        return text
    return _SURROGATE_PAIR.sub(_joined, text)


def _joined(match: re.Match[str]) -> str:
    high, low = int(match[2], 16), int(match[3], 16)
    return f"{match[1]}\\U{0x10000 + ((high - 0xD800) << 10) + low - 0xDC00:08x}"


def _syntax_fault(error: yaml.MarkedYAMLError, text: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Fault(1, 1, f"not YAML: {error.problem}")
    lines = text.split("\n", mark.line + 1)
    source = lines[mark.line] if mark.line < len(lines) else ""
    context = f" {error.context}" if error.context else ""
    if error.context and error.context_mark and error.context_mark.line != mark.line:
        context += f" that begins on line {error.context_mark.line + 1}"
    return Fault(mark.line + 1, mark.column + 1, f"not YAML: {error.problem}{context}{_hint(source)}")


def _hint(source: str) -> str:
    """What usually is behind a syntax error in such a line."""
    indicator = _INDICATOR_VALUE.search(source)
    if indicator:
        return f"; a value that begins with `{indicator[1]}` must be in quotes"
    if "\t" in source[: len(source) - len(source.lstrip())]:
        return "; indent with blanks, not with tabs"
    if "{{" in source:
        return "; this looks like a template: render it first"
    return ""


@dataclass(slots=True)
class _Frame:
    """A collection that is being read.

    Attributes:
        key: of a mapping: the key whose value comes next.
        size: values in it so far, those behind aliases counted at each use.
        merged: what ``<<`` named.
        repeated: keys that were already reported.
    """

    node: Sequence | Mapping
    anchor: str | None
    key: Scalar | None = None
    size: int = 1
    merged: list[Mapping] = field(default_factory=list)
    repeated: set[str] = field(default_factory=set)

    @property
    def step(self) -> str | int:
        """Where the next value goes."""
        if isinstance(self.node, Sequence):
            return self.node.size
        return self.key.text if self.key else ""


class _DoubtError(Exception):
    """A run is not what it looked like."""


class _Composer:
    """Builds documents.

    Args:
        runs: what the text that the events are of was shortened by.
    """

    def __init__(self, runs: Iterable[Found] = ()) -> None:
        self._runs = iter(runs)
        self._next = next(self._runs, None)
        self._left_out = 0
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        self._faults: list[Fault] = []
        self._root: Node = Scalar(1, 1, "")
        self._values = 0
        self._aliased = 0

    def documents(self, events: Iterator[_Event]) -> Iterator[Document]:
        for event in events:
            if self._next and event.start_mark.line >= self._next.line and self._is_run(event, self._next):
                continue
            match event:
                case yaml.ScalarEvent():
                    self._add(self._scalar(event), 1, event.anchor)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._open(event)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._close()
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.DocumentEndEvent():
                    yield Document(self._root, self._faults)
                    self._anchors, self._faults, self._aliased = {}, [], 0

    def _is_run(self, event: _Event, found: Found) -> bool:
        """Whether the event is the first item of a run, which then is added whole."""
        mark, run = event.start_mark, found.run
        if mark.line > found.line:
            raise _DoubtError
        if not isinstance(event, yaml.ScalarEvent) or mark.column != run.column - 1:
            return False
        frame = self._frames[-1] if self._frames else None
        if not frame or not isinstance(frame.node, Sequence) or event.value != found.word or event.tag or event.anchor:
            raise _DoubtError
        self._count(run.count, run)
        frame.size += run.count
        frame.node.parts.append(run)
        self._left_out += run.count - 1
        self._next = next(self._runs, None)
        return True

    def _position(self, event: _Event) -> tuple[int, int]:
        return event.start_mark.line + self._left_out + 1, event.start_mark.column + 1

    def _scalar(self, event: _Event) -> Scalar:
        start, end, text = event.start_mark, event.end_mark, event.value
        quotes = 1 if event.style in ("'", '"') else 0
        exact = start.line == end.line and end.column - start.column == len(text) + 2 * quotes
        scalar = Scalar(*self._position(event), text, bool(event.style), quotes, exact)
        if event.tag is not None:
            if event.tag in _TEXT_TAGS:
                scalar.quoted = True
            elif event.tag not in _PLAIN_TAGS:
                hint = "; a selector that begins with `!` must be in quotes" if event.tag.startswith("!") else ""
                self._fault(scalar, f"the tag `{shorten(event.tag)}` is not allowed here: remove it{hint}")
            scalar.exact = False
        return scalar

    def _open(self, event: _Event) -> None:
        line, column = self._position(event)
        if len(self._frames) >= MAX_DEPTH:
            raise _broken(line, column, f"nested deeper than {MAX_DEPTH} levels")
        frame = self._frames[-1] if self._frames else None
        if frame and isinstance(frame.node, Mapping) and frame.key is None:
            raise _broken(line, column, "a key must be text, not a list or mapping; is this a template, not rendered?")
        mapping = isinstance(event, yaml.MappingStartEvent)
        node = Mapping(line, column) if mapping else Sequence(line, column)
        if event.tag is not None and event.tag not in _COLLECTION_TAGS:
            self._fault(node, f"the tag `{shorten(event.tag)}` is not allowed here: remove it")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._frames.append(_Frame(node, event.anchor))

    def _close(self) -> None:
        frame = self._frames.pop()
        if isinstance(frame.node, Mapping):
            for merged in frame.merged:
                for key, entry in merged.entries.items():
                    frame.node.entries.setdefault(key, entry)
        self._add(frame.node, frame.size, frame.anchor)

    def _alias(self, event: _Event) -> None:
        line, column = self._position(event)
        if event.anchor not in self._anchors:
            hint = "; a text that begins with `*` must be in quotes"
            raise _broken(line, column, f"the alias `*{event.anchor}` has no anchor before it in this document{hint}")
        target = self._anchors[event.anchor]
        if target is None:
            raise _broken(line, column, f"the alias `*{event.anchor}` is inside the value that it stands for")
        node, size = target
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise _broken(line, column, f"aliases repeat more than {MAX_ALIASED:,} values in this document")
        self._add(node, size, None)

    def _add(self, node: Node, size: int, anchor: str | None) -> None:
        self._count(1, node)
        if anchor is not None:
            self._anchors[anchor] = (node, size)
        if not self._frames:
            self._root = node
            return
        frame = self._frames[-1]
        frame.size += size
        if isinstance(frame.node, Sequence):
            frame.node.parts.append(node)
        elif frame.key is None:
            self._key(frame, node)
        else:
            self._entry(frame, frame.node, frame.key, node)
            frame.key = None

    def _count(self, values: int, node: Node | Run) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise _broken(node.line, node.column, f"more than {MAX_VALUES:,} values in one file: split it")

    def _key(self, frame: _Frame, node: Node) -> None:
        if not isinstance(node, Scalar):
            raise _broken(node.line, node.column, "a key must be text, not a list or mapping")
        frame.key = node
        if node.meaning in (Meaning.NULL, Meaning.BOOLEAN):
            what = f"the key `{node.text}` is {node.meaning.value} in YAML"
            self._fault(node, f'{what}: write it in quotes, "{node.text}"' if node.text else "a key is missing here")

    def _entry(self, frame: _Frame, mapping: Mapping, key: Scalar, node: Node) -> None:
        if key.text == "<<" and not key.quoted:
            self._merge(frame, node)
        elif key.text not in mapping.entries:
            mapping.entries[key.text] = (key, node)
        elif key.text not in frame.repeated:
            frame.repeated.add(key.text)
            first = mapping.entries[key.text][0]
            self._fault(key, f"written twice in the same mapping, first on line {first.line}: keep one")

    def _merge(self, frame: _Frame, node: Node) -> None:
        sources = node.items if isinstance(node, Sequence) else [node]
        for source in sources:
            if isinstance(source, Mapping):
                frame.merged.append(source)
            else:
                self._fault(source, "`<<` takes an alias of a mapping, or a list of them")

    def _fault(self, node: Node, message: str) -> None:
        steps = tuple(frame.step for frame in self._frames)
        self._faults.append(Fault(node.line, node.column, message, steps))


def _broken(line: int, column: int, message: str) -> BrokenYamlError:
    return BrokenYamlError(Fault(line, column, message))
