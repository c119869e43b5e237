"""Readers of single values and of lists. See :mod:`pyxdp.manifest.place` for what a reader is."""

from __future__ import annotations

import math
import re
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeVar

from pyxdp.manifest.nodes import Meaning, Scalar, describe, shorten
from pyxdp.manifest.place import suggest

if TYPE_CHECKING:
    from collections.abc import Hashable

    from pyxdp.manifest.place import Place, Reader

T = TypeVar("T")
H = TypeVar("H", bound="Hashable")
E = TypeVar("E", bound=Enum)

_DECIMAL: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})")
_REAL: Final = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


def text(place: Place) -> str | None:
    """Read text."""
    node = place.node
    if isinstance(node, Scalar):
        meaning = node.meaning
        if meaning is Meaning.TEXT:
            return node.text
        if meaning is not Meaning.NULL:
            what = f"`{shorten(node.text)}` is {meaning.value} in YAML, and text is needed"
            place.problem(f'{what}: write it in quotes, "{shorten(node.text)}"')
            return None
    place.problem(f"must be text, not {describe(node)}")
    return None


def optional(reader: Reader[T]) -> Reader[T]:
    """Return a reader of text to which empty text is as good as none, as to Calico."""

    def read(place: Place) -> T | None:
        node = place.node
        return None if isinstance(node, Scalar) and node.quoted and not node.text else reader(place)

    return read


def word(place: Place) -> str | None:
    """Read text or a number as it is written; for values that may be either, such as ports."""
    node = place.node
    if isinstance(node, Scalar) and node.meaning in (Meaning.TEXT, Meaning.NUMBER):
        return node.text
    return text(place)


def boolean(place: Place) -> bool | None:
    """Read true or false."""
    node = place.node
    if isinstance(node, Scalar) and node.meaning is Meaning.BOOLEAN:
        return node.truth
    quotes = "; remove the quotes" if _is_quoted(node, Meaning.BOOLEAN) else ""
    place.problem(f"must be true or false, not {describe(node)}{quotes}")
    return None


def integer(first: int, last: int) -> Reader[int]:
    """Return a reader of whole numbers from ``first`` to ``last``."""
    wanted = f"must be a whole number from {first} to {last}"

    def read(place: Place) -> int | None:
        node = place.node
        if isinstance(node, Scalar) and node.meaning is Meaning.NUMBER:
            if _DECIMAL.fullmatch(node.text) and first <= int(node.text) <= last:
                return int(node.text)
            place.problem(f"{wanted}, in decimal; this is {shorten(node.text)}")
            return None
        quotes = "; remove the quotes" if _is_quoted(node, Meaning.NUMBER) else ""
        place.problem(f"{wanted}, not {describe(node)}{quotes}")
        return None

    return read


def number(place: Place) -> float | None:
    """Read a number that may be negative or have a fraction."""
    node = place.node
    if isinstance(node, Scalar) and node.meaning is Meaning.NUMBER:
        if _REAL.fullmatch(node.text) and math.isfinite(value := float(node.text)):
            return value
        place.problem(f"must be a finite decimal number; this is {shorten(node.text)}")
        return None
    quotes = "; remove the quotes" if _is_quoted(node, Meaning.NUMBER) else ""
    place.problem(f"must be a number, not {describe(node)}{quotes}")
    return None


def one_of(*choices: E) -> Reader[E]:
    """Return a reader of one of the members' values, which are case-sensitive."""
    by_value = {str(choice.value): choice for choice in choices}

    def read(place: Place) -> E | None:
        written = text(place)
        if written is None or written in by_value:
            return by_value.get(written or "")
        alike = suggest(written, by_value)
        hint = f"; did you mean `{alike}`?" if alike else ""
        place.problem(f"must be one of {', '.join(by_value)}, not `{shorten(written)}`{hint}")
        return None

    return read


def pairs(reader: Reader[T], *, limit: int | None = None, over: str = "rules") -> Reader[list[tuple[Place, T]]]:
    """Return a reader of lists that also says where each element is.

    Args:
        reader: of one element.
        limit: most elements that are allowed.
        over: what has such a list, and of what there may be more.
    """

    def read(place: Place) -> list[tuple[Place, T]]:
        items = place.items()
        if limit is not None and len(items) > limit:
            place.problem(
                f"has {len(items):,} entries, and at most {limit:,} are allowed: spread them over more {over}"
            )
        read_items = ((item, reader(item)) for item in items[:limit])
        return [(item, value) for item, value in read_items if value is not None]

    return read


def each(reader: Reader[T], *, limit: int | None = None, over: str = "rules") -> Reader[tuple[T, ...]]:
    """Return a reader of lists; see :func:`pairs`."""
    read_pairs = pairs(reader, limit=limit, over=over)
    return lambda place: tuple(value for _, value in read_pairs(place) or ())


def unique(reader: Reader[H], *, limit: int | None = None) -> Reader[tuple[H, ...]]:
    """Return a reader of lists in which no value may stand twice."""
    read_pairs = pairs(reader, limit=limit)

    def read(place: Place) -> tuple[H, ...]:
        seen: dict[H, Place] = {}
        for item, value in read_pairs(place) or ():
            first = seen.setdefault(value, item)
            if first is not item:
                item.problem(f"the same value as entry {first.step} (line {first.node.line}): keep one")
        return tuple(seen)

    return read


def _is_quoted(node: object, meaning: Meaning) -> bool:
    return isinstance(node, Scalar) and node.quoted and Scalar(0, 0, node.text).meaning is meaning
