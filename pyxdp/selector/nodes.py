"""The syntax tree of a selector: frozen values.

Leaves look at one label; ``Not``, ``And`` and ``Or`` combine. A tree can be as deep as its author likes, so whatever
walks one does it with a stack of its own: Python's would end at about a thousand levels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class Leaf(ABC):
    """A test of one label, or of none. ``str()`` is its canonical text."""

    __slots__ = ()

    @abstractmethod
    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels pass the test."""


@dataclass(frozen=True, slots=True)
class All(Leaf):
    """``all()``: everything."""

    def __str__(self) -> str:
        return "all()"

    def matches(self, labels: Mapping[str, str]) -> bool:  # noqa: ARG002 the answer does not hang on them
        """Return true."""
        return True


@dataclass(frozen=True, slots=True)
class Global(Leaf):
    """``global()``: everything, too; inside a namespaceSelector the resolver gives it its meaning."""

    def __str__(self) -> str:
        return "global()"

    def matches(self, labels: Mapping[str, str]) -> bool:  # noqa: ARG002 the answer does not hang on them
        """Return true."""
        return True


@dataclass(frozen=True, slots=True)
class LabelLeaf(Leaf):
    """A test of the label ``key``."""

    key: str


@dataclass(frozen=True, slots=True)
class Has(LabelLeaf):
    """``has(key)``: the label exists, whatever its value."""

    def __str__(self) -> str:
        return f"has({self.key})"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the label exists."""
        return self.key in labels


@dataclass(frozen=True, slots=True)
class _TextLeaf(LabelLeaf):
    """A label compared with one string."""

    value: str

    operator: ClassVar[str]

    def __str__(self) -> str:
        return f"{self.key} {self.operator} {quote(self.value)}"


@dataclass(frozen=True, slots=True)
class Equals(_TextLeaf):
    """``key == "value"``."""

    operator = "=="

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the label exists with this value."""
        return labels.get(self.key) == self.value


@dataclass(frozen=True, slots=True)
class NotEquals(_TextLeaf):
    """``key != "value"``."""

    operator = "!="

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the label is missing or has another value."""
        return labels.get(self.key) != self.value


@dataclass(frozen=True, slots=True)
class Contains(_TextLeaf):
    """``key contains "value"``."""

    operator = "contains"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the label exists and its value holds this text."""
        value = labels.get(self.key)
        return value is not None and self.value in value


@dataclass(frozen=True, slots=True)
class StartsWith(_TextLeaf):
    """``key starts with "value"``."""

    operator = "starts with"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the label exists and its value begins with this text."""
        value = labels.get(self.key)
        return value is not None and value.startswith(self.value)


@dataclass(frozen=True, slots=True)
class EndsWith(_TextLeaf):
    """``key ends with "value"``."""

    operator = "ends with"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the label exists and its value ends with this text."""
        value = labels.get(self.key)
        return value is not None and value.endswith(self.value)


@dataclass(frozen=True, slots=True)
class _SetLeaf(LabelLeaf):
    """A label compared with a set of strings."""

    values: frozenset[str]

    operator: ClassVar[str]

    def __str__(self) -> str:
        # UTF-8 keeps the order of code points, so this is also the order of the bytes.
        items = ", ".join(quote(value) for value in sorted(self.values))
        return f"{self.key} {self.operator} {{{items}}}"


@dataclass(frozen=True, slots=True)
class In(_SetLeaf):
    """``key in {"a", "b"}``; an empty set never matches."""

    operator = "in"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the label exists with one of the values."""
        return labels.get(self.key) in self.values


@dataclass(frozen=True, slots=True)
class NotIn(_SetLeaf):
    """``key not in {"a", "b"}``; an empty set always matches."""

    operator = "not in"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the label is missing or has none of the values."""
        return labels.get(self.key) not in self.values


@dataclass(frozen=True, slots=True)
class Not:
    """``!operand``. The operand is never a ``Not``: use :func:`negate`."""

    operand: Node

    def __str__(self) -> str:
        return canonical_text(self)


@dataclass(frozen=True, slots=True)
class And:
    """``(a && b)``, two operands or more."""

    operands: tuple[Node, ...]

    def __str__(self) -> str:
        return canonical_text(self)


@dataclass(frozen=True, slots=True)
class Or:
    """``(a || b)``, two operands or more."""

    operands: tuple[Node, ...]

    def __str__(self) -> str:
        return canonical_text(self)


Node: TypeAlias = Leaf | Not | And | Or


def negate(node: Node) -> Node:
    """Return the opposite; two negations cancel, so that a canonical text always parses to the tree it came from."""
    return node.operand if isinstance(node, Not) else Not(node)


def all_of(nodes: Sequence[Node]) -> Node:
    """Return the conjunction of one node or more."""
    return nodes[0] if len(nodes) == 1 else And(tuple(nodes))


def any_of(nodes: Sequence[Node]) -> Node:
    """Return the disjunction of one node or more."""
    return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))


def quote(value: str) -> str:
    """Return a string literal. The language has no escapes; no literal holds both kinds of quotes."""
    return f"'{value}'" if '"' in value else f'"{value}"'


def canonical_text(root: Node) -> str:
    """Return the one text for this tree (spec section 2.4)."""
    pieces: list[str] = []
    stack: list[Node | str] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, Not):
            pieces.append("!")
            stack.append(item.operand)
        elif isinstance(item, And | Or):
            separator = " && " if isinstance(item, And) else " || "
            pieces.append("(")
            stack.append(")")
            for operand in reversed(item.operands[1:]):
                stack += (operand, separator)
            stack.append(item.operands[0])
        else:
            pieces.append(str(item))
    return "".join(pieces)


def leaves(root: Node) -> Iterator[Leaf]:
    """Yield the leaves from left to right."""
    stack: list[Node] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, Not):
            stack.append(node.operand)
        elif isinstance(node, And | Or):
            stack += reversed(node.operands)
        else:
            yield node


def replace_leaves(root: Node, replacement: Callable[[Leaf], Node]) -> Node:
    """Return the tree with every leaf replaced."""
    done: list[Node] = []
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, operands_done = stack.pop()
        if isinstance(node, Leaf):
            done.append(replacement(node))
        elif not operands_done:
            stack.append((node, True))
            operands = (node.operand,) if isinstance(node, Not) else node.operands
            stack += ((operand, False) for operand in reversed(operands))
        elif isinstance(node, Not):
            done.append(negate(done.pop()))
        else:
            count = len(node.operands)
            done[-count:] = [type(node)(tuple(done[-count:]))]
    return done[0]
