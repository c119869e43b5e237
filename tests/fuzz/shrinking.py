"""From a large example to the smallest that still shows the same: things are left out, one after the other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pyxdp.net import Packet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Value = TypeVar("_Value")


def shrink(value: _Value, shows: Callable[[_Value], bool], *, seconds: float = 60.0) -> _Value:
    """Return a value that says less and still shows what ``value`` shows.

    Args:
        value: a tree of dataclasses, tuples and mappings.
        shows: whether a smaller value still shows it; asked often, so it should be quick.
        seconds: after which the smallest so far is good enough.
    """
    end = time.monotonic() + seconds
    found = True
    while found:
        found = False
        for candidate in smaller(value):
            if time.monotonic() > end:
                return value
            if shows(candidate):
                value, found = candidate, True
                break
    return value


def smaller(value: Any) -> Iterator[Any]:
    """Go through values that say less, those that leave out most first. A packet stays whole: it would be another."""
    if isinstance(value, tuple):
        yield from _smaller_tuples(value)
    elif isinstance(value, Mapping):
        yield from ({key: value[key] for key in value if key != without} for without in value)
    elif is_dataclass(value) and not isinstance(value, type | Packet):
        yield from _smaller_records(value)


def _smaller_tuples(value: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    middle = len(value) // 2
    if len(value) > 3:
        yield from (value[:middle], value[middle:])
    yield from (value[:place] + value[place + 1 :] for place in range(len(value)))
    for place, entry in enumerate(value):
        yield from ((*value[:place], less, *value[place + 1 :]) for less in smaller(entry))


def _smaller_records(value: Any) -> Iterator[Any]:
    """Fields that have a default get it; the others, and what is inside, get smaller."""
    given = [field for field in fields(value) if field.compare]
    for field in given:
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if default is not MISSING and getattr(value, field.name) != default:
            yield replace(value, **{field.name: default})
    for field in given:
        yield from (replace(value, **{field.name: less}) for less in smaller(getattr(value, field.name)))
