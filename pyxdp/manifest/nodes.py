"""The tree of a YAML document: values that know where they were written.

PyYAML's own nodes are not used, because whoever makes them (``yaml.compose``) recurses: libyaml's binding overflows the
C stack and kills the process on a document of some hundred thousand ``[``. See :mod:`pyxdp.manifest.compose`.

Lines and columns count from 1. What a plain scalar means is decided late, by the field that reads it, and much in the
way of the YAML library under kubectl and calicoctl: YAML 1.1 booleans (but ``y`` and ``n`` are text, as to PyYAML), no
sexagesimal numbers (``10:20`` is a port range) and no dates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE: Final = frozenset({"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_NUMBER: Final = re.compile(
    r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
)


class Meaning(Enum):
    """What a scalar stands for. The value is how a message calls it."""

    NULL = "null"
    BOOLEAN = "a boolean"
    NUMBER = "a number"
    TEXT = "text"


@dataclass(slots=True)
class Scalar:
    """A single value.

    Attributes:
        text: the value, escapes resolved.
        quoted: it is text whatever it looks like: quotes, a block scalar, or ``!!str``.
        indicator: columns between ``column`` and the first character of ``text``: 1 for quotes.
        exact: characters of ``text`` stand in the source as they are, on one line.
    """

    line: int
    column: int
    text: str
    quoted: bool = False
    indicator: int = 0
    exact: bool = True

    @property
    def meaning(self) -> Meaning:
        """What it stands for."""
        if self.quoted:
            return Meaning.TEXT
        if self.text in _NULLS:
            return Meaning.NULL
        if self.text in _TRUE or self.text in _FALSE:
            return Meaning.BOOLEAN
        return Meaning.NUMBER if _NUMBER.fullmatch(self.text) else Meaning.TEXT

    @property
    def truth(self) -> bool:
        """The value of a boolean."""
        return self.text in _TRUE


@dataclass(slots=True)
class Run:
    """Many scalars of one list, one a line, that were not told apart yet.

    Attributes:
        line: of the first.
        column: of each.
        texts: of all of them, each ended by a newline.
        count: how many there are.
        quoted: they are in quotes.
    """

    line: int
    column: int
    texts: str
    count: int
    quoted: bool

    def scalars(self, numbers: Iterable[int]) -> Iterator[Scalar]:
        """Yield some of them, numbered from 0."""
        texts = self.texts.split("\n")
        for number in numbers:
            yield Scalar(self.line + number, self.column, texts[number], self.quoted, int(self.quoted))


@dataclass(slots=True)
class Sequence:
    """A list.

    Attributes:
        parts: what is in it, in order.
    """

    line: int
    column: int
    parts: list[Node | Run] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many values there are."""
        return sum(part.count if isinstance(part, Run) else 1 for part in self.parts)

    @property
    def items(self) -> list[Node]:
        """Every value by itself."""
        items: list[Node] = []
        for part in self.parts:
            if isinstance(part, Run):
                items += part.scalars(range(part.count))
            else:
                items.append(part)
        return items


@dataclass(slots=True)
class Mapping:
    """A mapping from text.

    Attributes:
        entries: by key, in the order written: the key's own scalar and the value.
    """

    line: int
    column: int
    entries: dict[str, tuple[Scalar, Node]] = field(default_factory=dict)


Node: TypeAlias = Scalar | Sequence | Mapping


def is_null(node: Node) -> bool:
    """Whether the value is null, written or left out: in Kubernetes that is the same as no such field."""
    return isinstance(node, Scalar) and node.meaning is Meaning.NULL


def is_empty(node: Node) -> bool:
    """Whether the value says nothing: null, false, empty text, an empty list or mapping."""
    if isinstance(node, Mapping):
        return not node.entries
    if isinstance(node, Sequence):
        return not node.parts
    return not node.text or is_null(node) or (node.meaning is Meaning.BOOLEAN and not node.truth)


def describe(node: Node) -> str:
    """Return what the value is, for a message."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    meaning = node.meaning
    return meaning.value if meaning in (Meaning.NULL, Meaning.TEXT) else f"{meaning.value} (`{shorten(node.text)}`)"


def shorten(text: str, limit: int = 60) -> str:
    """Return the text on one line and not too long for a message."""
    text = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return text if len(text) <= limit else text[: limit - 3] + "..."
